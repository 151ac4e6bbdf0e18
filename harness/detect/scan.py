# SPDX-License-Identifier: Apache-2.0
"""Finding the kernel's reports in a console log, as it comes or whole."""

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

from harness.detect.kernel_report import Head, Report, Span, read_report
from harness.detect.kinds import KINDS, TRIGGER, WORDS, Severity, is_opening
from harness.detect.lines import LINE, LONGEST_LINE, STAMPED_LINE, Message, messages
from harness.detect.open_report import OpenReport

_OURS = "modcompat: "  # our own marks, written from the guest's user space
_FAR = 512  # lines of others after which nothing more is expected
_USUAL = LONGEST_LINE // 2  # bytes of text that a usual line has at most
_PIECE = 1 << 16  # bytes that are searched at a time
# All patterns at once, to refuse a line quickly; without names, which would be taken twice
_HEADLINE = re.compile(
    "|".join(re.sub(r"\(\?P<\w+>", "(?:", wording.pattern.pattern) for kind in KINDS for wording in kind.wordings)
)
_TIME = re.compile(rb"(?:<\d+>)?\[ *(\d+)\.\d+\]")


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


class Scanner:
    """Finds reports in a log that is fed in pieces, however it is cut. Holds open reports and one line, no more."""

    def __init__(self) -> None:
        self._carry = b""  # the beginning of a line whose end has not come
        self._lost = 0  # bytes of that line that are not looked at
        self._number = 1
        self._offset = 0
        self._open: dict[str, OpenReport] = {}  # by caller
        self._waiting: list[OpenReport] = []  # in the order of the log
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
        for trigger in _triggers(piece):
            if trigger < position:
                continue  # in the line of the one before
            start = piece.rfind(b"\n", position, trigger) + 1 or position
            self._lines(piece, base, position, start)
            end = piece.find(b"\n", start)
            position = end + 1 if end >= 0 else len(piece)
            self._line(piece, base, start, position, may_announce=True)
        self._lines(piece, base, position, len(piece))
        self._offset = base + len(piece)
        self._time = _last_time(piece, len(piece), self._time)

    def _lines(self, piece: bytes, base: int, start: int, stop: int) -> None:
        """Lines without a trigger. They are only counted while no report is open."""
        position = start
        if self._open:
            for line in LINE.finditer(piece[start:stop].decode("latin-1")):
                position = start + line.end()
                caller, text = line.groups("")
                if line.lastindex and len(text) < _USUAL:
                    report = self._open.get(caller) or self._adopter(caller)
                    # It is whole, and announces nothing
                    if report and (text.startswith(_OURS) or not report.extend(text, self._number)):
                        self._close(report)
                    if self._number % 64 == 0:
                        self._close_old()
                    self._number += 1
                else:
                    self._line(piece, base, start + line.start(), position, may_announce=False)
                if not self._open:
                    break
        self._number += piece.count(b"\n", position, stop)

    def _line(self, piece: bytes, base: int, start: int, end: int, *, may_announce: bool) -> None:
        """A line of any form. end: behind its newline."""
        raw = piece[start : min(end, start + LONGEST_LINE)].removesuffix(b"\n")
        if may_announce and (b"reboot: " in raw or b"Rebooting in " in raw or b"sysrq: Resetting" in raw):
            self._orderly = True
        for message in messages(self._number, base + start, raw):
            head = identify(message.text) if may_announce else None
            if head and head.kind.name == "reboot" and not self._is_reboot(_last_time(piece, start, self._time)):
                head = None
            if head and head.kind.name == "panic":
                self._orderly = True
            self._message(message, head, opening=may_announce and is_opening(message.text))
        if self._number % 64 == 0:
            self._close_old()
        self._number += 1

    def _close_old(self) -> None:
        """Close reports that nothing was added to for long."""
        for report in list(self._open.values()):
            if self._number - report.number > _FAR:
                self._close(report)

    def _is_reboot(self, time: int) -> bool:
        """Whether a kernel's banner means that the one before it ended without a word. time: of the line before."""
        if time < 1 or self._number - self._booted < _FAR:
            return False
        self._booted = self._number
        orderly, self._orderly = self._orderly, False
        return not orderly

    def _is_echo(self, message: Message, head: Head | None, report: OpenReport | None) -> bool:
        """Whether a line without the kernel's stamp is another program's: where the kernel stamps its lines, it is.

        But for what programs read from the kernel, and what stands in a report that has no stamp itself.
        """
        if (head and head.kind.is_plain) or (report and not report.first.stamped):
            return False
        return self._stamped_from is not None and self._stamped_from < message.start

    def _adopter(self, caller: str) -> OpenReport | None:
        """The open report that has asked other CPUs for their stacks."""
        if not caller.startswith("C"):
            return None
        return next((other for other in self._open.values() if other.adopts), None)

    def _message(self, message: Message, head: Head | None, *, opening: bool) -> None:
        report = self._open.get(message.caller) or self._adopter(message.caller)
        if message.text.startswith(_OURS):
            if report:
                self._close(report)
            return
        if not message.stamped and self._is_echo(message, head, report):
            return
        if report:
            if report.take(message, head, opening=opening):
                return
            if report.expects and head:
                report.damage = report.damage or "another report begins inside it"
            self._close(report)
        if head or opening:
            self._open[message.caller] = new = OpenReport(message, head)
            self._waiting.append(new)

    def _close(self, report: OpenReport) -> None:
        report.closed = True
        for caller in [caller for caller, other in self._open.items() if other is report]:
            del self._open[caller]


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


def _read(found: OpenReport) -> Report | None:
    if not found.heads or found.heads[0].kind.is_silent:
        return None
    texts = found.texts[: found.last + 1]
    children: list[Report] = []
    if found.panicked and found.panic <= found.last and (head := identify(found.panicked.text)):
        span = _span(found.panicked, found)
        children = [read_report([head], texts[found.panic :], span, damage="", children=[])]
    return read_report(found.heads, texts, _span(found.first, found), damage=found.damage, children=children)


def _span(first: Message, found: OpenReport) -> Span:
    return Span(first.number, found.last_line, first.start, first.caller)
