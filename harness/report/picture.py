# SPDX-License-Identifier: Apache-2.0
"""The bytes of a structure before and after a change, as two columns of boxes. picture.svg.j2 draws them.

The input comes from layout_columns() in harness/abi/compare. Members that overlap (unions, bit fields) share a box.
Neighbouring members that the reader did not request, and that at most moved, are folded into one box.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from harness.support.text import and_more, one_line

# Measures of the drawing, in its own units (pixels where it is shown at full size).
WIDTH, EDGE, COLUMN = 452, 44, 142  # widths: total, of the offsets on each side, of a column of boxes
_HEADINGS_HEIGHT = 34.0
_MIN_BOX_HEIGHT, _MAX_BOX_HEIGHT, _FOLDED_BOX_HEIGHT = 20.0, 130.0, 34.0
_SCALE = ((64, 4.0), (256, 2.5), (1 << 32, 1.5))  # units per byte for structures of up to so many bytes
_BOX_LETTERS, _MARK_LETTERS = 18, 5  # that fit into a box; that a mark at the end of a box takes up
_MAX_CHANGED_BOXES = 10  # changed members, other than those in focus, that get a separate box
_LEFT, _RIGHT = 0, 1


@dataclass(frozen=True)
class Box:
    """A part of the structure on one side."""

    label: str
    description: str  # in full, for a tooltip
    kind: str  # same, moved, resized, added, removed or hole
    focus: bool  # the reader requested it
    folded: bool  # several members, not to scale
    offset: int  # bytes
    size: int  # bytes
    top: float  # of the drawn box
    height: float

    @property
    def middle(self) -> float:
        return self.top + self.height / 2

    @property
    def bottom(self) -> float:
        return self.top + self.height


@dataclass(frozen=True)
class Picture:
    """A structure in both kernels."""

    name: str
    before: int  # bytes
    after: int  # bytes
    left: list[Box]
    right: list[Box]
    joined: list[tuple[Box, Box]]  # (left, right) of each part that both kernels have

    @property
    def height(self) -> float:
        return max(column[-1].bottom if column else _HEADINGS_HEIGHT for column in (self.left, self.right)) + 26

    @property
    def words(self) -> str:
        """The picture as text, for screen readers."""
        changes = [f"{old.label} from 0x{old.offset:x} to 0x{new.offset:x}" for old, new in self.joined if new.focus]
        changes += [f"{box.label} added" for box in self.right if box.kind == "added"]
        changes += [f"{box.label} removed" for box in self.left if box.kind == "removed"]
        return f"{self.name}, {self.before} bytes before and {self.after} after: {', '.join(changes) or 'it changed'}"


@dataclass
class _Part:
    """Members that are drawn as one box."""

    names: list[str]
    types: list[str]
    sides: list[tuple[int, int] | None]  # (first byte, end) before and after, None if that kernel lacks it
    focus: bool
    folded: bool = False

    @property
    def kind(self) -> str:
        before, after = self.sides
        if before is None or after is None:
            return "added" if before is None else "removed"
        if after[1] - after[0] != before[1] - before[0] and not self.folded:
            return "resized"
        return "same" if before == after else "moved"

    def size(self, side: int) -> int:
        span = self.sides[side]
        return span[1] - span[0] if span else 0


def draw(layout: dict[str, Any]) -> Picture:
    """The picture of a structure that layout_columns() describes."""
    parts = _folded(_chosen(_parts(layout)))
    scale = next(units for limit, units in _SCALE if max(layout["before"], layout["after"]) <= limit)
    columns: list[list[Box]] = []
    boxes: dict[tuple[int, int], Box] = {}  # (side, place in parts)
    for side, size in ((_LEFT, layout["before"]), (_RIGHT, layout["after"])):
        column: list[Box] = []
        end, top = 0, _HEADINGS_HEIGHT
        here = [(span, number) for number, part in enumerate(parts) if (span := part.sides[side])]
        for (first, last), number in sorted(here):
            if first > end:
                column.append(_hole(end, first, top, scale))
                top = column[-1].bottom
            boxes[side, number] = _box(parts[number], side, top, scale)
            column.append(boxes[side, number])
            top, end = column[-1].bottom, last
        if size > end:
            column.append(_hole(end, size, top, scale))
        columns.append(column)
    both = [number for number in range(len(parts)) if (_LEFT, number) in boxes and (_RIGHT, number) in boxes]
    joined = [(boxes[_LEFT, number], boxes[_RIGHT, number]) for number in both]
    return Picture(layout["name"], layout["before"], layout["after"], columns[_LEFT], columns[_RIGHT], joined)


def _parts(layout: dict[str, Any]) -> list[_Part]:
    """Members in their order; those that overlap on one side form one part."""
    parts: list[_Part] = []
    for member in layout["members"]:
        name, sides = member["name"], [_span(member["before"]), _span(member["after"])]
        if all(span is None or span[0] == span[1] for span in sides) and name not in layout["focus"]:
            continue  # an empty structure, an open array
        part = _Part([name], [member["type"]], sides, name in layout["focus"])
        while parts and _overlap(parts[-1], part):
            part = _merged([parts.pop(), part])
        parts.append(part)
    return parts


def _overlap(one: _Part, other: _Part) -> bool:
    pairs = zip(one.sides, other.sides, strict=True)
    return any(a and b and a[0] < b[1] and b[0] < a[1] for a, b in pairs)


def _merged(parts: Sequence[_Part], *, folded: bool = False) -> _Part:
    spans = [[part.sides[side] for part in parts if part.sides[side]] for side in (_LEFT, _RIGHT)]
    sides = [(min(s[0] for s in known if s), max(s[1] for s in known if s)) if known else None for known in spans]
    names = [name for part in parts for name in part.names]
    types = [kind for part in parts for kind in part.types]
    return _Part(names, types, sides, any(part.focus for part in parts), folded)


def _chosen(parts: list[_Part]) -> list[tuple[_Part, bool]]:
    """Each part, and whether it gets a separate box, as parts in focus and the largest changes before them do."""
    focused = [number for number, part in enumerate(parts) if part.focus]
    end = focused[-1] if focused else len(parts)
    kinds = ("added", "removed", "resized")
    changed = [number for number, part in enumerate(parts) if number < end and part.kind in kinds]
    changed.sort(key=lambda number: -abs(parts[number].size(_RIGHT) - parts[number].size(_LEFT)))
    alone = {*focused, *changed[:_MAX_CHANGED_BOXES]}
    return [(part, number in alone or len(parts) <= _MAX_CHANGED_BOXES) for number, part in enumerate(parts)]


def _folded(parts: Iterable[tuple[_Part, bool]]) -> list[_Part]:
    """Merge runs of parts without a separate box, as long as they follow one another on both sides."""
    folded: list[_Part] = []
    run: list[_Part] = []
    for part, alone in parts:
        if run and (alone or not _follows(run[-1], part)):
            folded.append(_run(run))
            run = []
        if alone:
            folded.append(part)
        else:
            run.append(part)
    return [*folded, _run(run)] if run else folded


def _run(run: list[_Part]) -> _Part:
    return _merged(run, folded=True) if len(run) > 1 else run[0]


def _follows(one: _Part, other: _Part) -> bool:
    pairs = zip(one.sides, other.sides, strict=True)
    return all(a is None or b is None or a[1] <= b[0] for a, b in pairs)


def _box(part: _Part, side: int, top: float, scale: float) -> Box:
    span = part.sides[side]
    assert span is not None
    count = len(part.names)
    label = f"{count} members" if part.folded else f"{part.names[0]} {and_more(count - 1)}".rstrip()
    size = span[1] - span[0]
    names = ", ".join(part.names[:40]) + (" ..." if count > 40 else "")
    kind = "" if part.folded else f"{part.types[0]}, offset "
    description = f"{names}: {kind}0x{span[0]:x}, {size} bytes"
    height = _FOLDED_BOX_HEIGHT if part.folded else min(max(size * scale, _MIN_BOX_HEIGHT), _MAX_BOX_HEIGHT)
    room = _BOX_LETTERS if part.kind in ("same", "moved") else _BOX_LETTERS - _MARK_LETTERS
    short = label if len(label) <= room else f"{label[: room - 1]}…"
    return Box(one_line(short), one_line(description), part.kind, part.focus, part.folded, span[0], size, top, height)


def _hole(first: int, end: int, top: float, scale: float) -> Box:
    size = end - first
    height = min(max(size * scale, 4.0), _MIN_BOX_HEIGHT)
    return Box("", f"hole of {size} bytes at 0x{first:x}", "hole", focus=False, folded=False, offset=first, size=size,
               top=top, height=height)  # fmt: skip


def _span(place: list[int] | None) -> tuple[int, int] | None:
    return (place[0], place[0] + place[1]) if place else None
