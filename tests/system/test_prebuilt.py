# SPDX-License-Identifier: Apache-2.0
"""Our own kernels used as prebuilt kernels: predictions and verdicts stay the same."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from harness.abi.elf.module_file import read_module
from harness.detect.verdict import Verdict
from harness.guest.boards import BOARDS
from harness.kernel.build import Kernel
from harness.kernel.features import FEATURES
from harness.kernel.module_build import build_modules
from harness.kernel.prebuilt import find_prebuilt
from harness.kernel.variants import PRODUCTION, variant_of
from harness.lab.execution.kernel_pool import Kernels
from harness.lab.execution.lab import Lab
from harness.lab.plan.cells import Cell, Flavour
from harness.lab.plan.settings import Settings
from harness.lab.plan.vendor_modules import shipped
from harness.support.cache.store import Store
from tests.system.conftest import TIMING

BOARD = BOARDS["x86_64-q35"]
FEATURE = FEATURES["spinlock"]
VARIANTS = (PRODUCTION, variant_of(FEATURE))
ByName = dict[str, Kernel]


@pytest.fixture(scope="module")
def kernels() -> ByName:
    known = Kernels(Settings())
    return {variant.name: known.kernel(BOARD, variant) for variant in VARIANTS}


@pytest.fixture(scope="module")
def files(kernels: ByName) -> dict[str, Path]:
    """Name -> vendor module, built for production."""
    store = Store()
    built = [build_modules(it.source, kernels["production"], store) for it in shipped() if it.source]
    return {name: file for modules in built for name, file in modules.items()}


def prebuilt(kernels: ByName, *names: str) -> Settings:
    """Settings for a run that uses the named kernels as prebuilt ones."""
    found = [find_prebuilt(it.spec.variant, it.image, build_tree=it.build_tree) for it in map(kernels.get, names) if it]
    return Settings(timing=TIMING, prebuilt={(BOARD.arch.name, kernel.variant.name): kernel for kernel in found})


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "harness", "predict", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_prediction_is_the_same_as_on_kernels_of_ours(kernels: ByName, files: dict[str, Path]) -> None:
    debug = VARIANTS[1].name
    ours = Kernels(Settings())
    theirs, mixed = Kernels(prebuilt(kernels, "production", debug)), Kernels(prebuilt(kernels, debug))
    for file in files.values():
        module = read_module(file)
        for variant in VARIANTS:
            expected = ours.predict(file, module, BOARD, variant)
            assert expected is not None
            assert theirs.predict(file, module, BOARD, variant) == expected
            assert mixed.predict(file, module, BOARD, variant) == expected


def test_a_cell_has_its_prediction_and_layouts_that_explain_it(kernels: ByName) -> None:
    (module,) = (module for module in shipped() if module.name == "locks")
    with Lab(prebuilt(kernels, *kernels), [module]) as lab:
        result = lab.run(Cell(BOARD, FEATURE, Flavour.STOCK, module))
    assert result.verdict is Verdict.INERT, result.reason
    assert result.prediction is not None
    assert result.prediction.agrees_with(result.verdict)
    assert result.prediction.reason == "struct module.init 0x138 → 0x150: the kernel never finds its init"
    assert result.evidence.explanation
    assert result.evidence.layouts[0]["name"] == "struct module"


def test_the_command_takes_them_from_the_manifest(kernels: ByName, files: dict[str, Path], tmp_path: Path) -> None:
    manifest = tmp_path / "modcompat.toml"
    manifest.write_text(
        "".join(
            f"[[prebuilt]]\nkernel = '{name}'\nimage = '{kernel.image}'\nbuild_tree = '{kernel.build_tree}'\n"
            for name, kernel in kernels.items()
        )
    )

    def predicted(*options: str | Path) -> object:
        done = run(files["locks"], "--json", *options, *(word for name in kernels for word in ("--kernel", name)))
        assert done.returncode == 1, done.stderr
        return json.loads(done.stdout)

    assert predicted("--manifest", manifest) == predicted()


def test_the_command_says_which_kernel_came_without_its_build_tree(
    kernels: ByName, files: dict[str, Path], tmp_path: Path
) -> None:
    image = kernels["production"].image
    config = kernels["production"].build_tree / ".config"
    (tmp_path / "modcompat.toml").write_text(f"[[prebuilt]]\nimage = '{image}'\nconfig = '{config}'\n")
    done = run(files["locks"], "--manifest", tmp_path / "modcompat.toml", "--kernel", "production")
    assert done.returncode == 2
    assert "no prediction on x86_64 for production: a prebuilt kernel came without its build tree" in done.stderr


def test_an_image_alone_is_judged_without_a_prediction(kernels: ByName) -> None:
    (module,) = (module for module in shipped() if module.name == "locks")
    kernel = kernels[VARIANTS[1].name]
    image = find_prebuilt(kernel.spec.variant, kernel.image, config=kernel.build_tree / ".config")
    settings = Settings(timing=TIMING, prebuilt={(BOARD.arch.name, kernel.spec.variant.name): image})
    with Lab(settings, [module]) as lab:
        result = lab.run(Cell(BOARD, FEATURE, Flavour.STOCK, module))
    assert result.prediction is None
    # Without a build tree, no proof module can be built; the configuration is the proof.
    assert result.verdict is Verdict.INERT, result.reason
