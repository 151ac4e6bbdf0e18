# SPDX-License-Identifier: Apache-2.0
"""Whether a module that was built for one kernel finds the same ABI in another.

Each comparison counts what is equal, gives a reason for each difference that no module can notice, and reports the
others. The differences that are allowed, with their reasons, are data
(harness/lab/validation/allowed_differences.py); no other difference is accepted.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from harness.abi.compare.layout_diff import Change, LayoutDiff
from harness.abi.compare.layout_text import with_sizes
from harness.abi.elf.dwarf import Layout, Member
from harness.abi.elf.functions import FunctionBody
from harness.kernel.symvers import Export

# What a function returns through, unless it ends with a call of another function (arch/x86/lib/retpoline.S)
_RETURNS = {"__x86_return_thunk"}


@dataclass(frozen=True)
class Allowance:
    """A difference that no module can notice."""

    names: str  # a regular expression that matches a whole name
    reason: str  # why no module notices
    lacking: str | None = None  # a Kconfig symbol: allowed only if production has it off
    having: str | None = None  # a Kconfig symbol: allowed only if production has it on
    # A regular expression: allowed only for a function that refers to such a symbol in the other kernel and not in
    # production. Entries whose symbols it refers to explain it together: each further symbol has to match `uses` or
    # `beside` of one of them, and each symbol that it no longer refers to, `instead` of one.
    uses: str | None = None
    beside: str | None = None  # a regular expression: further symbols of such a function
    instead: str | None = None  # a regular expression: symbols of production that such a function may do without

    def covers(self, name: str, production: Mapping[str, str]) -> bool:
        """Whether it allows a name to differ. production: its configuration, symbol -> value."""
        if self.lacking and production.get(self.lacking, "n") != "n":
            return False
        if self.having and production.get(self.having) != "y":
            return False
        return re.fullmatch(self.names, name) is not None


@dataclass(frozen=True)
class Comparison:
    """The result of comparing one sort of thing in two kernels."""

    of: str  # the sort: "structures", "macros" ...
    equal: int = 0
    beside: int = 0  # how many only the other kernel has
    explained: dict[str, str] = field(default_factory=dict)  # name -> why no module notices the difference
    differences: dict[str, str] = field(default_factory=dict)  # name -> the difference

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
    """Compare structures.

    unreachable: structures that no module of production can use. grown: structures that only the kernel allocates.
    These may grow after production's members: each of production's members keeps its offset, size and type, and new
    members begin after the last of them. A member that is itself such a structure may grow in the same way, but an
    array of them may not. Members without size may be anywhere. A structure without members in production has nothing
    that a module could reach, so its place does not matter.
    """
    difference = LayoutDiff(before, after)
    explained, differences = {}, {}
    for name in (*difference.changes, *difference.missing):
        change = difference.changes.get(name)
        if reason := _reason(name, production, unreachable):
            explained[name] = reason
        elif change is None:
            differences[name] = f"{name} is gone"
        elif _is_empty(change.before):
            explained[name] = "has no members in production"
        elif problem := next(_visible_changes(change, difference.changes, production, grown), None):
            differences[name] = f"{with_sizes(change)}: {problem}"
        elif _extent(change.after) == _extent(change.before) and not any(it.size for it in _added(change)):
            explained[name] = "only members without size differ"
        elif reason := _reason(name, production, grown):
            explained[name] = f"grew behind production's members; {reason}"
        else:
            differences[name] = f"{with_sizes(change)}: grew, and a module may allocate one"
    return _counted("structures", before, after, explained, differences)


def compare_functions(
    before: Mapping[str, FunctionBody],
    after: Mapping[str, FunctionBody],
    production: Mapping[str, str],
    *,
    differing: Sequence[Allowance],
    same: Mapping[str, str],
    reports: str = "",
) -> Comparison:
    """Compare inlined functions by their code.

    differing: those that may differ, or may no longer be inlined. same: a regular expression for a function -> its
    replacement (as in re.Match.expand()), a function that does the same. reports: a regular expression for symbols by
    which any check reports what it finds; they need no entry of their own.
    """
    explained, differences = {}, {}
    for name, code in before.items():
        other = after.get(name)
        problem = _code_difference(code, other, same) if other else "is not inlined any more"
        if not problem:
            continue
        gone, new = _changed_references(code, other, same) if other else (set(), set())
        allowed = [entry for entry in differing if entry.covers(name, production)]
        if reason := _explanation(allowed, gone, new - {name}, reports):
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
    """Compare macros by their text. A macro that expands to another one counts as equal if only that one differs.

    differing: those that may differ.
    """

    # The text of a macro begins with a space or "(".
    def difference(name: str) -> str:
        return f"{name}{before[name]} {f'is{after[name]}' if name in after else 'is not defined'} here"

    return _judged("macros", before, after, production, differing=differing, difference=difference)


def compare_texts(
    of: str,
    before: Mapping[str, object],
    after: Mapping[str, object],
    production: Mapping[str, str],
    *,
    differing: Sequence[Allowance],
) -> Comparison:
    """Compare enumerators by their values, or prototypes by their text. differing: those that may differ."""

    def difference(name: str) -> str:
        return f"{name} is {before[name]} in production, and {after.get(name, 'missing')} here"

    return _judged(of, before, after, production, differing=differing, difference=difference)


def compare_exports(before: Mapping[str, Export], after: Mapping[str, Export]) -> Comparison:
    """Compare exported symbols, each with the licence that it demands and its namespace."""
    differences = {}
    for name, export in before.items():
        if name not in after:
            differences[name] = f"{name} is not exported"
        elif (after[name].kind, after[name].namespace) != (export.kind, export.namespace):
            differences[name] = f"{name} is {_exported(after[name])}, and in production {_exported(export)}"
    return _counted("exported symbols", before, after, {}, differences)


def _judged(
    of: str,
    before: Mapping[str, object],
    after: Mapping[str, object],
    production: Mapping[str, str],
    *,
    differing: Sequence[Allowance],
    difference: Callable[[str], str],
) -> Comparison:
    """The comparison of names by what they stand for. difference: tells that of a name which nothing explains."""
    explained, differences = {}, {}
    for name, value in before.items():
        if after.get(name) == value:
            continue
        if reason := _reason(name, production, differing):
            explained[name] = reason
        else:
            differences[name] = difference(name)
    return _counted(of, before, after, explained, differences)


def _counted(
    of: str,
    before: Mapping[str, object],
    after: Mapping[str, object],
    explained: dict[str, str],
    differences: dict[str, str],
) -> Comparison:
    """The comparison, with the numbers of equal names and of names that only the other kernel has."""
    equal = len(before) - len(explained) - len(differences)
    return Comparison(of, equal, len(after.keys() - before.keys()), explained, differences)


def _reason(name: str, production: Mapping[str, str], allowances: Sequence[Allowance]) -> str | None:
    return next((entry.reason for entry in allowances if entry.covers(name, production)), None)


def _extent(layout: Layout) -> tuple[int, int]:
    """What a structure takes where it is: its bytes, and its alignment if its declaration names one."""
    return layout.size, layout.alignment


def _added(change: Change) -> list[Member]:
    """The members that take room in one kernel only: new ones, and those that are empty in production."""
    now = change.new_members
    filled = [now[old.name] for old in change.before.members if not old.size and old.name in now]
    return [*change.added, *(member for member in filled if member.size)]


def _is_empty(layout: Layout) -> bool:
    return layout.size == 0 and not layout.members


def _visible_changes(
    change: Change, changes: Mapping[str, Change], production: Mapping[str, str], grown: Sequence[Allowance]
) -> Iterator[str]:
    """The parts of a structure's change that a module can notice."""
    for old in change.before.members:
        new = change.new_members.get(old.name)
        inner = changes.get(old.embeds) if old.embeds else None
        if inner and _is_empty(inner.before) and not old.size:
            continue
        if new is None:
            yield f"{old.name} was removed"
        elif (new.offset, new.bits) != (old.offset, old.bits):
            yield f"{old.name} moved from offset {old.offset} to {new.offset}"
        elif (new.size, new.type) != (old.size, old.type):
            alone = inner and (old.type, old.size) == (new.type, inner.before.size)  # not an array of them
            behind = inner and alone and _reason(inner.name, production, grown)
            if inner is None or not behind or any(_visible_changes(inner, changes, production, grown)):
                yield f"{old.name} ({old.type}, {old.size} bytes) is {new.type}, {new.size} bytes"
    end = max((_bits(member).stop for member in change.before.members), default=0)
    if not _reason(change.before.name, production, grown):
        end = (end + 7) // 8 * 8  # a module that writes production's last bits writes the whole byte
    for member in _added(change):
        if member.size and _bits(member).start < end:
            yield (
                f"{member.name} was added at offset {member.offset}, before the end of production's members at "
                f"{(end + 7) // 8}"
            )


def _bits(member: Member) -> range:
    """The bits of a structure that a member has."""
    start, length = member.bits or (8 * member.offset, 8 * member.size)
    return range(start, start + length)


def _code_difference(before: FunctionBody, after: FunctionBody, same: Mapping[str, str]) -> str | None:
    """The first difference in words, None for equal code."""
    old, new = before.relocations, after.relocations
    for one, other in zip(old, new, strict=False):
        if _plain(one, same) != _plain(other, same):
            if _target(one) == _target(other):
                return f"refers to {_target(one)} at {_place(one)} in production, at {_place(other)} here"
            return f"refers to {_target(one)} in production, to {_target(other)} here"
    if len(old) != len(new):
        longer, where = (old, "production") if len(old) > len(new) else (new, "this kernel")
        further = longer[min(len(old), len(new))]
        return f"refers to {_target(further)} in {where} only"
    return None if before.digest == after.digest else f"other instructions ({before.size} → {after.size} bytes)"


def _explanation(allowed: Sequence[Allowance], gone: Iterable[str], new: Iterable[str], reports: str) -> str | None:
    """Why a function may refer to other symbols than in production; None if it may not.

    allowed: the entries for the function. gone, new: the symbols that it refers to only in production, and only in the
    other kernel. reports: as compare_functions() takes it.
    """
    used = [entry for entry in allowed if entry.uses and any(re.fullmatch(entry.uses, it) for it in new)]
    more = [reports, *(pattern for entry in used for pattern in (entry.uses, entry.beside))]
    less = [entry.instead for entry in used]
    if used and _all_match(new, more) and _all_match(gone, less):
        return used[0].reason
    return next((entry.reason for entry in allowed if not entry.uses), None)


def _all_match(symbols: Iterable[str], patterns: Sequence[str | None]) -> bool:
    return all(any(pattern and re.fullmatch(pattern, symbol) for pattern in patterns) for symbol in symbols)


def _changed_references(
    before: FunctionBody, after: FunctionBody, same: Mapping[str, str]
) -> tuple[set[str], set[str]]:
    """The symbols that a function refers to no longer, be it at another offset only, and those in addition."""
    was, now = ({_target(_plain(it, same)) for it in code.relocations} for code in (before, after))
    old, new = ({_symbol(_target(it)) for it in code.relocations} for code in (before, after))
    return {_symbol(it) for it in was - now} - _RETURNS, new - old


def _target(reference: str) -> str:
    """What a relocation refers to: a symbol and perhaps an offset."""
    return reference.split(" ", 2)[-1]


def _place(reference: str) -> str:
    """The place of a relocation in its function, with its type."""
    at, kind, _ = reference.split(" ", 2)
    return f"0x{at.removesuffix(':')} (type {kind})"


def _symbol(target: str) -> str:
    """The symbol of a relocation's target, without the offset."""
    return re.split(r"[+-]\d+$", target)[0]


def _plain(reference: str, same: Mapping[str, str]) -> str:
    """A relocation, with one name for all functions that do the same."""
    place, kind, name = reference.split(" ", 2)
    for pattern, replacement in same.items():
        if found := re.fullmatch(pattern, name):
            return f"{place} {kind} {found.expand(replacement)}"
    return reference


def _exported(export: Export) -> str:
    return f"{export.kind} in {export.namespace}" if export.namespace else export.kind
