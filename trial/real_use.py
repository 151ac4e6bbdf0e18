# SPDX-License-Identifier: Apache-2.0
"""Use modules of Debian for real, on Debian's own kernel and on the isolated kernel with `distro`.

    python trial/real_use.py [--run-dir DIR] [NAME...]

NAME is a function of trial/use/uses.sh without `use_` [all]. A guest has a root file system of Debian with the tools
that they need, made by debootstrap(8), so that this must run as root. Each use begins in a guest that is as it was
after the boot. It has to end with the same status on both kernels and to load the same modules, lockdep has to be on at
its end, and the debug kernel must not report what production does not.

Exit status: 0, 1 if that is not so, or 2 if it could not be found out.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
import pexpect

from harness.cli.kernel_options import settings_of
from harness.detect.scan import scan
from harness.guest.boards import BOARDS
from harness.guest.initramfs import find_busybox, pack
from harness.kernel.arch import X86_64
from harness.kernel.features import FEATURES
from harness.kernel.shipped import ShippedKernel
from harness.kernel.shipped_packages import find_shipped
from harness.kernel.variants import variant_of
from harness.lab.execution.kernel_pool import Kernels
from harness.support import process
from harness.support.cache.store import Store
from harness.support.errors import ModcompatError
from harness.support.progress import say

PACKAGE = "debian:linux-image-amd64"
HERE = Path(__file__).resolve().parent / "use"
SUITE = "bookworm"
TOOLS = (
    "acl", "alsa-utils", "attr", "bcache-tools", "btrfs-progs", "can-utils", "cryptsetup-bin", "dmsetup",
    "dosfstools", "e2fsprogs", "ethtool", "exfatprogs", "f2fs-tools", "gfs2-utils", "iperf3", "iproute2", "ipset",
    "iptables", "iputils-ping", "iw", "jfsutils", "kmod", "lvm2", "mdadm", "nbd-client", "nbd-server",
    "nfs-common", "nfs-kernel-server", "nftables", "nilfs-tools", "ntfs-3g", "ocfs2-tools", "procps",
    "reiserfsprogs", "squashfs-tools", "stress-ng", "thin-provisioning-tools", "udev", "udftools", "v4l-utils",
    "wireguard-tools", "xfsprogs",
)  # fmt: skip
FOR_ROOT = ("virtio_pci", "virtio_blk", "ext4")  # to mount the root file system
# Use, word of a report -> why the debug kernel reports it although the module is right
EXPECTED = {
    ("gfs2", "backing-dev.h"): (
        "inode_to_wb() asks for locks of the inode's own mapping, and gfs2 has another one for its metadata; 6.1 lacks "
        "the change that ended that, gfs2: replace sd_aspace with sd_inode"
    ),
}
DISKS = ("root.qcow2", "scratch.qcow2")  # of a guest: /dev/vda with its root file system, and /dev/vdb
_WORD = re.compile(r"real use: (modules|locks|status) ([^\r\n]*)")
_MONITOR = "\x01c"


@dataclass(frozen=True)
class Used:
    """What a use came to on one kernel."""

    status: str  # of the function; or why the guest did not come to its end
    modules: frozenset[str]  # that were loaded
    locks: str  # 1 if lockdep is on, "" if the kernel has none
    reports: frozenset[str]  # titles


@dataclass(frozen=True)
class Machine:
    """A kernel with everything that a guest of it needs."""

    name: str
    image: Path
    initramfs: Path
    disk: Path
    megabytes: int
    patience: float  # how much longer everything takes than on production

    def command(self, folder: Path, *options: str) -> list[str]:
        """Start a guest on the disks in a folder."""
        command = [
            X86_64.qemu, "-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2",
            "-m", str(self.megabytes), "-kernel", str(self.image), "-initrd", str(self.initramfs),
            "-append", "console=ttyS0 quiet panic=-1", "-nographic", "-no-reboot", "-serial", "mon:stdio",
            "-nic", "none", "-device", "virtio-rng-pci",
        ]  # fmt: skip
        for disk in DISKS:
            command += ["-drive", f"file={folder / disk},if=none,id={disk},cache=unsafe"]
            command += ["-device", f"virtio-blk-pci,drive={disk}"]
        return process.dies_with_us([*command, *options])


def uses() -> list[str]:
    """The names of all uses."""
    return re.findall(r"^use_(\w+)\(\)", (HERE / "uses.sh").read_text(), re.MULTILINE)


def root_file_system(kernel: ShippedKernel, store: Store) -> Path:
    """A folder with root.img, a file system of Debian with the kernel's modules, and those to mount it in early/."""
    modules = kernel.modules
    if not modules:
        raise ModcompatError(f"{kernel.title} has no modules")
    inputs = {"suite": SUITE, "tools": TOOLS, "release": kernel.release}

    def build(folder: Path) -> None:
        root, log = folder / "root", folder / "build.log"
        say(f"installing Debian {SUITE} with {len(TOOLS)} tools")
        process.run(
            ["debootstrap", "--variant=minbase", f"--include={','.join(TOOLS)}", SUITE, root],
            log=log, what="making a root file system of Debian",
        )  # fmt: skip
        shutil.copytree(modules, root / "usr/lib/modules" / kernel.release, dirs_exist_ok=True)
        (root / "etc/mtab").unlink(missing_ok=True)
        (root / "etc/mtab").symlink_to("/proc/self/mounts")  # some mkfs look there
        process.run(["chroot", root, "depmod", kernel.release], log=log, what="listing the modules")
        early = dict.fromkeys(path for name in FOR_ROOT for path in _insmods(root, kernel.release, name))
        (folder / "early").mkdir()
        for path in early:
            shutil.copy(root / path.lstrip("/"), folder / "early")
        (folder / "early/order").write_text("".join(f"{Path(path).name}\n" for path in early))
        with (folder / "root.img").open("wb") as image:
            image.truncate(3 << 30)
        process.run(["mkfs.ext4", "-q", "-d", root, folder / "root.img"], log=log, what="making the disk")
        shutil.rmtree(root)

    return store.get_or_build("userland", "real-use-x86_64", inputs, build)


def make_initramfs(root: Path, file: Path, store: Store) -> None:
    """Write what mounts a root file system, and runs our files in it."""
    early = {f"modules/{path.name}": path for path in (root / "early").iterdir()}
    ours = {"init": HERE / "init", **{f"uses/{name}": HERE / name for name in ("run", "uses.sh")}}
    file.write_bytes(pack({"bin/busybox": find_busybox(X86_64, store), **ours, **early}))


def _insmods(root: Path, release: str, module: str) -> list[str]:
    """The files of a module and of those that it needs, in their order."""
    shown = subprocess.run(
        ["chroot", root, "modprobe", "-S", release, "-D", module], check=True, capture_output=True, text=True
    ).stdout
    return [line.split()[1] for line in shown.splitlines() if line.startswith("insmod ")]


@contextmanager
def guest(command: list[str], seconds: float) -> Iterator["pexpect.spawn[str]"]:
    """The console of a guest, which ends with the block. seconds: how long to wait for what is expected there."""
    console = pexpect.spawn(command[0], command[1:], timeout=seconds, encoding="utf-8", codec_errors="replace")
    console.setecho(state=False)
    try:
        yield console
    finally:
        console.close(force=True)


def boot(machine: Machine, folder: Path) -> None:
    """Boot a guest of a machine and keep it on disks in a folder. Raises ModcompatError."""
    folder.mkdir()
    create = ["qemu-img", "create", "-q", "-f", "qcow2"]
    subprocess.run([*create, "-b", machine.disk, "-F", "raw", folder / DISKS[0]], check=True)
    subprocess.run([*create, folder / DISKS[1], "600M"], check=True)
    with guest(machine.command(folder), 300 * machine.patience) as console, (folder / "boot.log").open("w") as log:
        console.logfile_read = log
        try:
            console.expect_exact("real use: ready")
            console.send(_MONITOR)
            for command in ("savevm booted", "quit"):
                console.expect_exact("(qemu) ")
                console.sendline(command)
            console.expect(pexpect.EOF)
        except (pexpect.TIMEOUT, pexpect.EOF):
            raise ModcompatError(f"the {machine.name} kernel did not boot", next_step=f"see {log.name}") from None


def use(name: str, machine: Machine, kept: Path, folder: Path) -> Used:
    """What a use comes to in a guest that is restored from copies of its disks."""
    folder.mkdir()
    for disk in DISKS:
        shutil.copy(kept / disk, folder)
    try:
        with guest(machine.command(folder, "-loadvm", "booted"), 200 * machine.patience) as console:
            end, said = _answer(console, name)
    finally:
        for disk in DISKS:
            (folder / disk).unlink()
    (folder / "console.log").write_text(said)
    words = dict(_WORD.findall(said))
    messages = said.partition("real use: messages")[2] or said
    reports = {
        report.title
        for report in scan(messages.encode())
        if not any(name == where and word in report.text for where, word in EXPECTED)
    }
    modules = frozenset(words.get("modules", "").split())
    return Used(end or words["status"], modules, words.get("locks", ""), frozenset(reports))


def _answer(console: "pexpect.spawn[str]", name: str) -> tuple[str, str]:
    """Run a function in a guest. Returns why it did not come to its end, and what was printed."""
    for _ in range(60):
        if console.expect_exact(["real use: ready", pexpect.EOF, pexpect.TIMEOUT], timeout=1) < 2:
            break
        console.sendline()  # lost if the guest is not restored yet
    if console.isalive():
        console.sendline(name)
    ending = ("", "the guest ended", "took too long")
    end = ending[console.expect([r"real use: status \d+\s", pexpect.EOF, pexpect.TIMEOUT])]
    said = [part for part in (console.before, console.after) if isinstance(part, str)]
    return end, "".join(said)


def difference(production: Used, debug: Used) -> str:
    """What a use did on the debug kernel and not on production, or that it failed there. "" if nothing."""
    wrong = []
    if production.status != "0":
        wrong.append(f"status {production.status} on production")
    if debug.status != production.status:
        wrong.append(f"status {debug.status}, on production {production.status}")
    if odd := debug.modules ^ production.modules:
        wrong.append(f"only one kernel loaded {', '.join(sorted(odd))}")
    if debug.locks != "1":
        wrong.append("lockdep is off")
    return "; ".join([*wrong, *sorted(debug.reports - production.reports)])


def machines(folder: Path, store: Store) -> tuple[Machine, Machine]:
    """Debian's own kernel, and the isolated one on its configuration. Their initramfs is put into a folder."""
    settings, _ = settings_of(
        manifest_file=None, kernel_source=None, production=(PACKAGE,), configs=(), allow_config_additions=False,
        tolerated=(),
    )  # fmt: skip
    shipped = find_shipped([PACKAGE], store)
    variant = variant_of(FEATURES["distro"], isolated=True).on_user_config
    kernel = Kernels(settings, store).kernel(BOARDS["x86_64-q35"], variant)
    root = root_file_system(shipped, store)
    make_initramfs(root, folder / "initramfs", store)
    rest = (folder / "initramfs", root / "root.img")
    return Machine("production", shipped.image, *rest, 1000, 1.0), Machine("debug", kernel.image, *rest, 2000, 4.0)


@click.command()
@click.option("--run-dir", type=click.Path(path_type=Path), default=Path("runs/real-use"), show_default=True)
@click.argument("names", nargs=-1)
def main(run_dir: Path, names: tuple[str, ...]) -> None:
    known = uses()
    if unknown := set(names) - set(known):
        raise ModcompatError(f"there is no use {', '.join(sorted(unknown))}", next_step=f"there are {', '.join(known)}")
    chosen = names or known
    run_dir = run_dir.absolute()
    if run_dir.exists():
        shutil.rmtree(run_dir)
    run_dir.mkdir(parents=True)
    both = machines(run_dir, Store())
    as_production, modules = 0, set[str]()
    with ThreadPoolExecutor(2) as pool:

        def on_both(name: str) -> list[Used]:
            return [use(name, machine, run_dir / machine.name, run_dir / f"{name}-{machine.name}") for machine in both]

        try:
            list(pool.map(lambda machine: boot(machine, run_dir / machine.name), both))
            for name, (production, debug) in zip(chosen, pool.map(on_both, chosen), strict=True):
                wrong = difference(production, debug)
                as_production += not wrong
                modules |= debug.modules
                print(f"{name}: {len(debug.modules)} modules: {wrong or 'as on production'}", flush=True)
        except KeyboardInterrupt:
            say("interrupted")
            os._exit(130)  # the guests die with this process; the pool would wait for them
    print(f"{as_production} of {len(chosen)} uses are as on production; {len(modules)} modules were loaded")
    sys.exit(as_production < len(chosen))


if __name__ == "__main__":
    try:
        main(standalone_mode=True)
    except ModcompatError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
