# SPDX-License-Identifier: Apache-2.0
"""The title of a report, and the function in it."""

import re
from collections.abc import Iterable, Iterator
from itertools import pairwise, takewhile

from harness.detect.kinds import FunctionSource, Wording
from harness.detect.roles import Role, bare, role
from harness.detect.stacks import CALL_SITE, HELD, INTERRUPT, MAIN, OTHER, REGISTERED, Frame, Trace
from harness.support.module_name import MODULE_NAME

UNKNOWN = "corrupted"  # stands for a function that a torn report does not name

# Functions of these roles only serve their callers: the caller tells more about what went wrong
SERVES_CALLER = frozenset({
    Role.CHECKS, Role.REPORTS, Role.FAULT, Role.LOCK, Role.RCU, Role.ALLOCATOR, Role.COPY, Role.LIBRARY, Role.WAIT,
    Role.TIMER, Role.WORK, Role.OBJECT, Role.BUFFER, Role.TRACING,
})  # fmt: skip
_CALLERS = frozenset({Role.CALLS, Role.ENTRY})  # the frame above such a function is the handler that it called
_SLEEPS = SERVES_CALLER - {Role.RCU} | {Role.BUS}
# Inline functions of include/linux/refcount.h that the compiler may emit out of line, also in modules
_INLINE_HELPER = re.compile(r"_*refcount_(?:add|sub|inc|dec)(?:_not_zero|_and_test)?\b")
# Functions whose names say that they return what they allocate: Documentation/core-api/memory-allocation.rst
_ALLOCATES = re.compile(r"alloc|dup")
_THREAD = re.compile(r"kthread$|ret_from_fork|smpboot_thread_fn|kthread_worker_fn")  # outermost functions of threads
_SYSCALL_PREFIX = re.compile(
    r"^(?:__(?:x64|ia32|arm64|riscv|s390x?)_(?=(?:compat_)?sys_)|__(?:se|do)_(?=(?:compat_)?sys_)|(?:compat_)?(?:SYSC|SyS)_)"
)
# kernel/locking/lockdep.c, print_lock(): "(class){usage}-{2:2}, at: function"; other lines with "at:" are no locks
_LOCK_LINE = re.compile(
    r".*[})\]],? at:?\s+(?:\[<(?:0x)?[0-9a-f]+>\]\s+)?(?P<at>[A-Za-z_][\w.$]*)"
    rf"(?P<rest>\+0x\S+(?: \[(?P<module>{MODULE_NAME})\])?.*| \S+:\d+.*|$)"
)
_RELEASED = re.compile(r"\s*(?:\[<(?:0x)?[0-9a-f]+>\] )?(?P<at>[A-Za-z_][\w.$]*)\+0x")
_OWNER = re.compile(rf"\S* \[({MODULE_NAME})\]")
# Parts of a line that differ each time it is printed, and their replacements
_VARYING_PARTS = (
    (re.compile(rf"\+0x[0-9a-f]+(?:/0x[0-9a-f]+)?(?: \[{MODULE_NAME}\])?"), ""),
    (re.compile(r"\b(?:0x)?[0-9a-f]{8,}\b"), "ADDR"),
    (re.compile(r"\b(?:0x[0-9a-f]+|\d+)\b"), "NUM"),
)
_WORK = re.compile(r"\s+last function: (?P<at>[\w.$]+)")


def plain(function: str) -> str:
    """A function's name without what the compiler adds to it."""
    return bare(function)


def normal(text: str) -> str:
    """A piece of a headline without the parts that differ each time it is printed."""
    for pattern, word in _VARYING_PARTS:
        text = pattern.sub(word, text)
    return text.strip(" !.:")


def title(wording: Wording, found: re.Match[str], access: str, function: str) -> str:
    """The title of a report. function: "" if the report does not name it."""
    form = wording.title
    if "{access}" in form and not access:
        # The line with the access is missing, so the report is torn: only its first line is left
        return normal(found.string.strip()).removeprefix("BUG: ")
    words = {"access": access, "function": function or UNKNOWN}
    words |= {name: normal(value or "") for name, value in found.groupdict().items() if f"{{{name}}}" in form}
    if "{form}" in form:
        words["form"] = "WARNING" if words["form"] == "WARNING" else "BUG"
    if "{line}" in form:
        words["line"] = normal(found.string)
    return " ".join(form.format_map(words).split())


def function(wording: Wording, found: re.Match[str], texts: list[str], site: Frame | None, traces: list[Trace]) -> str:
    """The function that a report is about; "" if it names no function."""
    return plain(_FINDERS[wording.where](_Parts(wording, found, texts, site, traces)))


class _Parts:
    """The parts of a report that may name its function."""

    def __init__(
        self, wording: Wording, found: re.Match[str], texts: list[str], site: Frame | None, traces: list[Trace]
    ) -> None:
        head: str = found.groupdict().get("at") or ""
        owned = _OWNER.match(found.string, found.end("at")) if head else None
        rest = found.string[found.end("at") :] if head else ""
        inlined = rest.startswith(" ") and rest.endswith(" [inline]")
        self.head = Frame("" if inlined else head, -1, -1, owned[1] if owned else "", reliable=True)
        self.skip = SERVES_CALLER.union(wording.skip)
        self.texts = texts
        self.site = site or Frame("", -1, -1, "", reliable=True)
        self.traces = traces

    def is_helper(self, frame: Frame) -> bool:
        """Whether a function only serves its caller.

        A function in a module never does, whatever its name, unless it comes from the kernel's headers.
        """
        if frame.module:
            return _INLINE_HELPER.match(frame.function) is not None
        return role(frame.function, frame.path) in self.skip

    def frames(self, *roles: str) -> Iterator[Frame]:
        """The functions in the traces of some roles."""
        return (frame for trace in self.traces if trace.role in roles for frame in _functions(trace))

    def first(self, frames: Iterable[Frame]) -> str:
        """The first function that does more than serve its caller."""
        before = ""
        for frame in frames:
            if frame.function and not self.is_helper(frame):
                return before if before and _THREAD.match(frame.function) else frame.function
            before = frame.function or before
        # A trace that ends in entry code is whole: the fault was there
        return before if role(before) is Role.FAULT else ""

    def line(self, pattern: re.Pattern[str]) -> str:
        return next((match["at"] for text in self.texts[1:] if (match := pattern.match(text))), "")


def _headline(parts: _Parts) -> str:
    # A guess of the unwinder says less than the function that the kernel names
    return parts.first([parts.head, *(frame for frame in parts.frames(MAIN, INTERRUPT) if frame.reliable)])


def _line(parts: _Parts) -> str:
    return parts.head.function


def _site(parts: _Parts) -> str:
    return parts.first([parts.site, *parts.frames(MAIN, INTERRUPT), parts.head])


def _trace(parts: _Parts) -> str:
    return parts.first([*parts.frames(MAIN, INTERRUPT), parts.site])


def _lock(parts: _Parts) -> str:
    if any(text.startswith("... which became ") for text in parts.texts):  # the interrupt that takes the lock
        return parts.first(parts.frames(REGISTERED)) or _trace(parts)
    taker = _taker(parts)
    frames = [Frame("", -1, -1, "", reliable=True), *parts.frames(MAIN, INTERRUPT)]
    for (lock, above), frame in zip(pairwise(frames), frames[2:], strict=False):
        # fs_reclaim_acquire() of mm/page_alloc.c passes the address of its caller to lockdep
        if frame.function == taker.function and _role(lock) is Role.LOCK is not _role(above):
            return above.function
    return _unless_lock(taker) or _trace(parts) or taker.function


def _taker(parts: _Parts) -> Frame:
    """The function that takes the lock, an empty frame if the report does not name it."""
    if released := _released(parts.texts):
        return Frame(released, -1, -1, "", reliable=True)
    found = (match for text in parts.texts[1:] if (match := _LOCK_LINE.match(text)))
    taken = next((match for match in found if not match["rest"].endswith(" [inline]")), None)
    return Frame(taken["at"] if taken else "", -1, -1, taken["module"] or "" if taken else "", reliable=True)


def _unless_lock(frame: Frame) -> str:
    """The function that takes a lock, whatever its role, unless locks are its role."""
    return frame.function if _role(frame) is not Role.LOCK else ""


def _released(texts: list[str]) -> str:
    """The function that a report names behind a line that ends with "at:".

    kernel/locking/lockdep.c: print_unlock_imbalance_bug() prints one line, print_bad_irq_dependency() a trace.
    """
    ahead = next((number for number, text in enumerate(texts, 1) if text.endswith((") at:", "-safe at:"))), len(texts))
    found = list(takewhile(bool, map(_RELEASED.match, texts[ahead:])))
    frames = [Frame(match["at"], -1, -1, "", reliable=True) for match in found if match]
    return next(filter(None, map(_unless_lock, frames)), "")


def _held(parts: _Parts) -> str:
    holders = list(parts.frames(HELD)) or [_taker(parts)]
    return next(filter(None, map(_unless_lock, holders)), "") or _trace(parts) or holders[0].function


def _owner(parts: _Parts) -> str:
    frames = [frame for frame in parts.frames(MAIN, INTERRUPT) if frame.module or not _ALLOCATES.search(frame.function)]
    return parts.first(frames) or _trace(parts)


def _stall(parts: _Parts) -> str:
    for trace in _joined(parts.traces):
        # A task that sleeps keeps no processor busy: kernel/rcu/tree_stall.h also prints the thread of RCU
        if _role(trace[0]) is not Role.WAIT and (called := _called(_interrupted(trace))):
            return called
    # kernel/rcu/tree_stall.h, print_cpu_stall(): the registers and the stack are those of the interrupted code
    return _loop(parts) if parts.site.function else ""


def _interrupted(frames: list[Frame]) -> list[Frame]:
    """The frames below the interrupt in which the report was printed; all frames if they were printed from outside."""
    entry = next((place for place, frame in enumerate(frames) if _role(frame) is Role.INTERRUPT), 0)
    if all(_role(frame) is not Role.REPORTS for frame in frames[:entry]):
        return frames
    while entry < len(frames) and _role(frames[entry]) is Role.INTERRUPT:
        entry += 1
    return frames[entry:]


def _loop(parts: _Parts) -> str:
    frames = [parts.site, *(list(parts.frames(MAIN, INTERRUPT)) or parts.frames(OTHER))]
    frames = [frame for frame in frames if frame.function]
    return _called([frame for frame in _interrupted(frames) if not parts.is_helper(frame)])


def _hung(parts: _Parts) -> str:
    grace = ""
    for frame in parts.frames(MAIN):
        if not frame.module and _role(frame) is Role.RCU:
            grace = frame.function  # the last one is the function that the waiting code called
        elif grace:
            return grace
        elif frame.module or _role(frame) not in _SLEEPS:
            return frame.function
    return grace


def _call_site(parts: _Parts) -> str:
    return next((frame.function for frame in parts.frames(CALL_SITE)), "") or _site(parts)


def _work(parts: _Parts) -> str:
    return parts.line(_WORK) or _trace(parts)


def _joined(traces: list[Trace]) -> Iterator[list[Frame]]:
    """The frames of each trace, followed by those of the code that it interrupted."""
    frames: list[Frame] = []
    for trace in traces:
        if trace.role not in (MAIN, INTERRUPT, OTHER):
            continue
        if trace.starts and frames:
            yield frames
            frames = []
        frames = frames + _functions(trace)
    if frames:
        yield frames


def _called(frames: list[Frame]) -> str:
    """The handler that the kernel called: the function before the first one that calls a handler."""
    before = ""
    for frame in frames:
        found = _role(frame)
        if found is Role.CROSS_CALL:
            return "smp_call_function"
        if before and found in _CALLERS:
            return _SYSCALL_PREFIX.sub("", before)
        before = frame.function
    return ""


def _functions(trace: Trace) -> list[Frame]:
    """The functions of a trace that were called.

    Decoded logs also name functions that the compiler made a part of the next one. A title does not depend on whether
    its log was decoded. The return address of a call that never returns can be the beginning of the next function, to
    which only entry code returns.
    """
    called = (frame for frame in trace.believed() if frame.offset >= 0 or not frame.path)
    return [frame for frame in called if frame.offset or _role(frame) is Role.ENTRY]


def is_interrupt(frame: Frame) -> bool:
    """Whether a function is on the way from an interrupt to its handler."""
    return _role(frame) is Role.INTERRUPT


def _role(frame: Frame) -> Role:
    return Role.ANY if frame.module else role(frame.function, frame.path)


_FINDERS = {
    FunctionSource.NOWHERE: _site,
    FunctionSource.LINE: _line,
    FunctionSource.HEADLINE: _headline,
    FunctionSource.SITE: _site,
    FunctionSource.TRACE: _trace,
    FunctionSource.OWNER: _owner,
    FunctionSource.LOCK: _lock,
    FunctionSource.HELD: _held,
    FunctionSource.STALL: _stall,
    FunctionSource.LOOP: _loop,
    FunctionSource.HUNG: _hung,
    FunctionSource.WORK: _work,
    FunctionSource.CALL_SITE: _call_site,
}
