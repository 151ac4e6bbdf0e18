# SPDX-License-Identifier: Apache-2.0
"""Sentences about the differences between two kernels' structures."""

from collections.abc import Iterator, Sequence

from harness.abi.compare.layout_diff import Change, LayoutDiff, MemberRun, StaleMember
from harness.abi.elf.dwarf import Member
from harness.support.text import join_some

_MAX_NAMES = 3  # names listed before "and N more"


def c_name(change: Change) -> str:
    """The structure's name as C code uses it: `spinlock_t (struct spinlock)`."""
    alias = change.after.alias
    return f"{alias} ({change.name})" if alias and alias != change.name else change.name


def with_sizes(change: Change) -> str:
    """The structure's name, and its size before and after in bytes: `struct mutex 32 → 56`."""
    return f"{c_name(change)} {change.before.size} → {change.after.size}"


def describe(change: Change) -> str:
    """Name and sizes. If the sizes are equal, also the first thing that changed: `struct page 64 → 64: ptl was ...`."""
    first = next(_member_changes(change), "") if change.before.size == change.after.size else ""
    return f"{with_sizes(change)}: {first}" if first else with_sizes(change)


def summarize_cause(diff: LayoutDiff, cause: str) -> str:
    """A cause in one line: the members that changed, what they moved, and how many structures embed it."""
    change, victims = diff.changes[cause], diff.causes[cause]
    what = list(_added_and_removed(change))
    if change.resized and not what:
        what = [next(_member_changes(change))]
    text = ": ".join([with_sizes(change), *what])
    if change.shifts:
        count = sum(run.count for run in change.shifts)
        text += f", {_moved(change.shifts[0])}"
        text += f" and {count - 1} more members moved" if count > 1 else " moved"
    return f"{text}; {len(victims)} more embed it" if victims else text


def explain_place(diff: LayoutDiff, place: str) -> str | None:
    """Why a structure ("struct mutex") or a member ("struct module.init") changed, None if it did not."""
    name, _, member = place.partition(".")
    change = diff.find(name)
    if change is None:
        return None
    return explain_move(diff, change.name, member) if member else f"{describe(change)}{_because(diff, change.name)}"


def explain_move(diff: LayoutDiff, name: str, member: str) -> str | None:
    """Why a member has another offset, in one sentence, None if it has not. name: the structure's full name."""
    move = diff.move(name, member)
    if move is None:
        return None
    why = [_changed(move.added_before, "added")] if move.added_before else []
    for was, now in move.resized_before:
        inner = diff.changes.get(now.embeds) if now.embeds else None
        if inner:
            why.append(f"{with_sizes(inner)} in {now.name}{_because(diff, inner.name)}")
        else:
            why.append(f"{now.type} {was.size} → {now.size} in {now.name}")
    text = f"{name}.{member} 0x{move.old.offset:x} → 0x{move.new.offset:x}"
    return f"{text}, because {', '.join(why)}" if why else text


def explain_offset(diff: LayoutDiff, name: str, offset: int) -> str | None:
    """Why the member that production has at an offset (bytes) is not there any more, None if it is."""
    if name in diff.missing:
        return f"{name} is gone"
    stale = diff.stale_member(name, offset)
    if stale is None:
        return None
    if stale.new and stale.new.offset != stale.old.offset:
        return explain_move(diff, stale.change.name, stale.old.name)
    return _why_stale(diff, stale)


def _why_stale(diff: LayoutDiff, stale: StaleMember) -> str:
    """Why a member that has kept its offset, or was removed, is stale."""
    place = f"{stale.change.name}.{stale.old.name}"
    if stale.new is None:
        return f"{place} was removed"
    if stale.new.bits != stale.old.bits:
        return f"{place} has other bits"
    if stale.inner:
        return f"{with_sizes(stale.inner)} in {place}{_because(diff, stale.inner.name)}"
    return f"{place} has {stale.new.size} bytes instead of {stale.old.size}"


def render(diff: LayoutDiff, *, only: str = "") -> str:
    """The whole difference: each cause once with its victims below it. Runs of moved members are folded.

    only: a structure by any of its names; then only that one is described.
    """
    lines = [f"{len(diff.changes)} of {diff.compared} structures changed"]
    if only:
        return "\n".join([*lines, *_one_structure(diff, only)])
    if diff.missing:
        lines += [f"{len(diff.missing)} more are gone: {', '.join(diff.missing)}"]
    for cause, victims in diff.causes.items():
        wrappers = diff.with_wrappers(cause)[1:]
        lines += ["", f"cause: {with_sizes(diff.changes[cause])}"]
        lines += [f"   and: {with_sizes(diff.changes[wrapper])}, which wraps it" for wrapper in wrappers]
        lines += _details(diff.changes[cause])
        shown = [name for name in victims if name not in wrappers]
        if shown:
            lines.append(f"  changes {len(shown)} more, which embed it:")
        for name in shown:
            via = diff.chain(name)[1]
            lines.append(f"    {with_sizes(diff.changes[name])}" + (f", through {via}" if via != cause else ""))
            lines += [f"    {line}" for line in _details(diff.changes[name])] if name == "struct module" else []
    return "\n".join(lines)


def _one_structure(diff: LayoutDiff, name: str) -> Iterator[str]:
    wanted = [full for full, change in diff.changes.items() if change.is_called(name)]
    for full in wanted:
        yield from ("", " ← ".join(with_sizes(diff.changes[link]) for link in diff.chain(full)))
        yield from _details(diff.changes[full])
    if not wanted:
        fate = "is gone" if diff.is_gone(name) else "is new" if diff.is_new(name) else "did not change"
        yield from ("", f"{name} {fate}")


def _because(diff: LayoutDiff, name: str) -> str:
    """The cause of a structure's change, in parentheses; nothing if the structure is its own cause."""
    if name not in diff.changes or diff.is_cause(name):
        return ""
    return f" (because of {describe(diff.changes[diff.chain(name)[-1]])})"


def _member_changes(change: Change) -> Iterator[str]:
    """Everything that changed in the members, the most telling first."""
    yield from _added_and_removed(change)
    for was, now in change.resized:
        if was.type != now.type:
            yield f"{now.name} was {was.type}, is {now.type}"
        elif was.size == now.size:
            yield f"{now.name} has other bits"
        else:
            yield f"{now.name} {was.size} → {now.size}"
    yield from map(_moved, change.shifts)


def _added_and_removed(change: Change) -> Iterator[str]:
    for members, verb in ((change.added, "added"), (change.removed, "removed")):
        if members:
            yield _changed(members, verb)


def _changed(members: Sequence[Member], verb: str) -> str:
    names = join_some([member.name for member in members], _MAX_NAMES)
    return f"{names} {'was' if len(members) == 1 else 'were'} {verb}"


def _moved(run: MemberRun) -> str:
    return f"{run.first.name} 0x{run.first.offset:x} → 0x{run.first.offset + run.by:x}"


def _details(change: Change) -> Iterator[str]:
    """Every change of a structure's members, a line each."""
    for members, sign in ((change.added, "+"), (change.removed, "-")):
        for entry in members:
            yield f"  {sign} {entry.name}: {entry.type}, offset {entry.offset}, {entry.size} bytes"
    for was, now in change.resized:
        new = f"{was.size} → {now.size}" if was.type == now.type else f"→ {now.type}"
        yield f"  {now.name}: {was.type} {new}"
    for run in change.shifts:
        names = f"{run.first.name} … {run.last.name} ({run.count} members)" if run.count > 1 else run.first.name
        old = run.first.offset
        yield f"  {names}: offset {old} → {old + run.by} ({run.by:+})"
