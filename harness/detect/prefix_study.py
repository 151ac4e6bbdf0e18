# SPDX-License-Identifier: Apache-2.0
"""Learn the prefix of a source from its own lines.

A line that has the words of a report somewhere in it is either a sentence about the kernel, or a line of the kernel
behind a prefix. The lines around it decide: a prefix repeats in shape, and kernel's words follow it there as well.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from harness.detect.kernel_words import OTHER_LINE, REPORT_LINE
from harness.detect.kinds import KINDS, TRIGGER, WORDS
from harness.detect.learned_prefix import (
    MAX_PREFIX,
    MAX_READ,
    Announces,
    JsonPrefix,
    LearnedPrefix,
    Part,
    TextPrefix,
    as_learned,
    compiled,
    json_object,
    json_texts,
    parts,
)
from harness.detect.lines import KERNEL_PREFIX, plain_text

_MAX_WITHOUT = 40  # lines in a row of another form
_ENOUGH = 2  # lines of a report behind the prefix as it is
_ENOUGH_IF_OPEN = 6  # the same, if a part of the prefix is left open
_MAX_COLUMNS = 8  # that are studied at a time
_MAX_BOUNDARIES = 48  # of words in a line at which a report may begin
_BOUNDARY = re.compile(r"(?<=[\s\]):|>\"'=;,}-])(?![\s\"'])")
# Prefixes that no other program than the kernel has: a tag of syslog, printk's stamp with something added
_TELLING = re.compile(r".*\d.*\bkernel(?:\[\d+\])?: $|(?:.* )?\[ *(?:\d+\.\d{6}\b[^\]]+|\+\d+\.\d{6})\][-.: ]*$")
# The first word of a line that begins with the name of a module, if a prefix is joined to it
JOINED = re.compile(r"\S*[;=|\])>\"]\S*: ")
_PID = re.compile(r"CPU: \d+ (?:UID: \d+ )?PID: (?P<pid>\d+) Comm: ")
_MIN_PID = 10  # smaller numbers are also those of CPUs


def _offsets() -> dict[bytes, frozenset[int] | None]:
    """How far behind the beginning of a headline each trigger stands in it. None: behind words that vary."""
    found: dict[bytes, set[int]] = {}
    for kind in KINDS:
        for trigger in kind.triggers:
            examples = (example for wording in kind.wordings for example in wording.examples)
            places = found.setdefault(trigger.encode(), set())
            places.update(example.find(trigger) for example in examples if trigger in example)
    return {word: frozenset(places) if max(places) < 8 else None for word, places in found.items() if places}


_OFFSETS = _offsets()


class StudyResult(NamedTuple):
    """What a study found."""

    # None: there is no prefix, or more lines have to be seen
    prefix: LearnedPrefix | None
    is_final: bool


UNDECIDED, NO_PREFIX = StudyResult(None, is_final=False), StudyResult(None, is_final=True)


def columns(line: str, announces: Announces) -> list[int]:
    """The columns behind the first at which a report may begin in a line."""
    raw = line[: MAX_PREFIX + 80].encode(errors="replace")
    wanted: set[int] = set()
    if len(raw) != len(line[: MAX_PREFIX + 80]):
        wanted.update(_boundaries(line))
    else:
        for word, place in _triggers(raw):
            offsets = _OFFSETS.get(word)
            wanted.update(_boundaries(line, place) if offsets is None else {place - offset for offset in offsets})
    possible = (column for column in sorted(wanted) if 0 < column <= MAX_PREFIX and announces(line, column))
    return [column for column in possible if not KERNEL_PREFIX.fullmatch(line, 0, column)][:_MAX_COLUMNS]


def _triggers(raw: bytes) -> Iterator[tuple[bytes, int]]:
    for found in TRIGGER.finditer(raw):
        yield found[0], found.start()
    for word in WORDS:
        if (place := raw.find(word)) >= 0:
            yield word, place


def _boundaries(line: str, end: int = MAX_PREFIX) -> list[int]:
    return [found.start() for found in _BOUNDARY.finditer(line, 1, end + 1)][-_MAX_BOUNDARIES:]


def study(
    line: str, past: Sequence[bytes], following: Sequence[bytes], *, is_end: bool, may_stand_alone: bool,
    announces: Announces,
) -> StudyResult:  # fmt: skip
    """Decide whether a line is one of a report behind a prefix.

    past: lines before it. following: lines after it, as many as can be seen so far. is_end: these are all.
    may_stand_alone: no line of the log has the kernel's stamp at its beginning, so that a prefix that is the kernel's
    by its form needs no other lines.
    """
    candidates: list[_Text | _Json] = list(_json_candidates(line, announces))
    candidates += [_Text(line, column) for column in columns(line, announces)] if not candidates else []
    if not candidates:
        return NO_PREFIX
    proven = next((candidate for candidate in candidates if _is_proven(candidate, past)), None)
    without = 0
    # The lines that follow are read in any case, because they tell which number in the prefix is the process ID
    for raw in following:
        text = plain_text(raw)
        without += 1
        for candidate in [proven] if proven else candidates:
            if candidate.sees(text):
                without = 0
            if candidate.is_certain:
                return StudyResult(candidate.learned(), is_final=True)
        if without > _MAX_WITHOUT:
            is_end = True
            break
    if not is_end:
        return UNDECIDED
    likely = [candidate for candidate in candidates if candidate.seen or (may_stand_alone and candidate.is_telling)]
    best = proven or max(likely, key=lambda candidate: candidate.seen, default=None)
    return StudyResult(best.learned(), is_final=True) if best else NO_PREFIX


def _is_proven(candidate: "_Text | _Json", past: Sequence[bytes]) -> bool:
    """Whether lines before show that a candidate is a prefix."""
    return len(set().union(*(candidate.kernel_words(plain_text(raw)) for raw in past))) >= _ENOUGH


def _evidence(text: str) -> str:
    """The words by which a text is a line of a report, "" if it is none. Frames differ by their functions."""
    text = _without_kernel_prefix(text)
    found = REPORT_LINE.match(text)
    return (found[0] if "+0x" in found[0] else str(found.lastindex)) if found else ""


def _kernel_words(text: str) -> str:
    """What shows that a text is of the kernel: its stamp, or words; "" if nothing does."""
    inner = _without_kernel_prefix(text)
    if len(inner) < len(text):
        return text
    other = OTHER_LINE.match(inner)
    return _evidence(inner) or (other[0] if other else "")


def _without_kernel_prefix(text: str) -> str:
    found = KERNEL_PREFIX.match(text)
    return text[found.end() :] if found else text


class _Text:
    """A candidate: the text in front of a column is a prefix."""

    def __init__(self, line: str, column: int) -> None:
        prefix = line[:column]
        # The kernel's own stamp at the end of a prefix is not part of it, so that lines without the stamp are known
        start = next((place for place in _words(prefix) if KERNEL_PREFIX.fullmatch(prefix, place)), column)
        self._stamped = start < column
        self.is_telling = _TELLING.match(prefix[:start]) is not None
        self._parts: list[Part] = parts(prefix[:start])
        self._strict = compiled("".join(part.strict for part in self._parts))
        self._loose = compiled("".join(f"({part.loose})" for part in self._parts))
        self._open: set[int] = set()
        self._pids: set[str] = set()
        own = _evidence(line[column:])
        self._own = {own} if own else set()
        self._strictly: set[str] = set()  # words of reports behind the prefix as it is
        self._loosely: set[str] = set()  # behind what may stand in its place

    @property
    def seen(self) -> int:
        """How many different words of a report follow the prefix in other lines."""
        return len((self._strictly or self._loosely) - self._own)

    @property
    def is_certain(self) -> bool:
        return self.seen >= (_ENOUGH if self._strictly else _ENOUGH_IF_OPEN)

    def kernel_words(self, line: str) -> set[str]:
        """What shows that a line with the prefix is of the kernel; empty if nothing does."""
        found = self._strict.match(line, 0, MAX_READ)
        return {_kernel_words(line[found.end() :])} - {""} - self._own if found else set()

    def sees(self, line: str) -> bool:
        """Take account of a line; returns whether it has the prefix."""
        if found := self._strict.match(line, 0, MAX_READ):
            if words := _evidence(line[found.end() :]):
                self._strictly.add(words)
                self._note_task(line[found.end() :])
            return True
        found = self._loose.match(line, 0, MAX_READ)
        if not found or not (words := _evidence(line[found.end() :])):
            return False
        self._loosely.add(words)
        pairs = enumerate(zip(self._parts, found.groups(), strict=True))
        self._open |= {number for number, (part, text) in pairs if not compiled(part.strict).fullmatch(text)}
        self._note_task(line[found.end() :])
        return True

    def _note_task(self, text: str) -> None:
        if (found := _PID.match(_without_kernel_prefix(text))) and int(found["pid"]) >= _MIN_PID:
            self._pids.add(found["pid"])

    def learned(self) -> TextPrefix:
        open_parts = set() if self._strictly else self._open
        return as_learned(self._parts, open_parts, self._pids, stamped=self._stamped)


def _words(prefix: str) -> Iterator[int]:
    """The places behind the first at which a word or a bracket begins."""
    return (found.start() for found in re.finditer(r"(?<=[^\w.:])\d|[\[<]", prefix) if found.start())


class _Json:
    """A candidate: the text of a field of an object of JSON, or what follows a prefix in it."""

    is_telling = False

    def __init__(self, path: tuple[str, ...], text: str, column: int) -> None:
        self._inner = _Text(text, column) if column else None
        self._prefix = JsonPrefix(path, stamped=not column and _without_kernel_prefix(text) != text)
        own = _evidence(text)
        self._own = {own} if own else set()
        self._words: set[str] = set()

    @property
    def seen(self) -> int:
        return self._inner.seen if self._inner else len(self._words - self._own)

    @property
    def is_certain(self) -> bool:
        return self._inner.is_certain if self._inner else self.seen >= _ENOUGH

    def kernel_words(self, line: str) -> set[str]:
        found = self._prefix.strip(line)
        if found and self._inner:
            return self._inner.kernel_words(found.text)
        return {_kernel_words(found.text)} - {""} - self._own if found else set()

    def sees(self, line: str) -> bool:
        found = self._prefix.strip(line)
        if found and self._inner:
            return self._inner.sees(found.text)
        if found and (words := _evidence(found.text)):
            self._words.add(words)
        return found is not None

    def learned(self) -> JsonPrefix:
        inner = self._inner.learned() if self._inner else None
        return replace(self._prefix, inner=inner, stamped=inner.stamped) if inner else self._prefix


def _json_candidates(line: str, announces: Announces) -> Iterator[_Json]:
    for path, text in json_texts(json_object(line) or {}):
        inner = _without_kernel_prefix(text)
        begins = announces(inner, 0) and not JOINED.match(inner)
        yield from (_Json(path, text, column) for column in ([0] if begins else columns(text, announces)))
