# SPDX-License-Identifier: Apache-2.0
"""Backtraces of a guest that does not answer, read from outside: registers and stacks through QMP.

The guest need not cooperate, so this also shows a CPU that spins with interrupts off, which no sysrq and (on ARM) no
NMI reaches. The frames are all stack words that point into code, so a frame may be a leftover; like the kernel, the
text marks such frames with a question mark.
"""

import bisect
import errno
import re
import struct
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.guest.loaded_modules import LoadedModule
from harness.guest.qmp import Qmp, QmpRefusedError
from harness.kernel.arch import Architecture
from harness.support.errors import ModcompatError

_PAGE_BYTES = 4096
_STACK_BYTES = 2048  # read above the stack pointer
_MAX_FRAMES = 16  # shown for a CPU
_CPU = re.compile(r"^CPU#(\d+)", re.MULTILINE)
_MARKS = {"_stext", "_etext", "__start_rodata", "__end_rodata", "modules"}


@dataclass(frozen=True)
class Symbols:
    """Names for code addresses: the kernel's text, and the ranges of loaded modules."""

    # sorted pairs of address and name
    functions: tuple[tuple[int, str], ...]
    # first address after the kernel's text
    end: int
    # start, size and name of each, from /proc/modules; zeros for one without code, or whose address is hidden
    modules: tuple[tuple[int, int, str], ...] = ()
    # addresses where parts of the kernel begin and end, and of its list of modules
    marks: dict[str, int] = field(default_factory=dict)

    def expecting(self, module: str, arch: Architecture) -> "Symbols":
        """The same, with the whole module area assigned to a module that is about to be loaded."""
        if not self.functions:
            return self
        start, end = self.module_area(arch)
        return replace(self, modules=((start, end - start, module),))

    def module_area(self, arch: Architecture) -> tuple[int, int]:
        """The first address of the area for modules, and the first one behind it; zeros if no function is known."""
        if not self.functions:
            return 0, 0
        return arch.modules_of_kernel_at(self.functions[0][0])

    def with_modules(self, loaded: Iterable[LoadedModule]) -> "Symbols":
        """The same, with the loaded modules."""
        placed = ((each.start, each.size if each.start else 0, each.name) for each in loaded if each.start is not None)
        return replace(self, modules=tuple(placed))

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
    """The kernel's functions, from its System.map. Raises ModcompatError if the file is not one."""
    try:
        return symbols_in(system_map.read_text())
    except ValueError:
        raise ModcompatError(f"{system_map} is not the System.map of a kernel") from None


def symbols_in(table: str) -> Symbols:
    """The kernel's functions, from the text of a System.map or of /proc/kallsyms. Raises ValueError for another one."""
    functions, marks = [], {}
    for line in table.splitlines():
        address, kind, name = line.split(" ", 2)
        if "\t" in name:  # of a module
            continue
        if kind in "tTwW":
            functions.append((int(address, 16), name))
        if name in _MARKS:
            marks[name] = int(address, 16)
    return Symbols(tuple(sorted(functions)), marks.get("_etext", 0), marks=marks)


def backtraces(qmp: Qmp, arch: Architecture, symbols: Symbols, folder: Path) -> list[str]:
    """One text per CPU: its position, and the code addresses on its stack. folder: for a scratch file."""
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
        words += _stack_words(qmp, arch, int(stack[1], 16), int(found[1]), folder / "stack")
        lines += [f" ? {name}" for name in _frames(words, symbols)]
        traces.append("\n".join(lines))
    return traces


def _frames(words: Iterable[int], symbols: Symbols) -> list[str]:
    """Names of the words that can be return addresses: code, but not the start of a function."""
    names = (symbols.name(word) for word in words)
    return [name for name in names if name and not name.endswith("+0x0")][:_MAX_FRAMES]


def read_memory(qmp: Qmp, address: int, size: int, cpu: int, scratch: Path) -> bytes:
    """Memory as a CPU sees it. scratch: a file for QEMU to write.

    Raises QmpRefusedError if no memory is mapped there, OSError if the file is incomplete: QEMU may not report that.
    """
    signed = address - (1 << 64) if address >> 63 else address  # QMP's integers have a sign
    qmp.command("memsave", val=signed, size=size, filename=str(scratch), cpu_index=cpu)
    data = scratch.read_bytes()
    if len(data) != size:
        raise OSError(errno.ENOSPC, f"QEMU wrote {len(data)} of {size} bytes", str(scratch))
    return data


def _stack_words(qmp: Qmp, arch: Architecture, pointer: int, cpu: int, scratch: Path) -> list[int]:
    width, code = (8, "Q") if arch.elf.bits == 64 else (4, "I")
    data = b""
    # Above a stack in vmalloc memory (VMAP_STACK) nothing is mapped, and QEMU reads all or nothing.
    for size in filter(None, (_STACK_BYTES, -pointer % _PAGE_BYTES)):
        with suppress(QmpRefusedError, OSError):
            data = read_memory(qmp, pointer, size, cpu, scratch)
            break
    count = len(data) // width
    return list(struct.unpack(f"<{count}{code}", data[: count * width]))
