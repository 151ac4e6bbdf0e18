# SPDX-License-Identifier: Apache-2.0
"""The debug option that an exported symbol depends on."""

import os
from pathlib import Path

import pytest

from harness.abi.predict.symbol_options import SymbolOption, option_of, with_option
from scripts.symbol_options import TABLE, exports_of, table
from scripts.symbol_options import option_of as innermost

# VERSION=TREE ..., as scripts/kernel_messages.py takes them
TREES = os.environ.get("MODCOMPAT_KERNEL_TREES", "")


@pytest.mark.parametrize(
    ("symbol", "option"),
    [
        ("mutex_lock_nested", SymbolOption("DEBUG_LOCK_ALLOC", is_set=True)),
        ("mutex_lock", SymbolOption("DEBUG_LOCK_ALLOC", is_set=False)),
        ("lockdep_init_map_type", SymbolOption("LOCKDEP", is_set=True)),
        ("debug_smp_processor_id", SymbolOption("DEBUG_PREEMPT", is_set=True)),
        ("__tracepoint_mmap_lock_released", SymbolOption("TRACEPOINTS", is_set=True)),
        ("__sanitizer_cov_trace_pc", SymbolOption("KCOV", is_set=True)),
        ("kmem_cache_alloc_trace", SymbolOption("TRACING", is_set=True)),
        ("kmalloc_caches", None),
        ("vendor_call", None),
    ],
)
def test_the_option_of_a_symbol(symbol: str, option: SymbolOption | None) -> None:
    assert option_of(symbol) == option


def test_an_option_is_told_to_people() -> None:
    assert with_option("mutex_lock_nested") == "mutex_lock_nested (exported with DEBUG_LOCK_ALLOC)"
    assert with_option("mutex_lock") == "mutex_lock (exported without DEBUG_LOCK_ALLOC)"
    assert with_option("vendor_call") == "vendor_call"


def test_exports_are_read_with_their_conditions() -> None:
    source = """EXPORT_SYMBOL(always);
#ifdef CONFIG_DEBUG
EXPORT_SYMBOL_GPL(with_debug);
# if defined(CONFIG_A) && defined(CONFIG_B)
EXPORT_SYMBOL(with_more);
# endif
#else /* CONFIG_DEBUG */
EXPORT_SYMBOL(without_debug);
#endif
#if IS_ENABLED(CONFIG_TRACE)
EXPORT_SYMBOL_NS_GPL(traced, NAMESPACE);
#endif
"""
    assert dict(exports_of(source)) == {
        "always": (),
        "with_debug": ("DEBUG",),
        "with_more": ("DEBUG", "?"),
        "without_debug": ("!DEBUG",),
        "traced": ("TRACE",),
    }


def test_the_innermost_option_that_all_exports_need_counts() -> None:
    menu = frozenset({"DEBUG", "MORE"})
    assert innermost([("DEBUG", "SMP", "MORE"), ("MORE", "DEBUG")], menu) == "MORE"
    assert innermost([("DEBUG", "SMP"), ("SMP",)], menu) == ""
    assert innermost([("!DEBUG",)], menu) == "!DEBUG"


@pytest.mark.skipif(not TREES, reason="MODCOMPAT_KERNEL_TREES names no kernel trees")
def test_the_table_is_what_the_trees_give() -> None:
    assert table([Path(word.partition("=")[2]) for word in TREES.split()]) == TABLE.read_text()
