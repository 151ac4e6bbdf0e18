# SPDX-License-Identifier: Apache-2.0
"""Macros, read from the output of a preprocessor.

GNU cpp, "Preprocessor Output" and -dD: each `#define` and `#undef` on a line in its place, with each run of spaces
replaced by one.
"""

import re
from collections.abc import Iterable

_DIRECTIVE = re.compile(r"#(?P<what>define|undef) (?P<name>\w+)(?P<rest>.*)")


def read_macros(lines: Iterable[str]) -> dict[str, str]:
    """The macros that are defined at the end: name -> parameters and replacement, as they follow it in `#define`."""
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
