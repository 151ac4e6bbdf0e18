# SPDX-License-Identifier: Apache-2.0
"""Backtraces of a guest that does not answer, read from outside: registers and stacks through QMP.

This needs nothing of the guest, so it also shows a CPU that spins with interrupts off, which no sysrq and
(on ARM) no NMI reaches. Stack words that point into code are listed as a scan finds them, so a frame may be
a leftover; the kernel's own notation for that is a question mark.
"""

import bisect
import errno
import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.guest.qmp import Qmp, QmpRefusedError
from harness.kernel.arch import Architecture
from harness.support.errors import ModcompatError

_STACK = 2048  # bytes read above the stack pointer
_FRAMES = 16  # most frames shown of a CPU
_CPU = re.compile(r"^CPU#(\d+)", re.MULTILINE)
_MARKS = {"_stext", "_etext", "__start_rodata", "__end_rodata", "modules"}
_MODULE = re.compile(r"^(\S+) (\d+) .* (0x[0-9a-f]+)(?: \([A-Z+-]*\))?$", re.MULTILINE)


@dataclass(frozen=True)
class Symbols:
    """Names for code addresses: the kernel's text, and the ranges of loaded modules.

    functions: sorted (address, name). end: first address behind the kernel's text.
    modules: (start, size, name), from /proc/modules. marks: where parts of the kernel begin and end, and its lists.
    """

    functions: tuple[tuple[int, str], ...]
    end: int
    modules: tuple[tuple[int, int, str], ...] = ()
    marks: dict[str, int] = field(default_factory=dict)

    def expecting(self, module: str, arch: Architecture) -> "Symbols":
        """The same, with the whole area for modules put down to one that is about to be loaded."""
        if not self.functions:
            return self
        first = self.functions[0][0]
        start, end = (first + offset for offset in arch.module_area)
        return replace(self, modules=((start, end - start, module),))

    def with_modules(self, proc_modules: str) -> "Symbols":
        """The same, with the loaded modules of a text of /proc/modules."""
        found = _MODULE.findall(proc_modules)
        return replace(self, modules=tuple((int(start, 16), int(size), name) for name, size, start in found))

    def name(self, address: int) -> str | None:
        """`function+0xoffset`, `0xoffset [module]`, or None for an address that is not code."""
        for start, size, module in self.modules:
            if start <= address < start + size:
                return f"0x{address - start:x} [{module}]"
        if not self.functions or not self.functions[0][0] <= address < self.end:
            return None
        start, name = self.functions[bisect.bisect_right(self.functions, (address, "\x7f")) - 1]
        return f"{name}+0x{address - start:x}"


def read_symbols(system_map: Path) -> Symbols:
    """The kernel's functions, from its System.map. Raises ModcompatError for what is none."""
    functions, marks = [], {}
    try:
        for line in system_map.read_text().splitlines():
            address, kind, name = line.split(" ", 2)
            if kind in "tT":
                functions.append((int(address, 16), name))
            if name in _MARKS:
                marks[name] = int(address, 16)
    except ValueError:
        raise ModcompatError(f"{system_map} is no System.map of a kernel") from None
    return Symbols(tuple(sorted(functions)), marks.get("_etext", 0), marks=marks)


def backtraces(qmp: Qmp, arch: Architecture, symbols: Symbols, folder: Path) -> list[str]:
    """One text a CPU: where it is, and the code addresses on its stack. folder: for a scratch file."""
    registers = arch.registers
    qmp.command("stop")
    text = qmp.monitor("info registers -a")
    qmp.command("cont")
    traces = []
    starts = list(_CPU.finditer(text))
    for place, found in enumerate(starts):
        block = text[found.start() : starts[place + 1].start() if place + 1 < len(starts) else None]
        at, stack = registers.counter.search(block), registers.stack.search(block)
        if not at or not stack:
            continue
        where = int(at[1], 16)
        lines = [f"CPU {found[1]} at {symbols.name(where) or f'0x{where:x}'}"]
        back = registers.link.search(block) if registers.link else None
        words = [int(back[1], 16)] if back else []
        words += _stack(qmp, arch, int(stack[1], 16), int(found[1]), folder / "stack")
        lines += [f" ? {name}" for name in _named(words, symbols)]
        traces.append("\n".join(lines))
    return traces


def _named(words: Iterable[int], symbols: Symbols) -> list[str]:
    """Names of what can be return addresses: code, and not the start of a function."""
    names = (symbols.name(word) for word in words)
    return [name for name in names if name and not name.endswith("+0x0")][:_FRAMES]


def read_memory(qmp: Qmp, address: int, size: int, cpu: int, scratch: Path) -> bytes:
    """Memory as a CPU sees it. scratch: a file for QEMU to write.

    Raises QmpRefusedError where there is none, OSError where the file could not be written: QEMU may not tell.
    """
    signed = address - (1 << 64) if address >> 63 else address  # QMP's integers have a sign
    qmp.command("memsave", val=signed, size=size, filename=str(scratch), cpu_index=cpu)
    data = scratch.read_bytes()
    if len(data) != size:
        raise OSError(errno.ENOSPC, f"QEMU wrote {len(data)} of {size} bytes", str(scratch))
    return data


def _stack(qmp: Qmp, arch: Architecture, pointer: int, cpu: int, scratch: Path) -> list[int]:
    width, code = (8, "Q") if arch.elf.bits == 64 else (4, "I")
    try:
        data = read_memory(qmp, pointer, _STACK, cpu, scratch)
    except (QmpRefusedError, OSError):
        return []
    count = len(data) // width
    return list(struct.unpack(f"<{count}{code}", data[: count * width]))
