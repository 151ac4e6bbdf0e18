# SPDX-License-Identifier: Apache-2.0
"""Find the kernel's reports in a console log, whole or as a stream."""

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

from harness.detect.kernel_report import Head, Report, Span, read_report
from harness.detect.kinds import KINDS, TRIGGER, WORDS, Severity, is_opening
from harness.detect.lines import LINE, LONGEST_LINE, STAMPED_LINE, Message, messages
from harness.detect.open_report import OpenReport

_OWN_MARK = "modcompat: "  # begins a line that the harness writes to the log from the guest's user space
_MAX_OTHER_LINES = 512  # after so many other lines, an open report is closed
_MAX_BETWEEN_REFUSALS = 64  # the same for the refusal of a module
_MAX_COMMON_TEXT = LONGEST_LINE // 2  # characters; a longer line takes the slow path
_PIECE_BYTES = 1 << 16  # searched at a time
# All patterns at once, to reject a line quickly; without groups' names, which would be defined twice
_HEADLINE = re.compile(
    "|".join(re.sub(r"\(\?P<\w+>", "(?:", wording.pattern.pattern) for kind in KINDS for wording in kind.wordings)
)
_TIME = re.compile(rb"(?:<\d+>)?\[ *(\d+)\.\d+\]")


def reports_fault(log: bytes) -> bool:
    """Whether a piece of a console log reports that the kernel or its memory was damaged."""
    return any(report.severity is Severity.FAULT for report in scan(log))


def scan(log: bytes) -> list[Report]:
    """Every report in a log, in order."""
    return list(scan_stream([log]))


def scan_stream(chunks: Iterable[bytes]) -> Iterator[Report]:
    """Every report in a log that arrives in pieces, each as soon as it is complete."""
    scanner = Scanner()
    for chunk in chunks:
        yield from scanner.feed(chunk)
    yield from scanner.finish()


@lru_cache(maxsize=1024)
def identify(text: str) -> Head | None:
    """The kind and the wording of a line that announces a report, None for any other line."""
    if not _HEADLINE.match(text):
        return None
    for kind in KINDS:
        for wording in kind.wordings:
            if found := wording.pattern.match(text):
                return Head(kind, wording, found)
    return None


class Scanner:
    """Finds reports in a log that is fed in pieces of any size. Keeps no more than open reports and one line."""

    def __init__(self) -> None:
        self._carry = b""  # the beginning of a line whose end has not arrived
        self._lost = 0  # bytes of that line that are not read
        self._number = 1
        self._offset = 0
        self._open: dict[str, OpenReport] = {}  # by caller
        self._waiting: list[OpenReport] = []  # in the order of the log
        self._stamped_from: int | None = None  # byte of the first line with the kernel's stamp
        self._time = 0  # seconds, of the last line before this piece
        self._orderly = False  # the kernel announced that it restarts
        self._booted = -_MAX_OTHER_LINES  # line of the last banner

    def feed(self, chunk: bytes) -> list[Report]:
        """Read a piece of the log; returns the reports that became complete."""
        end = chunk.rfind(b"\n") + 1
        if not end:
            self._keep(self._carry + chunk)
            return []
        if self._lost:  # a line that was too long is handled separately, because bytes of it are missing
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
        """Return the reports that the end of the log completes."""
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
        """Read whole lines. While no report is open, pieces without a trigger are skipped."""
        position = 0
        while position < len(data):
            end = data.find(b"\n", position + _PIECE_BYTES) + 1 or len(data)
            self._piece(data[position:end] if position or end < len(data) else data)
            position = end

    def _piece(self, piece: bytes) -> None:
        base, position = self._offset, 0
        if self._stamped_from is None and (stamp := STAMPED_LINE.search(piece)):
            self._stamped_from = base + stamp.start()
        for trigger in _triggers(piece):
            if trigger < position:
                continue  # in the same line as the one before
            start = piece.rfind(b"\n", position, trigger) + 1 or position
            self._lines(piece, base, position, start)
            end = piece.find(b"\n", start)
            position = end + 1 if end >= 0 else len(piece)
            self._line(piece, base, start, position, may_announce=True)
        self._lines(piece, base, position, len(piece))
        self._offset = base + len(piece)
        self._time = _last_time(piece, len(piece), self._time)

    def _lines(self, piece: bytes, base: int, start: int, stop: int) -> None:
        """Read lines without a trigger. While no report is open, they are only counted."""
        position = start
        if self._open:
            for line in LINE.finditer(piece[start:stop].decode("latin-1")):
                position = start + line.end()
                caller, text = line.groups("")
                if line.lastindex and len(text) < _MAX_COMMON_TEXT:
                    report = self._open.get(caller) or self._adopter(caller)
                    # The line is whole and announces nothing
                    if report and (text.startswith(_OWN_MARK) or not report.extend(text, self._number)):
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
        """Read a line of any form. end: the byte after its newline."""
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
        """Close reports that have not grown for many lines."""
        for report in list(self._open.values()):
            if self._number - report.number > (_MAX_BETWEEN_REFUSALS if report.is_refusal else _MAX_OTHER_LINES):
                self._close(report)

    def _is_reboot(self, time: int) -> bool:
        """Whether a kernel's banner means that the previous kernel restarted unexpectedly.

        time: seconds, of the line before the banner.
        """
        if time < 1 or self._number - self._booted < _MAX_OTHER_LINES:
            return False
        self._booted = self._number
        orderly, self._orderly = self._orderly, False
        return not orderly

    def _is_echo(self, message: Message, head: Head | None, report: OpenReport | None) -> bool:
        """Whether a line without the kernel's stamp comes from another program.

        It does if the kernel stamps its lines, unless its kind is printed by programs that read it from the kernel,
        or the open report has no stamps either.
        """
        if (head and head.kind.is_plain) or (report and not report.first.stamped):
            return False
        return self._stamped_from is not None and self._stamped_from < message.start

    def _adopter(self, caller: str) -> OpenReport | None:
        """The open report that requested stack traces from other CPUs."""
        if not caller.startswith("C"):
            return None
        return next((other for other in self._open.values() if other.adopts), None)

    def _key(self, message: Message, head: Head | None) -> str:
        """The key of the open report that a line belongs to: the caller's, or one for each module that is refused.

        Loads of several modules may interleave. A line that names no module belongs to the refusal before it.
        """
        if not head or head.kind.severity is not Severity.REFUSAL or not head.module:
            return message.caller
        key = f"{message.caller} {head.module}"
        before = self._open.get(message.caller)
        if key in self._open or not before or not before.is_refusal_of_unnamed():
            return key
        return message.caller

    def _message(self, message: Message, head: Head | None, *, opening: bool) -> None:
        key = self._key(message, head)
        report = self._open.get(key) or self._adopter(message.caller)
        if message.text.startswith(_OWN_MARK):
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
            self._open[key] = new = OpenReport(message, head)
            self._waiting.append(new)

    def _close(self, report: OpenReport) -> None:
        report.closed = True
        for caller in [caller for caller, other in self._open.items() if other is report]:
            del self._open[caller]


def _triggers(piece: bytes) -> list[int]:
    """Positions of words that lines with reports contain. A plain search for each is faster than one expression."""
    found = [trigger.start() for trigger in TRIGGER.finditer(piece)]
    for word in WORDS:
        place = piece.find(word)
        while place >= 0:
            found.append(place)
            place = piece.find(word, place + len(word))
    found.sort()
    return found


def _last_time(piece: bytes, end: int, otherwise: int) -> int:
    """Seconds in the last stamp before a position; `otherwise` if there is none."""
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
