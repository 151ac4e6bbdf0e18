# SPDX-License-Identifier: Apache-2.0
"""The worked examples of docs/how-to/exercise.md, each run with the kernel module that it was written for."""

import shutil
from pathlib import Path

import pytest

from harness.detect.verdict import Verdict
from harness.guest.boards import BOARDS
from harness.kernel.features import FEATURES
from harness.kernel.module_build import build_modules
from harness.kernel.variants import PRODUCTION
from harness.lab.execution.kernel_pool import Kernels
from harness.lab.execution.lab import Lab
from harness.lab.plan.cells import Cell, Flavour
from harness.lab.plan.settings import Settings
from harness.lab.plan.vendor_modules import VendorModule
from harness.support.paths import PROJECT
from tests.system.conftest import TIMING


@pytest.mark.parametrize("board", ["x86_64-q35", "arm-virt"])
def test_the_character_device_of_the_examples_works(board: str, tmp_path: Path) -> None:
    kernels = Kernels(Settings())
    production = kernels.kernel(BOARDS[board], PRODUCTION)
    shutil.copy(production.spec.source.tree() / "drivers/tty/ttynull.c", tmp_path)
    (tmp_path / "Kbuild").write_text("obj-m := ttynull.o\n")
    file = build_modules(tmp_path, production, kernels.store)["ttynull"]
    module = VendorModule("ttynull", file=file, exercise=PROJECT / "docs/examples/character.py")
    with Lab(Settings(timing=TIMING), [module]) as lab:
        result = lab.run(Cell(BOARDS[board], FEATURES["spinlock"], Flavour.PRODUCTION, module))
    assert result.verdict is Verdict.CLEAN, result.reason
    assert len(result.evidence.checks) >= 8
