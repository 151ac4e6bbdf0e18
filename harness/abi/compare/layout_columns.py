# SPDX-License-Identifier: Apache-2.0
"""A structure in two kernels, member by member, as plain data: what a picture of a change is drawn from."""

from collections.abc import Collection
from typing import Any

from harness.abi.compare.layout_diff import Change
from harness.abi.elf.dwarf import Member


def layout_columns(change: Change, focus: Collection[str] = ()) -> dict[str, Any]:
    """`name`, sizes `before` and `after` in bytes, and `members`: name, type, before and after.

    Each side of a member is [offset, size] in bytes, None where it has no such member. Members stand in the order
    of the first kernel, and what came stands before what it pushed on. focus: members that are asked about.
    """
    old = {member.name: member for member in change.before.members}
    new = {member.name: member for member in change.after.members}
    came = list(change.added)
    rows: list[dict[str, Any]] = []
    for name, member in old.items():
        while name in new and came and came[0].offset < new[name].offset:
            rows.append(_row(came[0].name, None, came.pop(0)))
        rows.append(_row(name, member, new.get(name)))
    rows += [_row(member.name, None, member) for member in came]
    shown = [name for name in focus if name in old or name in new]
    sizes = {"before": change.before.size, "after": change.after.size}
    return {"name": change.spelling, **sizes, "focus": shown, "members": rows}


def _row(name: str, before: Member | None, after: Member | None) -> dict[str, Any]:
    known = after or before
    assert known is not None
    return {"name": name, "type": known.type, "before": _place(before), "after": _place(after)}


def _place(member: Member | None) -> list[int] | None:
    """Offset and size; of a bit field, of the bytes that it has a part of."""
    if member is None or member.bits is None:
        return [member.offset, member.size] if member else None
    first, count = member.bits
    return [first // 8, (first + count + 7) // 8 - first // 8]
