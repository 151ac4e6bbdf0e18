# SPDX-License-Identifier: Apache-2.0
"""The list of loaded modules in a report: print_modules() of kernel/module/main.c."""

import re
from collections.abc import Iterator

from harness.support.module_name import MODULE_NAME

_BEGIN = "Modules linked in:"
_FLAGGED = rf"{MODULE_NAME}(?:\([A-Z]*[+-]?\))?"
_LAST = r" \[last unloaded: [^\]]*\]"
# A record of the kernel's log ends behind 1024 characters, and the list goes on in another one (PRINTKRB_RECORD_MAX of
# kernel/printk/printk.c).
_FURTHER = re.compile(rf"(?: {_FLAGGED})+(?:{_LAST})?|{_LAST}")
_LISTED = re.compile(rf"(?:^|\s)(?P<module>{MODULE_NAME})(?:\((?P<flags>[A-Z]*)(?P<state>[+-]?)\))?(?=\s|$)")
# kernel/panic.c, taint_flags[]: proprietary, built out of the tree, without a signature
_FOREIGN_FLAGS = frozenset("POE")


def module_lists(text: str) -> Iterator[str]:
    """Each list in the text of a report, from behind "Modules linked in:" on, in one line."""
    if _BEGIN not in text:
        return
    lines = text.split("\n")
    for number, line in enumerate(lines):
        if line.startswith(_BEGIN):
            names = line.removeprefix(_BEGIN)
            for further in lines[number + 1 :]:
                if not _FURTHER.fullmatch(further):
                    break
                names += further
            yield names


def listed_modules(names: str) -> list[re.Match[str]]:
    """The modules of a list: `module`, its `flags`, and `state`, which is + or - while it is loaded or unloaded."""
    return list(_LISTED.finditer(names.partition(" [last unloaded:")[0]))


def is_foreign(listed: re.Match[str]) -> bool:
    """Whether a listed module is not part of the kernel's tree."""
    return not _FOREIGN_FLAGS.isdisjoint(listed["flags"] or "")
