# SPDX-License-Identifier: Apache-2.0
"""The machine code of functions, read from a compiled file with pyelftools, comparable between two compilations.

It contains no addresses: the targets of relocations are named instead (System V ABI, chapter 4, "Relocation").
"""

import re
import struct
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elftools.elf.elffile import ELFFile

from harness.kernel.arch import architecture_of_elf
from harness.support import digest

_WRITABLE, _EXECUTABLE, _MERGEABLE, _STRINGS = 0x1, 0x4, 0x10, 0x20  # SHF_WRITE, _EXECINSTR, _MERGE, _STRINGS
_ADDEND = struct.Struct("<i")  # in place
_SHN_XINDEX = 0xFFFF  # the section's number is too large for the field, and is in another table
_NUMBER_SUFFIX = re.compile(r"\.\d+(?=\.|$)")  # with which GCC distinguishes static variables of the same name
_SECTION_PREFIX = re.compile(r"\.(?:text|rodata|data|bss)(?:\.unlikely)?\.")  # -ffunction-sections, -fdata-sections


@dataclass(frozen=True)
class FunctionBody:
    """A function's machine code."""

    digest: str  # of its instructions
    size: int  # bytes
    relocations: tuple[str, ...]  # its calls and uses in order, each as "offset: type target"


def read_functions(file: Path) -> dict[str, FunctionBody]:
    """Every function of a relocatable ELF file, by name. Raises elftools' ELFError for a file that is not ELF."""
    with file.open("rb") as stream:
        return dict(_Object(ELFFile(stream)).functions())


class _Object:
    """A relocatable file: its sections, and its symbols by section."""

    def __init__(self, elf: Any) -> None:
        arch = architecture_of_elf(elf["e_machine"], elf.elfclass)
        self._distances = arch.elf.distances if arch else ()
        self._addends_in_place = arch.elf.addends_in_place if arch else ()
        self._flags = arch.elf.function_flags if arch else 0
        self._sections = list(elf.iter_sections())
        self._data: dict[int, bytes] = {}
        self._bare: dict[int, bytes] = {}
        self._digests: dict[int, str] = {}
        self._symbols = list(elf.get_section_by_name(".symtab").iter_symbols())
        for number, symbol in enumerate(self._symbols):
            if symbol["st_shndx"] == _SHN_XINDEX:
                symbol.entry["st_shndx"] = elf.get_section_by_name(".symtab_shndx").get_section_index(number)
        self._named: dict[tuple[int, int], str] = {
            (symbol["st_shndx"], symbol["st_value"] & ~self._bits(symbol)): symbol.name
            for symbol in self._symbols
            if symbol["st_info"]["type"] == "STT_FUNC"
        }
        self._relocated = {
            section["sh_info"]: section for section in self._sections if section["sh_type"] in ("SHT_RELA", "SHT_REL")
        }
        self._variables: dict[int, list[int]] = defaultdict(list)
        for symbol in self._symbols:
            if symbol["st_info"]["type"] == "STT_OBJECT":
                self._variables[symbol["st_shndx"]].append(symbol["st_value"])

    def functions(self) -> Iterator[tuple[str, FunctionBody]]:
        references: dict[int, list[tuple[int, str]]] = {}
        for symbol in self._symbols:
            if symbol["st_info"]["type"] != "STT_FUNC" or not isinstance(symbol["st_shndx"], int):
                continue
            start = symbol["st_value"] & ~self._bits(symbol)
            end = start + symbol["st_size"]
            index = symbol["st_shndx"]
            if index not in references:
                references[index] = sorted(self._references(index))
            inside = [(at, text) for at, text in references[index] if start <= at < end]
            code = self._without_addends(index)[start:end]
            relocations = tuple(f"{at - start:x}: {text}" for at, text in inside)
            yield symbol.name, FunctionBody(digest.of_bytes(code), len(code), relocations)

    def _references(self, index: int) -> Iterator[tuple[int, str]]:
        """(offset, text) of a section's relocations."""
        relocations = self._relocated.get(index)
        for relocation in relocations.iter_relocations() if relocations else ():
            kind = relocation["r_info_type"]
            addend = relocation["r_addend"] if relocation.is_RELA() else 0
            if self._is_in_place(relocation):
                (addend,) = _ADDEND.unpack_from(self._content(index), relocation["r_offset"])
            symbol = self._symbols[relocation["r_info_sym"]]
            if kind in self._distances:
                kind, addend = self._distances[0], addend + 4
            yield relocation["r_offset"], f"{kind} {self._target(symbol, addend)}"

    def _target(self, symbol: Any, addend: int) -> str:
        """The string, function or variable that a symbol and an addend stand for."""
        index = symbol["st_shndx"]
        if not isinstance(index, int):
            return f"{symbol.name}{addend:+}" if addend else str(symbol.name)
        section, offset = self._sections[index], symbol["st_value"] + addend
        if section["sh_flags"] & _STRINGS:
            return repr(self._content(index)[max(offset, 0) :].split(b"\0", 1)[0])
        function = self._named.get((index, offset & ~self._bits(symbol)))
        if function and section["sh_flags"] & _EXECUTABLE:
            return function
        # A static variable is identified by its section: other functions do not depend on which one it is.
        name = _SECTION_PREFIX.sub("", _NUMBER_SUFFIX.sub("", str(section.name)))
        if section["sh_flags"] & (_WRITABLE | _EXECUTABLE):
            start = max((start for start in self._variables[index] if start <= offset), default=0)
            return f"{name}{offset - start:+}" if offset != start else name
        if section["sh_flags"] & _MERGEABLE:
            return f"{name} {self._content(index)[max(offset, 0) :][: section['sh_entsize']].hex()}"
        return f"{name} {self._constants(index)}"

    def _constants(self, index: int) -> str:
        """A digest of a read-only section and of its relocations. A section that refers to itself gets "" there."""
        if index not in self._digests:
            self._digests[index] = ""
            relocations = sorted(self._references(index))
            self._digests[index] = digest.of_value([self._without_addends(index).hex(), relocations])[:16]
        return self._digests[index]

    def _without_addends(self, index: int) -> bytes:
        """The content of a section without addends: they say where something is in another section."""
        relocations = self._relocated.get(index)
        if not self._addends_in_place or not relocations:
            return self._content(index)
        if index not in self._bare:
            bare = bytearray(self._content(index))
            for relocation in relocations.iter_relocations():
                if self._is_in_place(relocation):
                    at = relocation["r_offset"]
                    bare[at : at + _ADDEND.size] = bytes(_ADDEND.size)
            self._bare[index] = bytes(bare)
        return self._bare[index]

    def _is_in_place(self, relocation: Any) -> bool:
        """Whether the addend of a relocation is in the four bytes that it changes."""
        return not relocation.is_RELA() and relocation["r_info_type"] in self._addends_in_place

    def _content(self, index: int) -> bytes:
        if index not in self._data:
            self._data[index] = self._sections[index].data()
        return self._data[index]

    def _bits(self, symbol: Any) -> int:
        """The bits of a function's address that select the instruction set."""
        return self._flags if symbol["st_info"]["type"] == "STT_FUNC" else 0
