# SPDX-License-Identifier: Apache-2.0
"""Which module a report is blamed on, and by which rule: the order of the rules is the order of belief."""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from harness.detect.stacks import ALLOCATED, FREED, HELD, INTERRUPT, MAIN, OTHER, Frame, Trace
from harness.detect.titles import plain
from harness.support.module_name import MODULE_NAME


class Culprit(NamedTuple):
    """module, and its function; "" where no rule found one. offset: in the function, -1 where not told."""

    module: str = ""
    function: str = ""
    rule: str = ""
    offset: int = -1


class _Head(Protocol):
    @property
    def text(self) -> str: ...


class _Facts(NamedTuple):
    heads: Sequence[_Head]
    text: str
    site: Frame | None
    traces: list[Trace]
    lists: list[str]  # of the loaded modules: what stands behind "Modules linked in:"


_FUNCTION = rf"(?P<function>[\w.$]+)(?:\+0x[0-9a-f]+(?:/0x[0-9a-f]+)?)? \[(?P<module>{MODULE_NAME})\]"
_AT_HEAD = re.compile(
    rf"(?:\bat|in:?|target:|hint:|from) (?:\S+:\d+ )?(?:at )?{_FUNCTION}|\.c:\d+ {_FUNCTION.replace('P<', 'P<x')}"
)
# mm/slub.c names a cache, kernel/locking/lockdep.c a lock class: a module's own often begin with its name
_CACHE = re.compile(
    r"^(?:BUG (?P<cache>\S+) \(|kmem_cache_destroy (?P<destroyed>\S+):| which belongs to the cache (?P<owner>\S+) )",
    re.MULTILINE,
)
_CLASS = re.compile(r"\((?:&+)?(?P<name>[\w.>-]+)[^)]*\)\{")
_LISTS = "Modules linked in:"
# kernel/module/main.c: load_module() and delete_module() call a module's init and exit
_WINDOW = re.compile(
    r"do_one_initcall|do_init_module|__do_sys_delete_module|__(?:se|x64|arm64|ia32|riscv)_sys_delete_module"
)
_LOADING = re.compile(rf"(?P<module>{MODULE_NAME})\([A-Z]*[+-]\)")
# Addresses of memory for modules: what is not mapped there belonged to a module that is gone.
_MODULE_MEMORY = (
    r"ffffffff[a-f][0-9a-f]{7}",  # x86_64: Documentation/x86/x86_64/mm.rst
    r"fffffbfff[4-7][0-9a-f]{6}",  # x86_64: the shadow that KASAN has of it
    r"bf[0-9a-f]{6}",  # arm: Documentation/arm/memory.rst
    r"ffff800[0-9a-f]0[0-7][0-9a-f]{7}",  # arm64 with 48 bits: Documentation/arm64/memory.rst
    r"ffffffc00[0-7][0-9a-f]{6}",  # arm64 with 39 bits
    r"ffffffff[0-7][0-9a-f]{7}",  # riscv64: Documentation/riscv/vm-layout.rst
)
_GONE = re.compile(
    r"(?:(?:address:?|at|pc :|PC is at|RIP: 0010:|epc :) ?)(?:virtual address )?(?:0x)?"
    rf"(?:{'|'.join(_MODULE_MEMORY)})\b"
)
_UNLOADED = re.compile(rf".*\[last unloaded: (?P<module>{MODULE_NAME})")


def blame(heads: Sequence[_Head], text: str, site: Frame | None, traces: list[Trace]) -> Culprit:
    """The first rule that finds a module, of those in the table below."""
    lists = [line.removeprefix(_LISTS) for line in text.split("\n") if line.startswith(_LISTS)]
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
    """A loaded module whose name begins the name of the slab cache or lock class."""
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
    if not found or not any(_WINDOW.search(frame.function) for trace in facts.traces for frame in trace.frames):
        return None
    return Frame("", -1, -1, found["module"], reliable=True)


def _gone(facts: _Facts) -> Frame | None:
    """The module that was unloaded last, where memory for modules is used that is not there any more."""
    found = next((found for names in facts.lists if (found := _UNLOADED.match(names))), None)
    return Frame("", -1, -1, found["module"], reliable=True) if found and _GONE.search(facts.text) else None


_RULES: tuple[tuple[str, Callable[[_Facts], Frame | None]], ...] = (
    ("faulting instruction", _instruction),
    ("site of the warning", _announced),
    ("first frame with a module", _frame),
    ("where the memory was allocated or freed", _memory),
    ("where the lock was taken", _lock_taken),
    ("owner of the cache or lock", _owner),
    ("load or unload window", _window),
    ("memory of an unloaded module", _gone),
)


def _first(traces: list[Trace], *roles: str) -> Frame | None:
    """The first credible frame with a module, in traces of these roles."""
    for trace in traces:
        if trace.role in roles and any(frame.module for frame in trace.frames):
            for frame in trace.believed():
                if frame.module:
                    return frame
    return None
