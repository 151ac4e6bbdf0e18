# SPDX-License-Identifier: Apache-2.0
"""A root file system of Debian with tools and a kernel's modules, and the initramfs that mounts it."""

import shutil
import subprocess
from pathlib import Path

from harness.guest.initramfs import find_busybox, pack
from harness.kernel.arch import X86_64
from harness.kernel.shipped import ShippedKernel
from harness.support import process
from harness.support.cache.store import Store
from harness.support.digest import of_file
from harness.support.errors import ModcompatError
from harness.support.progress import say

GUEST = Path(__file__).resolve().parent / "guest"  # what runs there
SUITE = "bookworm"
TOOLS = (
    "acl", "alsa-utils", "attr", "bcache-tools", "btrfs-progs", "can-utils", "cryptsetup-bin", "dmsetup",
    "dosfstools", "e2fsprogs", "ethtool", "exfatprogs", "f2fs-tools", "gfs2-utils", "iperf3", "iproute2", "ipset",
    "iptables", "iputils-ping", "iw", "jfsutils", "kmod", "lvm2", "mdadm", "nbd-client", "nbd-server",
    "nfs-common", "nfs-kernel-server", "nftables", "nilfs-tools", "ntfs-3g", "ocfs2-tools", "procps",
    "reiserfsprogs", "squashfs-tools", "stress-ng", "thin-provisioning-tools", "udev", "udftools", "v4l-utils",
    "wireguard-tools", "xfsprogs",
)  # fmt: skip
FOR_ROOT = ("virtio_pci", "virtio_blk", "ext4")  # modules to mount the root file system


def root_file_system(kernel: ShippedKernel, store: Store) -> Path:
    """A folder with root.img, a file system of Debian with the kernel's modules, and those to mount it in early/.

    Raises ModcompatError if the kernel has no modules, or a program fails or is missing.
    """
    modules = kernel.modules
    if not modules:
        raise ModcompatError(f"{kernel.title} has no modules")
    inputs = {"suite": SUITE, "tools": TOOLS, "early": FOR_ROOT, "kernel": of_file(kernel.image)}

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
    ours = {"init": GUEST / "init", **{f"uses/{name}": GUEST / name for name in ("run", "uses.sh")}}
    file.write_bytes(pack({"bin/busybox": find_busybox(X86_64, store), **ours, **early}))


def _insmods(root: Path, release: str, module: str) -> list[str]:
    """The files of a module and of those that it needs, in their order."""
    command: list[str | Path] = ["chroot", root, "modprobe", "-S", release, "-D", module]
    asked = subprocess.run(command, check=False, capture_output=True, text=True)
    files = [line.split()[1] for line in asked.stdout.splitlines() if line.startswith("insmod ")]
    if asked.returncode:
        raise ModcompatError(f"{release} has no module {module}", details=asked.stderr.strip())
    return files
