# SPDX-License-Identifier: Apache-2.0
"""The types of exported functions and data, and of the members of structures, as a kernel's headers declare them.

They are read from the DWARF of a file that declares a pointer to each exported symbol
(harness/abi/headers/export_prototypes.py).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.abi.elf.dwarf import AGGREGATES, Layout, Unit, name_of, read_units

PREFIX = "modcompat_"  # of a pointer's name; the symbol's name follows
_MAX_DEPTH = 3  # function pointers among the parameters of function pointers

# A type as far as it leads to structures. "struct x" is that structure, "*struct x" a pointer to it; a tuple is a
# function or a pointer to one: the type of its result, then those of its parameters. "" leads to no structure.
Type = str | tuple[Any, ...]


@dataclass(frozen=True)
class Field:
    """A member that leads to a structure."""

    offset: int  # bytes
    name: str
    type: Type


@dataclass(frozen=True)
class ExportedTypes:
    """The types that modules can reach through a kernel's exports."""

    symbols: dict[str, Type] = field(default_factory=dict)  # of each exported symbol
    fields: dict[str, tuple[Field, ...]] = field(default_factory=dict)  # of each structure, those that lead to another
    prototypes: dict[str, str] = field(default_factory=dict)  # of each exported symbol, its type without typedefs

    def at_offsets_of(self, layouts: Mapping[str, Layout]) -> "ExportedTypes":
        """The same types with the members of some structures at other offsets."""
        moved = {name: tuple(_placed(fields, layouts[name])) for name, fields in self.fields.items() if name in layouts}
        return replace(self, fields=self.fields | moved)


def read_exported_types(file: Path) -> ExportedTypes:
    """The types that an object file declares. Raises the errors of dwarf.read_units()."""
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
                prototypes[name.removeprefix(PREFIX)] = unit.text(declared, resolved=True)
            elif entry.tag not in AGGREGATES or "DW_AT_declaration" in entry.attributes:
                continue
            elif struct := unit.c_name(entry):
                fields[struct] = tuple(reader.fields(entry, 0, ""))
    return ExportedTypes(symbols, {name: found for name, found in fields.items() if found}, prototypes)


def pointee(kind: Type) -> str | None:
    """The structure that a value of this type points to; None if it is not a pointer to one."""
    return kind[1:] if isinstance(kind, str) and kind.startswith("*") else None


def structures(kind: Type) -> set[str]:
    """Every structure that a type names; for a function, also those that its callbacks take."""
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
            return self._unit.c_name(kind) or ""
        if tag == "DW_TAG_subroutine_type":
            return self._function(kind, depth)
        if tag == "DW_TAG_array_type":
            return self.type(self._unit.type_of(kind), depth)
        return (
            self._pointer_to(self._unit.plain(self._unit.type_of(kind)), depth) if tag == "DW_TAG_pointer_type" else ""
        )

    def _pointer_to(self, target: Any, depth: int) -> Type:
        """The type of a pointer to this type."""
        tag = target.tag if target is not None else ""
        if tag == "DW_TAG_subroutine_type":
            return self._function(target, depth)
        inner = self._unit.c_name(target) if tag in AGGREGATES else None
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
            if kind is not None and kind.tag in AGGREGATES and not self._unit.c_name(kind):
                found += self.fields(kind, offset, f"{name}." if name_of(child) else prefix)
            elif (leads := self.type(kind, 0)) and leads != ("",):
                found.append(Field(offset, name, leads))
        return found

    def _function(self, entry: Any, depth: int) -> Type:
        if depth >= _MAX_DEPTH:
            return ""
        parameters = [child for child in entry.iter_children() if child.tag == "DW_TAG_formal_parameter"]
        return tuple(self.type(self._unit.type_of(part), depth + 1) for part in (entry, *parameters))
