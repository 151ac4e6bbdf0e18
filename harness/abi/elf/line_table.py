# SPDX-License-Identifier: Apache-2.0
"""File and line of an address in a module, from the debug information of its .ko.

A .ko is a relocatable file: every section begins at 0, and .debug_line has no addresses until its relocations are
applied. Therefore each section first gets its own range of addresses, through the values of its symbols.
"""

import bisect
import io
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from elftools.common.exceptions import DWARFError
from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from harness.abi.elf.module_file import DAMAGE, MAX_MODULE_BYTES
from harness.kernel.arch import architecture_of_elf
from harness.support.inputs import content_of
from harness.support.packed import PackedError, unpacked

_DAMAGE = (*DAMAGE, DWARFError, PackedError)
_GAP = 64  # bytes; sections begin at multiples, and at least one byte behind the former


class ModuleLines:
    """The line table of one .ko; empty for a file that is not a module, or that has no debug information."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def find(self, function: str, offset: int) -> str | None:
        """`file.c:42` for the instruction at an offset (bytes) in a function, None if it is not known."""
        if function not in self._functions or offset < 0:
            return None
        address = self._functions[function] + offset
        place = bisect.bisect_right(self._rows, (address, "\x7f")) - 1
        return (self._rows[place][1] or None) if place >= 0 else None

    @cached_property
    def _functions(self) -> dict[str, int]:
        return self._tables[0]

    @cached_property
    def _rows(self) -> list[tuple[int, str]]:
        return self._tables[1]

    @cached_property
    def _tables(self) -> tuple[dict[str, int], list[tuple[int, str]]]:
        """Function -> address, and rows of (first address, `file:line`; "" after the end of a sequence)."""
        try:
            data = bytearray(unpacked(content_of(self._path, MAX_MODULE_BYTES), MAX_MODULE_BYTES))
            functions = _spread(data)
            elf = ELFFile(io.BytesIO(bytes(data)))
            rows: dict[int, str] = {}
            for address, line in _rows(elf.get_dwarf_info()) if elf.has_dwarf_info() else ():
                if line or address not in rows:  # the next sequence may begin where one ends
                    rows[address] = line  # of several, the last one is that of the instruction
        except _DAMAGE:
            return {}, []  # a user's file may contain anything
        return functions, sorted(rows.items())


def _spread(data: bytearray) -> dict[str, int]:
    """Give each section its own range of addresses, in place. Returns the addresses of the functions."""
    elf = ELFFile(io.BytesIO(bytes(data)))
    width = elf.elfclass // 8
    value_at = 8 if elf.elfclass == 64 else 4  # of st_value in Elf64_Sym and Elf32_Sym, elf(5)
    order = "little" if elf.little_endian else "big"
    functions: dict[str, int] = {}
    arch = architecture_of_elf(elf["e_machine"], elf.elfclass)
    flags = arch.elf.function_flags if arch else 0
    # Only code: references between debug sections stay as they are
    starts, end = dict[int, int](), 0
    for section_number, section in enumerate(elf.iter_sections()):
        if section["sh_flags"] & SH_FLAGS.SHF_EXECINSTR:
            starts[section_number] = end
            end += section["sh_size"] + _GAP & -_GAP
    for table in elf.iter_sections():
        if not isinstance(table, SymbolTableSection):
            continue
        for number, symbol in enumerate(table.iter_symbols()):
            if symbol["st_shndx"] not in starts:
                continue
            address = starts[symbol["st_shndx"]] + symbol["st_value"]
            start = table["sh_offset"] + number * table["sh_entsize"] + value_at
            data[start : start + width] = address.to_bytes(width, order)
            if symbol["st_info"]["type"] == "STT_FUNC":
                functions[symbol.name] = address & ~flags
    return functions


def _rows(dwarf: Any) -> Iterator[tuple[int, str]]:
    for unit in dwarf.iter_CUs():
        program = dwarf.line_program_for_CU(unit)
        if program is None:
            continue
        files = program["file_entry"]
        first = 0 if program["version"] >= 5 else 1  # DWARF 5 counts files from 0
        for entry in program.get_entries():
            state = entry.state
            if state is None:
                continue
            number = state.file - first
            name = files[number].name.decode(errors="replace") if 0 <= number < len(files) else "?"
            yield state.address, "" if state.end_sequence else f"{name.rsplit('/', 1)[-1]}:{state.line}"
