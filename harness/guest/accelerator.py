# SPDX-License-Identifier: Apache-2.0
"""Whether KVM works, proven by running a guest: /dev/kvm can exist, open, and still not run one."""

import functools
import json
import platform
import shutil
import subprocess
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from harness.guest.failure import GuestFailure
from harness.guest.guest import Guest, Timing
from harness.guest.machine import Machine, qemu_version
from harness.guest.snapshot import empty_state
from harness.kernel.arch import X86_64
from harness.support import process
from harness.support.cache.store import Store
from harness.support.errors import ModcompatError
from harness.support.progress import say

_BOOT_SECONDS = 10.0  # longest time for firmware to print its name, and for a kernel to boot under KVM
_TCG_SECONDS = 60.0  # the same under TCG, for a kernel of the user's
_FIRMWARE = b"SeaBIOS"


@dataclass(frozen=True)
class Probe:
    """The result of a trial of KVM."""

    # the guest ran
    works: bool
    # how far it ran, or why it did not
    why: str


@functools.cache
def probe_firmware() -> Probe:
    """Run a PC's firmware under KVM and wait until it prints its name on the debug port."""
    if platform.machine() != X86_64.name:
        return Probe(works=False, why="KVM is only used for x86_64 guests on an x86_64 host")
    if shutil.which(X86_64.qemu) is None:
        return Probe(works=False, why=f"{X86_64.qemu} is missing")
    device = Path("/dev/kvm")
    if not device.exists():
        return Probe(works=False, why="there is no /dev/kvm")
    with tempfile.TemporaryDirectory(prefix="modcompat-") as folder:
        printed, complaints = Path(folder) / "printed", Path(folder) / "complaints"
        command = process.dies_with_us([
            X86_64.qemu, "-M", "pc", "-accel", "kvm", "-m", "32",
            "-nodefaults", "-no-user-config", "-display", "none", "-nic", "none",
            "-chardev", f"file,id=debug,path={printed}", "-device", "isa-debugcon,iobase=0x402,chardev=debug",
        ])  # fmt: skip
        with complaints.open("wb") as sink:
            guest = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink)
        try:
            deadline = time.monotonic() + _BOOT_SECONDS
            while time.monotonic() < deadline and guest.poll() is None:
                if printed.exists() and _FIRMWARE in printed.read_bytes():
                    return Probe(works=True, why="a guest's firmware ran under KVM")
                time.sleep(0.02)
        finally:
            status = guest.poll()
            guest.kill()
            guest.wait()
        lines = complaints.read_text(errors="backslashreplace").strip().splitlines()
    if status is None:
        return Probe(works=False, why=f"/dev/kvm opens, but a guest did not run within {_BOOT_SECONDS:.0f} s")
    return Probe(works=False, why=lines[-1] if lines else f"QEMU ended with exit status {status}")


class _UnsureError(Exception):
    """The kernel boots neither under KVM nor under TCG, which says nothing about KVM."""

    def __init__(self, probe: Probe) -> None:
        super().__init__(probe.why)
        self.probe = probe


def probe_kvm(machine: Machine, store: Store, scale: float) -> Probe:
    """Whether KVM boots a kernel. Tried once per boot of the host, with the first kernel that boots at all."""
    firmware = probe_firmware()
    if not firmware.works:
        return firmware
    inputs = {"host": _boot_id(), "qemu": qemu_version(machine.board.arch.qemu)}

    def build(folder: Path) -> None:
        say("trying KVM")
        problem = _boots(machine, "kvm", _BOOT_SECONDS, scale)
        why = f"firmware runs under KVM, a kernel does not: {problem}" if problem else "a kernel booted under KVM"
        probe = Probe(works=not problem, why=why)
        if problem and _boots(machine, "tcg", _TCG_SECONDS, scale):
            raise _UnsureError(probe)
        say(f"KVM works: {why}" if probe.works else f"guests run under TCG: {why}")
        (folder / "probe.json").write_text(json.dumps(asdict(probe)))

    try:
        found = store.get_or_build("probe", "kvm", inputs, build)
    except _UnsureError as unsure:
        return unsure.probe
    return Probe(**json.loads((found / "probe.json").read_text()))


def _boots(machine: Machine, accelerator: str, seconds: float, scale: float) -> str:
    """Boot a kernel up to its shell. Returns why it did not, "" if it did.

    Firmware may run under KVM where a kernel does not (seen).
    """
    timing = Timing(boot=seconds, late=0.0).scaled(scale)
    tried = replace(machine, accelerator=accelerator)
    with tempfile.TemporaryDirectory(prefix="modcompat-") as name:
        folder = Path(name)
        guest = Guest(tried, folder=folder, console=folder / "console", state=empty_state(folder), timing=timing)
        try:
            guest.boot()
        except (GuestFailure, ModcompatError) as failure:
            return failure.headline if isinstance(failure, GuestFailure) else failure.problem
        finally:
            guest.close()
    return ""


def _boot_id() -> str:
    """Identity of the host's current boot: the abilities of KVM may change with the next."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
