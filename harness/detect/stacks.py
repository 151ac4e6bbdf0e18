# SPDX-License-Identifier: Apache-2.0
"""Stack traces in the text of a report, in the formats of all architectures."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from harness.support.module_name import MODULE_NAME

MAIN, INTERRUPT, OTHER = "main", "interrupt", "other"
ALLOCATED, FREED, HELD = "allocated by", "freed by", "held locks"
CALL_SITE, HANDLERS, OWNER, REGISTERED = "call site", "handlers", "owner", "registered at"

_HEX = r"(?:0x)?(?:[0-9a-f]{8}){1,2}\b"  # lib/vsprintf.c prints an address that belongs to no function
_NAME = rf"(?!{_HEX})[A-Za-z_$][\w.$]*"
_AT = rf"\+0x(?P<offset>[0-9a-f]+)/0x(?P<size>[0-9a-f]+)(?: \[(?P<module>{MODULE_NAME})(?: [0-9a-f]+)?\])?"
# A frame as arch/*/kernel/{dumpstack,traps,stacktrace,process}.c print it, perhaps after addresses or "? ". A name that
# is followed by a source line instead of an offset is an inlined function (scripts/decode_stacktrace.sh and others)
_FRAME = re.compile(
    r"(?:\s+|(?=\[))(?:<(?P<mark>/?[A-Z#]\w*)>\s*)?(?:\[<?\s*(?:0x)?(?:[0-9a-f]+|inline)\s*>?\]\s*){0,2}"
    rf"(?:\([0-9a-f]+\) )?(?P<guess>\? )?(?P<name>{_NAME})"
    rf"(?:{_AT}|(?= (?:\S+:\d+ \[inline\]|(?:\./)?[\w/.-]+\.[chS]:\d+)))(?P<rest>.*)"
)
# scripts/decode_stacktrace.sh: "function (file.c:42 file.h:7) module"; it may remove what precedes the function. The
# kernel's own trace has an offset in place of the parentheses
_PLACE = r"(?:(?:[\w.+~-]*/)*[\w.+~-]+\.(?:[chS]|rs):(?:\d+|\?)(?: \(discriminator \d+\))?|\?\?:[\d?]+|:\?)"
PLACES = rf"\({_PLACE}(?: {_PLACE})*\)"
_DECODED = re.compile(
    rf"\s*(?:<(?P<mark>/?[A-Z#]\w*)> *)?(?P<guess>\? )?(?P<name>{_NAME}) {PLACES}"
    rf"(?: \[?(?P<module>{MODULE_NAME})\]?)?(?: \([A-Z]+\))?\s*$"
)
_COMMON = re.compile(rf" +(?:\[<[0-9a-f]+>\] )?(?P<guess>\? )?(?P<name>{_NAME}){_AT}$")  # most frames; faster
# arch/arm/kernel/traps.c, dump_backtrace_entry(): "[<80..>] (callee) from [<80..>] (caller+0x1/0x2)", and
# " callee from caller+0x1/0x2" without CONFIG_KALLSYMS addresses
_ARM = re.compile(
    rf"\s*(?:\[<[0-9a-f]+>\] )?\(?(?P<callee>{_NAME}|{_HEX})(?:\+0x[0-9a-f]+/0x[0-9a-f]+)?"
    rf"(?: \[(?P<owner>{MODULE_NAME})\])?\)? from "
    rf"(?:\[<[0-9a-f]+>\] )?\(?(?:(?P<name>{_NAME}){_AT}|{_HEX})\)?"
)
# arch/arm/kernel/entry-armv.S: below these, the trace has the interrupted instruction; elsewhere return addresses.
# entry-common.S: assembly that handlers of system calls return to the beginning of
_ARM_ENTRY = re.compile(r"__(?:irq|fiq|dabt|pabt|und)_(?:svc|usr)$|vector_")
_ARM_RETURNS = re.compile(r"ret_(?:fast|slow)_syscall|__sys_trace|ret_from_|ret_to_user")
_MARK = re.compile(r"\s*<(?P<mark>/?(?:IRQ|TASK|EOI|NMI|SOFTIRQ|[A-Z#]\w*))>\s*$")
# The interrupted place in the middle of an x86 trace: arch/x86/kernel/dumpstack.c, __show_regs()
# Other architectures: show_regs() and die() in arch/{mips,loongarch,powerpc,s390,sparc}/kernel
_SITES = ("RIP", "EIP", "IP", "PC", "pc", "epc", "era", "  ERA", "NIP", "Krnl PSW", "TPC", "Faulting instruction")
_SITE = re.compile(
    rf"(?:{'|'.join(_SITES)})(?: is at +| *: *| (?=\[))(?:[0-9a-f]{{4}}:)?(?:[0-9a-f]{{8,16}} ){{0,2}}"
    rf"(?:\[<?[0-9a-f]+>?\] *){{0,2}}[<(]?(?P<name>{_NAME})"
    rf"(?:{_AT}|(?= \S+:\d+ \[inline\])| {PLACES}(?: \[?(?P<owner>{MODULE_NAME})\]?)?$)"
)
_TRACE_BEGINS = re.compile(r"\s*(?:Call [Tt]race:|[Bb]acktrace:|[Ss]tack backtrace:|<(?:IRQ|NMI|TASK|SOFTIRQ)>)")
_LINK = re.compile(rf"lr : (?P<name>{_NAME}){_AT}")
# arch/arm64/lib: assembly that sets up no frame, so that the unwinder misses its caller
_FRAMELESS = re.compile(
    r"_*(?:pi_)?(?:mem(?:cpy|set|move|chr|cmp)|str\w+|clear_page|copy_page|arch_(?:copy|clear)_\w+user)$"
)
_HEADINGS: tuple[tuple[str, str], ...] = (
    (MAIN, r"\s*(?:Call [Tt]race:|Backtrace:|[Ss]tack backtrace:| *backtrace(?: \(crc [0-9a-f]+\))?:)"),
    (CALL_SITE, r"ftrace (?:faulted on|failed to) "),  # kernel/trace/ftrace.c, ftrace_bug()
    (HANDLERS, r"handlers:$"),  # kernel/irq/spurious.c, __report_bad_irq()
    (OWNER, r"The buggy address belongs to the variable:"),  # mm/kasan/report.c, print_address_description()
    (ALLOCATED, r"The buggy address belongs to (?:the|a) (?:virtual mapping|vmalloc)"),
    # mm/page_owner.c prints who allocated and who freed a page last
    (ALLOCATED, r"page last allocated via order "),
    (FREED, r"page last free (?:pid \d+ tgid \d+ )?stack trace:"),
    # kernel/rcu/tree_stall.h prints the trace of another task
    ("rcu kthread", r"(?:rcu: )?(?:RCU grace-period kthread stack dump:|Stack dump where RCU GP kthread last ran:)"),
    # kernel/sched/core.c prints the place where the task disabled preemption, before its trace
    ("preemption disabled at", r"Preemption disabled at:"),
    (ALLOCATED, r"(?:INFO: )?Allocated(?: by task \d+.*| in .*)?:?$|(?:INFO: )?Allocated in "),
    (FREED, r"(?:INFO: )?Freed(?: by task \d+.*| in .*)?:?$|(?:INFO: )?Freed in |freed by task \d+"),
    ("queued by", r"(?:Second to last|Last) (?:potentially related work creation|call_rcu\(\)|stack).*:$"),
    ("stored at", r"Uninit was stored to memory at:"),
    ("created at", r"Uninit was created at:|Local variable .* created at:"),
    (REGISTERED, r"\{[\w -]+\} state was registered at:|-> #\d+ |the shortest dependencies"),
    (REGISTERED, r"\.\.\. which became \S+ at:"),
    (HELD, r"\d+ locks? held by |Showing all locks held"),
    # arch/arm/kernel/traps.c, __show_regs_alloc_free(): the owners of objects that registers point to
    ("pointed to", r"Register \w+ information:"),
    (MAIN, r"Stack: \("),
    (OTHER, r"NMI backtrace for cpu \d+|CPU#\d+: |(?:DMA-API: )?Mapped at:"),
)  # fmt: skip
# Headings that may follow something else in the line: a word that is searched for first, role, pattern
_HEADINGS_INSIDE = (
    ("allocated by task ", ALLOCATED, re.compile(r"allocated by task \d")),
    (" at:", REGISTERED, re.compile(r"(?:-[RW]|USE|acquired) +at:")),
)
_HEADING = re.compile("|".join(f"(?P<h{number}>{pattern})" for number, (_, pattern) in enumerate(_HEADINGS)))
_ANY_HEADING = re.compile("|".join(pattern for _, pattern in _HEADINGS))  # without groups, to reject a line quickly
_ROLES = {f"h{number}": role for number, (role, _) in enumerate(_HEADINGS)}
_OTHER_CPU = re.compile(r"(?:NMI backtrace for cpu |CPU#)(?P<cpu>\d+)")
_HEAD_FUNCTION = re.compile(rf"(?:INFO: )?(?:Allocated|Freed) in (?P<name>{_NAME}){_AT}")
# %ps: the name of a handler, without an offset
_HANDLER = re.compile(rf"(?:threaded )?\[<\S+>\] (?P<name>{_NAME})(?: \[(?P<module>{MODULE_NAME})\])?")
_PADDING = "__pfx_"  # tools/objtool: the bytes before a function; a pointer to the function prints so, with %pB
_HELD = re.compile(
    rf"\s*#\d+:.*\bat: (?:\[<[0-9a-fx]+>\] )?(?P<name>{_NAME})(?:{_AT}|(?= \S+:\d+ \[inline\]))(?P<rest>.*)"
)


# What scripts/decode_stacktrace.sh and other programs add: "mm/slub.c:42 [inline]", "(mm/slub.c:42 (discriminator 1))"
_SOURCE = re.compile(r" \(?(?:\./)?(?P<path>[\w/.+-]+\.(?:[chS]|rs)):\d")


class Frame(NamedTuple):
    """One frame."""

    function: str  # "" for an address outside of any function
    offset: int  # in the function, bytes; -1 if it is not known
    size: int  # of the function, bytes; -1 if it is not known
    module: str  # "" for the kernel itself
    reliable: bool  # the kernel's unwinder is sure of it (it printed no "?")
    path: str = ""  # the source file, if the log names it


@dataclass
class Trace:
    """One stack trace."""

    role: str  # main, interrupt (on top of main), allocated by, freed by, held locks ...
    frames: list[Frame] = field(default_factory=list)
    starts: bool = True  # False if it is the code that the trace before it interrupted
    cpu: int = -1  # of another CPU that printed it on request, -1 if the trace does not say

    def believed(self) -> list[Frame]:
        """The reliable frames; all frames if none is reliable."""
        return [frame for frame in self.frames if frame.reliable] or self.frames


def site(texts: Iterable[str], *, interrupted: bool = False) -> Frame | None:
    """The faulting instruction, from the first line of registers that names its function.

    A decoded log has lines before it, for functions that the compiler made a part of this one. Registers within a
    trace are those of the code that was interrupted, which has nothing to do with most reports.
    interrupted: it has with this one.
    """
    inlined = None
    for text in texts:
        if not interrupted and _TRACE_BEGINS.match(text):
            break
        if text.startswith(_SITES) and (found := _SITE.match(text)):
            frame = _frame(found, found["name"])._replace(path=source(text[found.end() :]))
            if frame.offset >= 0:
                return frame
            inlined = inlined or frame
    return inlined


def source(rest: str) -> str:
    """The source file in the text behind a function, "" if the log names none."""
    found = _SOURCE.match(rest)
    return found["path"] if found else ""


def traces(texts: Iterable[str]) -> list[Trace]:
    """Every stack trace in the lines of a report, in order."""
    return _Collector().collect(texts)


def add_caller(texts: Iterable[str], site: Frame | None, stacks: list[Trace]) -> None:
    """Insert the caller of a function without a frame into the trace; the link register has its address."""
    if not site or not _FRAMELESS.match(site.function):
        return
    link = next((found for text in texts if (found := _LINK.match(text))), None)
    for trace in stacks[:1] if link else ():
        names = [frame.function for frame in trace.frames]
        if link and names[0] == site.function and link["name"] not in names:
            trace.frames.insert(1, _frame(link, link["name"]))


# Roles of traces that precede the trace of the report itself, and the lines that dump_stack() begins with
_SIDE_ROLES = (ALLOCATED, FREED, HELD, CALL_SITE, HANDLERS, OWNER, "preemption disabled at", REGISTERED, "created at")
_TASK_LINES = ("CPU: ", "Hardware name: ", "Modules linked in")


class _Collector:
    def __init__(self) -> None:
        self._found: list[Trace] = []
        self._now: Trace | None = None  # the trace that the next frames belong to
        self._past = ""  # the function in the latest line of an ARM trace that its return address is in
        self._outer = MAIN  # the role of the trace that <IRQ> interrupted

    def collect(self, texts: Iterable[str]) -> list[Trace]:
        for text in texts:
            if text.startswith(" "):
                if self._now is not None and (common := _COMMON.match(text)):
                    self._now.frames.append(_common_frame(*common.groups()))
                    continue
                self._indented(text)
                if text[1:2] == " " or text.startswith(" backtrace"):
                    self._heading(text)
            elif text:
                if text[0] in "\t[":
                    self._indented(text)
                elif "(" in text and (decoded := _DECODED.match(text)):
                    self._decoded(decoded)
                    continue
                self._heading(text)
        return [trace for trace in self._found if trace.frames]

    def _decoded(self, frame: re.Match[str]) -> None:
        if self._now is not None:
            self._mark(frame["mark"])
            self._add(Frame(frame["name"], -1, -1, frame["module"] or "", not frame["guess"]))

    def _indented(self, text: str) -> None:
        if "#" in text and (held := _HELD.match(text)):
            if self._now is None or self._now.role != HELD:
                self._begin(HELD)
            self._add(_frame(held, held["name"])._replace(path=source(held["rest"])))
        elif self._now is not None and self._now.role == HANDLERS and text[0] == "[":
            for handler in _HANDLER.finditer(text):
                self._add(Frame(handler["name"], -1, -1, handler["module"] or "", reliable=True))
        elif "(" in text and (decoded := _DECODED.match(text)):
            self._decoded(decoded)
        elif frame := _FRAME.match(text):
            self._framed(frame)
        elif " from " in text and (found := _ARM.match(text)):
            self._called_from(found)
        elif "<" in text and (marked := _MARK.match(text)):
            self._mark(marked["mark"])

    def _framed(self, frame: re.Match[str]) -> None:
        self._mark(frame["mark"])
        # A frame after <EOI> is the interrupted one, although the unwinder cannot prove it
        reliable = (not frame["guess"] or frame["mark"] == "EOI") and "(unreliable)" not in frame["rest"]
        self._add(_frame(frame, frame["name"], reliable=reliable)._replace(path=source(frame["rest"])))

    def _called_from(self, found: re.Match[str]) -> None:
        """Add the frames of a line of an ARM trace. Each line repeats the function of the line before."""
        if self._now is None:
            self._begin(MAIN)
        assert self._now is not None
        frames = self._now.frames
        name = "" if re.match(_HEX, found["callee"]) else found["callee"]
        callee = Frame(name, -1, -1, found["owner"] or "", reliable=bool(name))
        if frames and not frames[-1].function and frames[-1].size >= 0:
            if name and name != self._past:
                frames[-1] = callee  # the unwinder knows the function, unlike the return address
        elif not frames or frames[-1].function != name:
            self._add(callee)
        self._past = found["name"] or ""
        self._add(_arm_caller(found))

    def _heading(self, text: str) -> None:
        if self._now is not None and self._now.role in _SIDE_ROLES and text.startswith(_TASK_LINES):
            self._now = None  # dump_stack() follows
        if role := _role(text):
            if role == MAIN and self._now is not None and self._now.role == OTHER and not self._now.frames:
                return  # "Call Trace:" after a heading that has a role
            if role == MAIN and any(trace.role in (MAIN, INTERRUPT) and trace.frames for trace in self._found):
                role = OTHER
            other = _OTHER_CPU.match(text)
            self._begin(role, cpu=int(other["cpu"]) if other else -1)
            if named := _HEAD_FUNCTION.match(text):
                self._add(_frame(named, named["name"]))
        elif text.startswith(_SITES) and self._now is not None and self._now.frames and (found := site([text])):
            self._add(found)

    def _mark(self, mark: str | None) -> None:
        if mark is None or self._now is None:
            return
        if mark == "IRQ" and self._now.role in (MAIN, OTHER):
            self._outer = self._now.role
            self._begin(INTERRUPT if self._outer == MAIN else OTHER, starts=not self._now.frames, cpu=self._now.cpu)
        elif mark in ("/IRQ", "EOI", "TASK") and self._now.role == INTERRUPT:
            self._begin(self._outer, starts=False, cpu=self._now.cpu)

    def _begin(self, role: str, *, starts: bool = True, cpu: int = -1) -> None:
        self._now = Trace(role, starts=starts, cpu=cpu)
        self._found.append(self._now)

    def _add(self, frame: Frame) -> None:
        if self._now is None:
            self._begin(MAIN)
        assert self._now is not None
        self._now.frames.append(frame)


def _role(text: str) -> str:
    """The role of the trace below a heading; "" if the line is not a heading."""
    if _ANY_HEADING.match(text) and (found := _HEADING.match(text)):
        return _ROLES[found.lastgroup or ""]
    for word, role, pattern in _HEADINGS_INSIDE:
        if word in text and pattern.search(text):
            return role
    return ""


def _arm_caller(found: re.Match[str]) -> Frame:
    """The caller in a line of an ARM trace.

    %pS prints a return address. Behind a call of a function that does not return it is the beginning of the next
    function, which is not the caller.
    """
    if found["name"] is None:
        return Frame("", -1, -1, "", reliable=False)
    frame = _frame(found, found["name"])
    returns = _ARM_ENTRY.match(found["callee"]) or _ARM_RETURNS.match(found["name"])
    return frame._replace(function="") if frame.offset == 0 and not returns else frame


def _common_frame(guess: str | None, name: str, offset: str, size: str, module: str | None) -> Frame:
    start, length = int(offset, 16), int(size, 16)
    if name.startswith(_PADDING):  # not a return address
        return Frame(name.removeprefix(_PADDING), 0, length, module or "", reliable=False)
    # kernel/kallsyms.c: an address outside of any function gets the name of the function before it
    return Frame("" if start > length else name, start, length, module or "", guess is None)


def _frame(found: re.Match[str], name: str, *, reliable: bool = True) -> Frame:
    offset, size, module = found.group("offset", "size", "module")
    if offset is None:
        return Frame(name, -1, -1, module or found.groupdict().get("owner") or "", reliable)
    return _common_frame(None if reliable else "?", name, offset, size, module)
