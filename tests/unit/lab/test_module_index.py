# SPDX-License-Identifier: Apache-2.0
"""Modules are loaded in the order that modprobe(8) loads them in."""

from pathlib import Path

import pytest

from harness.lab.plan.module_index import IndexedModule, ModuleIndex, index_folder, require_release
from harness.support.cache.store import Store
from harness.support.errors import ModcompatError


def module(name: str, depends: str = "", soft: str = "", aliases: str = "", release: str = "6.1.9") -> IndexedModule:
    return IndexedModule(
        name, Path(f"{name}.ko"), tuple(depends.split()), tuple(soft.split()), tuple(aliases.split()), release, ""
    )


INDEX = ModuleIndex(
    [
        module("btrfs", "xor raid6_pq libcrc32c", "crypto-sha256"),
        module("xor"),
        module("raid6_pq"),
        module("libcrc32c", "", "crypto-crc32c"),
        module("crc32c_generic", "", "", "crypto-crc32c"),
        module("sha256_generic", "libsha256", "", "crypto-sha256"),
        module("sha256_ssse3", "", "", "crypto-sha256"),
        module("libsha256"),
        module("loop_one", "loop_two"),
        module("loop_two", "loop_one"),
        module("both", "xor", "xor"),
    ]
)


def needed(name: str) -> dict[str, bool]:
    """Names of the modules to load before one, and whether each is required."""
    wanted = INDEX.modules[name]
    return {found.name: required for found, required in INDEX.needed_by(wanted.depends, wanted.soft).items()}


def test_hard_dependencies_come_first_and_soft_ones_may_fail() -> None:
    assert needed("btrfs") == {
        "xor": True, "raid6_pq": True, "crc32c_generic": False, "libcrc32c": True,
        "libsha256": False, "sha256_generic": False, "sha256_ssse3": False,
    }  # fmt: skip


def test_a_dependency_of_both_kinds_is_required() -> None:
    assert needed("both") == {"xor": True}


def test_modules_that_need_each_other_end() -> None:
    assert needed("loop_one") == {"loop_one": True, "loop_two": True}


def test_names_have_hyphens_or_underscores() -> None:
    assert INDEX.find("sha256-ssse3") == INDEX.find("sha256_ssse3") == [INDEX.modules["sha256_ssse3"]]
    assert [found.name for found in INDEX.find("crypto-sha256")] == ["sha256_generic", "sha256_ssse3"]
    assert INDEX.find("built-in") == []


def test_modules_of_another_release_are_refused() -> None:
    require_release(INDEX, "6.1.9", Path("modules"))
    mixed = ModuleIndex([*INDEX.modules.values(), module("new", release="6.1.10")])
    with pytest.raises(ModcompatError, match=r"the image is 6\.1\.9, but of the modules in modules 1 are of 6\.1\.10"):
        require_release(mixed, "6.1.9", Path("modules"))


def test_a_folder_is_read_once_and_damaged_files_are_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, folder = Store(tmp_path / "cache"), tmp_path / "modules"
    with pytest.raises(ModcompatError, match="has no modules"):
        index_folder(folder, store)
    (folder / "net").mkdir(parents=True)
    (folder / "net/veth.ko.xz").write_bytes(b"\xfd7zXZ\0")
    first = index_folder(folder, store)
    assert first.modules["veth"].path == folder / "net/veth.ko.xz"
    assert "data is damaged" in first.modules["veth"].problem
    monkeypatch.setattr("harness.lab.plan.module_index.indexed", None)
    assert index_folder(folder, store).modules == first.modules
