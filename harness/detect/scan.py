"""Finding the kernel's reports in a console log, as it comes or whole."""

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

from harness.detect.kinds import KINDS, OPENING, TRIGGER, WORDS, Severity, Weight, Where
from harness.detect.lines import LONGEST_LINE, STAMPED_LINE, Message, messages
from harness.detect.report import Head, Report, Span, read_report

_OURS = "modcompat: "  # our own marks, written from the guest's user space
# A line of a report's body: registers, dumps, traces and their headings.
_BODY = re.compile(
    r"\s|CPU: |CPU#|#PF: |PGD |P4D |Oops|Hardware name: |Workqueue: |[A-Z][A-Z0-9_]{1,7}: |Code: |Call [Tt]race|Backtrace"
    r"|Modules linked in|---\[|PC is at|LR is at|pgd = |[a-z][a-z0-9]{0,4} *: |Flags: |Control: |Register |Process |Stack:|Exception stack"
    r"|pstate: |Mem abort|Data abort|\[[0-9a-f]+\] |\[<|\(\[<|8<---|-+$|-+\[|=====|\*\*\*|Internal error|INFO: (?:Freed|Alloc|Slab|Object|0x)"
    r"|Object |Redzone|Padding |Bytes? |Slab |FIX |Freed |Allocated |Disabling lock|Tainted: |page[: _]|raw: |flags: |head:|memcg:"
    r"|Read |Write |The buggy |Memory state|Last |Second to |Pointer tag|kfence-|Corrupted |Invalid |Out-of-|Use-after|Uninit |Local "
    r"|Kernel Offset|SMP|Sending NMI|NMI backtrace|rcu|irq event|hardirqs|softirqs|stack backtrace|other info|which lock|but |the existing"
    r"|-> |and this|is trying|locks? held|\d+ locks? held|no locks|\d+ lock|Possible|existing|stack|other|inconsistent|the (?:shortest|first"
    r"|second|dependencies)|\{|.* (?:is trying to|takes:|just changed|is freeing|is exiting|is leaving|at: |Not tainted|Tainted: )"
    r"|turning off|you did not|the code is|maybe you|\.?/?\S+\.[ch]:\d+|rcu_|task:|task |Kernel panic|Rebooting|Dumping ftrace|value|shift"
    r"|signed|index|load of|member|Insufficient|Task stack|IRQ stack|Overflow stack|ESR|FAR|NIP|LR \[|GPR|unreferenced|comm |hex dump"
    r"|backtrace|pgtable|user |swapper|Unloaded|note: |BUG: |\(detected|All QSes|Showing|Mapped at|handlers|Kernel memory|CFI|usercopy|\"echo"
    r"|preempt_count|Preemption|last function|workqueue|pending|in-flight|pwq|pool|Trap|EC|\\x|[0-9a-f]{4}[ :]|Tasks blocked|read to|write to|Reported by|\$|>|#"
)
_GAP = 5  # lines of something else that a report may contain
_PATIENCE = 20  # the same, while its stack trace is still to come
_NEAR = 4  # messages within which lines announce one report together
_LONGEST = 1500  # messages of one report
_FAR = 512  # lines of others after which nothing more is expected
_PIECE = 1 << 16  # bytes that are searched at a time
_END = re.compile(r"---\[ end (?:trace|Kernel panic)")
_FORM = re.compile(r"WARNING: (?:CPU: |at |\[|\S+\.[chS]:)|[kK]ernel BUG |(?:Oops: )?invalid opcode")
_DETAIL = re.compile(r"CPU: \d+ |Modules linked in|Call [Tt]race|Hardware name|\s?RIP: ")
_SENDS = re.compile(r"Sending NMI|NMI backtrace")
_ORDERLY = re.compile(rb"reboot: |Rebooting in |sysrq: Resetting")
# All patterns at once, to refuse a line quickly; without names, which would be taken twice
_HEADLINE = re.compile(
    "|".join(re.sub(r"\(\?P<\w+>", "(?:", wording.pattern.pattern) for kind in KINDS for wording in kind.wordings)
)
_TIME = re.compile(rb"(?:<\d+>)?\[ *(\d+)\.\d+\]")
_DROPPED = "printk messages dropped"


def reports_fault(log: bytes) -> bool:
    """Whether a piece of a console log says that the kernel came to harm."""
    return any(report.severity is Severity.FAULT for report in scan(log))


def scan(log: bytes) -> list[Report]:
    """Every report of a log, in its order."""
    return list(scan_stream([log]))


def scan_stream(chunks: Iterable[bytes]) -> Iterator[Report]:
    """Every report of a log that comes in pieces, each as soon as it is complete."""
    scanner = Scanner()
    for chunk in chunks:
        yield from scanner.feed(chunk)
    yield from scanner.finish()


@lru_cache(maxsize=1024)
def identify(text: str) -> Head | None:
    """The kind and the wording of a line that announces a report."""
    if not _HEADLINE.match(text):
        return None
    for kind in KINDS:
        for wording in kind.wordings:
            if found := wording.pattern.match(text):
                return Head(kind, wording, found)
    return None


class _Open:
    """A report whose end has not been seen."""

    def __init__(self, first: Message) -> None:
        self.messages = [first]
        self.heads: list[Head] = []
        self.last = 0  # which message is the last that certainly belongs to it
        self.near = 0  # messages since a line announced it
        self.panic = 0  # which message announces a panic
        self.detailed = False
        self.ended = False
        self.closed = False
        self.adopts = False
        self.damage = ""

    @property
    def best(self) -> Head | None:
        return max(self.heads, key=lambda head: head.wording.weight.value, default=None)

    @property
    def expects(self) -> bool:
        """Whether its stack trace is still to come."""
        return not self.detailed and any(head.wording.where is not Where.NOWHERE for head in self.heads)

    def add(self, message: Message, head: Head | None = None) -> None:
        """A message that belongs to it."""
        self.messages.append(message)
        self.last = len(self.messages) - 1
        if head:
            self.heads.append(head)
            self.near = 0


class Scanner:
    """Finds reports in a log that is fed in pieces, however it is cut. Holds open reports and one line, no more."""

    def __init__(self) -> None:
        self._carry = b""  # the beginning of a line whose end has not come
        self._lost = 0  # bytes of that line that are not looked at
        self._number = 1
        self._offset = 0
        self._open: dict[str, _Open] = {}  # by caller
        self._waiting: list[_Open] = []  # in the order of the log
        self._stamped_from: int | None = None  # where the first line with the kernel's stamp is
        self._time = 0  # of the last line before this piece
        self._orderly = False  # the kernel said that it goes down
        self._booted = -_FAR  # line of the last banner

    def feed(self, chunk: bytes) -> list[Report]:
        """Reports that became complete."""
        end = chunk.rfind(b"\n") + 1
        if not end:
            self._keep(self._carry + chunk)
            return []
        if self._lost:  # the line that was cut short is handled by itself: bytes of it are missing
            first = chunk.find(b"\n") + 1
            lost, self._lost = self._lost, 0
            self._pieces((self._carry + chunk[: first - 1])[:LONGEST_LINE] + b"\n")
            self._offset += lost + max(0, len(self._carry) + first - 1 - LONGEST_LINE)
            self._carry = b""
            if first < end:
                self._pieces(chunk[first:end])
        else:
            self._pieces(self._carry + chunk[:end])
        self._carry = b""
        self._keep(chunk[end:])
        return self._complete()

    def finish(self) -> list[Report]:
        """Reports that the end of the log completes."""
        if self._carry:
            self._pieces(self._carry)
            self._carry = b""
        for report in self._waiting:
            self._close(report)
        return self._complete()

    def _keep(self, rest: bytes) -> None:
        self._carry = rest[:LONGEST_LINE]
        self._lost += len(rest) - len(self._carry)

    def _complete(self) -> list[Report]:
        found: list[Report] = []
        while self._waiting and self._waiting[0].closed:
            if report := _read(self._waiting.pop(0)):
                found.append(report)
        return found

    def _pieces(self, data: bytes) -> None:
        """Whole lines. Pieces without a trigger, while no report is open, are passed over as they are."""
        position = 0
        while position < len(data):
            end = data.find(b"\n", position + _PIECE) + 1 or len(data)
            self._piece(data[position:end] if position or end < len(data) else data)
            position = end

    def _piece(self, piece: bytes) -> None:
        base, position = self._offset, 0
        if self._stamped_from is None and (stamp := STAMPED_LINE.search(piece)):
            self._stamped_from = base + stamp.start()
        triggers = _triggers(piece)
        if self._open or triggers:
            triggers.append(len(piece))
            place = 0
            while position < len(piece):
                while triggers[place] < position:
                    place += 1
                trigger = triggers[place]
                if not self._open:
                    if trigger == len(piece):
                        break
                    start = piece.rfind(b"\n", position, trigger) + 1 or position
                    self._number += piece.count(b"\n", position, start)
                    position = start
                end = piece.find(b"\n", position)
                end = end if end >= 0 else len(piece)
                self._offset = base + position
                self._line(piece, position, end, may_announce=trigger < end)
                self._number += 1
                position = end + 1
        self._number += piece.count(b"\n", position) if position < len(piece) else 0
        self._offset = base + len(piece)
        self._time = _last_time(piece, len(piece), self._time)

    def _line(self, piece: bytes, start: int, end: int, *, may_announce: bool) -> None:
        raw = piece[start : min(end, start + LONGEST_LINE)]
        if may_announce and _ORDERLY.search(raw):
            self._orderly = True
        for message in messages(self._number, self._offset, raw):
            head = identify(message.text) if may_announce else None
            if (
                head
                and head.kind.name == "reboot"
                and not self._is_reboot(message, _last_time(piece, start, self._time))
            ):
                head = None
            self._message(message, head, opening=may_announce and OPENING.search(message.text) is not None)
        if self._open and self._number % 64 == 0:
            for report in list(self._open.values()):
                if self._number - report.messages[-1].number > _FAR:
                    self._close(report)

    def _is_reboot(self, message: Message, time: int) -> bool:
        if time < 1 or self._number - self._booted < _FAR:
            return False
        self._booted = self._number
        orderly, self._orderly = self._orderly, False
        return not orderly and not any(report.panic for report in self._open.values())

    def _is_echo(self, message: Message, head: Head | None) -> bool:
        """A line of another program, in a log in which the kernel stamps its lines; or our own mark."""
        if message.text.startswith(_OURS):
            return True
        if message.stamped or (head and head.kind.is_plain):
            return False
        return self._stamped_from is not None and self._stamped_from < message.start

    def _message(self, message: Message, head: Head | None, *, opening: bool) -> None:
        report = self._open.get(message.caller)
        if report is None and message.caller.startswith("C"):
            report = next((other for other in self._open.values() if other.adopts), None)
        if self._is_echo(message, head):
            if report and message.text.startswith(_OURS):
                self._close(report)
            return
        if report and not message.stamped and report.messages[0].stamped and not (head and head.kind.is_plain):
            return
        if report and self._belongs(report, message, head, opening=opening):
            return
        if head or opening:
            if report:
                if report.expects and head:
                    report.damage = report.damage or "another report begins inside it"
                self._close(report)
            new = _Open(message)
            if head:
                new.heads.append(head)
            self._open[message.caller] = new
            self._waiting.append(new)

    def _belongs(self, report: _Open, message: Message, head: Head | None, *, opening: bool) -> bool:
        """Add a message to an open report if it is part of it; close the report where it ends."""
        text = message.text
        report.near += 1
        if len(report.messages) > _LONGEST:
            self._close(report)
            return False
        if head and not _joins(report, head):
            return False
        if opening and not (report.heads and not report.detailed and report.near <= _NEAR and _form_free(report)):
            return False
        if head and head.kind.severity is Severity.FOLLOW_UP:
            report.panic = report.panic or len(report.messages)
            report.ended = False
            report.add(message, None if report.heads else head)
        elif head:
            report.add(message, head if _counts(report, head) else None)
        elif report.ended:
            if len(report.messages) - 1 - report.last >= _GAP:
                self._close(report)
                return False
            report.messages.append(message)
            return True
        elif opening or _BODY.match(text) or not text:
            if text:
                report.add(message)
            else:
                report.messages.append(message)
        elif len(report.messages) - 1 - report.last >= (_PATIENCE if report.expects else _GAP):
            self._close(report)
            return False
        else:
            report.messages.append(message)
        if _DETAIL.match(text):
            report.detailed = True
        if "NMI" in text and _SENDS.search(text):
            report.adopts = True
        if message.broken and not head:
            report.damage = report.damage or "a line of it is broken"
        if _END.match(text):
            report.ended = True
        return True

    def _close(self, report: _Open) -> None:
        report.closed = True
        for caller in [caller for caller, other in self._open.items() if other is report]:
            del self._open[caller]


def _form_free(report: _Open) -> bool:
    return not any(_FORM.match(head.text) for head in report.heads)


def _joins(report: _Open, head: Head) -> bool:
    """Whether a line that could announce a report is part of the open one."""
    best = report.best
    if best is None:
        return True  # only "cut here" came before
    kind, weight = head.kind, head.wording.weight
    if best.kind.is_silent or kind.is_silent:
        return kind.name == "unclaimed"
    if kind.severity is Severity.FOLLOW_UP or kind.name == "unclaimed":
        return True
    if report.ended:
        return False
    if kind.continues:
        return report.near <= 12 or best.kind.severity is Severity.FAULT
    near = report.near <= _NEAR and not report.detailed
    if weight is Weight.HINT:
        return best.wording.weight is not Weight.FORM or near
    if not near or best.kind.severity is Severity.REFUSAL:
        return False
    if best.wording.weight is Weight.HINT:
        return True
    if best.kind.is_plain and kind.is_plain:
        return False
    if _FORM.match(head.text):
        return _form_free(report) and best.kind.name not in ("lock", "lockdep")
    # arm prints the text of a warning behind its headline
    return report.near <= 2 and not _form_free(report) and weight is Weight.NAME


def _counts(report: _Open, head: Head) -> bool:
    """Whether a line of a report is one that announces it."""
    return head.kind.name != "unclaimed" and (report.near <= 12 or not report.detailed)


def _triggers(piece: bytes) -> list[int]:
    """Where a line may announce a report. A plain search for each word is faster than one expression for all."""
    found = [trigger.start() for trigger in TRIGGER.finditer(piece)]
    for word in WORDS:
        place = piece.find(word)
        while place >= 0:
            found.append(place)
            place = piece.find(word, place + len(word))
    found.sort()
    return found


def _last_time(piece: bytes, end: int, otherwise: int) -> int:
    """Seconds in the last stamp before a place."""
    while end > 0:
        start = piece.rfind(b"\n", 0, end - 1) + 1
        if stamp := _TIME.match(piece, start):
            return int(stamp[1])
        end = start
    return otherwise


def _read(found: _Open) -> Report | None:
    if not found.heads or found.heads[0].kind.is_silent:
        return None
    lines = found.messages[: found.last + 1]
    damage = found.damage
    texts = [line.text for line in lines]
    children: list[Report] = []
    if 0 < found.panic <= found.last and (head := identify(texts[found.panic])):
        children = [read_report([head], texts[found.panic :], _span(lines[found.panic :]), damage="", children=[])]
    return read_report(found.heads, texts, _span(lines), damage=damage, children=children)


def _span(lines: list[Message]) -> Span:
    return Span(lines[0].number, lines[-1].number, lines[0].start, lines[0].caller)
