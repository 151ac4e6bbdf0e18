# SPDX-License-Identifier: Apache-2.0
"""Whether a module that was built for one kernel finds in another what it was compiled with.

Each comparison counts what is equal, says for each difference that is none to a module why it is none, and names
the others. What may differ, and why, comes in as data
(harness/lab/validation/allowed_differences.py); nothing is let through without.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from harness.abi.compare.layout_diff import Change, Difference
from harness.abi.elf.dwarf import Layout, Member
from harness.abi.elf.functions import FunctionBody
from harness.kernel.symvers import Export


@dataclass(frozen=True)
class Allowance:
    """Names (a regular expression for all of one) that may differ. reason: why no module sees a difference.

    lacking, having: Kconfig symbols; it holds only where production has the one off, the other on. "" for always.
    uses: for functions, only those that refer to this (a regular expression) on the other kernel, and not in
    production, and besides to all that they refer to in production.
    """

    names: str
    reason: str
    lacking: str = ""
    having: str = ""
    uses: str = ""

    def covers(self, name: str, production: Mapping[str, str]) -> bool:
        """production: its configuration, symbol -> value."""
        held = production.get(self.lacking, "n") == "n" and (not self.having or production.get(self.having) == "y")
        return held and bool(re.fullmatch(self.names, name))


@dataclass(frozen=True)
class Comparison:
    """of: what was compared. explained: name -> why its difference is none. differences: name -> what differs.

    beside: how many there are that only the other kernel has.
    """

    of: str
    equal: int = 0
    beside: int = 0
    explained: dict[str, str] = field(default_factory=dict)
    differences: dict[str, str] = field(default_factory=dict)

    @property
    def compared(self) -> int:
        return self.equal + len(self.explained) + len(self.differences)


def compare_layouts(
    before: Mapping[str, Layout],
    after: Mapping[str, Layout],
    production: Mapping[str, str],
    *,
    grown: Sequence[Allowance],
    unreachable: Sequence[Allowance],
) -> Comparison:
    """Structures. unreachable: what no module of production can do anything with.

    grown: what only the kernel allocates. It may grow behind all that production has: each of production's members
    has the same offset, size and type; a member that is such a structure itself may have grown in the same way,
    but not an array of them; and what is new begins where production's members have ended. A structure that has
    no members in production has nothing that a module could reach, wherever it stands.
    """
    difference = Difference(before, after)
    explained, differences = {}, {}
    for name in (*difference.changes, *difference.missing):
        change = difference.changes.get(name)
        if reason := _reason(name, production, unreachable):
            explained[name] = reason
        elif change is None:
            differences[name] = f"{name} is gone"
        elif _is_empty(change.before):
            explained[name] = "has no members in production"
        elif problem := next(_not_behind(change, difference.changes, production, grown), ""):
            differences[name] = f"{change.title}: {problem}"
        elif reason := _reason(name, production, grown):
            explained[name] = f"grew behind what production has; {reason}"
        else:
            differences[name] = f"{change.title}: grew, and a module may have one of its own"
    return _counted("structures", before, after, explained, differences)


def compare_functions(
    before: Mapping[str, FunctionBody],
    after: Mapping[str, FunctionBody],
    production: Mapping[str, str],
    *,
    differing: Sequence[Allowance],
    same: Mapping[str, str],
) -> Comparison:
    """Inlined functions, by their code. differing: those that may differ, or be no inlined functions any more.

    same: functions (a regular expression) that do what another one does, and may be called in its place.
    """
    explained, differences = {}, {}
    for name, code in before.items():
        other = after.get(name)
        problem = _code_differs(code, other, same) if other else "is not inlined any more"
        if not problem:
            continue
        new = _added(code, other, same) if other else set()
        possible = [entry for entry in differing if not entry.uses or any(re.fullmatch(entry.uses, it) for it in new)]
        if reason := _reason(name, production, possible):
            explained[name] = reason
        else:
            differences[name] = f"{name}(): {problem}"
    return _counted("inlined functions", before, after, explained, differences)


def compare_macros(
    before: Mapping[str, str],
    after: Mapping[str, str],
    production: Mapping[str, str],
    *,
    differing: Sequence[Allowance],
) -> Comparison:
    """Macros, by their text: one that leads to another differs where that one does. differing: those that may."""
    explained, differences = {}, {}
    for name, text in before.items():
        if after.get(name) == text:
            continue
        if reason := _reason(name, production, differing):
            explained[name] = reason
        else:
            now = f"is{after[name]}" if name in after else "is not defined"
            differences[name] = f"{name}{text} {now} here"
    return _counted("macros", before, after, explained, differences)


def compare_exactly(of: str, before: Mapping[str, object], after: Mapping[str, object]) -> Comparison:
    """What may not differ at all: enumerators by their values, prototypes by their text."""
    differences = {
        name: f"{name} is {value} in production, and {after.get(name, 'missing')} here"
        for name, value in before.items()
        if after.get(name) != value
    }
    return _counted(of, before, after, {}, differences)


def compare_exports(before: Mapping[str, Export], after: Mapping[str, Export]) -> Comparison:
    """Exported symbols: each with the licence that it asks for, and its namespace."""
    differences = {}
    for name, export in before.items():
        if name not in after:
            differences[name] = f"{name} is not exported"
        elif (after[name].kind, after[name].namespace) != (export.kind, export.namespace):
            differences[name] = f"{name} is {_exported(after[name])}, and in production {_exported(export)}"
    return _counted("exported symbols", before, after, {}, differences)


def _counted(
    of: str,
    before: Mapping[str, object],
    after: Mapping[str, object],
    explained: dict[str, str],
    differences: dict[str, str],
) -> Comparison:
    """What was found, with how many are equal, and how many are only there afterwards."""
    equal = len(before) - len(explained) - len(differences)
    return Comparison(of, equal, len(after.keys() - before.keys()), explained, differences)


def _reason(name: str, production: Mapping[str, str], allowances: Sequence[Allowance]) -> str:
    return next((entry.reason for entry in allowances if entry.covers(name, production)), "")


def _is_empty(layout: Layout) -> bool:
    return layout.size == 0 and not layout.members


def _not_behind(
    change: Change, changes: Mapping[str, Change], production: Mapping[str, str], grown: Sequence[Allowance]
) -> Iterator[str]:
    """What a module sees of a structure's change."""
    known = {member.name: member for member in change.after.members}
    for old in change.before.members:
        new = known.get(old.name)
        inner = changes.get(old.embeds)
        if inner and _is_empty(inner.before) and not old.size:
            continue
        if new is None:
            yield f"{old.name} went"
        elif (new.offset, new.bits) != (old.offset, old.bits):
            yield f"{old.name} moved from offset {old.offset} to {new.offset}"
        elif (new.size, new.type) != (old.size, old.type):
            alone = inner and (old.type, old.size) == (new.type, inner.before.size)  # not an array of them
            behind = inner and alone and _reason(inner.name, production, grown)
            if inner is None or not behind or any(_not_behind(inner, changes, production, grown)):
                yield f"{old.name} ({old.type}, {old.size} bytes) is {new.type}, {new.size} bytes"
    end = max((_end(member) for member in change.before.members), default=0)
    for member in change.added:
        if member.offset < end:
            yield f"{member.name} came at offset {member.offset}, before the end of production's members at {end}"


def _end(member: Member) -> int:
    """The first byte behind a member."""
    bits = member.bits
    return member.offset + ((bits[0] % 8 + bits[1] + 7) // 8 if bits else member.size)


def _code_differs(before: FunctionBody, after: FunctionBody, same: Mapping[str, str]) -> str:
    """What differs first, in words; "" for equal code."""
    for one, other in zip(before.relocations, after.relocations, strict=False):
        if _plain(one, same) != _plain(other, same):
            return f"refers to {one.split(' ', 2)[-1]} in production, to {other.split(' ', 2)[-1]} here"
    if len(before.relocations) != len(after.relocations):
        more, where = (
            (before, "production") if len(before.relocations) > len(after.relocations) else (after, "this kernel")
        )
        further = more.relocations[min(len(before.relocations), len(after.relocations))]
        return f"refers to {further.split(' ', 2)[-1]} in {where} only"
    return "" if before.digest == after.digest else f"other instructions ({before.size} → {after.size} bytes)"


def _added(before: FunctionBody, after: FunctionBody, same: Mapping[str, str]) -> set[str]:
    """The symbols that a function refers to in addition; none where one of those before is missing."""
    was, now = ({_plain(it, same).split(" ", 2)[-1] for it in code.relocations} for code in (before, after))
    if was - now:
        return set()
    old, new = ({re.split(r"[+-]\d+$", it.split(" ", 2)[-1])[0] for it in code.relocations} for code in (before, after))
    return new - old


def _plain(reference: str, same: Mapping[str, str]) -> str:
    """A reference with the name that stands for all that do the same."""
    place, kind, name = reference.split(" ", 2)
    for pattern, replacement in same.items():
        if found := re.fullmatch(pattern, name):
            return f"{place} {kind} {found.expand(replacement)}"
    return reference


def _exported(export: Export) -> str:
    return f"{export.kind} in {export.namespace}" if export.namespace else export.kind
