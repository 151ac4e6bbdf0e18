# SPDX-License-Identifier: Apache-2.0
"""The structures that a module can reach through its imports, and that have another layout in the other kernel.

A module without debug information does not show which structures its code uses. Its imports show some of them: the
headers declare the structures that each function takes and returns, and those that each callback takes.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from harness.abi.compare.layout_diff import Change
from harness.abi.elf.exported_types import ExportedTypes, Type, structures

DEPTH = 2  # pointers that are followed from an import's types; a few more would reach the whole kernel
# Functions that fill in an object in their caller's memory, which has the size that the caller's headers give it.
_INITIALISER = re.compile(r"(^|_)(init|setup|initialize|create_on_stack)(_|$)")
# Structures that no caller has in its memory, since only the kernel allocates them, each from a cache or by a function
# that no module can use: net/core/net_namespace.c, kernel/fork.c, kernel/cred.c, kernel/user_namespace.c, fs/super.c,
# fs/file_table.c, fs/dcache.c, fs/namespace.c, block/bdev.c, net/core/skbuff.c, mm/sparse.c. An initialiser takes them
# as a context.
_ALLOCATED_BY_KERNEL = frozenset(
    f"struct {name}"
    for name in (
        "net", "task_struct", "signal_struct", "mm_struct", "vm_area_struct", "cred", "user_namespace", "super_block",
        "file", "dentry", "vfsmount", "block_device", "sk_buff", "page", "folio",
    )
)  # fmt: skip


@dataclass(frozen=True)
class ReachableStruct:
    """A structure that differs, and that a module's imports lead to."""

    change: Change
    via: str  # the import that leads to it
    depth: int  # pointers followed from the import
    caller_allocated: bool  # the kernel initialises one that is in the module's own memory

    @property
    def grew(self) -> bool:
        return self.change.after.size > self.change.before.size

    @property
    def severity(self) -> str:
        if self.caller_allocated and self.grew:
            return "in the module's own memory, and grew: the kernel writes behind it"
        if self.depth == 0 and self.change.shifts:
            return "passed to or from the kernel: breaks if the module uses a member that moved"
        if self.depth == 0 and self.grew:
            return "passed to the kernel, and grew: breaks if the module's own memory holds one"
        return "behind pointers only: breaks if inlined code follows them"


def reachable_structs(
    imports: Iterable[str], exports: ExportedTypes, changes: Mapping[str, Change]
) -> list[ReachableStruct]:
    """The structures that differ and that imports lead to, the most dangerous first."""
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
                        # The arguments of a callback in a directly known structure are as near as the structure.
                        near = depth if depth == 0 and isinstance(entry.type, tuple) else depth + 1
                        vias.setdefault(inner, (via, near))
    vias |= {struct: (name, 0) for struct, name in caller_allocated.items()}
    found = [
        ReachableStruct(change, *vias[name], name in caller_allocated)
        for name, change in changes.items()
        if name in vias
    ]
    return sorted(found, key=lambda it: (not (it.caller_allocated and it.grew), it.depth, it.change.name))


def _initialised(name: str, kind: Type) -> set[str]:
    """The structure that an initialiser fills in: its first argument."""
    if not isinstance(kind, tuple) or len(kind) < 2 or not _INITIALISER.search(name):
        return set()
    return structures(kind[1]) - _ALLOCATED_BY_KERNEL
