# SPDX-License-Identifier: Apache-2.0
"""Provoke every crash of LKDTM, the kernel's own crash driver, and record the reports and the fate of the guest.

See Documentation/fault-injection/provoke-crashes.rst. The driver's source, and so the list of its crash points, comes
from the kernel that it is built for. It is built as an external module, so no kernel needs CONFIG_LKDTM.
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
from harness.lab.execution.memory_checks import ALIVE, LIVENESS_COMMAND, SLAB_VALIDATE_COMMAND
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
_ENTRY_MESSAGE = b"lkdtm: Performing direct entry"
_TIME_STAMP = re.compile(rb"\[ *(\d+\.\d+)\]")
_RESULT_MESSAGE = re.compile(
    r"lkdtm: (.*(?:FAIL|probably expected|Unexpected|ok:|OK:|not detected|poisoned|initialized|was not).*)"
)


@dataclass(frozen=True)
class Provoked:
    """The consequences of a crash point."""

    point: str
    reports: list[Report]
    # of the guest: alive, hung or died
    fate: str
    # LKDTM's own messages about it
    messages: list[str]
    # of the guest's clock until the first report began; -1 without a report
    seconds: float
    # from the call on
    log: bytes

    @property
    def kind(self) -> str:
        """The kind of the first report; "" without a report."""
        return self.reports[0].kind if self.reports else ""

    def objections(self, wanted: Outcome) -> list[str]:
        """How this differs from the wanted outcome, a text for each difference."""
        found = []
        if not re.fullmatch(wanted.kind, self.kind):
            found.append(f"reported as {self.kind or 'nothing'}, not {wanted.kind or 'nothing'}")
        if self.fate != wanted.fate:
            found.append(f"the guest is {self.fate}, not {wanted.fate}")
        if self.seconds > wanted.within:
            found.append(f"reported after {self.seconds:.1f} s, not within {wanted.within:.0f} s")
        return found

    def row(self, arch: str) -> dict[str, Any]:
        """The row of the record."""
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
            "said": self.messages[-1] if self.messages and not first else "",
        }


def build(kernel: Kernel, store: Store) -> VendorModule:
    """Build the driver for a kernel. Raises ModcompatError."""
    with store.scratch() as scratch:
        source = scratch / NAME
        copy_content(kernel.spec.source.tree() / _FOLDER, source)
        makefile = source / "Makefile"
        (source / "Kbuild").write_text(f"{_KBUILD}{_addresses(kernel)}{makefile.read_text()}")
        makefile.unlink()
        return VendorModule(NAME, file=build_modules(source, kernel, store)[NAME])


def _addresses(kernel: Kernel) -> str:
    """Linker flags for symbols that the kernel exports only if it is configured with the driver.

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

    Raises GuestFailure if the guest is lost before the crash.
    """
    guest.make_pristine()
    _load(guest)
    start = guest.mark(f"provoke {point}")
    fate = "alive"
    try:
        for _ in range(TIMES.get(point, 1)):
            guest.run(f"sh -c 'echo {point} >{_DIRECT}'", seconds)
        guest.run(SLAB_VALIDATE_COMMAND, seconds)
        if guest.run(LIVENESS_COMMAND, seconds).text.split() != ALIVE:
            fate = "hung"
        guest.mark("provoked")
    except GuestFailure as failure:
        fate = "hung" if failure.fate in _HUNG else "died"
        guest.console.settle(quiet=0.5, longest=5.0)
    log = guest.console.read(start)
    text = log.decode(errors="backslashreplace").replace("\r", "")
    reports = scan(log)
    seconds = _clock(log, reports[0].start) - _clock(log, log.find(_ENTRY_MESSAGE)) if reports else -1.0
    return Provoked(point, reports, fate, _RESULT_MESSAGE.findall(text), seconds, log)


def _clock(log: bytes, place: int) -> float:
    """The time stamp of the line at a place, or of the first line after it that has one."""
    found = _TIME_STAMP.search(log, log.rfind(b"\n", 0, place) + 1)
    return float(found[1]) if found else 0.0


def _load(guest: Guest) -> None:
    output = guest.run(f"insmod /modules/{NAME}.ko")
    if output.status:
        raise GuestFailure(Fate.ALIVE, output.command, output.seconds, output.text)
