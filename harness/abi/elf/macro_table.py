# SPDX-License-Identifier: Apache-2.0
"""Macros, read from the output of a preprocessor.

GNU cpp, "Preprocessor Output" and -dD: each `#define` and `#undef` on a line in its place, with each run of spaces
replaced by one.
"""

import re
from collections.abc import Iterable, Mapping

# include/linux/kconfig.h; an option that is a module has the suffix
_ENABLED = re.compile(r"\bIS_(?P<how>ENABLED|BUILTIN|MODULE)\((?P<option>CONFIG_\w+)\)")
_OPTION = re.compile(r"\bCONFIG_\w+")
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


def without_options(macros: Mapping[str, str]) -> dict[str, str]:
    """The macros but Kconfig's own (CONFIG_...), whose values replace them in the others."""

    def enabled(found: re.Match[str]) -> str:
        builtin, module = found["option"] in macros, f"{found['option']}_MODULE" in macros
        return str(int({"ENABLED": builtin or module, "BUILTIN": builtin, "MODULE": module}[found["how"]]))

    def value(found: re.Match[str]) -> str:
        return macros.get(found[0], found[0]).strip()

    return {
        name: _OPTION.sub(value, _ENABLED.sub(enabled, text))
        for name, text in macros.items()
        if not name.startswith("CONFIG_")
    }
