# SPDX-License-Identifier: Apache-2.0
"""The cells of a kernel stay in one worker of pytest-xdist."""

from itertools import groupby
from types import SimpleNamespace
from typing import Any

import pytest

from harness.lab.plan.cells import MATRICES, Cell, cells_of
from harness.lab.plan.vendor_modules import shipped
from harness.plugin.distribution import GroupScheduling, cell_name, ranks


def scheduling(cells: list[Cell], workers: int) -> GroupScheduling:
    config: Any = SimpleNamespace(
        option=SimpleNamespace(loadscopereorder=True), getvalue=lambda _: [f"{workers}*popen"]
    )
    return GroupScheduling(config, None, cells)


def nodeid(cell: Cell) -> str:
    return f"suite/test_modules.py::test_survives[{cell.id}]"


@pytest.fixture(scope="module")
def cells() -> list[Cell]:
    return cells_of(MATRICES["default"], shipped())


def test_the_name_of_a_cell_is_in_the_name_of_its_test(cells: list[Cell]) -> None:
    assert cell_name(nodeid(cells[0])) == cells[0].id
    assert cell_name("tests/test_others.py::test_other") == "tests/test_others.py::test_other"


def test_a_feature_on_a_board_stays_together(cells: list[Cell]) -> None:
    found = scheduling(cells, 2)
    scopes = {(cell.board.id, cell.feature.name): set[str]() for cell in cells}
    for cell in cells:
        scopes[cell.board.id, cell.feature.name].add(found._split_scope(nodeid(cell)))
    assert all(len(each) == 1 for each in scopes.values())
    assert len(set.union(*scopes.values())) == len(scopes)


def test_one_group_is_shared_out_among_workers_by_module(cells: list[Cell]) -> None:
    few = [cell for cell in cells if cell.board.id == "x86_64-q35" and cell.feature.name == "slub"]
    found = scheduling(few, 3)
    scopes = {cell.module.name: {found._split_scope(nodeid(other)) for other in few if other.module == cell.module}
              for cell in few}  # fmt: skip
    assert all(len(each) == 1 for each in scopes.values())
    assert len(set.union(*scopes.values())) == 3


def test_other_tests_stay_alone(cells: list[Cell]) -> None:
    assert scheduling(cells, 2)._split_scope("tests/test_others.py::test_other") == "tests/test_others.py::test_other"


def test_the_board_with_the_cell_that_hangs_comes_first(cells: list[Cell]) -> None:
    known = ranks(cells)
    first = sorted(cells, key=lambda cell: known[cell.id])
    boards = [board for board, _ in groupby(cell.board.id for cell in first)]
    assert len(boards) == len(set(boards))
    assert boards[0] in ("arm64-virt", "riscv64-virt")
    assert first[0].feature.name == "perf"
