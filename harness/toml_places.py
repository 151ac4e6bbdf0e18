"""Where the keys of a TOML text are: tomllib reads values and forgets the lines."""

import re

Place = tuple[str | int, ...]  # ("module", 1, "parameters"): of the second [[module]]

_WORD = r"""(?:[\w-]+|"[^"]*"|'[^']*')"""
_PATH = rf"{_WORD}(?:\s*\.\s*{_WORD})*"
_HEADER = re.compile(rf"^\s*\[(\[?)\s*({_PATH})\s*\]")
_KEY = re.compile(rf"^\s*({_PATH})\s*=")
_WORDS = re.compile(_WORD)
_QUOTES = ('"""', "'''")


def key_lines(text: str) -> dict[Place, int]:
    """Key -> line, counted from 1. Keys inside of inline tables have the line of the key in front of the table."""
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
    """The line of a key, or of what it is in; 1 where nothing is known."""
    return next((lines[place[:end]] for end in range(len(place), 0, -1) if place[:end] in lines), 1)


def _words(path: str) -> list[str]:
    return [word.strip("\"'") for word in _WORDS.findall(path)]


def _resolved(words: list[str], elements: dict[Place, int]) -> Place:
    """A path with the number of the present element behind each array of tables that it leads through."""
    place: Place = ()
    for count, word in enumerate(words, start=1):
        place = (*place, word)
        if place in elements and count < len(words):
            place = (*place, elements[place])
    return place
