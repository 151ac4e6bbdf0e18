# SPDX-License-Identifier: Apache-2.0
"""Where a kernel with generic KASAN has its shadow memory, and what is needed to read that from outside.

Facts about the kernel are of Linux 6.1: mm/kasan/kasan.h, arch/*/include/asm/kasan.h.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from harness.kernel.arch import Architecture

_SCALE_BITS = 3  # KASAN_SHADOW_SCALE_SHIFT: a byte for eight bytes of memory
_SYMBOL = re.compile(r"^([0-9a-f]+) \w (\S+)$", re.MULTILINE)
# Functions that make memory inaccessible
_POISONER = re.compile(r"_*kasan_(?:poison|slab_free|release)\w*")
_PAGE_TABLES = {"x86_64": "init_top_pgt", "arm64": "swapper_pg_dir", "arm": "swapper_pg_dir"}


@dataclass(frozen=True)
class ShadowMemory:
    """The shadow memory of a kernel, and what a reader of it has to know. All addresses are virtual."""

    # format of the kernel's page tables, as images/accesses/plugin/accesses.c names it
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
    found = _form(arch, config)
    symbols = {name: int(address, 16) for address, name in _SYMBOL.findall(system_map)}
    table, first = symbols.get(_PAGE_TABLES.get(arch.name, "")), symbols.get("_text")
    if not has_shadow(config) or found is None or table is None or first is None:
        return None
    tables, bits = found
    offset = int(config["KASAN_SHADOW_OFFSET"], 0)
    if arch.elf.bits == 64:
        lowest = (1 << 64) - (1 << (bits - (arch.name == "x86_64")))
    else:
        lowest = offset + (1 << (32 - _SCALE_BITS))  # modules begin behind the shadow, and user space is before it
    poisoners = tuple(sorted(address for name, address in symbols.items() if _POISONER.fullmatch(name)))
    return ShadowMemory(tables, bits, offset, lowest, table, first, symbols.get("kasan_report", 0), poisoners)


def _form(arch: Architecture, config: Mapping[str, str]) -> tuple[str, int] | None:
    """The format of the page tables, and how many bits of an address they translate; None if it is not supported."""
    if arch.name == "x86_64":
        return "x86_64", 48  # also with X86_5LEVEL: the CPUs of the boards have four levels
    if arch.name == "arm64":
        small_pages = config.get("ARM64_PAGE_SHIFT", "12") == "12"
        return ("arm64", int(config["ARM64_VA_BITS"])) if small_pages else None
    if arch.name == "arm":
        return ("arm64", 32) if config.get("ARM_LPAE") == "y" else ("arm", 32)
    return None
