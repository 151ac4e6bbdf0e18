# SPDX-License-Identifier: Apache-2.0
"""Distributes the cells of a run among the workers of pytest-xdist.

The guests of a kernel start once if all of its cells run in one worker. So the cells of a feature on a board are a
group that stays together, and the groups of a board, which share production, follow each other. Boards with a cell that
hangs come first: it takes longer than a whole group, and other workers would wait for it at the end.
"""

from collections.abc import Sequence
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from harness.detect.verdict import Verdict
from harness.lab.plan.cells import Cell
from harness.lab.plan.expected_verdicts import measured_verdicts


class GroupScheduling(LoadScopeScheduling):  # type: ignore[misc]
    """Gives each worker a group after the other. If there are more workers than groups, groups are split by module."""

    def __init__(self, config: pytest.Config, log: Any, cells: Sequence[Cell]) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False  # the order is that of the worker's collection
        self._groups = {cell.id: _group(cell) for cell in cells}
        numbers = {name: number for number, name in enumerate(dict.fromkeys(cell.module.name for cell in cells))}
        self._numbers = {cell.id: numbers[cell.module.name] for cell in cells}
        groups = len(set(self._groups.values()))
        self._parts = -(-self.numnodes // max(groups, 1))

    def _split_scope(self, nodeid: str) -> str:
        name = cell_name(nodeid)
        if name not in self._groups:
            return nodeid
        return f"{self._groups[name]} {self._numbers[name] % self._parts}"

    def _reschedule(self, node: Any) -> None:
        """Give a worker more work until it has two tests: it keeps the last one until it knows that no more come."""
        super()._reschedule(node)
        while self.workqueue and not node.shutting_down and self._pending_of(self.assigned_work[node]) == 1:
            self._assign_work_unit(node)

    def remove_node(self, node: Any) -> str | None:
        """Give what is left of a dead worker's groups to others. Returns the test that it died in, which is not left.

        pytest-xdist 3.8 gives back all of it. A worker that gets a group without work never asks for another one.
        """
        unfinished = [
            (scope, nodeid)
            for scope, group in self.assigned_work.pop(node).items()
            for nodeid, is_done in group.items()
            if not is_done
        ]
        for scope, nodeid in unfinished[1:]:
            self.workqueue.setdefault(scope, {})[nodeid] = False
        for other in self.nodes:
            self._reschedule(other)
        return unfinished[0][1] if unfinished else None


def cell_name(nodeid: str) -> str:
    """The id of the cell that a test is about."""
    return nodeid.rpartition("[")[2].removesuffix("]")


def ranks(cells: Sequence[Cell]) -> dict[str, tuple[bool, str, bool]]:
    """Keys by which to sort cells, by the id of the cell."""
    hanging = {_group(cell) for cell in cells if Verdict.HUNG in measured_verdicts(cell)}
    slow_boards = {cell.board.id for cell in cells if _group(cell) in hanging}
    return {cell.id: (cell.board.id not in slow_boards, cell.board.id, _group(cell) not in hanging) for cell in cells}


def _group(cell: Cell) -> str:
    return f"{cell.board.id}-{cell.preemption}-{cell.feature.name}"
