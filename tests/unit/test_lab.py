"""Cells that cannot be run: INVALID, with what keeps them from it, in every report."""

import json
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from harness import lab as module
from harness.boards import BOARDS
from harness.detect.verdict import Word
from harness.errors import ModcompatError
from harness.features import FEATURES
from harness.guest.guest import Guest
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


class Dumping:
    """A guest whose memory is its name."""

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def qemu(self) -> "Dumping":
        return self

    def dump_memory(self, core: Path) -> None:
        core.write_text(self.name)


def test_a_core_dump_of_a_control_is_kept_once_and_every_cell_has_it(tmp_path: Path) -> None:
    one, other = (
        [replace(cell, flavour=Flavour.PRODUCTION, feature=FEATURES[name]) for name in ("spinlock", "slub")]
        for cell in CELLS
    )
    run = tmp_path / "run"
    with Lab(Settings(), [], Store(tmp_path / "cache")) as lab:
        first = lab._not_run(one[0], ModcompatError("it broke"))
        first = replace(first, core=lab._dump(cast(Guest, Dumping("first")), one[0], first.evidence))
        second = lab._not_run(other[0], ModcompatError("it broke"))
        second = replace(second, core=lab._dump(cast(Guest, Dumping("second")), other[0], second.evidence))
        for result, cells in ((first, one), (second, other), (first, one)):  # written again, nothing is lost
            for cell in cells:
                write_cell(replace(result, cell=cell), run)
    run = run.rename(tmp_path / "moved")
    for text, cells in (("first", one), ("second", other)):
        cores = [run / "cells" / cell.id / "core" for cell in cells]
        assert [core.read_text() for core in cores] == [text, text]
        assert [core.is_symlink() for core in cores] == [False, True]
