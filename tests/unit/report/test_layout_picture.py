# SPDX-License-Identifier: Apache-2.0
"""Two versions of a structure side by side, and the picture of them."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from harness.abi.compare.breakage import breakage_layouts
from harness.abi.compare.layout_columns import layout_columns
from harness.abi.compare.layout_diff import LayoutDiff
from harness.abi.elf.dwarf import Layout, Member
from harness.report.picture import Box, draw

GOLDEN = Path(__file__).parents[1] / "golden/run"


def layout(name: str, size: int, *members: Member) -> Layout:
    return Layout(name, size, members)


LOCK = LayoutDiff(
    {
        "struct lock": layout("struct lock", 4, Member("raw", 0, 4, "u32")),
        "struct module": layout(
            "struct module",
            32,
            Member("state", 0, 4, "int"),
            Member("lock", 4, 4, "struct lock", "struct lock"),
            Member("init", 8, 8, "function *"),
            Member("low", 16, 4, "unsigned int", bits=(128, 3)),
            Member("high", 16, 4, "unsigned int", bits=(131, 9)),
        ),
    },
    {
        "struct lock": layout("struct lock", 12, Member("raw", 0, 4, "u32"), Member("magic", 8, 4, "u32")),
        "struct module": layout(
            "struct module",
            40,
            Member("state", 0, 4, "int"),
            Member("lock", 4, 12, "struct lock", "struct lock"),
            Member("init", 16, 8, "function *"),
            Member("low", 24, 4, "unsigned int", bits=(192, 3)),
            Member("high", 24, 4, "unsigned int", bits=(195, 9)),
        ),
    },
)


def test_the_explaining_structure_comes_first_and_then_what_changed_it() -> None:
    module, lock = breakage_layouts(LOCK, [], in_use=False)
    assert (module["name"], module["before"], module["after"], module["focus"]) == ("struct module", 32, 40, ["init"])
    assert module["members"][2] == {"name": "init", "type": "function *", "before": [8, 8], "after": [16, 8]}
    assert module["members"][4]["after"] == [24, 2], "the bytes that a bit field has a part of"
    assert lock["members"] == [
        {"name": "raw", "type": "u32", "before": [0, 4], "after": [0, 4]},
        {"name": "magic", "type": "u32", "before": None, "after": [8, 4]},
    ]


def test_nothing_moved_nothing_to_draw() -> None:
    assert breakage_layouts(LayoutDiff({}, {}), ["struct lock"], in_use=True) == []


def test_a_picture_has_both_columns_and_joins_what_is_in_both() -> None:
    picture = draw(layout_columns(LOCK.changes["struct module"], ["init"]))
    assert [(box.label, box.kind, box.offset) for box in picture.left] == [
        ("state", "same", 0), ("lock", "resized", 4), ("init", "moved", 8), ("low and 1 more", "moved", 16),
        ("", "hole", 18),
    ]  # fmt: skip
    assert [(box.label, box.offset) for box in picture.right][:3] == [("state", 0), ("lock", 4), ("init", 16)]
    assert [(old.offset, new.offset) for old, new in picture.joined if new.focus] == [(8, 16)]
    assert "init from 0x8 to 0x10" in picture.words


def test_what_came_and_holes_are_drawn() -> None:
    picture = draw(layout_columns(LOCK.changes["struct lock"]))
    assert [(box.kind, box.offset, box.size) for box in picture.right] == [
        ("same", 0, 4), ("hole", 4, 4), ("added", 8, 4),
    ]  # fmt: skip
    assert "magic added" in picture.words


def test_long_runs_that_did_not_change_are_folded() -> None:
    cells = [path for path in GOLDEN.glob("cells/*/evidence.json") if '"layouts":[{' in path.read_text()]
    assert cells
    for cell in cells:
        for facts in json.loads(cell.read_text())["evidence"]["layouts"]:
            picture = draw(facts)
            assert picture.height < 1000
            assert len(facts["members"]) < 20 or any(box.folded for box in picture.left)


spans = st.none() | st.tuples(st.integers(0, 300), st.integers(0, 40)).map(list)
member_rows = st.lists(st.fixed_dictionaries({"before": spans, "after": spans}), max_size=25)


@given(member_rows, st.integers(0, 400), st.integers(0, 400), st.sets(st.integers(0, 25)))
def test_columns_have_no_overlaps_whatever_the_members(
    rows: list[dict[str, Any]], before: int, after: int, focus: set[int]
) -> None:
    members = [row | {"name": f"m{number}", "type": "t"} for number, row in enumerate(rows)]
    names = [f"m{number}" for number in focus]
    picture = draw({"name": "struct x", "before": before, "after": after, "focus": names, "members": members})
    for column in (picture.left, picture.right):
        assert all(one.bottom <= other.top + 0.01 for one, other in pairwise(column))
    assert all(isinstance(box, Box) and box.height > 0 for box in (*picture.left, *picture.right))
    assert picture.words
