"""The worked examples of docs/exercises.md, each with the module of the kernel that it is written for."""

import shutil
from pathlib import Path

import pytest

from harness.boards import BOARDS
from harness.detect.verdict import Word
from harness.features import FEATURES
from harness.kernel.modules import build_modules
from harness.kernels import Kernels
from harness.lab import Lab
from harness.modules import VendorModule
from harness.paths import PROJECT
from harness.plan import Cell, Flavour
from harness.settings import Settings
from harness.variants import PRODUCTION
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
    assert result.verdict.word is Word.CLEAN, result.verdict.reason
    assert len(result.evidence.checks) >= 8
