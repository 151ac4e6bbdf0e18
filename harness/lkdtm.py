"""The kernel's own crash driver, LKDTM, walked point by point: what is reported of each, and what becomes of the guest.

Documentation/fault-injection/provoke-crashes.rst. The driver's sources are those of the kernel it is built for, so
its points are too; it is built as a module of its own, and no kernel is configured for it.
"""

import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from harness.detect.evidence import Loss
from harness.detect.report import Report
from harness.detect.scan import scan
from harness.guest.failure import Fate, GuestFailure
from harness.guest.guest import Guest
from harness.health import PROBE, VALIDATE, is_healthy
from harness.kernel.build import Kernel
from harness.kernel.modules import build_modules
from harness.modules import VendorModule
from harness.store import Store

NAME = "lkdtm"
_FOLDER = Path("drivers/misc/lkdtm")
_DIRECT = "/sys/kernel/debug/provoke-crash/DIRECT"
# Reports name the files as if they were built in the kernel's tree
_KBUILD = f"CONFIG_LKDTM := m\nccflags-y += -fmacro-prefix-map=$(src)/={_FOLDER}/\n"
_UNEXPORTED = {"native_write_cr4"}
_HUNG = {Fate.SILENT, Fate.AGENT_DIED}
_SAID = re.compile(r"lkdtm: (.*(?:FAIL|probably expected|Unexpected|ok:|OK:|not detected|poisoned|initialized).*)")


@dataclass(frozen=True)
class Provoked:
    """What a crash point did. loss: how the guest was lost, None: it lives. said: what LKDTM said of it itself.

    seconds: until the last report was there, or the point was over. log: from the call on.
    """

    point: str
    reports: list[Report]
    loss: Loss | None
    said: list[str]
    seconds: float
    log: bytes


def build(kernel: Kernel, store: Store) -> VendorModule:
    """The driver for a kernel. Raises ModcompatError."""
    with store.scratch() as scratch:
        source = scratch / NAME
        shutil.copytree(kernel.spec.source.tree() / _FOLDER, source)
        makefile = source / "Makefile"
        (source / "Kbuild").write_text(f"{_KBUILD}{_addresses(kernel)}{makefile.read_text()}")
        makefile.unlink()
        return VendorModule(NAME, file=build_modules(source, kernel, store)[NAME])


def _addresses(kernel: Kernel) -> str:
    """Linker flags for what the kernel exports only when it is configured with the driver (arch/x86/kernel/cpu/common.c).

    Guests run without KASLR, so the address is that of System.map.
    """
    symbols = (line.split() for line in kernel.symbols.read_text().splitlines())
    found = [f"--defsym={name}=0x{address}" for address, _, name in symbols if name in _UNEXPORTED]
    return f"ldflags-y += {' '.join(found)}\n" if found else ""


def points(guest: Guest) -> list[str]:
    """The crash points that the driver in a guest offers, in its order. Raises GuestFailure."""
    guest.make_pristine()
    _load(guest)
    return guest.run(f"cat {_DIRECT}").text.splitlines()[1:]


def provoke(guest: Guest, point: str, *, times: int = 1, seconds: float) -> Provoked:
    """Make a pristine guest crash in one way. times: calls, each by a process of its own. seconds: longest wait.

    Raises GuestFailure when the guest does not even get that far.
    """
    guest.make_pristine()
    _load(guest)
    start = guest.mark(f"provoke {point}")
    started = time.monotonic()
    loss = None
    try:
        for _ in range(times):
            guest.run(f"sh -c 'echo {point} >{_DIRECT}'", seconds)
        guest.run(VALIDATE, seconds)
        if not is_healthy(guest.run(PROBE, seconds).text):
            loss = Loss.HUNG
        guest.mark("provoked")
    except GuestFailure as failure:
        loss = Loss.HUNG if failure.fate in _HUNG else Loss.DIED
        guest.console.settle(quiet=0.5, longest=5.0)
    ended = time.monotonic() - started
    log = guest.console.read(start)
    return Provoked(point, scan(log), loss, _SAID.findall(log.decode(errors="backslashreplace")), ended, log)


def _load(guest: Guest) -> None:
    output = guest.run(f"insmod /modules/{NAME}.ko")
    if output.status:
        raise GuestFailure(Fate.ALIVE, output.command, output.seconds, output.text)
