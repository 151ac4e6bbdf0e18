# SPDX-License-Identifier: Apache-2.0
"""Decides which module a report is blamed on. The rules are ordered by how much they prove."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple, Protocol

from harness.detect.module_list import is_foreign, listed_modules, module_lists
from harness.detect.stacks import (
    ALLOCATED,
    CALL_SITE,
    FREED,
    HANDLERS,
    HELD,
    INTERRUPT,
    MAIN,
    OTHER,
    OWNER,
    PLACES,
    Frame,
    Trace,
)
from harness.detect.titles import is_interrupt, plain
from harness.support.module_name import MODULE_NAME, kernel_name

# Rules that other code asks for
FAULTING_INSTRUCTION = "faulting instruction"
SITE_OF_WARNING = "site of the warning"


class Culprit(NamedTuple):
    """The module that is blamed, with its function."""

    module: str = ""  # "" if no rule found one
    function: str = ""
    rule: str = ""
    offset: int = -1  # in the function, bytes; -1 if it is not known


class _Head(Protocol):
    @property
    def text(self) -> str: ...

    @property
    def module(self) -> str: ...


class _Facts(NamedTuple):
    heads: Sequence[_Head]
    text: str
    site: Frame | None
    traces: list[Trace]
    lists: list[str]  # of loaded modules: the text after "Modules linked in:"
    interrupted: bool  # whether the report is about code that was interrupted


# In a line that announces a report: lib/vsprintf.c prints function+0xoffset/0xsize [module] for %pS. It prints function
# [module] for %ps, which in other lines may be anything: "in preemptible [00000000] code". scripts/decode_stacktrace.sh
# replaces the offset with a place in the source
_AT_HEAD = (
    re.compile(rf"(?P<function>[\w.$]+)\+0x[0-9a-f]+(?:/0x[0-9a-f]+)? \[(?P<module>{MODULE_NAME})\]"),
    re.compile(
        rf"(?:\bat|\bin:?|target:|hint:|from|workqueue:) (?!preemptible )(?:\S+:\d+ )?(?:at )?"
        rf"(?P<function>[\w.$]+) \[(?P<module>{MODULE_NAME})\]"
    ),
    re.compile(rf"(?P<function>)\bf_op=[\w.$]+ \[(?P<module>{MODULE_NAME})\]"),  # a table of functions
    re.compile(rf"\bat (?P<function>[\w.$]+) {PLACES} \[?(?P<module>{MODULE_NAME})\]?(?:,|$)"),
    re.compile(rf"\bat \S+:\d+ (?P<function>[\w.$]+) {PLACES} \[?(?P<module>{MODULE_NAME})\]?$"),
)
# Damage that is noticed when the memory is allocated again, whoever does that: mm/slub.c, mm/page_poison.c
_NOTICED_LATER = re.compile(
    r"\): (?:Poison|Padding) overwritten|Freechain corrupt|pagealloc: (?:memory corruption|single bit error)"
)
# mm/slub.c prints the name of a cache, kernel/locking/lockdep.c that of a lock class. The names of a module's caches
# and classes often begin with the module's name
_CACHE = re.compile(
    r"^(?:BUG (?P<cache>\S+) \(|kmem_cache_destroy (?P<destroyed>\S+):| which belongs to the cache (?P<owner>\S+) )",
    re.MULTILINE,
)
_CLASS = re.compile(r"\((?:&+)?(?P<name>[\w.>-]+)[^)]*\)\{")
# kernel/workqueue.c: process_one_work() about the function that it called, print_worker_info() about the one that the
# worker calls
_WORK = re.compile(
    rf"^(?: +last function:|Workqueue: \S.*) (?P<function>[\w.$]+)(?:\+0x\S+)? \[(?P<module>{MODULE_NAME})\]",
    re.MULTILINE,
)
# kernel/locking/spinlock_debug.c, spin_dump(): a lock in a module's own data
_LOCK_OBJECT = re.compile(rf"^ ?lock: (?P<object>[\w.$]+)(?:\+0x\S+)? \[(?P<module>{MODULE_NAME})\]", re.MULTILINE)
# kernel/module/main.c: load_module(), which calls notifiers and, at its end, the module's init; delete_module(), which
# calls exit and free_module()
_LOADS = re.compile(
    r"load_module|do_one_initcall|do_init_module|init_module_from_file|sys_f?init_module|\w+_module_(?:notify|coming|notifier)"
)
_UNLOADS = re.compile(r"sys_delete_module|free_module|\w+_module_going")
# Addresses of memory for modules. An unmapped address there belonged to a module that was unloaded.
_MODULE_MEMORY = (
    r"ffffffff[a-f][0-9a-f]{7}",  # x86_64: Documentation/x86/x86_64/mm.rst
    r"fffffbfff[4-7][0-9a-f]{6}",  # x86_64: KASAN's shadow of it
    r"bf[0-9a-f]{6}",  # arm: Documentation/arm/memory.rst
    r"ffff8000[0-7][0-9a-f]{7}",  # arm64 with 48 bits, 128 MB or 2 GB: arch/arm64/include/asm/memory.h
    r"ffffffc0[0-7][0-9a-f]{7}",  # arm64 with 39 bits
    r"ffffffff[0-7][0-9a-f]{7}",  # riscv64: Documentation/riscv/vm-layout.rst
)
_MODULE_ADDRESS = re.compile(
    r"(?:(?:address:?|at|pc :|PC is at|RIP: 0010:|epc :) ?)(?:virtual address )?(?:0x)?"
    rf"(?:{'|'.join(_MODULE_MEMORY)})\b"
)
_UNLOADED = re.compile(rf".*\[last unloaded: (?P<module>{MODULE_NAME})")


def blame(heads: Sequence[_Head], text: str, site: Frame | None, traces: list[Trace], *, interrupted: bool) -> Culprit:
    """The module that the first matching rule of the table below finds.

    interrupted: the report is about the code that an interrupt found, as one of a CPU that is stuck.
    """
    facts = _Facts(heads, text, site, traces, list(module_lists(text)), interrupted)
    is_late = any(_NOTICED_LATER.search(head.text) for head in heads)
    for name, rule in _RULES:
        if is_late and rule in _OF_WHO_NOTICED:
            continue
        if found := rule(facts):
            return Culprit(found.module, plain(found.function), name, found.offset)
    return Culprit()


def suspects(text: str) -> tuple[str, ...]:
    """The modules in a report's list of modules that are not part of the kernel's tree, in its order."""
    listed = (found for names in module_lists(text) for found in listed_modules(names))
    return tuple(dict.fromkeys(found["module"] for found in listed if is_foreign(found)))


def _instruction(facts: _Facts) -> Frame | None:
    return facts.site if facts.site and facts.site.module else None


def _named(facts: _Facts) -> Frame | None:
    """The module that the kernel names in words, the one whose code it could not change, or that of a handler."""
    for head in facts.heads:
        if head.module:
            return Frame("", -1, -1, head.module, reliable=True)
    return _first(facts.traces, CALL_SITE) or _only_handler(facts)


def _only_handler(facts: _Facts) -> Frame | None:
    """The handler of an interrupt, if all handlers with a module are of one module, or one module is foreign."""
    frames = [frame for trace in facts.traces if trace.role == HANDLERS for frame in trace.frames if frame.module]
    names = {frame.module for frame in frames}
    if len(names) > 1:
        names &= {found["module"] for listed in facts.lists for found in listed_modules(listed) if is_foreign(found)}
    return next((frame for frame in frames if frame.module in names), None) if len(names) == 1 else None


def _announced(facts: _Facts) -> Frame | None:
    for head in facts.heads:
        for pattern in _AT_HEAD:
            if found := pattern.search(head.text):
                return Frame(found["function"], -1, -1, found["module"], reliable=True)
    return None


def _frame(facts: _Facts) -> Frame | None:
    traces = facts.traces if facts.interrupted else [_above_interrupt(trace) for trace in facts.traces]
    return _first(traces, MAIN, INTERRUPT) or _first(traces, OTHER, "created at", "stored at")


def _above_interrupt(trace: Trace) -> Trace:
    """The trace without the code that an interrupt found, which did not call what is above it."""
    frames = trace.frames
    entry = next((place for place, frame in enumerate(frames) if is_interrupt(frame)), len(frames))
    return replace(trace, frames=frames[:entry])


def _unsure(facts: _Facts) -> Frame | None:
    """The only module that has frames in an interrupt, of which the kernel's unwinder is sure of none."""
    traces = [_above_interrupt(trace) for trace in facts.traces if trace.role == INTERRUPT]
    frames = [frame for trace in traces for frame in trace.frames if frame.module]
    return frames[0]._replace(function="") if len({frame.module for frame in frames}) == 1 else None


def _memory(facts: _Facts) -> Frame | None:
    return _first(facts.traces, ALLOCATED, FREED, "queued by")


def _lock_taken(facts: _Facts) -> Frame | None:
    return _first(facts.traces, HELD, "registered at")


def _work(facts: _Facts) -> Frame | None:
    """The function that a worker of a workqueue calls, or called last."""
    found = _WORK.search(facts.text)
    return Frame(found["function"], -1, -1, found["module"], reliable=True) if found else None


def _owner(facts: _Facts) -> Frame | None:
    """The module of the object, or one whose name is the beginning of the slab cache's or lock class's name."""
    if found := _LOCK_OBJECT.search(facts.text):
        return Frame("", -1, -1, found["module"], reliable=True)
    if variable := _first(facts.traces, OWNER):
        return variable._replace(function="")
    loaded = [listed["module"] for listed in listed_modules(facts.lists[0])] if facts.lists else []
    for pattern in (_CACHE, _CLASS) if loaded else ():
        for match in pattern.finditer(facts.text):
            owned = next((group for group in match.groups() if group), "")
            named = [module for module in loaded if _begins_with(owned, module)]
            if named:  # vendor_net_skb is vendor_net's, and not that of vendor
                return Frame(owned, -1, -1, max(named, key=len), reliable=True)
    return None


def _begins_with(name: str, module: str) -> bool:
    """Whether a name is the module's, or goes on behind it with another word."""
    return re.match(rf"{re.escape(kernel_name(module))}(?![^\W_])", kernel_name(name)) is not None


def _window(facts: _Facts) -> Frame | None:
    """The module that was being loaded or unloaded: the list of modules marks it with + or -.

    If several were, it is the one of them that is not part of the kernel's tree.
    """
    listed = [found for names in facts.lists if "+)" in names or "-)" in names for found in listed_modules(names)]
    if not listed:
        return None
    functions = " ".join(frame.function for trace in facts.traces for frame in trace.frames)
    functions += f" {facts.site.function}" if facts.site else ""
    if _UNLOADS.search(functions):
        states = "-"
    elif _LOADS.search(functions):
        states = "+-"  # a module that failed to load is going
    else:
        return None
    for state in states:
        changing = {found["module"]: found for found in listed if found["state"] == state}
        if len(changing) > 1:
            changing = {name: found for name, found in changing.items() if is_foreign(found)}
        if len(changing) == 1:
            return Frame("", -1, -1, next(iter(changing)), reliable=True)
    return None


def _last_unloaded(facts: _Facts) -> Frame | None:
    """The module that was unloaded last, if the kernel used unmapped memory in the area for modules."""
    found = next((found for names in facts.lists if (found := _UNLOADED.match(names))), None)
    return Frame("", -1, -1, found["module"], reliable=True) if found and _MODULE_ADDRESS.search(facts.text) else None


_RULES: tuple[tuple[str, Callable[[_Facts], Frame | None]], ...] = (
    (FAULTING_INSTRUCTION, _instruction),
    ("named in its text", _named),
    (SITE_OF_WARNING, _announced),
    ("first frame with a module", _frame),
    ("where the memory was allocated or freed", _memory),
    ("where the lock was taken", _lock_taken),
    ("function of the work item", _work),
    ("owner of the cache or lock", _owner),
    ("load or unload window", _window),
    ("memory of an unloaded module", _last_unloaded),
    ("on the stack of an interrupt", _unsure),
)

_OF_WHO_NOTICED = (_announced, _frame, _window, _unsure)


def _first(traces: list[Trace], *roles: str) -> Frame | None:
    """The first credible frame with a module, in traces of these roles."""
    for trace in traces:
        if trace.role in roles and any(frame.module for frame in trace.frames):
            for frame in trace.believed():
                if frame.module:
                    return frame
    return None
