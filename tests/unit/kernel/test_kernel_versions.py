# SPDX-License-Identifier: Apache-2.0
"""The table of kernel versions agrees with the patches of the isolation series."""

import re

import pytest

from harness.kernel.patch_series import FOLDER, all_series, series
from harness.kernel.versions import SERIES, series_of, version_in

# A line of the list of tags that a patch adds or removes. An option that may itself be a module has a macro of its own.
TAG = re.compile(
    r"^(?P<sign>[-+])\t(?:MODULE_ABI_TAG\((?P<option>\w+)\)|__module_abi_tag\(MODULE_ABI_(?P<tristate>\w+), )",
    re.MULTILINE,
)
# Options that the kernel does not refuse, but notes that a module is without
TOLD = re.compile(r"^\+#define MODULE_ABI_TOLD(?:.*\\\n)+.*\n", re.MULTILINE)
PRODUCTION_HAS = re.compile(r"^\+config MODULE_ABI_PRODUCTION_HAS_(\w+)$", re.MULTILINE)
# Hidden, but the kernel wants to know of it: kernel/module/abi.c, tag_matters()
NO_REFUSAL = {"DEBUG_SPINLOCK"}
# The newest version of each series, and the last one before each fork
VERSIONS = [
    version
    for it in SERIES.values()
    for version in (f"{it.name}.9999", *(f"{it.name}.{int(fork.split('.')[2]) - 1}" for fork in it.forks))
]


@pytest.mark.parametrize("version", VERSIONS)
def test_the_options_that_block_modules_are_the_tags_that_the_patches_leave(version: str) -> None:
    tags: set[str] = set()
    for patch in series(version):
        changes = [(it["sign"], it["option"] or it["tristate"]) for it in TAG.finditer(TOLD.sub("", patch.read_text()))]
        removed = {tag for sign, tag in changes if sign == "-"}
        assert removed <= tags, patch.name
        tags = (tags - removed) | {tag for sign, tag in changes if sign == "+"}
    found = series_of(version)
    assert found
    assert len(found.blocking_options) == len(set(found.blocking_options))
    assert set(found.blocking_options) == tags - NO_REFUSAL


@pytest.mark.parametrize("version", VERSIONS)
def test_the_options_of_production_are_those_that_the_patches_ask_for(version: str) -> None:
    asked = [symbol for patch in series(version) for symbol in PRODUCTION_HAS.findall(patch.read_text())]
    found = series_of(version)
    assert found
    assert found.production_options == tuple(asked)


def test_every_folder_is_in_the_table() -> None:
    folders = {folder.name: folder for folder in FOLDER.iterdir() if folder.is_dir()}
    assert set(folders) == set(SERIES) == set(all_series())
    for name, folder in folders.items():
        older = {sub.name for sub in folder.iterdir() if sub.is_dir()}
        assert older == {f"before-{fork}" for fork in SERIES[name].forks}


def test_an_older_tree_takes_other_patches() -> None:
    newest, *older = (tuple(series(version)) for version in VERSIONS if version.startswith("6.1."))
    assert len(newest) == 57
    assert len({newest, *older}) == 4
    assert all(len(patches) == len(newest) for patches in older)


@pytest.mark.parametrize(
    ("release", "version", "name"),
    [("6.1.192", (6, 1), "6.1"), ("6.12.117-vendor", (6, 12), "6.12"), ("7.0.1", (7, 0), None), ("x", (0, 0), None)],
)
def test_a_release_has_a_version_and_perhaps_a_series(release: str, version: tuple[int, int], name: str | None) -> None:
    assert version_in(release) == version
    found = series_of(release)
    assert (found.name if found else None) == name
