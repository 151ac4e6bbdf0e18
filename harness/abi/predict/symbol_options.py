# SPDX-License-Identifier: Apache-2.0
"""The debug option that an exported symbol depends on, from the kernel's source: scripts/symbol_options.py."""

from functools import cache
from pathlib import Path
from typing import NamedTuple

_TABLE = Path(__file__).with_name("symbol_options.txt")
# Symbols that macros export, or that the compiler or a macro inserts calls of: the beginning of their names, the option
_FAMILIES = (
    ("__tracepoint_", "TRACEPOINTS"),  # include/linux/tracepoint.h
    ("__traceiter_", "TRACEPOINTS"),
    ("__SCK__tp_func_", "TRACEPOINTS"),
    ("__SCT__tp_func_", "TRACEPOINTS"),
    ("__asan_", "KASAN"),  # mm/kasan/generic.c
    ("__hwasan_", "KASAN_SW_TAGS"),  # mm/kasan/sw_tags.c
    ("__tsan_", "KCSAN"),  # kernel/kcsan/core.c
    ("__msan_", "KMSAN"),  # mm/kmsan/instrumentation.c
    ("__sanitizer_cov_", "KCOV"),  # kernel/kcov.c
    ("__ubsan_handle_", "UBSAN"),  # lib/ubsan.c
    ("__gcov_", "GCOV_KERNEL"),  # kernel/gcov
    ("__fentry__", "FUNCTION_TRACER"),  # arch/x86/kernel/ftrace_64.S
    ("__x86_indirect_thunk_", "RETPOLINE"),  # arch/x86/lib/retpoline.S; MITIGATION_RETPOLINE since 6.9
    ("__x86_return_thunk", "RETHUNK"),  # MITIGATION_RETHUNK since 6.9
    ("__cfi_slowpath", "CFI_CLANG"),  # kernel/cfi.c until 6.0
    ("__stack_chk_", "STACKPROTECTOR"),  # kernel/panic.c
)


class SymbolOption(NamedTuple):
    """A Kconfig option that decides whether the kernel exports a symbol."""

    name: str  # without CONFIG_
    is_set: bool  # the kernel exports the symbol if the option is set, and otherwise if it is not

    def __str__(self) -> str:
        return f"exported {'with' if self.is_set else 'without'} {self.name}"


def option_of(symbol: str) -> SymbolOption | None:
    """The option that a symbol depends on, None if the kernel exports it in any case or it is not known."""
    family = next((option for beginning, option in _FAMILIES if symbol.startswith(beginning)), "")
    option = family or _options().get(symbol, "")
    return SymbolOption(option.removeprefix("!"), not option.startswith("!")) if option else None


def with_option(symbol: str) -> str:
    """The symbol for people: `mutex_lock_nested (exported with DEBUG_LOCK_ALLOC)`."""
    option = option_of(symbol)
    return f"{symbol} ({option})" if option else symbol


@cache
def _options() -> dict[str, str]:
    lines = (line.split(": ") for line in _TABLE.read_text().splitlines())
    return {symbol: option for option, symbols in lines for symbol in symbols.split()}
