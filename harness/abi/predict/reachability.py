# SPDX-License-Identifier: Apache-2.0
"""Which structures a module reaches through what it imports, and which of those are laid out differently.

A module without debug information does not say which structures its code uses. Its imports do, in part: the headers
declare every function with the structures that it takes and returns, and every callback with what it is given.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from harness.abi.compare.layout_diff import Change
from harness.abi.elf.exported_types import ExportedTypes, Type, structures

DEPTH = 2  # pointers that are followed from what an import names: the rest of the kernel is behind the next few
# Functions that fill in an object of their caller's, which is as large as the caller's headers made it.
_INITIALISER = re.compile(r"(^|_)(init|setup|initialize|create_on_stack)(_|$)")


@dataclass(frozen=True)
class ReachableStruct:
    """A structure that differs. via: the import that leads to it. depth: pointers followed from there.

    caller_allocated: the module has the kernel initialise one in memory of its own.
    """

    change: Change
    via: str
    depth: int
    caller_allocated: bool

    @property
    def grew(self) -> bool:
        return self.change.after.size > self.change.before.size

    @property
    def severity(self) -> str:
        if self.caller_allocated and self.grew:
            return "in the module's own memory, and grew: the kernel writes behind it"
        if self.depth == 0 and self.change.shifts:
            return "handed to or given by the kernel: broken where the module reads a member that moved"
        if self.depth == 0 and self.grew:
            return "handed to the kernel, and grew: broken where the module's own memory holds one"
        return "behind pointers only: broken where inlined code follows them"


def reachable_structs(
    imports: Iterable[str], exports: ExportedTypes, changes: Mapping[str, Change]
) -> list[ReachableStruct]:
    """The structures that differ and that imports lead to, the worst first."""
    vias: dict[str, tuple[str, int]] = {}
    caller_allocated: dict[str, str] = {}
    names = [name for name in imports if name in exports.symbols]
    for name in names:
        for struct in sorted(structures(exports.symbols[name])):
            vias.setdefault(struct, (name, 0))
        caller_allocated |= dict.fromkeys(_initialised(name, exports.symbols[name]), name)
    for depth in range(DEPTH):
        for struct, (via, near_by) in list(vias.items()):
            if near_by == depth:
                for entry in exports.fields.get(struct, ()):
                    for inner in structures(entry.type):
                        # What a callback of a directly known structure is given is as near as the structure.
                        near = depth if depth == 0 and isinstance(entry.type, tuple) else depth + 1
                        vias.setdefault(inner, (via, near))
    found = [
        ReachableStruct(change, *vias[name], name in caller_allocated)
        for name, change in changes.items()
        if name in vias
    ]
    return sorted(found, key=lambda it: (not (it.caller_allocated and it.grew), it.depth, it.change.name))


def _initialised(name: str, kind: Type) -> set[str]:
    """The structure that an initialiser is given to fill in: its first argument."""
    if not isinstance(kind, tuple) or len(kind) < 2 or not _INITIALISER.search(name):
        return set()
    return structures(kind[1])
