# SPDX-License-Identifier: Apache-2.0
"""Guests with disks: boot one, keep it as it is then, and run each use in a guest that is restored from that."""

import re
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pexpect

from harness.kernel.arch import X86_64
from harness.support import process
from harness.support.errors import ModcompatError
from trial.real_use.outcome import Outcome, outcome

DISKS = ("root.qcow2", "scratch.qcow2")  # of a guest: /dev/vda with its root file system, and /dev/vdb
_MONITOR = "\x01c"
_SNAPSHOT = "booted"
_MORE_MEGABYTES = 256  # that virtio_mem adds, once a use loads it
_SECONDS = 300.0  # longest wait for a boot, or for a use, on production


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
        """Start a guest on the disks in a folder, which gets its kernel's messages, too.

        A guest dies with the thread that starts it (PR_SET_PDEATHSIG of prctl(2)).
        """
        command = [
            X86_64.qemu, "-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2",
            "-m", f"{self.megabytes},maxmem={self.megabytes + _MORE_MEGABYTES}M",
            "-object", f"memory-backend-ram,id=more,size={_MORE_MEGABYTES}M",
            "-device", f"virtio-mem-pci,memdev=more,requested-size={_MORE_MEGABYTES}M",
            "-kernel", str(self.image), "-initrd", str(self.initramfs),
            "-append", "console=ttyS1 panic=-1 modprobe.blacklist=virtio_mem", "-nographic", "-no-reboot",
            "-serial", "mon:stdio", "-serial", f"file:{_messages(folder)}",
            "-nic", "none", "-device", "virtio-rng-pci",
        ]  # fmt: skip
        for disk in DISKS:
            command += ["-drive", f"file={folder / disk},if=none,id={disk},cache=unsafe"]
            command += ["-device", f"virtio-blk-pci,drive={disk}"]
        return process.dies_with_us([*command, *options])


def _messages(folder: Path) -> Path:
    return folder / "messages.log"


@contextmanager
def _guest(command: list[str], seconds: float) -> Iterator["pexpect.spawn[str]"]:
    """The console of a guest, which ends with the block. seconds: how long to wait for what is expected there."""
    console = pexpect.spawn(command[0], command[1:], timeout=seconds, encoding="utf-8", codec_errors="replace")
    console.setecho(state=False)
    try:
        yield console
    finally:
        console.kill(signal.SIGKILL)
        console.wait()  # close() gives up after a tenth of a second, which is short on a busy machine
        console.close()


def boot(machine: Machine, folder: Path) -> None:
    """Boot a guest of a machine and keep it on disks in a new folder. Raises ModcompatError."""
    folder.mkdir()
    log = folder / "boot.log"
    create, what = ["qemu-img", "create", "-q", "-f", "qcow2"], "making the disks of a guest"
    process.run([*create, "-b", machine.disk, "-F", "raw", folder / DISKS[0]], log=log, what=what)
    process.run([*create, folder / DISKS[1], "600M"], log=log, what=what)
    with _guest(machine.command(folder), _SECONDS * machine.patience) as console, log.open("a") as copy:
        console.logfile_read = copy
        try:
            console.expect_exact("real use: ready")
            console.send(_MONITOR)
            for command in (f"savevm {_SNAPSHOT}", "info snapshots"):
                console.expect_exact("(qemu) ")
                console.sendline(command)
            console.expect(rf"VM SIZE.*\b{_SNAPSHOT}\b")  # savevm succeeded
            console.expect_exact("(qemu) ")
            console.sendline("quit")
            console.expect(pexpect.EOF)
        except (pexpect.TIMEOUT, pexpect.EOF):
            raise ModcompatError(
                f"the {machine.name} kernel did not boot, or QEMU could not save its state",
                next_step=f"see {log} and {_messages(folder)}",
            ) from None


def remove_disks(folder: Path) -> None:
    """Remove the disks of a guest from its folder; its logs stay."""
    for disk in DISKS:
        (folder / disk).unlink(missing_ok=True)


def use(name: str, machine: Machine, kept: Path, folder: Path) -> Outcome:
    """Run a use in a guest that is restored from copies of kept disks. folder: a new one, for its logs."""
    folder.mkdir()
    try:
        for disk in DISKS:
            shutil.copy(kept / disk, folder)
        with _guest(machine.command(folder, "-loadvm", _SNAPSHOT), _SECONDS * machine.patience) as console:
            lost, printed = _answer(console, name)
    finally:
        remove_disks(folder)
    (folder / "console.log").write_text(printed)
    messages = _messages(folder)
    return outcome(name, printed, messages.read_bytes() if messages.exists() else b"", lost)


def _answer(console: "pexpect.spawn[str]", name: str) -> tuple[str, str]:
    """Run a use in a guest. Returns why it did not come to its end ("" if it did), and what was printed."""
    for _ in range(60):
        if console.expect_exact(["real use: ready", pexpect.EOF, pexpect.TIMEOUT], timeout=1) < 2:
            break
        console.sendline()  # lost if the guest is not restored yet
    if console.isalive():
        console.sendline(name)
    endings = ("", "the guest ended", "took too long")
    end = endings[console.expect([r"real use: status \d+\s", pexpect.EOF, pexpect.TIMEOUT])]
    printed = "".join(part for part in (console.before, console.after) if isinstance(part, str))
    return end, re.sub(r"\r+\n", "\n", printed)
