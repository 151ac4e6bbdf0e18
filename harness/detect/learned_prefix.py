# SPDX-License-Identifier: Apache-2.0
"""The form of the text that a program puts in front of each line of the kernel: stamps, names, columns, fields of JSON.

A prefix is known by its shape. Numbers may change from line to line, names may not, since they tell one source of a log
from another. If a log shows that a part changes nevertheless, the part is left open.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

MAX_PREFIX = 256  # characters
_MAX_LOOSE_GAP = 4  # characters between two words that may change
MAX_READ = 400  # characters of a line in which a prefix is looked for
_MAX_DEPTH = 3  # of objects of JSON in one another
_GROUPS = {"[": r"\[[^\[\]]*\]", "(": r"\([^()]*\)", "<": "<[^<>]*>"}
_GROUP = "|".join(_GROUPS.values())
# Parts of a prefix. A name is a word, or an address in dotted form. A number may end in letters, as in 00Z
_PART = re.compile(
    rf"(?P<group>{_GROUP})|(?P<name>[A-Za-z_]\w*(?:[-.]\w+)*|\d{{1,3}}(?:\.\d{{1,3}}){{3}}(?![\w.]))"
    rf"|(?P<number>\d\w*)|(?P<gap>(?:(?!{_GROUP})\W)+)",
    re.ASCII,
)
_ANY_GAP = rf"[^\w\[({{<]{{0,{_MAX_LOOSE_GAP}}}"
_ANY_NAME = r"\w+(?:[-.]\w+)*"
_HEX = re.compile(r"(?=[a-f]*\d)(?=\d*[a-f])[\da-f]{4,}")  # an identifier, or a counter
_STAMP = re.compile(r"\[ *\d+\.\d{6}\]")
_CALLER = re.compile(r"\[ *([TC]\d+)\]")  # kernel/printk/printk.c, print_caller()
_QUOTED = {'"': re.compile(r'((?:[^"\\]|\\.)*)"'), "'": re.compile(r"((?:[^']|'')*)'")}


Announces = Callable[[str, int], bool]  # whether a report may begin at a column of a line


class Stripped(NamedTuple):
    """A line without its prefix."""

    text: str
    # T<pid> or C<cpu>, "" if the prefix does not have it
    caller: str


class LearnedPrefix(Protocol):
    """The form of the lines of one source."""

    @property
    def source(self) -> str:
        """A name of the source, the same for the same form."""

    @property
    def stamped(self) -> bool:
        """Whether the kernel's own stamp follows the prefix in lines of this source."""

    def strip(self, line: str) -> Stripped | None:
        """The line without its prefix; None if it does not have this prefix."""


@dataclass(frozen=True)
class Part:
    """A part of a prefix, as regular expressions."""

    # the text that it was read from
    text: str
    # matches what has the same shape
    strict: str
    # matches what may stand in the same place
    loose: str


@dataclass(frozen=True)
class TextPrefix:
    """A prefix that ends where the kernel's text begins."""

    source: str
    pattern: re.Pattern[str]
    # the quotation mark in front of the text, "" without one
    quote: str = ""
    # index of the number that is the process ID in the group of the pattern, None if the group is a whole caller
    pid_index: int | None = None
    stamped: bool = False

    def strip(self, line: str) -> Stripped | None:
        found = self.pattern.match(line, 0, MAX_READ)
        if not found:
            return None
        text = line[found.end() :]
        if self.quote:
            text = _unquoted(text, self.quote)
        return Stripped(text, self._caller(found[1] or "") if self.pattern.groups else "")

    def _caller(self, words: str) -> str:
        if self.pid_index is None:
            return words
        numbers: list[str] = re.findall(r"\d+", words)
        return f"T{numbers[self.pid_index]}" if numbers else ""


@dataclass(frozen=True)
class JsonPrefix:
    """A line that is an object of JSON, with the kernel's text in one field."""

    # the names of the field and of the objects around it
    path: tuple[str, ...]
    # a prefix of the text in the field
    inner: TextPrefix | None = None
    stamped: bool = False

    @property
    def source(self) -> str:
        return ".".join((*self.path, self.inner.source if self.inner else "json"))

    def strip(self, line: str) -> Stripped | None:
        value: Any = json_object(line)
        for name in self.path:
            value = value.get(name) if isinstance(value, dict) else None
        text = _as_text(value)
        if text is None or not self.inner:
            return None if text is None else Stripped(text, "")
        return self.inner.strip(text)


def parts(prefix: str) -> list[Part]:
    """The parts of a prefix. Text that begins with spaces may follow it, so its own last spaces count exactly."""
    found = list(_PART.finditer(prefix))
    result: list[Part] = []
    for number, part in enumerate(found):
        kind, text = str(part.lastgroup), part[0]
        last = number == len(found) - 1
        if kind == "gap" and not last:
            before_number = found[number + 1].lastgroup == "number"
            strict = _gap(text, before_number=before_number, is_first=number == 0)
            is_short = number > 0 and len(text) <= _MAX_LOOSE_GAP and not set(text) & set(_GROUPS)
            if is_short and found[number - 1].lastgroup == found[number + 1].lastgroup == "group":
                strict = _ANY_GAP  # a sign of state, as some vendors print it
            result.append(Part(text, strict, strict))
        else:
            padding = " *" * (number == 0 and kind == "number")
            strict, loose = _word(kind, text)
            result.append(Part(text, padding + strict, padding + loose))
    return result


def _word(kind: str, text: str) -> tuple[str, str]:
    """A strict and a loose pattern for a part that is not a gap between words."""
    if kind == "group":
        found = list(_PART.finditer(text[1:-1].strip(" ")))
        inner = "".join(_gap(it[0], before_number=True) if it.lastgroup == "gap" else _word(str(it.lastgroup), it[0])[0]
                        for it in found)  # fmt: skip
        strict = f"{re.escape(text[0])} *{inner} *{re.escape(text[-1])}"
        # The kernel's own stamp does not stand for anything else
        return strict, strict if _STAMP.fullmatch(text) else f"(?!{_STAMP.pattern}){_GROUPS[text[0]]}"
    if kind == "name" or _HEX.fullmatch(text):
        return re.escape(text), _ANY_NAME
    if kind == "number":
        return (r"\d+",) * 2 if text.isdigit() else (r"\d\w*",) * 2
    return (re.escape(text),) * 2


def _gap(text: str, *, before_number: bool, is_first: bool = False) -> str:
    """A pattern for a gap between words. A number takes up the space in front of it as it grows."""
    rest = text.rstrip(" ")
    pattern = re.sub(r"(?:\\ )+", " +", re.escape(rest))
    if before_number:
        return pattern + (" *" if rest or is_first else " +")
    return pattern + " +" * (len(text) > len(rest))


@lru_cache(maxsize=256)
def compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.ASCII)


def as_learned(prefix: list[Part], open_parts: set[int], pids: set[str], *, stamped: bool) -> TextPrefix:
    """The prefix with some parts left open.

    pids: process IDs of tasks that printed a line with this prefix.
    """
    patterns = [part.loose if number in open_parts else part.strict for number, part in enumerate(prefix)]
    name = "".join(patterns)
    pid_index: int | None = None
    for number, part in enumerate(prefix):
        if _CALLER.fullmatch(part.text):
            patterns[number] = r"\[ *([TC]\d+)\]"
            break
        numbers = re.findall(r"\d+", part.text)
        at_end = [index for index in (0, -1) if numbers and numbers[index] in pids]
        if at_end and part.text[0] in _GROUPS and part.text[-1] in "])>":
            patterns[number], pid_index = f"({part.loose})", at_end[0]
            break
        if at_end and part.text.isdigit():
            patterns[number], pid_index = rf"({part.strict})", 0
            break
    text = "".join(part.text for part in prefix)
    return TextPrefix(name, compiled("".join(patterns)), text[-1] if text[-1] in _QUOTED else "", pid_index, stamped)


def _unquoted(text: str, quote: str) -> str:
    found = _QUOTED[quote].match(text)
    inner = found[1] if found else text
    if quote == "'":
        return inner.replace("''", "'")
    if "\\" not in inner:
        return inner
    try:
        return str(json.loads(f'"{inner}"', strict=False))
    except ValueError:
        return inner


def json_object(line: str) -> dict[str, Any] | None:
    """The object of JSON that makes up a line, None if there is none."""
    line = line.strip().rstrip(",")
    if not line.startswith("{") or not line.endswith("}"):
        return None
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def json_texts(value: dict[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Each text in an object of JSON, with the names of its field and of the objects around it."""
    for name, inner in value.items():
        if isinstance(inner, dict) and len(above) < _MAX_DEPTH:
            yield from json_texts(inner, (*above, name))
        elif (text := _as_text(inner)) is not None:
            yield (*above, name), text


def _as_text(value: object) -> str | None:
    """A text; systemd's journal-fields(7) writes one with control characters as an array of bytes."""
    if isinstance(value, str):
        return value.rstrip("\r\n")
    if isinstance(value, list) and value and all(isinstance(byte, int) and 0 <= byte < 256 for byte in value):
        return bytes(value).decode(errors="backslashreplace").rstrip("\r\n")
    return None
