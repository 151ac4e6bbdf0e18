"""Cells that cannot be run: INVALID, with what keeps them from it, in every report."""

import json
from pathlib import Path

import pytest

from harness import lab as module
from harness.boards import BOARDS
from harness.detect.verdict import Word
from harness.errors import ModcompatError
from harness.features import FEATURES
from harness.kernel.source import KernelSource
from harness.lab import Lab, Settings
from harness.modules import VendorModule
from harness.plan import Cell, Flavour
from harness.report.artefacts import write_cell, write_matrix
from harness.report.formats import write_reports
from harness.store import Store

CELLS = [
    Cell(BOARDS["x86_64-q35"], FEATURES["spinlock"], Flavour.STOCK, VendorModule(name)) for name in ("first", "second")
]


def refuse(_: Settings, __: Store) -> KernelSource:
    raise ModcompatError("no such kernel", details="symbol  production  featured", next_step="another one")


def test_a_cell_that_cannot_be_run_is_invalid_by_what_keeps_it_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "find_users_source", refuse)
    with Lab(Settings(), [], Store(tmp_path / "cache")) as lab:
        first, second = map(lab.run, CELLS)
    assert first.verdict.word is second.verdict.word is Word.INVALID
    assert first.verdict.reason == second.verdict.reason == "no such kernel"
    assert first.evidence.explanation == ["symbol  production  featured", "next: another one"]
    assert second.evidence.explanation == []  # said once

    run = tmp_path / "run"
    rows = [write_cell(result, run) for result in (first, second)]
    matrix = write_matrix(rows, run, "pytest", [])
    page, *_ = write_reports(run)
    assert [row["verdict"] for row in json.loads(matrix.read_text())["cells"]] == ["INVALID", "INVALID"]
    assert "next: another one" in page.read_text()
