# SPDX-License-Identifier: Apache-2.0
"""TOML with checked values: an error names file, line and key.

tomllib does not keep the lines of keys, so they are found again here.
"""

import difflib
import re
import tomllib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import date, datetime
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from harness.kernel.source import is_package, require_tree
from harness.support.errors import ModcompatError
from harness.support.inputs import expanded, is_named_production, name_below

T = TypeVar("T")

Place = tuple[str | int, ...]  # ("module", 1, "parameters"): of the second [[module]]

_WORD = r"""(?:[\w-]+|"[^"]*"|'[^']*')"""
_PATH = rf"{_WORD}(?:\s*\.\s*{_WORD})*"
_HEADER = re.compile(rf"^\s*\[(\[?)\s*({_PATH})\s*\]")
_KEY = re.compile(rf"^\s*({_PATH})\s*=")
_ERROR_LINE = re.compile(r"\(at line (\d+), column \d+\)$")
_WORDS = re.compile(_WORD)
_QUOTES = ('"""', "'''")


def read_table(path: Path, text: str) -> "Table":
    """The top-level table of a TOML text. path: its file. Raises ModcompatError if the text is not valid TOML."""
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ModcompatError(
            f"{path}:{_line_in(error, text)}: {error}", next_step="https://toml.io has the grammar on one page"
        ) from None
    except ValueError as error:  # a number of many thousand digits
        raise ModcompatError(f"{path}: {error}") from None
    except RecursionError:
        raise ModcompatError(f"{path}: its values are nested too deeply") from None
    return Table(path, key_lines(text), values, ())


def _line_in(error: tomllib.TOMLDecodeError, text: str) -> int:
    """The line of a syntax error. (The error has it as an attribute since Python 3.14.)"""
    found = _ERROR_LINE.search(str(error))
    return int(found[1]) if found else len(text.splitlines()) or 1  # "at end of document"


class Table:
    """A table with its place in the file. It records the keys that are read, so that close() can refuse the others."""

    def __init__(self, path: Path, lines: Mapping[Place, int], values: Mapping[str, Any], at: Place) -> None:
        self._path = path
        self._lines = dict(lines)
        self._values = values
        self._at = at
        self._read_keys: list[str] = []

    def fail(self, key: str, problem: str, next_step: str = "") -> NoReturn:
        """Raise ModcompatError for a key, or with "" for the table itself."""
        raise ModcompatError(f"{self.place(key)}: {problem}", next_step=next_step)

    def place(self, key: str) -> str:
        """FILE:LINE: KEY"""
        words = [f"[{word}]" if isinstance(word, int) else f".{word}" for word in (*self._at, *([key] if key else []))]
        return f"{self._path}:{self.line(key)}: {''.join(words).lstrip('.')}"

    def line(self, key: str) -> int:
        return line_of(self._lines, (*self._at, key) if key else self._at)

    def checked(self, key: str, check: Callable[[], T]) -> T:
        """The result of a check. Its ModcompatError gets the place of the key in front."""
        try:
            return check()
        except ModcompatError as error:
            raise placed(self.place(key), error) from None

    def close(self) -> None:
        """Raise ModcompatError for a key that was not read, and so does not exist."""
        for key in self._values:
            if key not in self._read_keys:
                near = difflib.get_close_matches(key, self._read_keys, n=1)
                self.fail(
                    key, "there is no such key", f"{near[0]}?" if near else f"known: {', '.join(self._read_keys)}"
                )

    def text(self, key: str) -> str:
        return str(self._get(key, str, "a string", ""))

    def flag(self, key: str) -> bool:
        return bool(self._get(key, bool, "true or false", default=False))

    def number(self, key: str, check: Callable[[float], float]) -> float:
        """A number as `check` returns it, 0 if there is none."""
        value = self._get(key, (int, float), "a number", None)
        if isinstance(value, bool):
            self.fail(key, "must be a number")
        return 0 if value is None else self.checked(key, lambda: check(value))

    def day(self, key: str) -> date | None:
        value = self._get(key, date, "a date like 2027-03-31, without quotes", None)
        return value.date() if isinstance(value, datetime) else value

    def texts(self, key: str) -> tuple[str, ...]:
        """A string, or a list of strings."""
        value = self._get(key, (str, list), "a string, or a list of strings", [])
        texts = [value] if isinstance(value, str) else value
        if not all(isinstance(text, str) for text in texts):
            self.fail(key, "must be a list of strings")
        return tuple(texts)

    def choices(self, key: str, known: Sequence[str]) -> tuple[str, ...]:
        chosen = self.texts(key)
        strange = [text for text in chosen if text not in known]
        if strange:
            self.fail(key, f"there is no {', '.join(strange)}", f"one of {', '.join(known)}")
        return chosen

    def pattern(self, key: str, known: Collection[str]) -> str:
        """A pattern that matches some of the known names; "*" if there is none."""
        pattern = self.text(key) or "*"
        if not any(fnmatchcase(name, pattern) for name in known):
            near = difflib.get_close_matches(pattern, known)
            self.fail(key, f"there is no {pattern}", f"{' or '.join(near)}?" if near else f"one of {', '.join(known)}")
        return pattern

    def source(self, key: str) -> str:
        """A kernel source: a folder, or the name of a package."""
        text = self.text(key)
        if key not in self._values or is_package(text):
            return text
        folder = self._absolute(key, text)
        if not self._is(Path.is_dir, key, folder):
            self.fail(key, f"there is no folder {folder}", "a kernel source tree, or a name like linux-source-6.1")
        self.checked(key, lambda: require_tree(folder))
        return str(folder)

    def file(self, key: str) -> Path | None:
        text = self.text(key)
        return self._existing(key, text) if key in self._values else None

    def folder(self, key: str) -> Path | None:
        text = self.text(key)
        path = self._absolute(key, text) if key in self._values else None
        if path and not self._is(Path.is_dir, key, path):
            self.fail(key, f"there is no folder {path}")
        return path

    def paths(self, key: str) -> tuple[Path, ...]:
        """Paths of files or folders that exist."""
        return self._existing_paths(key, self.texts(key))

    def _existing_paths(self, key: str, texts: Iterable[str]) -> tuple[Path, ...]:
        found = tuple(self._absolute(key, text) for text in texts)
        for path in found:
            if not (self._is(Path.is_dir, key, path) or path.is_file()):
                self.fail(key, f"there is no {path}")
        return found

    def productions(self, key: str) -> tuple[str, ...]:
        """Production kernels: folders and packages, which must exist, or names in a distribution."""
        texts = self.texts(key)
        paths = iter(self._existing_paths(key, [text for text in texts if not is_named_production(text)]))
        return tuple(text if is_named_production(text) else str(next(paths)) for text in texts)

    def files(self, key: str) -> tuple[Path, ...]:
        """Paths and patterns; each must match a file."""
        return tuple(path for text in self.texts(key) for path in self._matching(key, text))

    def named_files(self, key: str, folder: str) -> tuple[tuple[str, Path], ...]:
        """A table of names below a folder of the guest, each with the path of a file."""
        table = self.table(key)
        for name in table.keys():  # noqa: SIM118
            table.checked(name, partial(name_below, folder, name))
        found = tuple((name, path) for name in table.keys() if (path := table.file(name)))  # noqa: SIM118
        table.close()
        return found

    def keys(self) -> list[str]:
        return list(self._values)

    def table(self, key: str) -> "Table":
        value = self._get(key, dict, f"a table: [{key}]", {})
        return Table(self._path, self._lines, value, (*self._at, key))

    def tables(self, key: str) -> list["Table"]:
        value = self._get(key, list, f"a table in double brackets: [[{key}]]", [])
        if not all(isinstance(entry, dict) for entry in value):
            self.fail(key, f"must be a table in double brackets: [[{key}]]")
        return [Table(self._path, self._lines, entry, (*self._at, key, place)) for place, entry in enumerate(value)]

    def _get(self, key: str, kind: Any, expected: str, default: Any) -> Any:
        self._read_keys.append(key)
        value = self._values.get(key, default)
        if key in self._values and not isinstance(value, kind):
            self.fail(key, f"must be {expected}")
        return value

    def _absolute(self, key: str, text: str) -> Path:
        if "\0" in text or text.strip() != text or not text:
            self.fail(key, f"{text!r} is not a path")
        return self._path.parent / self.checked(key, lambda: expanded(text))

    def _existing(self, key: str, text: str) -> Path:
        path = self._absolute(key, text)
        if not self._is(Path.is_file, key, path):
            self.fail(key, f"there is no file {path}")
        return path

    def _is(self, kind: Callable[[Path], bool], key: str, path: Path) -> bool:
        """Whether there is a path of some kind. A name may be too long to be one."""
        try:
            return kind(path)
        except OSError as error:
            self.fail(key, f"{path}: {error.strerror}")

    def _matching(self, key: str, text: str) -> list[Path]:
        if not set(text) & set("*?["):
            return [self._existing(key, text)]
        path = self._absolute(key, text)
        pattern = str(path.relative_to(path.anchor))
        try:
            found = sorted(match for match in Path(path.anchor).glob(pattern) if match.is_file())
        except (ValueError, NotImplementedError, OSError) as error:
            self.fail(key, f"{text!r} is not a pattern for files: {error}")
        if not found:
            self.fail(key, f"no file matches {path}")
        return found


def placed(place: str, error: ModcompatError) -> ModcompatError:
    """The error with a place in front."""
    return ModcompatError(f"{place}: {error.problem}", details=error.details, next_step=error.next_step)


def key_lines(text: str) -> dict[Place, int]:
    """Key -> line, counted from 1. Keys inside an inline table have the line of the key that holds the table."""
    lines: dict[Place, int] = {}
    elements: dict[Place, int] = {}  # array of tables -> its last element
    table: Place = ()
    quoted = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if quoted:
            quoted = "" if quoted in line else quoted
            continue
        if header := _HEADER.match(line):
            place = _resolved(_words(header[2]), elements)
            if header[1]:
                elements[place] = elements.get(place, -1) + 1
                lines.setdefault(place, number)
                place = (*place, elements[place])
            table = place
            lines.setdefault(table, number)
        elif key := _KEY.match(line):
            words = _words(key[1])
            for count in range(1, len(words) + 1):
                lines.setdefault((*table, *words[:count]), number)
        quoted = next((quote for quote in _QUOTES if line.count(quote) % 2), "")
    return lines


def line_of(lines: dict[Place, int], place: Place) -> int:
    """The line of a key, or of the closest table around it; 1 if neither is known."""
    return next((lines[place[:end]] for end in range(len(place), 0, -1) if place[:end] in lines), 1)


def _words(path: str) -> list[str]:
    return [word.strip("\"'") for word in _WORDS.findall(path)]


def _resolved(words: list[str], elements: dict[Place, int]) -> Place:
    """A path, with the index of the current element after each array of tables in it."""
    place: Place = ()
    for count, word in enumerate(words, start=1):
        place = (*place, word)
        if place in elements and count < len(words):
            place = (*place, elements[place])
    return place
