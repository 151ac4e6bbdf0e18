# SPDX-License-Identifier: Apache-2.0
"""The title of a report, and the function in it."""

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import pairwise

from harness.detect.kinds import FunctionSource, Wording
from harness.detect.known_functions import DISPATCHERS, HELPERS, TIMER_INTERRUPTS, WAITS, any_of
from harness.detect.stacks import CALL_SITE, HELD, INTERRUPT, MAIN, OTHER, REGISTERED, Frame, Trace
from harness.support.module_name import MODULE_NAME

UNKNOWN = "corrupted"  # stands for a function that a torn report does not name

_HELPER = any_of(HELPERS)
# Inline functions of include/linux/refcount.h that the compiler may emit out of line
_INLINE_HELPER = re.compile(r"_*refcount_(?:add|sub|inc|dec)(?:_not_zero|_and_test)?\b")
_DISPATCHER = any_of(DISPATCHERS)
_INTERRUPT = any_of(TIMER_INTERRUPTS)
_WAITS = any_of(WAITS)
# Waits that are well known, whichever task waits: net/core/rtnetlink.c, kernel/rcu
_WAIT_NAMES = ((re.compile(r"rtnl_lock"), ""), (re.compile(r"synchronize_(?:s?rcu|net|sched)"), "synchronize_rcu"))
_STALL_NAMES = ((re.compile(r"smp_call_function"), "smp_call_function"),)
_SYSCALL_PREFIX = re.compile(
    r"^(?:__(?:x64|ia32|arm64|riscv|s390x?)_(?=(?:compat_)?sys_)|__(?:se|do)_(?=(?:compat_)?sys_)|(?:compat_)?(?:SYSC|SyS)_)"
)
_SUFFIX = re.compile(r"\.(?:isra|constprop|part|cold|llvm|lto_priv|localalias)(?:\.\d+)*|\.cold|\.\d+$")
# kernel/locking/lockdep.c, print_lock(): "(class){usage}-{2:2}, at: function"; other lines with "at:" are no locks
_LOCK_LINE = re.compile(r".*[})\]],? at:?\s+(?:\[<(?:0x)?[0-9a-f]+>\]\s+)?(?P<at>[A-Za-z_][\w.$]*)(?:\+0x|$)")
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
    """A function's name without the suffixes that the compiler adds."""
    return _SUFFIX.sub("", function)


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


@lru_cache(maxsize=4096)
def _is_helper(name: str) -> bool:
    return _HELPER.search(plain(name)) is not None


@lru_cache(maxsize=4096)
def _is_dispatcher(name: str) -> bool:
    return _DISPATCHER.search(name) is not None


class _Parts:
    """The parts of a report that may name its function."""

    def __init__(
        self, wording: Wording, found: re.Match[str], texts: list[str], site: Frame | None, traces: list[Trace]
    ) -> None:
        head: str = found.groupdict().get("at") or ""
        owned = _OWNER.match(found.string, found.end("at")) if head else None
        self.head = Frame(head, -1, -1, owned[1] if owned else "", reliable=True)
        self.skip = wording.skip
        self.texts = texts
        self.site = site or Frame("", -1, -1, "", reliable=True)
        self.traces = traces

    def is_helper(self, frame: Frame) -> bool:
        """Whether a function only serves its caller.

        A function in a module never does, whatever its name, unless it comes from the kernel's headers.
        """
        name = frame.function
        if frame.module:
            return _INLINE_HELPER.match(name) is not None
        return _is_helper(name) or (self.skip is not None and self.skip.search(name) is not None)

    def frames(self, *roles: str) -> Iterator[Frame]:
        return (frame for trace in self.traces if trace.role in roles for frame in trace.believed())

    def first(self, frames: Iterable[Frame]) -> str:
        return next((frame.function for frame in frames if frame.function and not self.is_helper(frame)), "")

    def line(self, pattern: re.Pattern[str]) -> str:
        return next((match["at"] for text in self.texts[1:] if (match := pattern.match(text))), "")


def _headline(parts: _Parts) -> str:
    return parts.first([parts.head, *parts.frames(MAIN, INTERRUPT)])


def _line(parts: _Parts) -> str:
    return parts.head.function


def _site(parts: _Parts) -> str:
    return parts.first([parts.site, *parts.frames(MAIN, INTERRUPT), parts.head])


def _trace(parts: _Parts) -> str:
    return parts.first([*parts.frames(MAIN, INTERRUPT), parts.site])


def _lock(parts: _Parts) -> str:
    if any(text.startswith("... which became ") for text in parts.texts):  # the interrupt that takes the lock
        return parts.first(parts.frames(REGISTERED)) or _trace(parts)
    taken = _released(parts.texts) or parts.line(_LOCK_LINE)
    if taken and not parts.is_helper(Frame(taken, -1, -1, "", reliable=True)):
        return taken
    return _trace(parts) or taken


def _released(texts: list[str]) -> str:
    """print_unlock_imbalance_bug() ends the line of the lock with ") at:", and prints the place on the next line."""
    for text, following in pairwise(texts):
        if text.endswith(") at:") and (found := _RELEASED.match(following)):
            return found["at"]
    return ""


def _held(parts: _Parts) -> str:
    return next((frame.function for frame in parts.frames(HELD)), "") or parts.line(_LOCK_LINE) or _trace(parts)


def _stall(parts: _Parts) -> str:
    for trace in _joined(parts.traces):
        names = [frame.function for frame in trace]
        below = _below_interrupt(names)
        if below and (called := _called(below)):
            return called
    # kernel/rcu/tree_stall.h, print_cpu_stall(): the registers and the stack are those of the interrupted code
    return _loop(parts) if parts.site.function else ""


def _below_interrupt(names: list[str]) -> list[str]:
    """The functions below the interrupt that noticed the stall; the innermost one if interrupts are nested."""
    place = next((place for place, name in enumerate(names) if _INTERRUPT.search(name)), len(names))
    while place < len(names) and _INTERRUPT.search(names[place]):
        place += 1
    return names[place:]


def _loop(parts: _Parts) -> str:
    frames = [parts.site, *(list(parts.frames(MAIN, INTERRUPT)) or parts.frames(OTHER))]
    names = [frame.function for frame in frames if frame.function and not parts.is_helper(frame)]
    return _called(_below_interrupt(names)) or _called(names)


def _hung(parts: _Parts) -> str:
    names = [frame.function for frame in parts.frames(MAIN)]
    for name in names:
        for pattern, known in _WAIT_NAMES:
            if pattern.match(name):
                return known or name
    return next((name for name in names if not _WAITS.search(name)), "")


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
        frames = frames + trace.believed()
    if frames:
        yield frames


def _called(names: list[str]) -> str:
    """The function that a dispatcher called: the one before the first dispatcher."""
    before = ""
    for name in names:
        for pattern, known in _STALL_NAMES:
            if pattern.match(name):
                return known
        if before and _is_dispatcher(name):
            return _SYSCALL_PREFIX.sub("", before)
        before = name
    return ""


_FINDERS = {
    FunctionSource.NOWHERE: _site,
    FunctionSource.LINE: _line,
    FunctionSource.HEADLINE: _headline,
    FunctionSource.SITE: _site,
    FunctionSource.TRACE: _trace,
    FunctionSource.LOCK: _lock,
    FunctionSource.HELD: _held,
    FunctionSource.STALL: _stall,
    FunctionSource.LOOP: _loop,
    FunctionSource.HUNG: _hung,
    FunctionSource.WORK: _work,
    FunctionSource.CALL_SITE: _call_site,
}
