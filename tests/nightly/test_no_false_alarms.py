# SPDX-License-Identifier: Apache-2.0
"""Production cells are CLEAN every time: 300 cells, on each board in turn, without a false alarm."""

import os

from harness.detect.verdict import Verdict
from harness.kernel.features import FEATURES
from harness.lab.execution.lab import Lab
from harness.lab.plan.cells import DEFAULT_BOARDS, Cell, Flavour
from harness.lab.plan.settings import Settings
from harness.lab.plan.vendor_modules import shipped

CELLS = int(os.environ.get("MODCOMPAT_CELLS", "300"))


def test_production_cells_are_clean_every_time() -> None:
    modules = shipped()
    rounds = -(-CELLS // (len(modules) * len(DEFAULT_BOARDS)))
    alarms, total = [], 0
    with Lab(Settings(), modules) as lab:
        for board in DEFAULT_BOARDS:
            for _ in range(rounds):
                lab._controls.clear()  # run each cell again
                for module in modules:
                    result = lab.run(Cell(board, FEATURES["spinlock"], Flavour.PRODUCTION, module))
                    total += 1
                    print(f"{total} {board.id} {module.name}: {result.verdict}", flush=True)
                    if result.verdict is not Verdict.CLEAN:
                        alarms.append(f"{board.id} {module.name}: {result.verdict}: {result.reason}")
    assert total >= CELLS
    assert alarms == []
