# SPDX-License-Identifier: Apache-2.0
"""Checks of memory that must not change and of the list of modules, made from outside the guest.

The code and the constants of the kernel and of the module are read through QMP, and compared with their former content:
the kernel's when the guest was pristine, the module's after its load. Constants are compared even if the kernel patches
its code: it does not write to them once it has booted (STRICT_KERNEL_RWX). The list of modules is followed in both
directions. The comparison itself does not rely on the guest.
"""

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import product

from harness.abi.elf.module_file import ModuleFacts, Section
from harness.detect.evidence import Check
from harness.guest.guest import RESTORED
from harness.guest.qmp import QmpLostError, QmpRefusedError
from harness.kernel.versions import MODULE_MEMORY_IS_SPLIT, version_in
from harness.lab.execution.cell_guest import CellGuest

_PAGE_BYTES = 4096  # the unit of memory protection: constants begin on the page after the code
_CODE = "code"
_KERNEL_RANGES = ((_CODE, "_stext", "_etext"), ("constants", "__start_rodata", "__end_rodata"))
_CPUS = (0, 1)
# Starts a process on each CPU after the module was loaded, so that its page tables map the module. On arm every process
# has its own copy of the kernel's page tables (arch/arm/mm/pgd.c), and gets later entries when it first uses them. QEMU
# reads through the tables of the process that a CPU ran last, which may be older than the module, and with the rights
# of the code that the CPU is running, which may be a program.
_NEW_PROCESSES_COMMAND = "taskset 1 nproc; taskset 2 nproc"
_MAX_RETRIES = 4  # each with new processes, since our shell may have run in between
_NOT_MAPPED = "Invalid addr"  # qmp_memsave() of QEMU 7.2, for an address that is not mapped
_MAX_MODULES = 1000  # a longer list goes in circles
_MODULE_LIST = "list of modules"
# The kernel gives such a file only as a whole (module_sect_read()): the shell's own read, byte by byte, gets nothing
_SECTIONS_COMMAND = "cd /sys/module/{}/sections && grep -Hs 0x .* *"
_SECTION_LINE = re.compile(r"^(\S+):0x([0-9a-f]+)\r?$", re.MULTILINE)

# Validates every slab cache that supports it, and prints how many passed
SLAB_VALIDATE_COMMAND = "agent validate"
# On each CPU, allocates and frees pages in a process and waits for a timer; then prints the number of CPUs
LIVENESS_COMMAND = "agent alive"
ALIVE = ["well", "well", "2"]  # its output in a guest that works, as words


class _Owner(StrEnum):
    KERNEL = "the kernel's"
    MODULE = "the module's"


@dataclass(frozen=True)
class _Range:
    """A part of memory that must not change, with its content."""

    owner: _Owner
    name: str
    address: int
    content: bytes

    @property
    def title(self) -> str:
        return f"{self.owner} {self.name}"


class MemoryMonitor:
    """Watches a guest's memory during a cell."""

    def __init__(self, guest: CellGuest, *, patched_by: str, features_in_use: str = "", release: str = "") -> None:
        """patched_by: features that make the kernel patch its own code meanwhile, "" if there are none.

        features_in_use: features whose programs may run during the whole cell. release: of the running kernel.
        """
        self._guest = guest
        self._is_split = version_in(release) >= MODULE_MEMORY_IS_SPLIT
        self._patched_by = patched_by
        self._features_in_use = features_in_use
        self._ranges: list[_Range] = []
        # why required checks could not run
        self.blockers: list[str] = []
        # which checks are not possible on this kernel, and why
        self.caveats = [f"code is patched by {patched_by}: not compared"] if patched_by else []

    def begin(self) -> None:
        """Read the kernel's memory, once for each snapshot. Call this while the guest is pristine."""
        marks = self._guest.symbols.marks
        known = self._guest.restored_memory if self._guest.origin == RESTORED else None
        for name, start, end in _KERNEL_RANGES:
            if name == _CODE and self._patched_by:
                continue
            if start in marks and end in marks:
                self._read_range(_Owner.KERNEL, name, marks[start], marks[end] - marks[start], known)
            else:
                self.caveats.append(f"System.map has no {start} and {end}: the kernel's {name} was not compared")

    def loaded(self, facts: ModuleFacts) -> None:
        """Read the module's memory. Call this after its load, when /proc/modules was read."""
        if facts.problem:
            self.caveats.append(
                f"the module's memory was not compared, because its file cannot be read: {facts.problem}"
            )
            return
        if self._features_in_use and self._guest.machine.board.arch.quirks.maps_modules_late:
            self.caveats.append(
                f"the module's memory was not compared: {self._features_in_use} was in use, on CPUs that may lack it"
            )
            return
        place = next((start for start, _, name in self._guest.symbols.modules if name == facts.name), None)
        # Since 6.4, /proc/modules has the address of the code, and 0 if there is none
        if place is None or (not place and (facts.code or not self._is_split)):
            self.blockers.append("/proc/modules has no address for the module: its memory was not compared")
            return
        if facts.code and not self._patched_by:
            self._read_range(_Owner.MODULE, _CODE, place, facts.code)
        if self._is_split:
            constants = [section for section in facts.sections if section.stays and "X" not in section.flags]
            self._read_sections(facts.name, constants)
        elif facts.constants:
            start = place + -(-facts.code // _PAGE_BYTES) * _PAGE_BYTES
            self._read_range(_Owner.MODULE, "constants", start, facts.constants)

    def _read_sections(self, name: str, constants: Sequence[Section]) -> None:
        """Read the module's constants as one range. The addresses of their sections are in sysfs."""
        text = self._guest.run(_SECTIONS_COMMAND.format(name)).text
        places = {section: int(address, 16) for section, address in _SECTION_LINE.findall(text)}
        spans = [(places[it.name], it.size) for it in constants if it.name in places and it.size]
        if not spans:
            if any(it.size for it in constants):
                self.caveats.append("the kernel does not show where the module's constants are: not compared")
            return
        start, end = min(at for at, _ in spans), max(at + size for at, size in spans)
        self._read_range(_Owner.MODULE, "constants", start, end - start)

    def unloading(self) -> list[Check]:
        """Compare the module's memory. Call this before its unload."""
        return self._compare(_Owner.MODULE)

    def end(self) -> list[Check]:
        """Compare the kernel's memory, and follow the list of modules."""
        return [*self._compare(_Owner.KERNEL), *self._check_list()]

    def _read_range(
        self, owner: _Owner, name: str, address: int, size: int, known: dict[tuple[int, int], bytes] | None = None
    ) -> None:
        """known: content that need not be read again, by address and size. What is read is added to it."""
        known, place = {} if known is None else known, (address, size)
        try:
            known[place] = known.get(place) or self._read(address, size)
        except (_UnreadableError, _NotReadError) as error:
            self.blockers.append(f"{owner} {name} cannot be read from outside: {error}")
        else:
            self._ranges.append(_Range(owner, name, address, known[place]))

    def _compare(self, owner: _Owner) -> list[Check]:
        checks = []
        for known in self._ranges:
            if known.owner is not owner:
                continue
            name = f"{known.title} unchanged"
            try:
                now = self._read(known.address, len(known.content))
            except _UnreadableError as error:
                checks.append(Check(name, held=False, detail=f"it cannot be read any more: {error}"))
            except _NotReadError as error:
                self.blockers.append(f"{known.title} could not be compared: {error}")
            else:
                checks.append(Check(name, now == known.content, _difference(known.address, known.content, now)))
        return checks

    def _check_list(self) -> list[Check]:
        head = self._guest.symbols.marks.get("modules")
        if head is None:
            self.caveats.append("System.map has no list of modules: it was not checked")
            return []
        try:
            return [self._follow(head)]
        except (_UnreadableError, _NotReadError) as error:
            self.blockers.append(f"the list of modules cannot be read from outside: {error}")
            return []

    def _follow(self, head: int) -> Check:
        """Follow the list of modules from its head. Raises _UnreadableError and _NotReadError for the head itself."""
        node, (following, _) = head, self._links(head)
        for found in range(_MAX_MODULES):
            try:
                after, before = self._links(following)
            except _UnreadableError:
                return _broken(f"the entry at 0x{following:x} cannot be followed")
            if before != node:
                return _broken(f"0x{following:x} does not point back to 0x{node:x}")
            if following == head:
                listed = len(self._guest.symbols.modules)
                detail = "" if found == listed else f"{found} in memory, {listed} in /proc/modules"
                return Check(_MODULE_LIST, found == listed, detail)
            node, following = following, after
        return _broken("it goes in circles")

    def _links(self, node: int) -> tuple[int, int]:
        """next and prev of a struct list_head."""
        code = "<QQ" if self._guest.machine.board.arch.elf.bits == 64 else "<II"
        following, before = struct.unpack(code, self._read(node, struct.calcsize(code)))
        return following, before

    def _read(self, address: int, size: int) -> bytes:
        """Read through any CPU that can. Before each retry both CPUs run a new process."""
        refused = ""
        for attempt, cpu in product(range(1 + _MAX_RETRIES), _CPUS):
            try:
                if attempt and cpu == _CPUS[0]:
                    self._guest.run(_NEW_PROCESSES_COMMAND)
                return self._guest.read_memory(address, size, cpu)
            except QmpRefusedError as error:
                refused = str(error)
                if _NOT_MAPPED not in refused:
                    raise _NotReadError(refused) from None
            except (QmpLostError, OSError) as error:
                raise _NotReadError(str(error)) from None
        raise _UnreadableError(refused)


class _UnreadableError(Exception):
    """Memory that no CPU can read."""


class _NotReadError(Exception):
    """QEMU failed to read memory, so nothing is known about it."""


def _broken(detail: str) -> Check:
    return Check(_MODULE_LIST, held=False, detail=detail)


def _difference(address: int, before: bytes, now: bytes) -> str:
    """Where two contents differ first, and how many bytes differ; "" if they are equal."""
    if before == now:
        return ""
    places = [place for place, (old, new) in enumerate(zip(before, now, strict=True)) if old != new]
    first = places[0]
    was, is_ = before[first : first + 8].hex(), now[first : first + 8].hex()
    return f"{len(places)} bytes differ, the first at 0x{address + first:x}: {was} -> {is_}"
