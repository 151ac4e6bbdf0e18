# SPDX-License-Identifier: Apache-2.0
"""Which structures differ between two kernels, and which change caused which.

A structure is a cause if members were added or removed, or if it changed by itself. It is a victim if everything that
changed in it follows from a structure that it embeds. Causes are derived from the layouts alone.

This module has the facts; harness/abi/compare/layout_text.py puts them into words.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from harness.abi.elf.dwarf import Layout, Member


@dataclass(frozen=True)
class MemberRun:
    """Neighbouring members that moved by the same number of bytes."""

    first: Member
    last: Member
    count: int
    by: int  # bytes; negative if they moved towards the beginning


@dataclass(frozen=True)
class Change:
    """How one structure changed from one kernel to the other."""

    before: Layout
    after: Layout
    added: tuple[Member, ...]
    removed: tuple[Member, ...]
    resized: tuple[tuple[Member, Member], ...]  # (before, after) of members whose size or type changed
    shifts: tuple[MemberRun, ...]

    @property
    def name(self) -> str:
        return self.after.name

    @property
    def sizes(self) -> tuple[int, int]:
        """Bytes before and after."""
        return self.before.size, self.after.size

    @cached_property
    def old_members(self) -> dict[str, Member]:
        return {member.name: member for member in self.before.members}

    @cached_property
    def new_members(self) -> dict[str, Member]:
        return {member.name: member for member in self.after.members}

    def is_called(self, name: str) -> bool:
        """Whether a user may mean this structure by a name: `struct module`, `module`, `spinlock_t`."""
        return name in self.after.names


@dataclass(frozen=True)
class MemberMove:
    """A member that has another offset, and the changes in front of it that may explain why."""

    change: Change
    old: Member
    new: Member
    added_before: tuple[Member, ...]
    resized_before: tuple[tuple[Member, Member], ...]  # (before, after), only those with another size


@dataclass(frozen=True)
class StaleMember:
    """A member that is no longer what code finds at its old offset."""

    change: Change
    old: Member
    new: Member | None  # None if it was removed
    inner: Change | None = None  # set if it is an array whose elements changed their size


class LayoutDiff:
    """The changes from one kernel to another, by structure."""

    def __init__(self, before: Mapping[str, Layout], after: Mapping[str, Layout]) -> None:
        self._before, self._after = before, after
        self.compared = len(before.keys() & after.keys())
        self.missing = sorted(before.keys() - after.keys())
        self.changes: dict[str, Change] = {}
        for name in sorted(before.keys() & after.keys()):
            change = _compare(before[name], after[name])
            if change:
                self.changes[name] = change

    @cached_property
    def known_names(self) -> set[str]:
        """Every name that a user may give a structure of either kernel."""
        return _names(self._before) | _names(self._after)

    @cached_property
    def causes(self) -> dict[str, list[str]]:
        """Each cause with its victims: the cause with most victims first, its nearest victims first.

        A victim of several causes is listed under the first one.
        """
        found: dict[str, list[str]] = {name: [] for name in self.changes if self.is_cause(name)}
        for name in sorted(set(self.changes) - set(found), key=lambda name: (len(self.chain(name)), name)):
            found[self.chain(name)[-1]].append(name)
        return dict(sorted(found.items(), key=lambda item: -len(item[1])))

    def with_wrappers(self, cause: str) -> list[str]:
        """A cause, and the structures that contain nothing else."""
        sizes = self.changes[cause].sizes
        wrappers = [
            victim
            for victim in self.causes[cause]
            if self.changes[victim].sizes == sizes and self.chain(victim)[1] == cause
        ]
        return [cause, *wrappers]

    def chain(self, name: str) -> list[str]:
        """The way from a changed structure to its cause, through embedded structures: [name, ..., cause]."""
        chain = [name]
        while not self.is_cause(chain[-1]):
            chain.append(next(inner for inner in self._embedded(chain[-1]) if inner not in chain))
        return chain

    def is_cause(self, name: str) -> bool:
        change = self.changes[name]
        own = change.added or change.removed or any(was.embeds not in self.changes for was, _ in change.resized)
        return bool(own) or not any(True for _ in self._embedded(name))

    def find(self, name: str) -> Change | None:
        """The change of the structure that a user means by a name."""
        return self.changes.get(name) or next((it for it in self.changes.values() if it.is_called(name)), None)

    def concerns(self, name: str) -> bool:
        """Whether the structure that a user means by a name changed or was removed."""
        return self.find(name) is not None or self.is_gone(name)

    @cached_property
    def keeps_members(self) -> bool:
        """Whether every member of production is where it was: structures only grew at their ends, or inside holes."""
        return not self.missing and all(
            self._keeps(old, change.new_members.get(old.name))
            for change in self.changes.values()
            for old in change.before.members
        )

    def _keeps(self, old: Member, new: Member | None) -> bool:
        """Whether a member is where it was. It may be a structure, but no array of them, that itself only grew."""
        if new is None or (new.offset, new.bits) != (old.offset, old.bits):
            return False
        inner = self.changes.get(old.embeds) if old.embeds else None
        return new.size == old.size or (inner is not None and old.size == inner.before.size)

    def is_gone(self, name: str) -> bool:
        return name in self.known_names - _names(self._after)

    def is_new(self, name: str) -> bool:
        return name in self.known_names - _names(self._before)

    def move(self, name: str, member: str) -> MemberMove | None:
        """How a member moved, None if it did not. name: the structure's full name."""
        change = self.changes.get(name)
        if change is None:
            return None
        old, new = change.old_members.get(member), change.new_members.get(member)
        if old is None or new is None or old.offset == new.offset:
            return None
        added = tuple(entry for entry in change.added if entry.offset < new.offset)
        resized = tuple((a, b) for a, b in change.resized if a.offset < old.offset and a.size != b.size)
        return MemberMove(change, old, new, added, resized)

    def stale_member(self, name: str, offset: int) -> StaleMember | None:
        """The member that production has at an offset (bytes), if the other kernel does not have it there.

        It is enough for one of several members of a union to have stayed.
        """
        change = self.changes.get(name)
        found = [self._stale(change, member, offset) for member in _at(change.before, offset)] if change else []
        return found[0] if found and all(found) else None

    def _stale(self, change: Change, member: Member, offset: int) -> StaleMember | None:
        new = change.new_members.get(member.name)
        stale = StaleMember(change, member, new)
        if new is None or new.bits != member.bits:
            return stale
        if new.offset != member.offset:
            return stale if self.move(change.name, member.name) else None
        inner = self.changes.get(member.embeds) if member.embeds else None
        if inner and inner.before.size:
            element, within = divmod(offset - member.offset, inner.before.size)
            if element and inner.before.size != inner.after.size:
                return StaleMember(change, member, new, inner)
            return self.stale_member(inner.name, within)
        return stale if new.size != member.size and "[" not in member.type else None

    def _embedded(self, name: str) -> Iterator[str]:
        """The changed structures that a structure embeds."""
        change = self.changes[name]
        # A structure can change inside without changing its size.
        for member in (*(now for _, now in change.resized), *change.after.members):
            if member.embeds and member.embeds in self.changes and member.embeds != name:
                yield member.embeds


def _names(layouts: Mapping[str, Layout]) -> set[str]:
    return {name for layout in layouts.values() for name in layout.names}


def _at(layout: Layout, offset: int) -> list[Member]:
    """The members at an offset.

    A scalar that begins before the offset, or an empty structure, counts only if there is nothing else.
    """
    there = [it for it in layout.members if _covers(it, offset)]
    whole = [it for it in there if it.size and (it.offset == offset or it.embeds or it.bits or "[" in it.type)]
    return whole or [it for it in there if it.size] or there


def _covers(member: Member, offset: int) -> bool:
    """Whether a member is at an offset: an empty one at its beginning, a bit field in each byte that it shares."""
    if member.bits:
        return member.bits[0] // 8 <= offset <= (member.bits[0] + member.bits[1] - 1) // 8
    return member.offset <= offset < member.offset + max(member.size, 1)


def _compare(before: Layout, after: Layout) -> Change | None:
    old = {member.name: member for member in before.members}
    new = {member.name: member for member in after.members}
    resized = tuple((was, new[name]) for name, was in old.items() if name in new and _shape(was) != _shape(new[name]))
    change = Change(
        before,
        after,
        tuple(member for name, member in new.items() if name not in old),
        tuple(member for name, member in old.items() if name not in new),
        resized,
        tuple(_runs(before, new)),
    )
    same = not (change.added or change.removed or change.resized or change.shifts)
    return None if same and (before.size, before.alignment) == (after.size, after.alignment) else change


def _shape(member: Member) -> tuple[int, str, tuple[int, int] | None]:
    """A member's size, type and bits, regardless of its offset; the place of a bit field in its byte counts."""
    return member.size, member.type, member.bits and (member.bits[0] % 8, member.bits[1])


def _runs(before: Layout, new: Mapping[str, Member]) -> Iterator[MemberRun]:
    run: MemberRun | None = None
    for member in before.members:
        if member.name not in new:
            continue
        by = new[member.name].offset - member.offset
        if run and by == run.by:
            run = MemberRun(run.first, member, run.count + 1, by)
            continue
        if run:
            yield run
        run = MemberRun(member, member, 1, by) if by else None
    if run:
        yield run
