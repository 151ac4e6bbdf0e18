# SPDX-License-Identifier: Apache-2.0
"""Contents of the wheel and the source distribution; tests/system/test_installation.py installs a wheel."""

import subprocess

import pytest
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder

from harness.support.paths import IMAGES, MODULES, PROJECT


def tracked(*folders: str) -> set[str]:
    """The files below these folders that git tracks."""
    command = ["git", "ls-files", "-z", *folders]
    listed = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    return {name for name in listed.split("\0") if name and (PROJECT / name).exists()}


def test_a_wheel_holds_every_file_of_the_package_and_its_data() -> None:
    packed = {file.distribution_path for file in WheelBuilder(str(PROJECT)).recurse_included_files()}
    data = {f"harness/_data/{name}" for name in tracked("images", "modules")}
    assert len(data) > 100
    assert tracked("harness") | data <= packed
    untracked = packed - tracked("harness") - data
    assert not {name for name in untracked if name.endswith((".o", ".ko", ".pyc", ".cmd"))}


def test_a_source_distribution_holds_what_the_wheel_is_built_from() -> None:
    packed = {file.distribution_path for file in SdistBuilder(str(PROJECT)).recurse_included_files()}
    assert tracked("harness", "images", "modules", "LICENSES") | {"README.md", "REUSE.toml"} <= packed


@pytest.mark.parametrize("folder", [IMAGES, MODULES], ids=lambda folder: folder.name)
def test_a_checkout_uses_its_own_data(folder: object) -> None:
    assert folder in (PROJECT / "images", PROJECT / "modules")
