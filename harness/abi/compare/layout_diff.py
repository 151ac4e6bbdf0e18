# SPDX-License-Identifier: Apache-2.0
"""The difference between two kernels' structures, and why each changed.

A structure is a cause when members came, went, or changed by themselves; it is a victim when all that changed
follows from a structure that it embeds. Explanations are chains of such embeddings, derived, never written.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from harness.abi.elf.dwarf import Layout, Member


@dataclass(frozen=True)
class MemberRun:
    """A run of neighbouring members that moved by the same number of bytes."""

    first: Member
    last: Member
    count: int
    by: int


@dataclass(frozen=True)
class Change:
    """How one structure changed. resized: (before, after) of members whose size or type changed."""

    before: Layout
    after: Layout
    added: tuple[Member, ...]
    removed: tuple[Member, ...]
    resized: tuple[tuple[Member, Member], ...]
    shifts: tuple[MemberRun, ...]

    @property
    def name(self) -> str:
        return self.after.name

    def is_called(self, name: str) -> bool:
        """Whether a person may mean this structure by a name: `struct module`, `module`, `spinlock_t`."""
        return name in self.after.names

    @property
    def spelling(self) -> str:
        """The name as C code uses it."""
        return f"{self.after.alias} ({self.name})" if self.after.alias not in ("", self.name) else self.name

    @property
    def title(self) -> str:
        """The name as C code uses it, and the size."""
        return f"{self.spelling} {self.before.size} → {self.after.size}"

    @property
    def told(self) -> str:
        """The title, and where the size says nothing, what there is behind it: `struct page 64 → 64: ptl was ...`."""
        what = self.what if self.before.size == self.after.size else ""
        return f"{self.title}: {what}" if what else self.title

    @property
    def what(self) -> str:
        """The first thing that changed: what came, went, is of another type, or moved; "" without members that did."""
        for entries, verb in ((self.added, "came"), (self.removed, "went")):
            if entries:
                return f"{_names(entries)} {verb}"
        for was, now in self.resized:
            if was.type != now.type:
                return f"{now.name} was {was.type}, is {now.type}"
            return f"{now.name} has other bits" if was.size == now.size else f"{now.name} {was.size} → {now.size}"
        for shift in self.shifts:
            return f"{shift.first.name} 0x{shift.first.offset:x} → 0x{shift.first.offset + shift.by:x}"
        return ""


class Difference:
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
    def spellings(self) -> set[str]:
        """Everything that a person may call a structure of either kernel."""
        return _spellings(self._before) | _spellings(self._after)

    @cached_property
    def causes(self) -> dict[str, list[str]]:
        """Each cause with its victims: the cause of most first, its nearest victims first.

        A victim of several causes stands under the first.
        """
        found: dict[str, list[str]] = {name: [] for name in self.changes if self._is_cause(name)}
        for name in sorted(set(self.changes) - set(found), key=lambda name: (len(self.chain(name)), name)):
            found[self.chain(name)[-1]].append(name)
        return dict(sorted(found.items(), key=lambda item: -len(item[1])))

    def names(self, cause: str) -> list[str]:
        """A cause and the structures that are nothing but a wrapper of it, by their titles."""
        change = self.changes[cause]
        sizes = (change.before.size, change.after.size)
        wrappers = [
            victim
            for victim in self.causes[cause]
            if (self.changes[victim].before.size, self.changes[victim].after.size) == sizes
            and self.chain(victim)[1] == cause
        ]
        return [self.changes[name].title for name in (cause, *wrappers)]

    def chain(self, name: str) -> list[str]:
        """From a changed structure to its cause, through what it embeds: [name, ..., cause]."""
        chain = [name]
        while not self._is_cause(chain[-1]):
            chain.append(next(inner for inner in self._embedded(chain[-1]) if inner not in chain))
        return chain

    def find(self, name: str) -> Change | None:
        """The change of a structure that a person may mean by a name."""
        return self.changes.get(name) or next((it for it in self.changes.values() if it.is_called(name)), None)

    def concerns(self, name: str) -> bool:
        """Whether a structure that a person may mean by a name changed, or is gone."""
        return self.find(name) is not None or self.is_gone(name)

    def is_gone(self, name: str) -> bool:
        return name in self.spellings - _spellings(self._after)

    def is_new(self, name: str) -> bool:
        return name in self.spellings - _spellings(self._before)

    def explain_place(self, place: str) -> str:
        """Why a structure ("struct mutex") or a member ("struct module.init") changed; "" when it did not."""
        name, _, member = place.partition(".")
        change = self.find(name)
        if change is None:
            return ""
        return self.explain(change.name, member) if member else f"{change.told}{self._because(change.name)}"

    def summary(self, cause: str) -> str:
        """A cause in one line: what it gained, what that moved, and how many structures embed it."""
        change, victims = self.changes[cause], self.causes[cause]
        text = change.title
        for entries, verb in ((change.added, "came"), (change.removed, "went")):
            if entries:
                text += f": {_names(entries)} {verb}"
        if change.resized and not (change.added or change.removed):
            text += f": {change.what}"
        if change.shifts:
            first = change.shifts[0].first
            text += f", {first.name} 0x{first.offset:x} → 0x{first.offset + change.shifts[0].by:x}"
            count = sum(shift.count for shift in change.shifts)
            text += f" and {count - 1} more members moved" if count > 1 else " moved"
        return f"{text}; {len(victims)} more embed it" if victims else text

    def explain(self, name: str, member: str) -> str:
        """Why a member stands elsewhere, in one sentence; "" when it does not."""
        change = self.changes.get(name)
        if change is None:
            return ""
        old = {entry.name: entry for entry in change.before.members}.get(member)
        new = {entry.name: entry for entry in change.after.members}.get(member)
        if old is None or new is None or old.offset == new.offset:
            return ""
        text = f"{name}.{member} 0x{old.offset:x} → 0x{new.offset:x}"
        came = [entry for entry in change.added if entry.offset < new.offset]
        why = [f"{_names(came)} came"] if came else []
        for was, now in change.resized:
            if was.offset < old.offset and was.size != now.size:
                inner = now.embeds
                grown = self.changes[inner].title if inner in self.changes else f"{now.type} {was.size} → {now.size}"
                why.append(f"{grown} in {now.name}{self._because(inner)}")
        return f"{text}, because {', '.join(why)}" if why else text

    def explain_offset(self, name: str, offset: int) -> str:
        """Why what production has at an offset of a structure is not there any more; "" where it is.

        Of a union's members it is enough that one of those there has stayed.
        """
        if name in self.missing:
            return f"{name} is gone"
        change = self.changes.get(name)
        reasons = [self._of_member(change, member, offset) for member in _at(change.before, offset)] if change else []
        return reasons[0] if reasons and all(reasons) else ""

    def _of_member(self, change: Change, member: Member, offset: int) -> str:
        place = f"{change.name}.{member.name}"
        now = {entry.name: entry for entry in change.after.members}.get(member.name)
        if now is None:
            return f"{place} went"
        if now.offset != member.offset:
            return self.explain(change.name, member.name)
        if now.bits != member.bits:
            return f"{place} has other bits"
        inner = self.changes.get(member.embeds)
        if inner and inner.before.size:
            element, within = divmod(offset - member.offset, inner.before.size)
            if element and inner.before.size != inner.after.size:
                return f"{inner.title} in {place}{self._because(inner.name)}"
            return self.explain_offset(inner.name, within)
        grew = now.size != member.size and "[" not in member.type
        return f"{place} has {now.size} bytes in place of {member.size}" if grew else ""

    def _because(self, name: str) -> str:
        if name not in self.changes or self._is_cause(name):
            return ""
        return f" (because of {self.changes[self.chain(name)[-1]].told})"

    def _is_cause(self, name: str) -> bool:
        change = self.changes[name]
        own = change.added or change.removed or any(was.embeds not in self.changes for was, _ in change.resized)
        return bool(own) or not any(True for _ in self._embedded(name))

    def _embedded(self, name: str) -> Iterator[str]:
        for _, now in self.changes[name].resized:
            if now.embeds in self.changes and now.embeds != name:
                yield now.embeds
        # A structure can change inside without changing its size.
        for member in self.changes[name].after.members:
            if member.embeds in self.changes and member.embeds != name:
                yield member.embeds


def render(difference: Difference, *, only: str = "") -> str:
    """The difference for a person: each cause once, its victims under it, runs of shifted members folded."""
    lines = [f"{len(difference.changes)} of {difference.compared} structures changed"]
    wanted = [name for name, change in difference.changes.items() if change.is_called(only)]
    if only:
        for name in wanted:
            chain = " ← ".join(difference.changes[link].title for link in difference.chain(name))
            lines += ["", chain, *_details(difference.changes[name])]
        if not wanted:
            become = (
                "is gone" if difference.is_gone(only) else "is new" if difference.is_new(only) else "did not change"
            )
            lines += ["", f"{only} {become}"]
        return "\n".join(lines)
    if difference.missing:
        lines += [f"{len(difference.missing)} more are gone: {', '.join(difference.missing)}"]
    for cause, victims in difference.causes.items():
        title, *wrappers = difference.names(cause)
        lines += ["", f"cause: {title}", *(f"   and: {wrapper}, which wraps it" for wrapper in wrappers)]
        lines += _details(difference.changes[cause])
        shown = [name for name in victims if difference.changes[name].title not in wrappers]
        if shown:
            lines.append(f"  changes {len(shown)} more, which embed it:")
        for name in shown:
            via = difference.chain(name)[1]
            lines.append(f"    {difference.changes[name].title}" + (f", through {via}" if via != cause else ""))
            lines += [f"    {line}" for line in _details(difference.changes[name])] if name == "struct module" else []
    return "\n".join(lines)


def _at(layout: Layout, offset: int) -> list[Member]:
    """The members at an offset. A number that begins before it, or an empty structure, only where nothing else is."""
    there = [it for it in layout.members if _covers(it, offset)]
    whole = [it for it in there if it.size and (it.offset == offset or it.embeds or it.bits or "[" in it.type)]
    return whole or [it for it in there if it.size] or there


def _covers(member: Member, offset: int) -> bool:
    """Whether a member is at an offset: an empty one where it begins, a bit field in each of its bytes."""
    if member.bits:
        return member.bits[0] // 8 <= offset <= (member.bits[0] + member.bits[1] - 1) // 8
    return member.offset <= offset < member.offset + max(member.size, 1)


def _spellings(layouts: Mapping[str, Layout]) -> set[str]:
    return {name for layout in layouts.values() for name in layout.names}


def _names(members: Sequence[Member]) -> str:
    more = f" and {len(members) - 3} more" if len(members) > 3 else ""
    return ", ".join(member.name for member in members[:3]) + more


def _details(change: Change) -> list[str]:
    lines = [f"  + {entry.name}: {entry.type}, offset {entry.offset}, {entry.size} bytes" for entry in change.added]
    lines += [f"  - {entry.name}: {entry.type}, offset {entry.offset}, {entry.size} bytes" for entry in change.removed]
    for was, now in change.resized:
        new = f"{was.size} → {now.size}" if was.type == now.type else f"→ {now.type}"
        lines.append(f"  {now.name}: {was.type} {new}")
    for shift in change.shifts:
        run = f" … {shift.last.name} ({shift.count} members)" if shift.count > 1 else ""
        old = shift.first.offset
        lines.append(f"  {shift.first.name}{run}: offset {old} → {old + shift.by} ({shift.by:+})")
    return lines


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
        tuple(_shifts(before, new)),
    )
    same = not (change.added or change.removed or change.resized or change.shifts)
    return None if same and (before.size, before.alignment) == (after.size, after.alignment) else change


def _shape(member: Member) -> tuple[int, str, tuple[int, int] | None]:
    """What a member is, wherever it stands: a bit field by its place within its byte."""
    return member.size, member.type, member.bits and (member.bits[0] % 8, member.bits[1])


def _shifts(before: Layout, new: Mapping[str, Member]) -> Iterator[MemberRun]:
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
