# SPDX-License-Identifier: Apache-2.0
"""The changes from one run to another, cell by cell."""

from dataclasses import dataclass
from typing import Any

from harness.report.recorded_run import RecordedCell, Run


@dataclass(frozen=True)
class Changed:
    """A cell with another verdict."""

    before: RecordedCell
    after: RecordedCell


@dataclass(frozen=True)
class RunComparison:
    """The cells of two runs, by how they changed."""

    changed: list[Changed]
    new: list[RecordedCell]
    gone: list[RecordedCell]
    same: int  # how many kept their verdict

    @property
    def is_empty(self) -> bool:
        return not (self.changed or self.new or self.gone)


def compare(before: Run, after: Run) -> RunComparison:
    """Compare two runs by their cells' ids, which contain module, feature, flavour, preemption model and board.

    Only verdicts are compared: a reason quotes addresses and process numbers, which differ from run to run.
    """
    old = {cell.row["id"]: cell for cell in before.cells}
    new = {cell.row["id"]: cell for cell in after.cells}
    both = [(old[name], cell) for name, cell in new.items() if name in old]
    changed = [Changed(was, now) for was, now in both if was.verdict is not now.verdict]
    added = [cell for name, cell in new.items() if name not in old]
    gone = [cell for name, cell in old.items() if name not in new]
    return RunComparison(changed, added, gone, len(both) - len(changed))


def as_json_object(comparison: RunComparison, before: Run, after: Run) -> dict[str, Any]:
    """The comparison in plain types; docs/reference/reports.md describes it."""
    return {
        "schema": 1,
        "before": _run(before),
        "after": _run(after),
        "changed": [
            {"id": pair.after.row["id"], "before": _verdict(pair.before), "after": _verdict(pair.after)}
            for pair in comparison.changed
        ],
        "new": [{"id": cell.row["id"], **_verdict(cell)} for cell in comparison.new],
        "gone": [{"id": cell.row["id"], **_verdict(cell)} for cell in comparison.gone],
        "same": comparison.same,
    }


def _run(run: Run) -> dict[str, Any]:
    return {name: run.facts[name] for name in ("date", "kernel")} | {"cells": len(run.cells)}


def _verdict(cell: RecordedCell) -> dict[str, str]:
    return {name: cell.row[name] for name in ("verdict", "reason")}
