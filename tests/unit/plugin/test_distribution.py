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


# Workers


class Worker:
    """What the scheduler sees of a worker: it runs its tests in order, and keeps the last one until the end."""

    def __init__(self, scheduling: GroupScheduling, name: str) -> None:
        self.gateway = SimpleNamespace(id=name)
        self.shutting_down = False
        self.ran: list[str] = []
        self._scheduling = scheduling
        self._waiting: list[int] = []

    def send_runtest_some(self, indices: list[int]) -> None:
        self._waiting += indices

    def shutdown(self) -> None:
        self.shutting_down = True

    def step(self) -> bool:
        """Run a test. Returns whether there was one that may begin."""
        if len(self._waiting) < (1 if self.shutting_down else 2):
            return False
        index = self._waiting.pop(0)
        self.ran.append(self._scheduling.registered_collections[self][index])
        self._scheduling.mark_test_complete(self, index)
        return True


def started(scheduling: GroupScheduling, collection: list[str], *names: str) -> list[Worker]:
    workers = [Worker(scheduling, name) for name in names]
    for worker in workers:
        scheduling.add_node(worker)
        scheduling.add_node_collection(worker, collection)
    scheduling.schedule()
    return workers


def finish(scheduling: GroupScheduling, *workers: Worker) -> None:
    """Run everything, as pytest-xdist does: when the scheduler says that all tests are about to end, workers stop."""
    has_run = True
    while has_run:
        if scheduling.tests_finished:
            for worker in workers:
                worker.shutdown()
        has_run = sum(worker.step() for worker in workers) > 0


@pytest.mark.parametrize("workers", range(1, 5))
@pytest.mark.parametrize("tests", range(1, 8))
def test_a_few_tests_are_shared_out_among_all_workers(tests: int, workers: int) -> None:
    found = scheduling([], workers)
    collection = [f"tests/test_others.py::test_{number}" for number in range(tests)]
    started_workers = started(found, collection, *(f"worker {number}" for number in range(workers)))
    finish(found, *started_workers)
    assert sorted(test for worker in started_workers for test in worker.ran) == collection
    assert sum(bool(worker.ran) for worker in started_workers) == min(tests, workers)


@pytest.mark.parametrize("steps", range(21))
@pytest.mark.parametrize("features", [("spinlock",), ("spinlock", "slub"), ("spinlock", "slub", "ftrace", "kprobes")])
def test_the_tests_of_a_worker_that_dies_run_in_another_one(
    cells: list[Cell], features: tuple[str, ...], steps: int
) -> None:
    chosen = [cell for cell in cells if cell.board.id == "x86_64-q35" and cell.feature.name in features]
    collection = [nodeid(cell) for cell in chosen] + ["tests/test_others.py::test_other"]
    found = scheduling(chosen, 2)
    first, second = started(found, collection, "first", "second")
    for _ in range(steps):
        first.step()
        second.step()
    died_in = found.remove_node(first)
    workers = [second]
    if died_in:
        workers += started(found, collection, "replacement")
    finish(found, *workers)
    ran = [*first.ran, *second.ran, *(workers[-1].ran if died_in else ())]
    assert sorted([*ran, *([died_in] if died_in else [])]) == sorted(collection)
    assert not found.has_pending
