# SPDX-License-Identifier: Apache-2.0
"""Thousands of cells in a row in one process: no verdict changes, and nothing grows.

MODCOMPAT_SOAK_CELLS=N sets their number for each architecture. An interrupted soak goes on if MODCOMPAT_SOAK_DIR is the
folder that it printed.
"""

import os
from pathlib import Path

import pytest

from harness.guest.boards import BOARDS
from harness.lab.plan.vendor_modules import shipped
from tests.system.conftest import GUESTS
from tests.system.soaking import cells_of, soak

CELLS = int(os.environ.get("MODCOMPAT_SOAK_CELLS", "2000"))


@pytest.fixture
def folder(request: pytest.FixtureRequest) -> Path:
    chosen = os.environ.get("MODCOMPAT_SOAK_DIR")
    return Path(chosen) if chosen else Path(request.getfixturevalue("run_folder"))


@pytest.mark.parametrize("board", GUESTS)
def test_no_verdict_changes_and_nothing_grows(board: str, folder: Path) -> None:
    modules = shipped()
    print(f"MODCOMPAT_SOAK_DIR={folder}", flush=True)
    found = soak(cells_of(BOARDS[board], modules), modules, folder, until=lambda count, _: count >= CELLS)
    (folder / f"soak-{board}.txt").write_text(found.summary() + "\n")
    assert found.differences() == [], "\n".join(found.differences())
    assert found.growth() == []
