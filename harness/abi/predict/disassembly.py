# SPDX-License-Identifier: Apache-2.0
"""The program in a module file, taken apart by objdump(1) of the architecture's binutils, and pyelftools."""

import re
import struct
from pathlib import Path
from typing import Any

from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from harness.abi.elf.module_file import DAMAGE, MAX_MODULE_BYTES, damage
from harness.abi.predict.decoders import instructions
from harness.abi.predict.member_accesses import Function, ModuleCode, SectionOffset
from harness.kernel.arch import Architecture
from harness.support import process
from harness.support.errors import ModcompatError
from harness.support.packed import plain_file

_SECTION = re.compile(r"^Disassembly of section (\S+):$")
_FUNCTION = re.compile(r"^([0-9a-f]+) <(.+)>:$")
_LABEL = ".L"  # of the compiler: riscv64 keeps these in object files, for relocations to name them
_DATA = (".data", ".rodata", ".init.data", ".exit.data", "__param")


def read_module_code(file: Path, arch: Architecture) -> ModuleCode:
    """The functions and pointers of a whole module file. Raises ModcompatError if it is damaged."""
    with plain_file(file, MAX_MODULE_BYTES) as plain:
        return _read_plain(plain, arch)


def _read_plain(file: Path, arch: Architecture) -> ModuleCode:
    text = process.output([f"{arch.cross_compile}objdump", "-d", "-r", "-w", "--no-show-raw-insn", file])
    functions: dict[SectionOffset, Function] = {}
    for name, place, lines in _functions(text):
        functions[place] = Function(name, place, tuple(instructions(lines, arch.instruction_set)))
    try:
        known, links = _symbols_and_links(file)
    except DAMAGE as error:
        raise ModcompatError(f"{file}: {damage(error)}") from None
    return ModuleCode(arch.calling_convention, functions, known, links)


def _symbols_and_links(file: Path) -> tuple[dict[str, SectionOffset], dict[SectionOffset, SectionOffset | str]]:
    """The places of its symbols, and the targets of the relocations in its data. Raises DAMAGE."""
    with file.open("rb") as stream:
        elf: Any = ELFFile(stream)
        names = [section.name for section in elf.iter_sections()]
        table = elf.get_section_by_name(".symtab")
        if not isinstance(table, SymbolTableSection):
            raise ValueError("it has no symbol table")  # noqa: TRY004 - of the file, as the others
        symbols = [_place_of(symbol, names) for symbol in table.iter_symbols()]
        known = {
            symbol.name or place.section: place
            for symbol, place in zip(table.iter_symbols(), symbols, strict=True)
            if isinstance(place, SectionOffset)
        }
        return known, _links(elf, names, symbols)


def _functions(text: str) -> list[tuple[str, SectionOffset, list[str]]]:
    found: list[tuple[str, SectionOffset, list[str]]] = []
    section = ""
    for line in text.splitlines():
        if start := _SECTION.match(line):
            section = start[1]
        elif start := _FUNCTION.match(line):
            if found and start[2].startswith(_LABEL) and found[-1][1].section == section:
                continue  # in the middle of a function
            found.append((start[2], SectionOffset(section, int(start[1], 16)), []))
        elif found and line:
            found[-1][2].append(line)
    return found


def _place_of(symbol: Any, names: list[str]) -> SectionOffset | str:
    """Its place in the file; the name of an imported symbol."""
    index = symbol["st_shndx"]
    return (
        SectionOffset(names[index], symbol["st_value"])
        if isinstance(index, int) and index < len(names)
        else symbol.name
    )


def _links(elf: Any, names: list[str], symbols: list[SectionOffset | str]) -> dict[SectionOffset, SectionOffset | str]:
    """The targets of the relocations in the module's data, by place."""
    links: dict[SectionOffset, SectionOffset | str] = {}
    for section in elf.iter_sections():
        if section["sh_type"] not in ("SHT_REL", "SHT_RELA") or section["sh_info"] >= len(names):
            continue
        name = names[section["sh_info"]]
        if not name.startswith(_DATA):
            continue
        content = elf.get_section(section["sh_info"]).data()
        for entry in section.iter_relocations():
            at, target = entry["r_offset"], symbols[entry["r_info_sym"]]
            addend = entry["r_addend"] if entry.is_RELA() else struct.unpack_from("<I", content, at)[0]
            links[SectionOffset(name, at)] = (
                SectionOffset(target.section, target.offset + addend) if isinstance(target, SectionOffset) else target
            )
    return links
