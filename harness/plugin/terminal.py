# SPDX-License-Identifier: Apache-2.0
"""The matrix at the end of a run: collects rows from pytest's reports, prints them, and writes matrix.json."""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.lab.execution.run_folder import write_matrix
from harness.lab.plan.cells import Cell
from harness.lab.plan.manifest import Manifest
from harness.plugin.distribution import cell_name
from harness.report.formats import write_reports
from harness.report.table import render
from harness.support import digest
from harness.support.errors import ModcompatError
from harness.support.text import one_line

ROW = "modcompat_cell"  # name of the user property that carries a row of the matrix


class Matrix:
    """A plugin that collects the rows of a run, and prints them. Workers of pytest-xdist send theirs in reports."""

    def __init__(
        self,
        plan: Sequence[Cell],
        manifest: Manifest,
        command: str,
        *,
        cells: Sequence[Cell],
        shard: tuple[int, int] | None,
        assumed: Callable[[], list[str]],
        run_folder: Callable[[], Path],
    ) -> None:
        """plan: every cell, those of other shards among them. command: runs the cells again, in a shell.

        cells: those of the shard, if there is one. shard: the part of the plan that they are. assumed, run_folder:
        called at the end if there are rows.
        """
        self.rows: list[dict[str, Any]] = []
        self._failed: set[str] = set()  # names of cells, and of other tests
        self._plan = plan
        self._manifest = manifest
        self._command = command
        self._cells = cells
        self._shard = shard
        self._assumed = assumed
        self._run_folder = run_folder

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call":
            self.rows.extend(row for name, row in report.user_properties if name == ROW and isinstance(row, dict))
        if report.failed:  # also a worker of pytest-xdist that was lost
            self._failed.add(cell_name(report.nodeid))

    def pytest_terminal_summary(self, terminalreporter: Any, exitstatus: int) -> None:
        if not self.rows:
            return
        places = {cell.id: place for place, cell in enumerate(self._plan)}
        rows = sorted(self.rows, key=lambda row: places[row["id"]])
        ended = exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) and len(rows) == len(self._cells)
        shard = None
        if self._shard:
            part, parts = self._shard
            shard = {
                "part": part, "parts": parts, "plan": digest.of_value([*places]), "cells": len(places),
                "places": [places[row["id"]] for row in rows], "ended": ended,
            }  # fmt: skip
        judged = {row["id"] for row in rows}
        missing = [name for name in places if name in self._failed - judged]
        try:
            assumed = self._assumed()
        except (ModcompatError, OSError) as error:  # a user's file may be gone meanwhile
            assumed = [one_line(f"not known any more: {error}")]
        terminalreporter.ensure_newline()
        terminalreporter.write_line("")
        width = shutil.get_terminal_size((160, 40)).columns
        terminalreporter.write(render(rows, width=width, colours=bool(terminalreporter.hasmarkup)))
        for line in (
            *self._allowed(rows),
            *(f"assumed: {line}" for line in assumed),
            *(f"not judged: {name}" for name in missing),
            *self._written(rows, assumed, shard, missing),
        ):
            terminalreporter.write_line(line)

    def _allowed(self, rows: Sequence[dict[str, Any]]) -> Iterator[str]:
        """A line per allowed finding, and per entry of the manifest that matches no cell."""
        for row in rows:
            if allowed := row.get("allowed"):
                yield f"allowed until {allowed['expires']}: {row['id']}: {row['verdict']}: {allowed['reason']}"
        for idle in self._manifest.idle(self._plan):
            place = f"{self._manifest.path}:{idle.line}"
            yield one_line(f"allowed finding matches no cell of this run: {place}: {idle.reason}")

    def _written(
        self, rows: list[dict[str, Any]], assumed: list[str], shard: Mapping[str, Any] | None, missing: Sequence[str]
    ) -> Iterator[str]:
        """Write the matrix and the reports; a line with the path of each."""
        try:
            path = write_matrix(rows, self._run_folder(), self._command, assumed, shard, missing=missing)
        except ModcompatError as error:
            yield f"no matrix: {error}"
            return
        yield f"matrix: {path}"
        try:
            page, *_ = write_reports(path.parent)
            yield f"report: {page}"
        except ModcompatError as error:
            yield f"no report: {error}"
