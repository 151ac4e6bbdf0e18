# SPDX-License-Identifier: Apache-2.0
"""Macros, read from what a preprocessor hands on of them.

GNU cpp, "Preprocessor Output" and -dD: each `#define` and `#undef` in its place, a line each, with spaces made one.
"""

import re
from collections.abc import Iterable

_DIRECTIVE = re.compile(r"#(?P<what>define|undef) (?P<name>\w+)(?P<rest>.*)")


def read_macros(lines: Iterable[str]) -> dict[str, str]:
    """The macros that are defined at the end: parameters and replacement by name, as `#define` has them behind it."""
    macros: dict[str, str] = {}
    for line in lines:
        found = _DIRECTIVE.match(line)
        if found is None:
            continue
        if found["what"] == "define":
            macros[found["name"]] = found["rest"].rstrip()
        else:
            macros.pop(found["name"], None)
    return macros
