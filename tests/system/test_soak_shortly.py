# SPDX-License-Identifier: Apache-2.0
"""Cells repeat their verdicts while the guests go on, for a minute. tests/nightly/test_soak.py takes hours."""

import os
from pathlib import Path

import pytest

from harness.guest.boards import BOARDS
from harness.lab.plan.vendor_modules import shipped
from tests.system.conftest import GUESTS
from tests.system.soaking import cells_of, soak

SECONDS = float(os.environ.get("MODCOMPAT_SOAK_SECONDS", "20"))  # on each board
_ROUNDS = 2  # at least, so that each cell has run before


@pytest.mark.parametrize("board", GUESTS)
def test_cells_repeat_their_verdicts(board: str, tmp_path: Path) -> None:
    modules = [module for module in shipped() if module.name in ("locks", "tail")]
    cells = cells_of(BOARDS[board], modules)
    found = soak(
        cells, modules, tmp_path, until=lambda count, seconds: count >= _ROUNDS * len(cells) and seconds >= SECONDS
    )
    print(found.summary())
    assert found.differences() == [], "\n".join(found.differences())
    assert found.growth() == []
