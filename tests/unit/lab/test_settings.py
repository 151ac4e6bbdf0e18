# SPDX-License-Identifier: Apache-2.0
"""Settings: production as it ships, and what modules are loaded by force on."""

from collections.abc import Sequence
from pathlib import Path
from unittest.mock import Mock

import pytest

from harness.cli.cluster_runs import files_in, resources_of
from harness.guest.boards import BOARDS
from harness.kernel.shipped import ShippedKernel
from harness.kernel.user_config import UserConfig, read_config
from harness.kernel.variants import PRODUCTION
from harness.lab.plan.manifest import Manifest, read_manifest
from harness.lab.plan.settings import Settings, on_shipped
from harness.lab.plan.vendor_modules import VendorModule
from harness.plugin.selection import choose_cells
from harness.support.errors import ModcompatError

CONFIG = "# Linux/x86 6.1.9 Kernel Configuration\nCONFIG_X86_64=y\n"
BOARD = BOARDS["x86_64-q35"]


@pytest.fixture
def config(tmp_path: Path) -> UserConfig:
    file = tmp_path / "production.config"
    file.write_text(CONFIG)
    return read_config(file)


def test_a_configuration_of_the_user_may_count_preemption(config: UserConfig) -> None:
    """Isolated kernels alone, of a feature that needs the count: the model is not known yet."""
    options = {"--feature": ["distro"], "--flavour": ["isolated"]}
    arch = config.arch.name
    (selection,) = choose_cells(options.get, Manifest(), {arch: config}, {arch}, by_name=False)
    assert list(selection.cells([VendorModule("vendor", arch=config.arch)]))


@pytest.mark.parametrize("given", [["KUNIT"], ["CONFIG_KUNIT"]])
def test_options_may_differ_from_production_as_it_ships(given: Sequence[str], config: UserConfig) -> None:
    kernel = ShippedKernel("debian", "6.1.9", Path("vmlinuz"), config, source="linux-source-6.1")
    settings = on_shipped(Settings(), {"x86_64": kernel}, source="", tolerated=given)
    assert settings.configs["x86_64"].tolerated == {"KUNIT"}
    with pytest.raises(ModcompatError, match="not an option of the kernel"):
        on_shipped(Settings(), {"x86_64": kernel}, source="", tolerated=["not one"])


@pytest.mark.parametrize(
    ("may_add", "tolerated", "shipped", "is_valid"),
    [
        (False, [], False, True),
        (False, ["KUNIT"], False, False),
        (False, ["KUNIT"], True, True),
        (True, [], True, False),
    ],
)
def test_a_permission_needs_a_configuration_that_it_could_apply_to(
    tolerated: list[str], *, may_add: bool, shipped: bool, is_valid: bool
) -> None:
    options = {"may_add": may_add, "tolerated": tolerated, "shipped": shipped}
    if is_valid:
        assert Manifest().production_configs([], **options) == {}  # type: ignore[arg-type]
    else:
        with pytest.raises(ModcompatError, match="need a configuration of yours"):
            Manifest().production_configs([], **options)  # type: ignore[arg-type]


def test_a_prebuilt_production_kernel_brings_a_configuration() -> None:
    assert Manifest(prebuilt=(Mock(variant=PRODUCTION),)).has_configs
    assert not Manifest(prebuilt=(Mock(variant=None),)).has_configs


def test_a_manifest_takes_every_name_of_a_source(tmp_path: Path) -> None:
    file = tmp_path / "modcompat.toml"
    file.write_text("[kernel]\nsource = 'linux-source-6.12=6.12.118-1/trixie'\n")
    assert read_manifest(file).source == "linux-source-6.12=6.12.118-1/trixie"


@pytest.mark.parametrize(("memory", "expected"), [(0, 1024), (300, 300)])
def test_a_cluster_keeps_the_memory_that_a_guest_may_need(memory: int, expected: int, config: UserConfig) -> None:
    settings = Settings(configs={"x86_64": config}, memory=memory)
    assert resources_of(settings, BOARD)["MEMORY"] == expected
    assert resources_of(Settings(), BOARD)["MEMORY"] == BOARD.memory


def test_workers_are_asked_for_every_file_that_a_kernel_is_made_of(tmp_path: Path, config: UserConfig) -> None:
    patch, tree = tmp_path / "own.patch", tmp_path / "linux"
    patch.write_text("a patch")
    tree.mkdir()
    found = files_in(Settings(source=str(tree), configs={"x86_64": config}, patches=(patch,)))
    assert set(found) == {str(patch), str(tree), str(config.path)}
    assert (found[str(patch)] != "", found[str(tree)]) == (True, "")
