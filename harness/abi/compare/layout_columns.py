# SPDX-License-Identifier: Apache-2.0
"""A structure in two kernels, member by member, as plain data. harness/report/picture.py draws it."""

from collections.abc import Collection
from typing import Any

from harness.abi.compare.layout_diff import Change
from harness.abi.compare.layout_text import c_name
from harness.abi.elf.dwarf import Member


def layout_columns(change: Change, focus: Collection[str] = ()) -> dict[str, Any]:
    """`name`, the sizes `before` and `after` in bytes, and `members`, each with name, type, before and after.

    Each side of a member is [offset, size] in bytes, or None if that kernel does not have the member. Members are in
    the order of the first kernel; an added member stands before the members that it moved. focus: members that the
    reader wants to see.
    """
    old, new = change.old_members, change.new_members
    added = list(change.added)
    rows: list[dict[str, Any]] = []
    for name, member in old.items():
        while name in new and added and added[0].offset < new[name].offset:
            rows.append(_row(added[0].name, None, added.pop(0)))
        rows.append(_row(name, member, new.get(name)))
    rows += [_row(member.name, None, member) for member in added]
    shown = [name for name in focus if name in old or name in new]
    sizes = {"before": change.before.size, "after": change.after.size}
    return {"name": c_name(change), **sizes, "focus": shown, "members": rows}


def _row(name: str, before: Member | None, after: Member | None) -> dict[str, Any]:
    known = after or before
    assert known is not None
    return {"name": name, "type": known.type, "before": _extent(before), "after": _extent(after)}


def _extent(member: Member | None) -> list[int] | None:
    """Offset and size in bytes; for a bit field, those of the bytes that it shares."""
    if member is None or member.bits is None:
        return [member.offset, member.size] if member else None
    first, count = member.bits
    return [first // 8, (first + count + 7) // 8 - first // 8]
