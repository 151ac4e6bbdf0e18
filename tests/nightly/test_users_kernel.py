# SPDX-License-Identifier: Apache-2.0
"""A user-supplied configuration with MODVERSIONS, tracing, kprobes, network and block devices."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from harness.detect.verdict import Verdict
from harness.guest.boards import BOARDS
from harness.kernel.features import FEATURES
from harness.kernel.user_config import UserConfig, read_config
from harness.kernel.variants import PRODUCTION, variant_of
from harness.lab.execution.kernel_pool import Kernels
from harness.lab.execution.lab import Lab
from harness.lab.plan.cells import Cell, Flavour
from harness.lab.plan.settings import Settings
from harness.lab.plan.vendor_modules import VendorModule
from harness.support.paths import PROJECT

BOARD = BOARDS["x86_64-q35"]
CONFIG = Path(__file__).parent / "users.config"
EXAMPLES = {"veth": "network.py", "null_blk": "block.py"}


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> UserConfig:
    """The configuration of our production kernel plus users.config."""
    ours = (Kernels(Settings()).kernel(BOARD, PRODUCTION).build_tree / ".config").read_text()
    file = tmp_path_factory.mktemp("users") / "production.config"
    file.write_text(ours + CONFIG.read_text())
    return read_config(file)


@pytest.fixture(scope="module")
def settings(users: UserConfig) -> Settings:
    return Settings(configs={"x86_64": users})


@pytest.fixture(scope="module")
def modules(settings: Settings) -> dict[str, VendorModule]:
    """Name -> in-tree module, built with the user's production kernel."""
    built = Kernels(settings).kernel(BOARD, PRODUCTION).own_modules
    return {
        name: VendorModule(name, file=built[name], exercise=PROJECT / "docs/examples" / exercise)
        for name, exercise in EXAMPLES.items()
    }


@pytest.fixture(scope="module")
def lab(settings: Settings, modules: dict[str, VendorModule]) -> Iterator[Lab]:
    with Lab(settings, [*modules.values()]) as lab:
        yield lab


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("flavour", [Flavour.PRODUCTION, Flavour.ISOLATED])
def test_modules_of_the_users_production_work(
    name: str, flavour: Flavour, lab: Lab, modules: dict[str, VendorModule]
) -> None:
    result = lab.run(Cell(BOARD, FEATURES["all"], flavour, modules[name], own_config=True))
    assert result.verdict is Verdict.CLEAN, result.reason


def test_what_production_has_is_told_to_the_series(settings: Settings) -> None:
    variant = variant_of(FEATURES["all"], isolated=True).on_user_config
    config = Kernels(settings).kernel(BOARD, variant).config
    assert config["MODULE_ABI_SYMVERS"] == '"production.symvers"'
    for symbol in ("TRACING", "KPROBES", "UPROBES"):
        assert config[f"MODULE_ABI_PRODUCTION_HAS_{symbol}"] == "y"
    assert config.get("MODULE_ABI_PRODUCTION_HAS_FUNCTION_TRACER", "n") == "n"


@pytest.mark.parametrize("ignores", [False, True], ids=["versions", "no-versions"])
def test_a_stock_debug_kernel_refuses_the_module_unless_it_ignores_versions(
    *, ignores: bool, settings: Settings, modules: dict[str, VendorModule]
) -> None:
    with Lab(replace(settings, ignores_versions=ignores), [modules["veth"]]) as lab:
        result = lab.run(Cell(BOARD, FEATURES["spinlock"], Flavour.STOCK, modules["veth"], own_config=True))
    assert result.verdict not in (Verdict.CLEAN, Verdict.INVALID), result.reason
    assert (result.verdict is Verdict.REFUSED) is not ignores, result.reason
    assert result.evidence.load is not None
    assert ("insmod -f" in result.evidence.load.command) is ignores
