# SPDX-License-Identifier: Apache-2.0
"""Structure layouts and enumerators, read from the DWARF of a compiled file with pyelftools.

DWARF Debugging Information Format version 4, sections 5.5 (structures and unions), 5.5.6 (members) and 5.7
(enumerations).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elftools.elf.elffile import ELFFile

AGGREGATES = {"DW_TAG_structure_type": "struct", "DW_TAG_union_type": "union"}
_QUALIFIERS = ("DW_TAG_const_type", "DW_TAG_volatile_type", "DW_TAG_restrict_type", "DW_TAG_atomic_type")
_PARAMETERS = {"DW_TAG_formal_parameter": "", "DW_TAG_unspecified_parameters": "..."}
_MAX_DEPTH = 3  # function types and anonymous structures nested in one another
# Types that wrap another one, as C writes them: {0} is the inner type, {1} the number of elements.
_WRAPPED = {
    "DW_TAG_pointer_type": "{0} *",
    "DW_TAG_array_type": "{0}[{1}]",
    "DW_TAG_const_type": "const {0}",
    "DW_TAG_volatile_type": "volatile {0}",
    "DW_TAG_restrict_type": "{0} restrict",
    "DW_TAG_atomic_type": "_Atomic {0}",
}


@dataclass(frozen=True)
class Member:
    """A member of a structure or union."""

    name: str
    offset: int  # bytes
    size: int  # bytes
    type: str  # as C writes it
    embeds: str | None = None  # the structure that it is, or that it is an array of
    bits: tuple[int, int] | None = None  # of a bit field: (first bit in the structure, number of bits)


@dataclass(frozen=True)
class Layout:
    """A structure or union."""

    name: str  # with its keyword; the name of its typedef if it has no name
    size: int  # bytes
    members: tuple[Member, ...]  # members of anonymous members are listed as its own
    alias: str | None = None  # the name of a typedef for it
    alignment: int = 0  # bytes that the `aligned` attribute demands; 0 without it

    @property
    def names(self) -> set[str]:
        """Every name that a user may call it: `struct module`, `module`, `spinlock_t`."""
        return {self.name, self.name.split(" ")[-1], *([self.alias] if self.alias else [])}


def read_layouts(file: Path) -> dict[str, Layout]:
    """Every complete structure and union of an ELF file with debug information, by name.

    Raises elftools' ELFError for a file that is not ELF, ValueError for one without debug information.
    """
    layouts: dict[str, Layout] = {}
    for unit in read_units(file):
        for layout in unit.layouts():
            known = layouts.get(layout.name)
            if known is None or (layout.alias and not known.alias):
                layouts[layout.name] = layout
    return layouts


def read_enumerators(file: Path) -> dict[str, int]:
    """The enumerators of a file with one compilation unit: name -> value. Raises the errors of read_layouts()."""
    return {
        name_of(enumerator): _number(enumerator, "DW_AT_const_value")
        for unit in read_units(file)
        for entry in unit.top
        if entry.tag == "DW_TAG_enumeration_type"
        for enumerator in entry.iter_children()
    }


def read_units(file: Path) -> "Iterator[Unit]":
    """The compilation units of an ELF file with debug information. Raises the errors of read_layouts()."""
    with file.open("rb") as stream:
        elf: Any = ELFFile(stream)
        if not elf.has_dwarf_info(strict=True):
            raise ValueError(f"{file} has no debug information")
        for unit in elf.get_dwarf_info().iter_CUs():
            yield Unit(unit)


class Unit:
    """A compilation unit: its entries (DIEs in pyelftools) by offset."""

    def __init__(self, unit: Any) -> None:
        self._pointer = unit["address_size"]
        self._base = unit.cu_offset
        self.top = list(unit.get_top_DIE().iter_children())
        self._by_offset = {entry.offset: entry for entry in self.top}
        self._aliases: dict[int, str] = {}
        for entry in self.top:
            if entry.tag == "DW_TAG_typedef" and (target := self.type_of(entry)) is not None:
                self._aliases.setdefault(target.offset, name_of(entry))

    def layouts(self) -> list[Layout]:
        found = []
        for entry in self.top:
            if entry.tag not in AGGREGATES or "DW_AT_declaration" in entry.attributes:
                continue
            name, alias = self.c_name(entry), self._aliases.get(entry.offset)
            if name:
                members = tuple(self._members(entry, 0, ""))
                found.append(Layout(name, self._size(entry), members, alias, _number(entry, "DW_AT_alignment")))
        return found

    def c_name(self, entry: Any) -> str | None:
        """The name of a structure or union as C code uses it, None if it is anonymous."""
        name = name_of(entry)
        return f"{AGGREGATES[entry.tag]} {name}" if name else self._aliases.get(entry.offset)

    def _members(self, entry: Any, base: int, prefix: str) -> list[Member]:
        members = []
        for child in entry.iter_children():
            if child.tag != "DW_TAG_member":
                continue
            kind = self.plain(self.type_of(child))
            offset = base + _number(child, "DW_AT_data_member_location")
            name = prefix + name_of(child)
            if kind is not None and kind.tag in AGGREGATES and not self.c_name(kind):
                members += self._members(kind, offset, f"{name}." if name_of(child) else prefix)
                continue
            bits = None
            if "DW_AT_bit_size" in child.attributes:
                first, count = _bits(child)
                bits = (base * 8 + first, count)
                offset = bits[0] // 8
            members.append(
                Member(name, offset, self._size(kind), self.text(self.type_of(child)), self._embedded(kind), bits)
            )
        return members

    def type_of(self, entry: Any) -> Any:
        attribute = entry.attributes.get("DW_AT_type")
        if attribute is None:
            return None
        offset = attribute.value + self._base
        return self._by_offset.get(offset) or entry.get_DIE_from_attribute("DW_AT_type")

    def plain(self, entry: Any) -> Any:
        """A type without typedefs and qualifiers."""
        while (entry := self._without_typedefs(entry)) is not None and entry.tag in _QUALIFIERS:
            entry = self.type_of(entry)
        return entry

    def _without_typedefs(self, entry: Any) -> Any:
        while entry is not None and entry.tag == "DW_TAG_typedef":
            entry = self.type_of(entry)
        return entry

    def _embedded(self, entry: Any) -> str | None:
        """The structure that a type is, or that it is an array of."""
        entry = self.plain(entry)
        while entry is not None and entry.tag == "DW_TAG_array_type":
            entry = self.plain(self.type_of(entry))
        return self.c_name(entry) if entry is not None and entry.tag in AGGREGATES else None

    def _size(self, entry: Any) -> int:
        """Bytes of a type; 0 for void, functions and open arrays."""
        entry = self.plain(entry)
        if entry is None:
            return 0
        if "DW_AT_byte_size" in entry.attributes:
            return _number(entry, "DW_AT_byte_size")
        if entry.tag == "DW_TAG_pointer_type":
            return int(self._pointer)
        if entry.tag == "DW_TAG_array_type":
            return self._size(self.type_of(entry)) * _elements(entry)
        return 0

    def text(self, entry: Any, depth: int = 0, *, resolved: bool = False) -> str:
        """A type as C writes it.

        depth: the number of function types and anonymous structures around it; deeper than _MAX_DEPTH it is cut.
        resolved: write what a typedef stands for instead of its name.
        """
        entry = self._without_typedefs(entry) if resolved else entry
        if entry is None:
            return "void"
        tag, name = entry.tag, name_of(entry)
        if tag in AGGREGATES:
            return self.c_name(entry) or f"{AGGREGATES[tag]} {{{self._members_text(entry, depth, resolved=resolved)}}}"
        if tag == "DW_TAG_enumeration_type":
            return f"enum {name or self._aliases.get(entry.offset, '')}".strip()
        inner = self.type_of(entry) if tag == "DW_TAG_pointer_type" else entry
        inner = self._without_typedefs(inner) if resolved else inner
        if inner is not None and inner.tag == "DW_TAG_subroutine_type":
            return self._function(inner, depth, "" if inner is entry else "(*)", resolved=resolved)
        if tag not in _WRAPPED:
            return name or "?"
        wrapped = self.text(self.type_of(entry), depth, resolved=resolved)
        return _WRAPPED[tag].format(wrapped, _elements(entry)).replace("* *", "**")

    def _function(self, entry: Any, depth: int, pointer: str, *, resolved: bool) -> str:
        def text(part: Any) -> str:
            return self.text(self.type_of(part), depth + 1, resolved=resolved)

        parameters = ["..."]
        if depth < _MAX_DEPTH:
            entries = [child for child in entry.iter_children() if child.tag in _PARAMETERS]
            parameters = [_PARAMETERS[child.tag] or text(child) for child in entries]
        return f"{text(entry)} {pointer}({', '.join(parameters)})"

    def _members_text(self, entry: Any, depth: int, *, resolved: bool) -> str:
        """The members of an anonymous structure."""
        if depth >= _MAX_DEPTH:
            return "..."
        words = []
        for child in entry.iter_children():
            if child.tag == "DW_TAG_member":
                bits = f":{_number(child, 'DW_AT_bit_size')}" if "DW_AT_bit_size" in child.attributes else ""
                kind = self.text(self.type_of(child), depth + 1, resolved=resolved)
                words.append(f"{kind} {name_of(child)}{bits};")
        return " ".join(words)


def name_of(entry: Any) -> str:
    attribute = entry.attributes.get("DW_AT_name")
    return attribute.value.decode(errors="backslashreplace") if attribute else ""


def _number(entry: Any, attribute: str) -> int:
    found = entry.attributes.get(attribute)
    return int(found.value) if found is not None and isinstance(found.value, int) else 0


def _bits(member: Any) -> tuple[int, int]:
    """(first bit in the structure, number of bits), little-endian. GCC 12 writes DWARF 4 in the older form."""
    count = _number(member, "DW_AT_bit_size")
    if "DW_AT_bit_offset" not in member.attributes:
        return _number(member, "DW_AT_data_bit_offset"), count
    storage = _number(member, "DW_AT_byte_size") * 8  # bits; the bit offset counts from the most significant one
    start = _number(member, "DW_AT_data_member_location") * 8
    return start + storage - _number(member, "DW_AT_bit_offset") - count, count


def _elements(array: Any) -> int:
    count = 1
    for child in array.iter_children():
        if child.tag == "DW_TAG_subrange_type":
            if "DW_AT_count" in child.attributes:
                count *= _number(child, "DW_AT_count")
            elif "DW_AT_upper_bound" in child.attributes:
                count *= _number(child, "DW_AT_upper_bound") + 1
            else:
                return 0
    return count
