# SPDX-License-Identifier: Apache-2.0
"""Where a kernel with generic KASAN has its shadow memory, and what is needed to read that from outside.

Facts about the kernel are of Linux 6.1: mm/kasan/kasan.h, arch/*/include/asm/kasan.h.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from harness.kernel.arch import Architecture
from harness.kernel.arch.architecture import PageTables

_SCALE_BITS = 3  # KASAN_SHADOW_SCALE_SHIFT: a byte for eight bytes of memory
_SYMBOL = re.compile(r"^([0-9a-f]+) \w (\S+)$", re.MULTILINE)
# Functions that make memory inaccessible
_POISONER = re.compile(r"_*kasan_(?:poison|slab_free|release)\w*")


@dataclass(frozen=True)
class ShadowMemory:
    """The shadow memory of a kernel, and what a reader of it has to know. All addresses are virtual."""

    # format of the kernel's page tables, as images/plugins/accesses.c names it
    tables: str
    # bits of an address that the page tables translate
    address_bits: int
    # KASAN_SHADOW_OFFSET
    offset: int
    # the lowest address of the kernel, which has a shadow
    lowest: int
    # the kernel's own page table
    page_table: int
    # the first function, which the area for modules is relative to
    first_function: int
    # kasan_report(); 0 if it is not known
    report: int
    # functions that make memory inaccessible
    poisoners: tuple[int, ...]


def has_shadow(config: Mapping[str, str]) -> bool:
    """Whether a kernel with this configuration has generic KASAN. config: symbols without CONFIG_."""
    return config.get("KASAN_GENERIC") == "y"


def shadow_memory(arch: Architecture, config: Mapping[str, str], system_map: str) -> ShadowMemory | None:
    """The shadow memory of a kernel; None if it has none, or if its form is not known.

    config: symbols without CONFIG_. system_map: the text of its System.map.
    """
    tables = _page_tables(arch, config) if has_shadow(config) else None
    if tables is None:
        return None
    symbols = {name: int(address, 16) for address, name in _SYMBOL.findall(system_map)}
    root, first = symbols.get(tables.root), symbols.get("_text")
    if root is None or first is None:
        return None
    bits = tables.address_bits if isinstance(tables.address_bits, int) else int(config[tables.address_bits])
    bits = min(bits, tables.most_address_bits)
    offset = int(config["KASAN_SHADOW_OFFSET"], 0)
    # in 32 bits, modules begin behind the shadow, and user space is before it
    behind = offset + (1 << (32 - _SCALE_BITS))
    lowest = (1 << 64) - (1 << (bits - tables.are_shared)) if arch.elf.bits == 64 else behind
    poisoners = tuple(sorted(address for name, address in symbols.items() if _POISONER.fullmatch(name)))
    return ShadowMemory(tables.format, bits, offset, lowest, root, first, symbols.get("kasan_report", 0), poisoners)


def _page_tables(arch: Architecture, config: Mapping[str, str]) -> PageTables | None:
    """The form of a kernel's page tables; None if it cannot be read."""
    forms = (form for form in arch.page_tables if form.option is None or config.get(form.option[0]) == form.option[1])
    return next(forms, None)
