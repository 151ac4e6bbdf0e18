# SPDX-License-Identifier: Apache-2.0
"""Decides which module a report is blamed on. The rules are ordered by how much they prove."""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from harness.detect.stacks import ALLOCATED, FREED, HELD, INTERRUPT, MAIN, OTHER, Frame, Trace
from harness.detect.titles import plain
from harness.support.module_name import MODULE_NAME


class Culprit(NamedTuple):
    """The module that is blamed, with its function."""

    module: str = ""  # "" if no rule found one
    function: str = ""
    rule: str = ""
    offset: int = -1  # in the function, bytes; -1 if it is not known


class _Head(Protocol):
    @property
    def text(self) -> str: ...


class _Facts(NamedTuple):
    heads: Sequence[_Head]
    text: str
    site: Frame | None
    traces: list[Trace]
    lists: list[str]  # of loaded modules: the text after "Modules linked in:"


_FUNCTION = rf"(?P<function>[\w.$]+)(?:\+0x[0-9a-f]+(?:/0x[0-9a-f]+)?)? \[(?P<module>{MODULE_NAME})\]"
_AT_HEAD = re.compile(
    rf"(?:\bat|in:?|target:|hint:|from) (?:\S+:\d+ )?(?:at )?{_FUNCTION}|\.c:\d+ {_FUNCTION.replace('P<', 'P<x')}"
)
# mm/slub.c prints the name of a cache, kernel/locking/lockdep.c that of a lock class. The names of a module's caches
# and classes often begin with the module's name
_CACHE = re.compile(
    r"^(?:BUG (?P<cache>\S+) \(|kmem_cache_destroy (?P<destroyed>\S+):| which belongs to the cache (?P<owner>\S+) )",
    re.MULTILINE,
)
_CLASS = re.compile(r"\((?:&+)?(?P<name>[\w.>-]+)[^)]*\)\{")
_MODULE_LIST = "Modules linked in:"
# kernel/module/main.c: load_module() and delete_module() call a module's init and exit
_LOAD_OR_UNLOAD = re.compile(
    r"do_one_initcall|do_init_module|__do_sys_delete_module|__(?:se|x64|arm64|ia32|riscv)_sys_delete_module"
)
_LOADING = re.compile(rf"(?P<module>{MODULE_NAME})\([A-Z]*[+-]\)")
# Addresses of memory for modules. An unmapped address there belonged to a module that was unloaded.
_MODULE_MEMORY = (
    r"ffffffff[a-f][0-9a-f]{7}",  # x86_64: Documentation/x86/x86_64/mm.rst
    r"fffffbfff[4-7][0-9a-f]{6}",  # x86_64: KASAN's shadow of it
    r"bf[0-9a-f]{6}",  # arm: Documentation/arm/memory.rst
    r"ffff800[0-9a-f]0[0-7][0-9a-f]{7}",  # arm64 with 48 bits: Documentation/arm64/memory.rst
    r"ffffffc00[0-7][0-9a-f]{6}",  # arm64 with 39 bits
    r"ffffffff[0-7][0-9a-f]{7}",  # riscv64: Documentation/riscv/vm-layout.rst
)
_MODULE_ADDRESS = re.compile(
    r"(?:(?:address:?|at|pc :|PC is at|RIP: 0010:|epc :) ?)(?:virtual address )?(?:0x)?"
    rf"(?:{'|'.join(_MODULE_MEMORY)})\b"
)
_UNLOADED = re.compile(rf".*\[last unloaded: (?P<module>{MODULE_NAME})")


def blame(heads: Sequence[_Head], text: str, site: Frame | None, traces: list[Trace]) -> Culprit:
    """The module that the first matching rule of the table below finds."""
    lists = [line.removeprefix(_MODULE_LIST) for line in text.split("\n") if line.startswith(_MODULE_LIST)]
    facts = _Facts(heads, text, site, traces, lists)
    for name, rule in _RULES:
        if found := rule(facts):
            return Culprit(found.module, plain(found.function), name, found.offset)
    return Culprit()


def _instruction(facts: _Facts) -> Frame | None:
    return facts.site if facts.site and facts.site.module else None


def _announced(facts: _Facts) -> Frame | None:
    for head in facts.heads:
        if found := _AT_HEAD.search(head.text):
            return Frame(
                found["function"] or found["xfunction"], -1, -1, found["module"] or found["xmodule"], reliable=True
            )
    return None


def _frame(facts: _Facts) -> Frame | None:
    return _first(facts.traces, MAIN, INTERRUPT) or _first(facts.traces, OTHER, "created at", "stored at")


def _memory(facts: _Facts) -> Frame | None:
    return _first(facts.traces, ALLOCATED, FREED, "queued by")


def _lock_taken(facts: _Facts) -> Frame | None:
    return _first(facts.traces, HELD, "registered at")


def _owner(facts: _Facts) -> Frame | None:
    """A loaded module whose name is the beginning of the slab cache's or lock class's name."""
    names = facts.lists[0].split() if facts.lists else ()
    loaded = [name.partition("(")[0] for name in names if name[0] != "["]
    for pattern in (_CACHE, _CLASS) if loaded else ():
        for found in pattern.finditer(facts.text):
            owned = next((group for group in found.groups() if group), "")
            for module in loaded:
                if owned.startswith(module):
                    return Frame(owned, -1, -1, module, reliable=True)
    return None


def _window(facts: _Facts) -> Frame | None:
    """The module that was being loaded or unloaded: the list of modules marks it with + or -."""
    found = next((found for names in facts.lists if (found := _LOADING.search(names))), None)
    if not found or not any(_LOAD_OR_UNLOAD.search(frame.function) for trace in facts.traces for frame in trace.frames):
        return None
    return Frame("", -1, -1, found["module"], reliable=True)


def _last_unloaded(facts: _Facts) -> Frame | None:
    """The module that was unloaded last, if the kernel used unmapped memory in the area for modules."""
    found = next((found for names in facts.lists if (found := _UNLOADED.match(names))), None)
    return Frame("", -1, -1, found["module"], reliable=True) if found and _MODULE_ADDRESS.search(facts.text) else None


_RULES: tuple[tuple[str, Callable[[_Facts], Frame | None]], ...] = (
    ("faulting instruction", _instruction),
    ("site of the warning", _announced),
    ("first frame with a module", _frame),
    ("where the memory was allocated or freed", _memory),
    ("where the lock was taken", _lock_taken),
    ("owner of the cache or lock", _owner),
    ("load or unload window", _window),
    ("memory of an unloaded module", _last_unloaded),
)


def _first(traces: list[Trace], *roles: str) -> Frame | None:
    """The first credible frame with a module, in traces of these roles."""
    for trace in traces:
        if trace.role in roles and any(frame.module for frame in trace.frames):
            for frame in trace.believed():
                if frame.module:
                    return frame
    return None
