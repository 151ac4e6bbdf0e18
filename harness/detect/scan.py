# SPDX-License-Identifier: Apache-2.0
"""Find the kernel's reports in a console log, whole or as a stream."""

import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import lru_cache

from harness.detect.blame import suspects
from harness.detect.body_lines import BODY_LINE
from harness.detect.kernel_report import Head, Report, Span, read_report
from harness.detect.kernel_words import KERNEL_LINE
from harness.detect.kinds import KINDS, TRIGGER, WORDS, Severity, is_opening
from harness.detect.lines import LINE, LONGEST_LINE, STAMPED_LINE, Message
from harness.detect.open_report import OpenReport
from harness.detect.prefix_study import JOINED
from harness.detect.region import Region
from harness.detect.sources import Sources
from harness.detect.surroundings import MAX_PAST, Following, Past
from harness.support.module_name import kernel_name

_OWN_MARK = "modcompat: "  # begins a line that the harness writes to the log from the guest's user space
_MAX_OTHER_LINES = 512  # after so many other lines, an open report is closed
_MAX_BETWEEN_REFUSALS = 64  # the same for the refusal of a module
_MAX_COMMON_TEXT = LONGEST_LINE // 2  # characters; a longer line takes the slow path
_PIECE_BYTES = 1 << 16  # searched at a time
_MAX_REMEMBERED = 64  # headlines
_OPENINGS = ("------------[ cut here", "8<--- cut here")
# All patterns at once, to reject a line quickly; without groups' names, which would be defined twice
_HEADLINE = re.compile(
    "|".join(re.sub(r"\(\?P<\w+>", "(?:", wording.pattern.pattern) for kind in KINDS for wording in kind.wordings)
)
# kernel/module/main.c: check_modinfo(), check_modinfo_license() and load_module(), about a module that is not of the
# tree; and the banner of init/version.c, with which another boot begins
_FOREIGN = re.compile(
    rb"(?:^|[\s\]:])(?P<module>[\w-]{1,56}): (?:loading out-of-tree module taints kernel|"
    rb"module license '[^']*' taints kernel|module verification failed: signature and/or required key missing - taint)"
    rb"|\bLinux version \d",
    re.MULTILINE,
)
_TIME = re.compile(rb"(?:<\d+>)?\[ *(\d+)\.\d+\]")


def reports_fault(log: bytes) -> bool:
    """Whether a piece of a console log reports that the kernel or its memory was damaged."""
    return any(report.severity is Severity.FAULT for report in scan(log))


def scan(log: bytes) -> list[Report]:
    """Every report in a log, in order."""
    return list(scan_stream([log]))


def scan_stream(chunks: Iterable[bytes], scanner: "Scanner | None" = None) -> Iterator[Report]:
    """Every report in a log that arrives in pieces, each as soon as it is complete.

    scanner: a new one, if the caller wants to know afterwards whether the log has lines of the kernel.
    """
    scanner = scanner or Scanner()
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


@lru_cache(maxsize=1024)
def _is_certain(text: str) -> bool:
    """Whether a report begins with a text itself, not only with words behind others that may vary."""
    head = identify(text)
    if not head or JOINED.match(text):
        return text.startswith(_OPENINGS)
    return not head.wording.pattern.match(f"~ ~: {text}")


class Scanner:
    """Finds reports in a log that is fed in pieces of any size.

    Keeps open reports, one line, the lines just before it, and the lines that decide what an unknown prefix is.
    """

    def __init__(self) -> None:
        self.lines = 0  # that were read
        self._carry = b""  # the beginning of a line whose end has not arrived
        self._lost = 0  # bytes of that line that are not read
        self._held = b""  # lines that are read when more of those behind them have arrived
        self._past = b""  # the bytes before the next line
        self._number = 1
        self._offset = 0
        self._open: dict[str, OpenReport] = {}  # by speaker
        self._waiting: list[OpenReport] = []  # in the order of the log
        self._stamped_from: int | None = None  # byte of the first line with the kernel's stamp
        self._time = 0  # seconds, of the last line before this piece
        self._orderly = False  # the kernel announced that it restarts
        self._booted = -_MAX_OTHER_LINES  # line of the last banner
        self._sources = Sources(_announces)
        self._region = Region()
        self._stamped_heads: deque[str] = deque(maxlen=_MAX_REMEMBERED)  # headlines with the kernel's stamp
        self._kernel_seen = False
        # of each boot: its place, and the modules that are not of the tree, each with its first place in the log
        self._boots: list[tuple[int, dict[str, int]]] = [(0, {})]

    @property
    def has_kernel_lines(self) -> bool:
        """Whether any of these lines looks like a message of the kernel, in whatever form."""
        return self._kernel_seen

    def feed(self, chunk: bytes) -> list[Report]:
        """Read a piece of the log; returns the reports that became complete."""
        end = chunk.rfind(b"\n") + 1
        self.lines += chunk.count(b"\n")
        if not end:
            self._keep(self._carry + chunk)
            return []
        if self._lost:  # a line that was too long is handled separately, because bytes of it are missing
            self._read_held(b"", is_end=True)
            first = chunk.find(b"\n") + 1
            lost, self._lost = self._lost, 0
            self._read_held((self._carry + chunk[: first - 1])[:LONGEST_LINE] + b"\n", is_end=True)
            self._offset += lost + max(0, len(self._carry) + first - 1 - LONGEST_LINE)
            self._carry = b""
            if first < end:
                self._read_held(chunk[first:end], is_end=False)
        else:
            self._read_held(self._carry + chunk[:end], is_end=False)
        self._carry = b""
        self._keep(chunk[end:])
        return self._complete()

    def finish(self) -> list[Report]:
        """Return the reports that the end of the log completes."""
        self.lines += bool(self._carry)
        self._read_held(self._carry, is_end=True)
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
                found.append(self._with_suspects(report))
        return found

    def _with_suspects(self, report: Report) -> Report:
        """The report; if neither a rule nor a list of modules in it names any, with those that the log named before."""
        known = next(names for place, names in reversed(self._boots) if place <= report.start)
        listed = suspects(report.text) if report.module else report.suspects
        for name in listed:
            _remember(known, name, report.start)
        if report.module or listed:
            return report
        named = sorted((place, name) for name, place in known.items() if place < report.start)
        return replace(report, suspects=tuple(name for _, name in named))

    def _note_foreign(self, piece: bytes, base: int) -> None:
        """Note the modules in a piece that are not of the tree. base: its place in the log."""
        if b"taint" not in piece and b"Linux version " not in piece:
            return
        for found in _FOREIGN.finditer(piece):
            place = base + found.start()
            if found["module"]:
                _remember(self._boots[-1][1], kernel_name(found["module"].decode()), place)
            else:  # earlier boots matter to reports that are not complete yet
                self._boots = [*(self._boots if self._waiting else ()), (place, {})]

    def _read_held(self, data: bytes, *, is_end: bool) -> None:
        """Read the lines that are held and further ones. is_end: there will be none behind these that could help."""
        data = self._held + data if self._held else data
        self._held = data[self._pieces(data, is_end=is_end) :]

    def _pieces(self, data: bytes, *, is_end: bool) -> int:
        """Read whole lines; returns how many bytes. While no report is open, pieces without a trigger are skipped."""
        position = 0
        while position < len(data):
            end = data.find(b"\n", position + _PIECE_BYTES) + 1 or len(data)
            piece = data[position:end] if position or end < len(data) else data
            done = self._piece(piece, data, position, is_end=is_end)
            self._note_foreign(piece[:done] if done < len(piece) else piece, self._offset)
            self._offset += done
            self._past = (self._past + piece[max(0, done - MAX_PAST) : done])[-MAX_PAST:]
            position += done
            if done < len(piece):
                break
        return position

    def _piece(self, piece: bytes, data: bytes, place: int, *, is_end: bool) -> int:
        """Read lines of a piece, which begins at a place in the data; returns how many bytes of it."""
        base, position = self._offset, 0
        if self._stamped_from is None and (stamp := STAMPED_LINE.search(piece)):
            self._stamped_from = base + stamp.start()
        if not self._kernel_seen:
            self._kernel_seen = KERNEL_LINE.search(piece) is not None
        for trigger in _triggers(piece):
            if trigger < position:
                continue  # in the same line as the one before
            start = piece.rfind(b"\n", position, trigger) + 1 or position
            self._lines(piece, base, position, start)
            position = start
            end = piece.find(b"\n", start) + 1 or len(piece)
            if not self._announcing_line(piece, start, end, Following(data, place + end, is_end=is_end)):
                self._time = _last_time(piece, start, self._time)
                return start
            position = end
        self._lines(piece, base, position, len(piece))
        self._time = _last_time(piece, len(piece), self._time)
        return len(piece)

    def _lines(self, piece: bytes, base: int, start: int, stop: int) -> None:
        """Read lines without a trigger. While no report is open, they are only counted."""
        position = start
        if self._open:
            is_common = not self._sources.are_open
            for line in LINE.finditer(piece[start:stop].decode("latin-1")):
                position = start + line.end()
                caller, text = line.groups("")
                if line.lastindex and is_common and len(text) < _MAX_COMMON_TEXT:
                    report = self._open.get(caller) or self._adopter(caller)
                    # The line is whole and announces nothing
                    if report and (text.startswith(_OWN_MARK) or not report.extend(text, self._number)):
                        self._close(report)
                    if self._number % 64 == 0:
                        self._close_old()
                    self._number += 1
                else:
                    raw = _raw(piece, start + line.start(), position)
                    place = base + start + line.start()
                    for message in self._sources.read(self._number, place, raw, may_announce=False):
                        is_echo = not message.stamped and self._is_unstamped(message, None)
                        self._message(message, None, opening=False, is_echo=is_echo)
                    self._count_line()
                if not self._open:
                    break
        self._number += piece.count(b"\n", position, stop)

    def _announcing_line(self, piece: bytes, start: int, end: int, following: Following) -> bool:
        """Read a line with a trigger; returns False if further lines have to arrive first.

        end: the byte after its newline.
        """
        raw, place, past = _raw(piece, start, end), self._offset + start, Past(self._past, piece, start)
        found = self._sources.read(self._number, place, raw, may_announce=True)
        if self._is_unclear(found):
            alone = self._stamped_from is None or self._stamped_from >= place
            if not self._sources.learn(self._number, raw, past, following, may_stand_alone=alone):
                return False
            found = self._sources.read(self._number, place, raw, may_announce=True)
        echoes = [self._is_echo(message, raw, past, following) for message in found]
        if None in echoes:
            return False
        if b"reboot: " in raw or b"Rebooting in " in raw or b"sysrq: Resetting" in raw:
            self._orderly = True
        for message, is_echo in zip(found, echoes, strict=True):
            head = identify(message.text)
            if head and head.kind.name == "reboot" and not self._is_reboot(_last_time(piece, start, self._time)):
                head = None
            if head and head.kind.name == "panic":
                self._orderly = True
            self._message(message, head, opening=is_opening(message.text), is_echo=bool(is_echo))
        self._count_line()
        return True

    def _is_unclear(self, found: list[Message]) -> bool:
        """Whether the messages in a line with a trigger may have a prefix that is not known yet."""
        for message in found:
            if _is_certain(message.text):
                return len(found) > 1
        return not all(message.speaker in self._open and BODY_LINE.match(message.text) for message in found)

    def _count_line(self) -> None:
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

    def _is_unstamped(self, message: Message, head: Head | None) -> bool:
        """Whether a line lacks the kernel's stamp that other lines have, and so may come from another program.

        It does not if its kind is printed by programs that read it from the kernel, or if the open report has no
        stamps either.
        """
        report = self._open.get(message.speaker)
        if message.stamped or (head and head.kind.is_plain) or (report and not report.first.stamped):
            return False
        learned = self._sources.is_stamped(message.source) if message.source else None
        return self._has_stamps_before(message) if learned is None else learned

    def _has_stamps_before(self, message: Message) -> bool:
        return self._stamped_from is not None and self._stamped_from < message.start

    def _is_echo(self, message: Message, raw: bytes, past: Past, following: Following) -> bool | None:
        """Whether a line is what another program printed back. None: further lines have to arrive first."""
        head = identify(message.text)
        if head and message.source and not message.stamped and head.text in self._stamped_heads:
            return True
        if not self._is_unstamped(message, head):
            return False
        if not (head or is_opening(message.text)) or self._sources.is_stamped(message.source) is not None:
            return True
        return self._region.is_echo(message, raw, past, following)

    def _adopter(self, caller: str, source: str = "") -> OpenReport | None:
        """The open report of a source that requested stack traces from other CPUs."""
        if not caller.startswith("C"):
            return None
        return next((other for other in self._open.values() if other.adopts and other.first.source == source), None)

    def _key(self, message: Message, head: Head | None) -> str:
        """The key of the open report that a line belongs to: the speaker's, or one for each module that is refused.

        Loads of several modules may interleave. A line that names no module belongs to the refusal before it.
        """
        if not head or head.kind.severity is not Severity.REFUSAL or not head.module:
            return message.speaker
        key = f"{message.speaker} {head.module}"
        before = self._open.get(message.speaker)
        if key in self._open or not before or not before.is_refusal_of_unnamed():
            return key
        return message.speaker

    def _message(self, message: Message, head: Head | None, *, opening: bool, is_echo: bool) -> None:
        key = self._key(message, head)
        report = self._open.get(key) or self._adopter(message.caller, message.source)
        if message.text.startswith(_OWN_MARK):
            if report:
                self._close(report)
            return
        if is_echo:
            return
        if report and message.continues:
            report.continue_line(message.text)
            return
        if head and message.stamped:
            self._stamped_heads.append(head.text)
        if report:
            if report.take(message, head, opening=opening):
                return
            if report.expects and head:
                report.damage = report.damage or "another report begins inside it"
            self._close(report)
        if head or opening:
            self._open[key] = new = OpenReport(message, head)
            self._waiting.append(new)
            self._note_open()

    def _close(self, report: OpenReport) -> None:
        report.closed = True
        for speaker in [speaker for speaker, other in self._open.items() if other is report]:
            del self._open[speaker]
        self._note_open()

    def _note_open(self) -> None:
        if self._sources.are_known:
            self._sources.note_open({report.first.source for report in self._open.values()})


def _remember(known: dict[str, int], name: str, place: int) -> None:
    """Note the place of a name, unless an earlier one is known."""
    known[name] = min(known.get(name, place), place)


def _raw(piece: bytes, start: int, end: int) -> bytes:
    """The bytes of a line that are read."""
    return piece[start : min(end, start + LONGEST_LINE)].removesuffix(b"\n")


def _announces(line: str, column: int) -> bool:
    """Whether a report may begin at a column of a line."""
    return _HEADLINE.match(line, column) is not None or line.startswith(_OPENINGS, column)


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
