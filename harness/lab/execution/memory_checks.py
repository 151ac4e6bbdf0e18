# SPDX-License-Identifier: Apache-2.0
"""Memory that must stay as it is, and a list that must hold together, looked at from outside the guest.

The kernel's code and constants, and those of the module, are read through QMP and compared with what they were:
the kernel's when the guest was pristine, the module's after its load. Constants are compared also where the kernel
patches its code: it does not write to them once it has booted (STRICT_KERNEL_RWX). The list of modules is walked both
ways. Nothing of that asks the guest.
"""

import re
import struct
from collections.abc import Sequence
from itertools import product

from harness.abi.elf.module_file import ModuleFacts, Section
from harness.abi.predict.loader import version_in
from harness.detect.evidence import Check
from harness.guest.guest import Guest
from harness.guest.qmp import QmpLostError, QmpRefusedError

_PAGE = 4096  # bytes; the unit of protection, so that constants begin with the page behind the code
_CODE = "code"
_KERNEL = ((_CODE, "_stext", "_etext"), ("constants", "__start_rodata", "__end_rodata"))
_CPUS = (0, 1)
# On each CPU a process that began after the module was loaded, and so has it in its page tables. arm: every process has
# tables of its own, copied when it begins (arch/arm/mm/pgd.c), and gets what came later when it uses it; QEMU reads
# through the tables of the process that a CPU ran last, which may be older than the module, and with the rights of what
# it runs just then, which in a program are not the kernel's.
_FRESH = "taskset 1 nproc; taskset 2 nproc"
_ROUNDS = 4  # of such processes: our shell may have run since
_NO_MEMORY = "Invalid addr"  # qmp_memsave() of QEMU 7.2, for an address that is not mapped
_MOST = 1000  # modules: a list that is longer goes in circles
_LIST = "list of modules"
# Since then each kind of a module's memory is in a place of its own: struct module_memory of include/linux/module.h
_IN_PIECES = (6, 4)
_SECTIONS = "cd /sys/module/{}/sections && for s in .* *; do [ -f $s ] && read a <$s && echo $s $a; done"
_SECTION = re.compile(r"^(\S+) 0x([0-9a-f]+)$", re.MULTILINE)
_Ranges = dict[str, tuple[int, int]]  # what -> address, size

# Slab caches that can be validated, and do not complain
VALIDATE = "n=0; for v in /sys/kernel/slab/*/validate; do echo 1 >$v 2>/dev/null && n=$((n+1)); done; echo $n"
# On each CPU a process that takes pages and gives them back, a timer, and the number of CPUs
PROBE = (
    "for c in 1 2; do taskset $c dd if=/dev/zero of=/tmp/probe bs=64k count=4 2>/dev/null && "
    "taskset $c usleep 1000 && echo well; done; rm /tmp/probe; nproc"
)
WELL = ["well", "well", "2"]


class Watch:
    """What of a guest's memory is watched during a cell.

    obstacles: checks that had to run and could not. weak: those that cannot be asked for here, and why.
    """

    def __init__(self, guest: Guest, *, patched: str, in_use: str = "", release: str = "") -> None:
        """patched: what has the kernel change its own code meanwhile, "" for nothing. release: the kernel's.

        in_use: features that are, which may have programs that run all the time.
        """
        self._guest = guest
        self._is_in_pieces = version_in(release) >= _IN_PIECES
        self._patched = patched
        self._in_use = in_use
        self._before: dict[str, bytes] = {}
        self._ranges: _Ranges = {}
        self.obstacles: list[str] = []
        self.weak = [f"code is patched by {patched}: not compared"] if patched else []

    def begin(self) -> None:
        """The guest is pristine."""
        marks = self._guest.symbols.marks
        for what, start, end in _KERNEL:
            if what == _CODE and self._patched:
                continue
            if start in marks and end in marks:
                self._take(f"the kernel's {what}", marks[start], marks[end] - marks[start])
            else:
                self.weak.append(f"System.map has no {start} and {end}: the kernel's {what} was not compared")

    def loaded(self, facts: ModuleFacts) -> None:
        """The module is loaded, and /proc/modules was read."""
        if facts.problem:
            self.weak.append(f"the module's memory was not compared, as the file does not tell it: {facts.problem}")
            return
        if self._in_use and self._guest.machine.board.arch.quirks.maps_modules_late:
            self.weak.append(
                f"the module's memory was not compared: {self._in_use} was in use, on CPUs that may lack it"
            )
            return
        place = next((start for start, _, name in self._guest.symbols.modules if name == facts.name), None)
        if place is None:
            self.obstacles.append("/proc/modules does not tell where the module is: its memory was not compared")
            return
        if facts.code and not self._patched:
            self._take("the module's code", place, facts.code)
        if self._is_in_pieces:
            self._take_sections(
                facts.name, [section for section in facts.sections if section.stays and "X" not in section.flags]
            )
        elif facts.constants:
            self._take("the module's constants", place + -(-facts.code // _PAGE) * _PAGE, facts.constants)

    def _take_sections(self, name: str, constants: Sequence[Section]) -> None:
        """The module's constants, where the kernel says that their sections are: they are next to each other."""
        told = self._guest.run(_SECTIONS.format(name)).text
        places = {section: int(address, 16) for section, address in _SECTION.findall(told)}
        spans = [(places[it.name], it.size) for it in constants if it.name in places and it.size]
        if not spans:
            if any(it.size for it in constants):
                self.weak.append("the kernel does not tell where the module's constants are: not compared")
            return
        start, end = min(at for at, _ in spans), max(at + size for at, size in spans)
        self._take("the module's constants", start, end - start)

    def unloading(self) -> list[Check]:
        """Compare the module's memory, while it is there."""
        return self._compare("the module's")

    def end(self) -> list[Check]:
        """Compare the kernel's memory, and walk the list of modules."""
        return [*self._compare("the kernel's"), *self._walk()]

    def _take(self, what: str, address: int, size: int) -> None:
        try:
            self._before[what] = self._read(address, size)
        except (_UnreadableError, _NotReadError) as error:
            self.obstacles.append(f"{what} cannot be read from outside: {error}")
        else:
            self._ranges[what] = address, size

    def _compare(self, whose: str) -> list[Check]:
        checks = []
        for what, (address, size) in self._ranges.items():
            if not what.startswith(whose):
                continue
            before = self._before[what]
            try:
                now = self._read(address, size)
            except _UnreadableError as error:
                checks.append(Check(f"{what} unchanged", held=False, detail=f"it cannot be read any more: {error}"))
            except _NotReadError as error:
                self.obstacles.append(f"{what} could not be compared: {error}")
            else:
                checks.append(Check(f"{what} unchanged", now == before, _difference(address, before, now)))
        return checks

    def _walk(self) -> list[Check]:
        head = self._guest.symbols.marks.get("modules")
        if head is None:
            self.weak.append("System.map has no list of modules: it was not walked")
            return []
        try:
            return [self._follow(head)]
        except (_UnreadableError, _NotReadError) as error:
            self.obstacles.append(f"the list of modules cannot be read from outside: {error}")
            return []

    def _follow(self, head: int) -> Check:
        """The list of modules from its head on. Raises _UnreadableError where that cannot be read, _NotReadError."""
        node, (following, _) = head, self._links(head)
        for found in range(_MOST):
            try:
                after, before = self._links(following)
            except _UnreadableError:
                return _broken(f"the entry at 0x{following:x} cannot be followed")
            if before != node:
                return _broken(f"0x{following:x} does not point back to 0x{node:x}")
            if following == head:
                listed = len(self._guest.symbols.modules)
                detail = "" if found == listed else f"{found} in memory, {listed} in /proc/modules"
                return Check(_LIST, found == listed, detail)
            node, following = following, after
        return _broken("it goes in circles")

    def _links(self, node: int) -> tuple[int, int]:
        """next and prev of a struct list_head."""
        code = "<QQ" if self._guest.machine.board.arch.elf.bits == 64 else "<II"
        following, before = struct.unpack(code, self._read(node, struct.calcsize(code)))
        return following, before

    def _read(self, address: int, size: int) -> bytes:
        """Through any CPU that can: each further attempt is made after both have run a process of today."""
        refused = ""
        for attempt, cpu in product(range(1 + _ROUNDS), _CPUS):
            try:
                if attempt and cpu == _CPUS[0]:
                    self._guest.run(_FRESH)
                return self._guest.read_memory(address, size, cpu)
            except QmpRefusedError as error:
                refused = str(error)
                if _NO_MEMORY not in refused:
                    raise _NotReadError(refused) from None
            except (QmpLostError, OSError) as error:
                raise _NotReadError(str(error)) from None
        raise _UnreadableError(refused)


class _UnreadableError(Exception):
    """Memory that no CPU can read."""


class _NotReadError(Exception):
    """Memory that QEMU could not hand over: nothing is known of it."""


def _broken(detail: str) -> Check:
    return Check(_LIST, held=False, detail=detail)


def _difference(address: int, before: bytes, now: bytes) -> str:
    """Where two contents differ first, and how many bytes do."""
    if before == now:
        return ""
    places = [place for place, (old, new) in enumerate(zip(before, now, strict=True)) if old != new]
    first = places[0]
    was, is_ = before[first : first + 8].hex(), now[first : first + 8].hex()
    return f"{len(places)} bytes differ, the first at 0x{address + first:x}: {was} -> {is_}"
