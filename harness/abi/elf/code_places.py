# SPDX-License-Identifier: Apache-2.0
"""The functions of a module by their places in its sections, to name addresses in a loaded module."""

import bisect
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from harness.abi.elf.module_file import DAMAGE
from harness.kernel.arch import architecture_of_elf


@dataclass(frozen=True)
class CodeSection:
    """A section with code."""

    size: int  # bytes
    # sorted: offset in the section, bytes, and name of each function
    functions: tuple[tuple[int, int, str], ...]

    def name(self, offset: int) -> str:
        """`function+0x12/0x40` for an offset in the section, as the kernel prints it; "" if no function is there."""
        place = bisect.bisect_right(self.functions, (offset, 1 << 64, "")) - 1
        if place < 0:
            return ""
        start, size, name = self.functions[place]
        return f"{name}+0x{offset - start:x}/0x{size:x}" if offset < start + size else ""


def code_sections(file: Path) -> dict[str, CodeSection]:
    """Every section of a module that code is in, by name; none for a file that is damaged."""
    try:
        with file.open("rb") as stream:
            return _sections(ELFFile(stream))
    except DAMAGE:
        return {}  # a user's file may contain anything


def _sections(elf: ELFFile) -> dict[str, CodeSection]:
    arch = architecture_of_elf(elf["e_machine"], elf.elfclass)
    flags = arch.elf.function_flags if arch else 0
    sections = list(elf.iter_sections())
    functions: dict[int, list[tuple[int, int, str]]] = {
        number: [] for number, section in enumerate(sections) if section["sh_flags"] & SH_FLAGS.SHF_EXECINSTR
    }
    for table in sections:
        for symbol in table.iter_symbols() if isinstance(table, SymbolTableSection) else ():
            if symbol["st_info"]["type"] == "STT_FUNC" and symbol["st_shndx"] in functions:
                place = (symbol["st_value"] & ~flags, symbol["st_size"], symbol.name)
                functions[symbol["st_shndx"]].append(place)
    return {
        sections[number].name: CodeSection(sections[number]["sh_size"], tuple(sorted(found)))
        for number, found in functions.items()
        if sections[number]["sh_size"]
    }


def place_in(sections: Mapping[str, CodeSection], starts: Mapping[str, int], address: int) -> str | None:
    """The place of an address in a loaded module, as the kernel prints it; None if it is not in the module.

    starts: the addresses of its sections.
    """
    for name, section in sections.items():
        start = starts.get(name, 0)
        if start and start <= address < start + section.size:
            return section.name(address - start) or f"0x{address:x}"
    return None
