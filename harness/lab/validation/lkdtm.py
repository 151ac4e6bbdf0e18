# SPDX-License-Identifier: Apache-2.0
"""The kernel's own crash driver, LKDTM, walked point by point: what is reported of each, and what becomes of the guest.

Documentation/fault-injection/provoke-crashes.rst. The driver's sources are those of the kernel it is built for, so
its points are too; it is built as a module of its own, and no kernel is configured for it.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.detect.kernel_report import Report
from harness.detect.scan import scan
from harness.guest.failure import Fate, GuestFailure
from harness.guest.guest import Guest
from harness.kernel.build import Kernel
from harness.kernel.module_build import build_modules
from harness.lab.execution.memory_checks import PROBE, VALIDATE, WELL
from harness.lab.plan.vendor_modules import VendorModule
from harness.lab.validation.lkdtm_expectations import TIMES, Outcome
from harness.support.cache.store import Store
from harness.support.folders import copy_content

NAME = "lkdtm"
_FOLDER = Path("drivers/misc/lkdtm")
_DIRECT = "/sys/kernel/debug/provoke-crash/DIRECT"
# Reports name the files as if they were built in the kernel's tree
_KBUILD = f"CONFIG_LKDTM := m\nccflags-y += -fmacro-prefix-map=$(src)/={_FOLDER}/\n"
_UNEXPORTED = {"native_write_cr4"}
_HUNG = {Fate.SILENT, Fate.AGENT_DIED}
_CALL = b"lkdtm: Performing direct entry"
_STAMP = re.compile(rb"\[ *(\d+\.\d+)\]")
_SAID = re.compile(
    r"lkdtm: (.*(?:FAIL|probably expected|Unexpected|ok:|OK:|not detected|poisoned|initialized|was not).*)"
)


@dataclass(frozen=True)
class Provoked:
    """What a crash point did. fate: alive, hung or died. said: what LKDTM said of it itself. log: from the call on.

    seconds: of the guest's clock until the first report began, -1 without one.
    """

    point: str
    reports: list[Report]
    fate: str
    said: list[str]
    seconds: float
    log: bytes

    @property
    def kind(self) -> str:
        """Of the first report, "" without one."""
        return self.reports[0].kind if self.reports else ""

    def objections(self, wanted: Outcome) -> list[str]:
        """What is not as it must be."""
        found = []
        if not re.fullmatch(wanted.kind, self.kind):
            found.append(f"reported as {self.kind or 'nothing'}, not {wanted.kind or 'nothing'}")
        if self.fate != wanted.fate:
            found.append(f"the guest is {self.fate}, not {wanted.fate}")
        if self.seconds > wanted.within:
            found.append(f"reported after {self.seconds:.1f} s, not within {wanted.within:.0f} s")
        return found

    def row(self, arch: str) -> dict[str, Any]:
        """What the record has of it."""
        first = self.reports[0] if self.reports else None
        return {
            "arch": arch,
            "point": self.point,
            "kind": self.kind,
            "title": first.title if first else "",
            "blamed": first.module if first else "",
            "rule": first.rule if first else "",
            "fate": self.fate,
            "seconds": round(self.seconds, 2) if first else None,
            "said": self.said[-1] if self.said and not first else "",
        }


def build(kernel: Kernel, store: Store) -> VendorModule:
    """The driver for a kernel. Raises ModcompatError."""
    with store.scratch() as scratch:
        source = scratch / NAME
        copy_content(kernel.spec.source.tree() / _FOLDER, source)
        makefile = source / "Makefile"
        (source / "Kbuild").write_text(f"{_KBUILD}{_addresses(kernel)}{makefile.read_text()}")
        makefile.unlink()
        return VendorModule(NAME, file=build_modules(source, kernel, store)[NAME])


def _addresses(kernel: Kernel) -> str:
    """Linker flags for what the kernel exports only when it is configured with the driver.

    That is native_write_cr4() of arch/x86/kernel/cpu/common.c. Guests run without KASLR, so the address is that of
    System.map.
    """
    symbols = (line.split() for line in kernel.symbols.read_text().splitlines())
    found = [f"--defsym={name}=0x{address}" for address, _, name in symbols if name in _UNEXPORTED]
    return f"ldflags-y += {' '.join(found)}\n" if found else ""


def points(guest: Guest) -> list[str]:
    """The crash points that the driver in a guest offers, in its order. Raises GuestFailure."""
    guest.make_pristine()
    _load(guest)
    return guest.run(f"cat {_DIRECT}").text.splitlines()[1:]


def provoke(guest: Guest, point: str, *, seconds: float) -> Provoked:
    """Make a pristine guest crash in one way. seconds: longest wait for an answer.

    Raises GuestFailure when the guest does not even get that far.
    """
    guest.make_pristine()
    _load(guest)
    start = guest.mark(f"provoke {point}")
    fate = "alive"
    try:
        for _ in range(TIMES.get(point, 1)):
            guest.run(f"sh -c 'echo {point} >{_DIRECT}'", seconds)
        guest.run(VALIDATE, seconds)
        if guest.run(PROBE, seconds).text.split() != WELL:
            fate = "hung"
        guest.mark("provoked")
    except GuestFailure as failure:
        fate = "hung" if failure.fate in _HUNG else "died"
        guest.console.settle(quiet=0.5, longest=5.0)
    log = guest.console.read(start)
    text = log.decode(errors="backslashreplace").replace("\r", "")
    reports = scan(log)
    seconds = _clock(log, reports[0].start) - _clock(log, log.find(_CALL)) if reports else -1.0
    return Provoked(point, reports, fate, _SAID.findall(text), seconds, log)


def _clock(log: bytes, place: int) -> float:
    """The stamp of the line at a place, or of the first one after it."""
    found = _STAMP.search(log, log.rfind(b"\n", 0, place) + 1)
    return float(found[1]) if found else 0.0


def _load(guest: Guest) -> None:
    output = guest.run(f"insmod /modules/{NAME}.ko")
    if output.status:
        raise GuestFailure(Fate.ALIVE, output.command, output.seconds, output.text)
