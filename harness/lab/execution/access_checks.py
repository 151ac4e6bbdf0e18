# SPDX-License-Identifier: Apache-2.0
"""Reports about the loads and stores of a module that was built without KASAN, on kernels with KASAN.

QEMU checks the accesses (harness/guest/accesses.py). Each bad one becomes a report in the kernel's log, in the form of
KASAN's own, with KASAN's description of the object as it is at the end of the command.
"""

import re
import shlex
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from textwrap import shorten

from harness.abi.elf.code_places import CodeSection, code_sections, place_in
from harness.abi.elf.module_file import ModuleFacts
from harness.detect.evidence import Check
from harness.detect.scan import scan
from harness.guest.accesses import AccessLog, BadAccess
from harness.guest.loaded_modules import LoadedModule, modules_in
from harness.lab.execution.cell_guest import CellGuest
from harness.lab.execution.cell_log import CellLog
from harness.support.text import visible

DESCRIBE = "accesses/describe.ko"  # in the guest
_MOST_REPORTS = 10  # after one command
_RULER = "=" * 66
# get_shadow_bug_type() of mm/kasan/report_generic.c, and the values of mm/kasan/kasan.h
_GRANULE = 8
_KINDS = {
    **dict.fromkeys((0xFE, 0xFC), "slab-out-of-bounds"),
    0xF9: "global-out-of-bounds",
    **dict.fromkeys((0xF1, 0xF2, 0xF3, 0xF4), "stack-out-of-bounds"),
    **dict.fromkeys((0xFF, 0xFB, 0xFA), "use-after-free"),
    **dict.fromkeys((0xCA, 0xCB), "alloca-out-of-bounds"),
    0xF8: "vmalloc-out-of-bounds",
}
_OBJECT = re.compile(r"^(?:Allocated by|Freed by|The buggy address) .*?(?=^={20}|\Z)", re.MULTILINE | re.DOTALL)
_PAGE = re.compile(r"^The buggy address belongs to the physical page:.*?(?=^Memory state|\Z)", re.MULTILINE | re.DOTALL)
# The module that asks for the description lies where an init was, which is freed after the load
_OF_DESCRIBE = re.compile(r"\S+ \[describe\]$")
_GONE = "(code that is no longer there)"
_SECTION = "/sys/module/{}/sections/{}"  # file with the address of a section
_ADDRESS = re.compile(r"^0x([0-9a-f]+)\r?$", re.MULTILINE)
_PREFIX = re.compile(rb"^\[ *\d+\.\d+\](?:\[ *\w+\])? ", re.MULTILINE)  # of a line of the kernel's log
_MOST_CHARS = 200  # of a command in a report
# of the same, and of the name of a function: the agent takes a line of 511 (images/guest/agent/files.c)
_MOST_BYTES = 400


class AccessMonitor:
    """Watches the accesses of one module."""

    def __init__(self, guest: CellGuest, facts: ModuleFacts, file: Path | None) -> None:
        """file: of the module; without it, its functions have no names."""
        self.caveats: list[str] = []
        self._guest = guest
        self._module = facts.name
        # The kernel checks what was compiled with KASAN itself
        self._is_instrumented = any(symbol.name.startswith("__asan_") for symbol in facts.imports)
        self._code: dict[str, CodeSection] = code_sections(file) if file else {}
        self._starts: dict[str, int] = {}
        self._log: AccessLog | None = None
        self._known = 0
        # the module whose load began last
        self._loading = facts.name
        # part of its code cannot be checked
        self._is_outside = False
        # accesses that were checked before the load of the module
        self._checked_before = 0

    def begin(self) -> None:
        """Get ready, in a pristine guest."""
        if self._is_instrumented:
            return
        self._log = self._guest.access_log()
        if self._log is None and self._guest.machine.accesses:
            self.caveats.append("KASAN did not see the module's own loads and stores: QEMU found no page table")

    def loading(self) -> None:
        """Begin to watch all modules but those that are loaded already. Call this right before the load."""
        if self._log is not None:
            loaded = modules_in(self._guest.run("cat /proc/modules").text)
            self._log.watch([(module.start, module.end) for module in loaded if module.start])

    def expect(self, module: str) -> None:
        """From now on, take code whose place is unknown to be this module's. Call this right before its load."""
        self._loading = module
        if self._log is not None and module == self._module:
            self._checked_before = self._log.checked

    def loaded(self) -> None:
        """Note where the module is, and watch nothing else. Call this after its load."""
        if self._log is None or not self._code:
            return
        self._starts = self._places()
        if not self._starts:
            self._warn(
                "the kernel does not tell where the module is: its loads and stores are counted "
                "together with those of modules that were loaded with it"
            )
            return
        lasting = {name: start for name, start in self._starts.items() if not _is_init(name)}
        # the place of its init may be another module's soon
        self._log.narrow([(start, start + self._code[name].size) for name, start in lasting.items()])
        check = self._guest.machine.accesses
        if check and not all(check.area[0] <= start < check.area[1] for start in self._starts.values()):
            self._is_outside = True
            self._warn("code of the module is outside of the area for modules: its loads and stores were not checked")

    def unloading(self) -> None:
        """Note whether the module is still where it was. Call this right before it is unloaded."""
        if self._log is not None and self._starts:
            now = self._places()
            if now and any(now[name] != start for name, start in self._starts.items() if not _is_init(name)):
                self._warn("the module was loaded again elsewhere: its loads and stores were not checked from then on")

    def _places(self) -> dict[str, int]:
        """The address of each section with code; empty if the kernel does not tell them."""
        files = (shlex.quote(_SECTION.format(self._module, section)) for section in self._code)
        shown = self._guest.run(" ".join(["cat", *files]))
        found = [int(start, 16) for start in _ADDRESS.findall(shown.text)]
        # kptr_restrict makes them 0
        is_told = not shown.status and len(found) == len(self._code) and all(found)
        return dict(zip(self._code, found, strict=True)) if is_told else {}

    def _warn(self, caveat: str) -> None:
        if caveat not in self.caveats:
            self.caveats.append(caveat)

    def publish(self, command: str, log: CellLog | None = None) -> None:
        """Write a report into the kernel's log for each bad access since the last call. Raises GuestFailure.

        command: what the guest ran meanwhile. log: that of the cell, in which KASAN's own report does not count.
        """
        found = self._fresh()
        if not found:
            return
        if not self._starts and self._loading == self._module:
            self.loaded()
        others = modules_in(self._guest.run("cat /proc/modules").text)
        written = 0
        for access in found:
            place = self._place(access, others)
            if place and written < _MOST_REPORTS:
                for line in _text(access, place, command, self._description(access, log)):
                    self._guest.run(f"agent log {shlex.quote(line)}")
                written += 1
            self._known += 1

    def publish_lost(self) -> None:
        """Write the reports about a guest that was lost to its console."""
        console = self._guest.console
        placed = ((access, place) for access in self._fresh() if (place := self._place(access, [])))
        for access, place in islice(placed, _MOST_REPORTS):
            text = console.read(self._guest.log_start)
            prefix = [b"[    0.000000] ", *_PREFIX.findall(text)][-1]
            lines = _text(access, place, "", [])
            with console.path.open("ab") as stream:
                stream.write(b"" if text.endswith(b"\n") else b"\n")
                stream.writelines(prefix + line.encode() + b"\n" for line in lines)

    def end(self) -> list[Check]:
        """A check that counts what was checked."""
        if self._log is None or self._is_outside:
            return []
        checked = self._log.checked - self._checked_before
        if not checked:
            self.caveats.append("no load or store of the module was checked: it made none, or QEMU did not see them")
            return []
        return [Check(f"{checked} loads and stores of the module checked by KASAN's shadow", held=True)]

    def _fresh(self) -> list[BadAccess]:
        if self._log is None:
            return []
        return self._log.bad_accesses()[self._known :]

    def _place(self, access: BadAccess, others: Iterable[LoadedModule]) -> str | None:
        """`function+0x12/0x40 [module]`; None for code of no module, such as the copies that kprobes make."""
        at = access.instruction
        if place := place_in(self._code, self._starts, at):
            return f"{_cut(place)} [{self._module}]"
        for module in others:
            if module.contains(at):
                return f"0x{at:x} [{module.name}]"
        # A module that the kernel did not take, or whose guest was lost, does not tell where it was
        return None if self._starts else f"0x{at:x} [{self._loading}]"

    def _description(self, access: BadAccess, log: CellLog | None) -> list[str]:
        """What KASAN says about the memory now; nothing if it does not say anything."""
        machine = self._guest.machine
        check = machine.accesses
        if check is None or not check.shadow.report or machine.shared_uart:
            return []
        start = self._guest.console.size
        self._guest.run(
            f"insmod {DESCRIBE} report={check.shadow.report} shadow={check.shadow.offset} address={access.address} "
            f"size={access.size} store={int(access.is_store)} instruction={access.instruction}"
        )
        end = self._guest.mark("described")
        if log is not None:
            log.leave_out(start, end)
        reports = [report for report in scan(self._guest.console.read(start, end)) if report.kind == "kasan"]
        return object_facts(reports[0].text) if reports else []


def _is_init(section: str) -> bool:
    """Whether a section's memory is freed after the module's init (module_init_section() of kernel/module/main.c)."""
    return section.startswith(".init")


def object_facts(report: str) -> list[str]:
    """What a report of KASAN tells about the object: its traces, its place, and its shadow."""
    found = _OBJECT.search(report)
    text = found[0] if found else ""
    if text.startswith("Allocated by"):  # then the allocation of its page tells nothing more
        text = _PAGE.sub("", text)
    return [_OF_DESCRIBE.sub(_GONE, line) for line in text.splitlines() if line.strip() and line != _RULER]


def bug_kind(access: BadAccess) -> str:
    """KASAN's name for a bad access."""
    decisive = access.next_shadow if access.shadow < _GRANULE else access.shadow
    return _KINDS.get(decisive, "unknown-crash")


def _cut(text: str) -> str:
    return text.encode()[:_MOST_BYTES].decode(errors="ignore")


def _text(access: BadAccess, place: str, command: str, description: list[str]) -> list[str]:
    what = "Write" if access.is_store else "Read"
    return [
        _RULER,
        f"BUG: KASAN: {bug_kind(access)} in {place}",
        f"{what} of size {access.size} at addr {access.address:x}",
        "Seen by QEMU, in code without KASAN"
        + (f", during: {_cut(visible(shorten(command, _MOST_CHARS)))}" if command else ""),
        "Call Trace:",
        f" {place}",
        *description,
        _RULER,
    ]
