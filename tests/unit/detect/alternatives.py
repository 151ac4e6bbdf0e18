# SPDX-License-Identifier: Apache-2.0
"""Texts that a regular expression matches, one for each of its alternatives."""

import re
from collections.abc import Iterator
from typing import Any

# Python's own parser of regular expressions; re._parser and sre_parse of older Pythons are the same
_PARSER: Any = re._parser  # type: ignore[attr-defined]
_LETTERS = "xX1 _.:#/(-" + "".join(map(chr, range(33, 127))) + "\u00fc"  # tried in this order for a set of characters


def alternatives(pattern: str) -> list[str]:
    """Texts that together take every branch of a pattern, with each optional part present and absent.

    Text that a lookahead forbids is not avoided: drop the texts that the pattern does not match.
    """
    texts = list(_of_sequence(_PARSER.parse(pattern)))
    return sorted(text for text in set(texts) if re.match(pattern, text))


def _of_sequence(parsed: Any) -> Iterator[str]:
    parts = [list(_of_part(code, value)) for code, value in parsed]
    for number in range(max((len(part) for part in parts), default=0) or 1):
        yield "".join(part[min(number, len(part) - 1)] for part in parts)
    # each alternative with the first of the others as well, since two that go together may not match
    for place, part in enumerate(parts):
        for text in part[1:]:
            yield "".join(text if place == other else each[0] for other, each in enumerate(parts))


def _of_part(code: Any, value: Any) -> Iterator[str]:
    match str(code):
        case "LITERAL":
            yield chr(value)
        case "NOT_LITERAL":
            yield next(letter for letter in _LETTERS if ord(letter) != value)
        case "ANY":
            yield "x"
        case "IN":
            yield next(letter for letter in _LETTERS if _is_in(letter, value))
        case "MAX_REPEAT" | "MIN_REPEAT":
            yield from _repeated(*value)
        case "BRANCH":
            for branch in value[1]:
                yield from _of_sequence(branch)
        case "SUBPATTERN":
            yield from _of_sequence(value[3])
        case _:  # a place in the text: lookaheads, \b, $
            yield ""


def _repeated(least: int, most: Any, inner: Any) -> Iterator[str]:
    for text in _of_sequence(inner):
        yield text * max(least, 1)
    if not least:
        yield ""


def _is_in(letter: str, members: Any) -> bool:
    found = False
    for code, value in members:
        match str(code):
            case "NEGATE":
                return not _is_in(letter, members[1:])
            case "LITERAL":
                found |= ord(letter) == value
            case "RANGE":
                found |= value[0] <= ord(letter) <= value[1]
            case "CATEGORY":
                kind = {
                    "DIGIT": r"\d",
                    "NOT_DIGIT": r"\D",
                    "SPACE": r"\s",
                    "NOT_SPACE": r"\S",
                    "WORD": r"\w",
                    "NOT_WORD": r"\W",
                }
                found |= bool(re.match(kind[str(value).removeprefix("CATEGORY_")], letter))
    return found
