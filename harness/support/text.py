# SPDX-License-Identifier: Apache-2.0
"""Makes control characters in foreign text visible, so that a console log cannot steer a terminal or a browser."""

import re
from collections.abc import Iterable

# Control characters except tab and newline, surrogates, and characters without width or that change the direction of
# writing (Unicode categories Cc, Cf, Cs, Zl, Zp), and the two code points that XML 1.0 does not allow.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\ud800-\udfff\ufeff\ufff0-\uffff\U000e0000-\U000e0fff]"
)


def visible(text: str) -> str:
    """The text with every hidden character replaced by a sign: ␛ for escape, ⟨U+202E⟩ if it has no sign."""
    return _HIDDEN.sub(_sign, text)


def decoded(raw: bytes) -> str:
    """The bytes of a console as visible text. CR LF becomes a newline; bytes that are not UTF-8 become \\xff."""
    return visible(raw.decode(errors="backslashreplace").replace("\r\n", "\n"))


def one_line(text: str) -> str:
    """Visible text joined into one line."""
    return " ".join(visible(text).split())


def and_more(count: int, noun: str = "") -> str:
    """`and 3 more`, or `and 3 more findings` with a noun, for things that are left out; "" if there are none."""
    return f"and {count} more {noun}".rstrip() if count > 0 else ""


def join_some(items: Iterable[str], most: int) -> str:
    """The first `most` items of a list, and how many follow: `a, b and 3 more`."""
    known = list(items)
    return f"{', '.join(known[:most])} {and_more(len(known) - most)}".rstrip()


def _sign(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < 0x20:
        return chr(0x2400 + code)
    return "␡" if code == 0x7F else f"⟨U+{code:04X}⟩"
