# SPDX-License-Identifier: Apache-2.0
"""What a kernel's headers promise modules: the types of exported functions and data, and of structures' members.

Read from the DWARF of a file that declares, for each exported symbol, a pointer to it
(harness/abi/headers/export_prototypes.py).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.abi.elf.dwarf import AGGREGATES, Layout, Unit, name_of, read_units

PREFIX = "modcompat_"  # of the pointer's name, before the symbol's
_DEEP = 3  # how far function pointers among the parameters of function pointers are followed

# "" is anything that leads nowhere; "struct x" is one; "*struct x" points to one; a tuple is a function, or a pointer
# to one: the type of what it returns, then of its parameters.
Type = str | tuple[Any, ...]


@dataclass(frozen=True)
class Field:
    """A member that leads to a structure. offset: bytes."""

    offset: int
    name: str
    type: Type


@dataclass(frozen=True)
class ExportedTypes:
    """symbols: exported name -> its type. fields: structure -> its members that lead somewhere.

    prototypes: exported name -> its type as C writes it.
    """

    symbols: dict[str, Type] = field(default_factory=dict)
    fields: dict[str, tuple[Field, ...]] = field(default_factory=dict)
    prototypes: dict[str, str] = field(default_factory=dict)

    def laid_out(self, layouts: Mapping[str, Layout]) -> "ExportedTypes":
        """The same types where some structures are laid out otherwise."""
        moved = {name: tuple(_placed(fields, layouts[name])) for name, fields in self.fields.items() if name in layouts}
        return replace(self, fields=self.fields | moved)


def read_exported_types(file: Path) -> ExportedTypes:
    """The surface that an object file describes. Raises what dwarf.read_units() does."""
    symbols: dict[str, Type] = {}
    fields: dict[str, tuple[Field, ...]] = {}
    prototypes: dict[str, str] = {}
    for unit in read_units(file):
        reader = _Reader(unit)
        for entry in unit.top:
            name = name_of(entry)
            if entry.tag == "DW_TAG_variable" and name.startswith(PREFIX):
                declared = unit.type_of(unit.plain(unit.type_of(entry)))
                symbols[name.removeprefix(PREFIX)] = reader.type(declared, 0)
                prototypes[name.removeprefix(PREFIX)] = unit.text(declared)
            elif entry.tag in AGGREGATES and "DW_AT_declaration" not in entry.attributes and unit.spelled(entry):
                fields[unit.spelled(entry)] = tuple(reader.fields(entry, 0, ""))
    return ExportedTypes(symbols, {name: found for name, found in fields.items() if found}, prototypes)


def pointee(kind: Type) -> str:
    """The structure that something of a type points to, or ""."""
    return kind[1:] if isinstance(kind, str) and kind.startswith("*") else ""


def structures(kind: Type) -> set[str]:
    """Every structure that a type names; of a function, also what its callbacks are given."""
    if isinstance(kind, str):
        return {kind.removeprefix("*")} - {""}
    return set().union(*(structures(part) for part in kind))


def _placed(fields: Iterable[Field], layout: Layout) -> Iterator[Field]:
    offsets = {member.name: member.offset for member in layout.members}
    return (replace(entry, offset=offsets[entry.name]) for entry in fields if entry.name in offsets)


class _Reader:
    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    def type(self, entry: Any, depth: int) -> Type:
        kind = self._unit.plain(entry)
        tag = kind.tag if kind is not None else ""
        if tag in AGGREGATES:
            return self._unit.spelled(kind)
        if tag == "DW_TAG_subroutine_type":
            return self._function(kind, depth)
        if tag == "DW_TAG_array_type":
            return self.type(self._unit.type_of(kind), depth)
        return self._behind(self._unit.plain(self._unit.type_of(kind)), depth) if tag == "DW_TAG_pointer_type" else ""

    def _behind(self, target: Any, depth: int) -> Type:
        """The type of a pointer to a type."""
        tag = target.tag if target is not None else ""
        if tag == "DW_TAG_subroutine_type":
            return self._function(target, depth)
        inner = self._unit.spelled(target) if tag in AGGREGATES else ""
        return f"*{inner}" if inner else ""

    def fields(self, entry: Any, base: int, prefix: str) -> list[Field]:
        found: list[Field] = []
        for child in entry.iter_children():
            if child.tag != "DW_TAG_member" or "DW_AT_bit_size" in child.attributes:
                continue
            at = child.attributes.get("DW_AT_data_member_location")
            offset = base + (int(at.value) if at is not None and isinstance(at.value, int) else 0)
            kind = self._unit.plain(self._unit.type_of(child))
            name = prefix + name_of(child)
            if kind is not None and kind.tag in AGGREGATES and not self._unit.spelled(kind):
                found += self.fields(kind, offset, f"{name}." if name_of(child) else prefix)
            elif (leads := self.type(kind, 0)) and leads != ("",):
                found.append(Field(offset, name, leads))
        return found

    def _function(self, entry: Any, depth: int) -> Type:
        if depth >= _DEEP:
            return ""
        parameters = [child for child in entry.iter_children() if child.tag == "DW_TAG_formal_parameter"]
        return tuple(self.type(self._unit.type_of(part), depth + 1) for part in (entry, *parameters))
