# SPDX-License-Identifier: Apache-2.0
"""The modules that a guest has loaded, from /proc/modules (m_show() of kernel/module/procfs.c)."""

import re
from typing import NamedTuple

# A line may be torn, or lack the address; letters in brackets are the taints of a module.
_LINE = re.compile(r"^(\S+)(?: (\d+))?(?: (\S+))?(?: (\S+))?(?:.* 0x([0-9a-f]+)(?: \([A-Z+-]*\))?$)?", re.MULTILINE)


class LoadedModule(NamedTuple):
    """A module in /proc/modules."""

    name: str
    size: int  # bytes of its memory; 0 in a torn line
    references: str  # "-" without MODULE_UNLOAD
    users: int | None  # other modules that use it; None in a torn line
    start: int | None  # address of its text; None if the line has none

    @property
    def end(self) -> int:
        """The first address behind its memory; 0 if it has no address."""
        return 0 if self.start is None else self.start + self.size

    def contains(self, address: int) -> bool:
        """Whether an address is in its memory."""
        return self.start is not None and 0 < self.start <= address < self.end


def modules_in(proc_modules: str) -> list[LoadedModule]:
    """The modules in the text of /proc/modules."""
    return [
        LoadedModule(
            name,
            int(size or 0),
            references,
            users.count(",") if users else None,  # "-", or each with a comma
            int(start, 16) if start else None,
        )
        for name, size, references, users, start in _LINE.findall(proc_modules)
    ]
