# SPDX-License-Identifier: Apache-2.0
"""Where the shadow memory of a kernel is follows from its configuration and its System.map."""

import pytest

from harness.kernel.arch import ARM, ARM64, RISCV64, X86_64, Architecture
from harness.kernel.shadow import shadow_memory

MAP = """ffffffff81000000 T _text
ffffffff81229ba0 T kasan_report
ffffffff8122b000 T kasan_poison
ffffffff8122b100 T kasan_unpoison
ffffffff8122b200 T __kasan_slab_free
ffffffff81a09000 D init_top_pgt
ffffffff81a0a000 D swapper_pg_dir
"""
SMALL_PAGES = {"ARM64_4K_PAGES": "y"}
KASAN = {"KASAN_GENERIC": "y", "KASAN_SHADOW_OFFSET": "0xdffffc0000000000"}


@pytest.mark.parametrize(
    ("arch", "config", "tables", "bits", "lowest"),
    [
        (X86_64, {}, "x86_64", 48, 0xFFFF800000000000),  # Documentation/x86/x86_64/mm.rst
        (ARM64, SMALL_PAGES | {"ARM64_VA_BITS": "39"}, "arm64", 39, 0xFFFFFF8000000000),  # Documentation/arm64
        (ARM64, SMALL_PAGES | {"ARM64_VA_BITS": "48"}, "arm64", 48, 0xFFFF000000000000),
        (ARM, {"KASAN_SHADOW_OFFSET": "0x9f000000"}, "arm", 32, 0xBF000000),  # MODULES_VADDR
        (ARM, {"KASAN_SHADOW_OFFSET": "0x9f000000", "ARM_LPAE": "y"}, "arm64", 32, 0xBF000000),
    ],
)
def test_the_form_of_page_tables(
    arch: Architecture, config: dict[str, str], tables: str, bits: int, lowest: int
) -> None:
    shadow = shadow_memory(arch, {**KASAN, **config}, MAP)
    assert shadow is not None
    assert (shadow.tables, shadow.address_bits, shadow.lowest) == (tables, bits, lowest)


def test_large_pages_are_not_read() -> None:
    assert shadow_memory(ARM64, {**KASAN, "ARM64_64K_PAGES": "y", "ARM64_VA_BITS": "48"}, MAP) is None


def test_the_addresses_of_functions() -> None:
    shadow = shadow_memory(X86_64, KASAN, MAP)
    assert shadow is not None
    assert shadow.page_table == 0xFFFFFFFF81A09000
    assert shadow.report == 0xFFFFFFFF81229BA0
    assert shadow.poisoners == (0xFFFFFFFF8122B000, 0xFFFFFFFF8122B200)


@pytest.mark.parametrize(
    ("arch", "config", "table"),
    [
        (X86_64, {}, MAP),
        (X86_64, KASAN, ""),
        (RISCV64, KASAN, MAP),
        (ARM64, {**KASAN, "ARM64_VA_BITS": "48", "ARM64_PAGE_SHIFT": "16"}, MAP),
    ],
)
def test_other_kernels_have_no_shadow_that_can_be_read(arch: Architecture, config: dict[str, str], table: str) -> None:
    assert shadow_memory(arch, config, table) is None
