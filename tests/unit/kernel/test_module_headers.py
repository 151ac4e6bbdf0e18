# SPDX-License-Identifier: Apache-2.0
"""The headers that modules are compiled against, from made-up build trees, and cases without any."""

import gzip
from dataclasses import replace
from pathlib import Path

import pytest

from harness.abi.elf.module_file import ModuleFacts
from harness.abi.headers.export_prototypes import kernel_exported_types
from harness.guest.boards import BOARDS
from harness.kernel.arch import ARM, X86_64
from harness.kernel.features import FEATURES
from harness.kernel.module_headers import Headers, headers_in
from harness.kernel.prebuilt import Prebuilt, find_prebuilt, kernel_of, prebuilt_headers
from harness.kernel.symvers import Export
from harness.kernel.variants import PRODUCTION, Variant, variant_of
from harness.lab.execution.assumptions import at_a_glance
from harness.lab.execution.kernel_pool import Kernels
from harness.lab.plan.settings import Settings
from harness.support.cache.store import Store
from harness.support.errors import ModcompatError

BOARD = BOARDS["x86_64-q35"]
STOCK = variant_of(FEATURES["kfence"])
FILES = {
    ".config": "CONFIG_X86_64=y\nCONFIG_SMP=y\n",
    "include/generated/autoconf.h": "#define CONFIG_SMP 1\n",
    "include/config/kernel.release": "6.1.9\n",
    "include/linux/list.h": "struct list_head;\n",
    "Module.symvers": "0x0000002a\tprintk_it\tvmlinux\tEXPORT_SYMBOL_GPL\t\n",
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A build tree with the files that are read without running make."""
    for name, text in FILES.items():
        (tmp_path / "build" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "build" / name).write_text(text)
    return tmp_path / "build"


def prebuilt(variant: Variant, folder: Path, tree: Path | None) -> Prebuilt:
    image = folder / f"{variant.name}.image"
    image.write_bytes(b"\0Linux version 6.1.9 (x) IKCFG_ST" + gzip.compress(FILES[".config"].encode()))
    return find_prebuilt(variant, image, build_tree=tree)


def test_a_build_tree_tells_what_its_kernel_is(tree: Path) -> None:
    headers = headers_in(tree)
    assert (headers.label, headers.arch, headers.release) == ("build", X86_64, "6.1.9")
    assert headers.config == {"X86_64": "y", "SMP": "y"}
    assert headers.exports == {"printk_it": Export("EXPORT_SYMBOL_GPL", "", 0x2A)}
    assert headers.make == ["make", "-C", tree]


def test_a_debugger_is_given_the_vmlinux_of_a_build_tree_that_has_it(tree: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "cache")
    assert kernel_of(prebuilt(STOCK, tmp_path, tree), store).vmlinux is None
    (tree / "vmlinux").write_text("ELF")
    found = kernel_of(prebuilt(STOCK, tmp_path, tree), store).vmlinux
    assert found is not None
    assert found.samefile(tree / "vmlinux")


def test_a_build_tree_has_the_architecture_of_its_configuration(tree: Path) -> None:
    (tree / ".config").write_text("CONFIG_ARM=y\n")
    assert headers_in(tree).arch is ARM


@pytest.mark.parametrize("name", ["include/generated/autoconf.h", "include/linux/list.h", "Module.symvers"])
def test_what_was_read_of_a_build_tree_is_read_again_when_it_changed(tree: Path, name: str) -> None:
    before = headers_in(tree).key
    assert headers_in(tree).key == before
    (tree / name).write_text(FILES[name] * 2)
    assert headers_in(tree).key != before


@pytest.mark.parametrize("name", [".config", "include/generated/autoconf.h"])
def test_a_tree_that_no_module_can_be_built_against_is_refused(tree: Path, name: str) -> None:
    (tree / name).unlink()
    with pytest.raises(ModcompatError, match="not a kernel build tree that modules can be built against"):
        headers_in(tree)


def test_without_exports_nothing_is_said_of_them(tree: Path, tmp_path: Path) -> None:
    (tree / "Module.symvers").unlink()
    headers = headers_in(tree)
    assert headers.exports is None
    with pytest.raises(ModcompatError, match=r"has no Module\.symvers"):
        kernel_exported_types(headers, Store(tmp_path / "cache"))


def test_a_damaged_list_of_exports_is_told(tree: Path) -> None:
    (tree / "Module.symvers").write_text("printk_it")
    with pytest.raises(ModcompatError, match=r"is not a Module\.symvers"):
        _ = headers_in(tree).exports


def test_a_prebuilt_kernel_has_headers_where_it_has_a_build_tree(tree: Path, tmp_path: Path) -> None:
    headers = prebuilt_headers(prebuilt(STOCK, tmp_path, tree))
    assert isinstance(headers, Headers)
    assert headers.label == "x86_64-stock-kfence-users"
    assert headers.inputs == headers_in(tree).inputs
    assert prebuilt_headers(prebuilt(STOCK, tmp_path, None)) is None


@pytest.mark.parametrize("without", [PRODUCTION, STOCK], ids=["production", "debug"])
def test_nothing_is_predicted_where_one_of_both_has_no_build_tree(tree: Path, tmp_path: Path, without: Variant) -> None:
    kernels = {
        (BOARD.arch.name, variant.name): prebuilt(variant, tmp_path, None if variant == without else tree)
        for variant in (PRODUCTION, STOCK)
    }
    known = Kernels(Settings(prebuilt=kernels), Store(tmp_path / "cache"))
    assert known.predict(tmp_path / "vendor.ko", ModuleFacts("vendor", X86_64), BOARD, STOCK) is None


def test_what_has_no_prediction_is_said_once_as_a_run_starts(tree: Path, tmp_path: Path) -> None:
    def told(kernel: Prebuilt) -> str:
        lines = at_a_glance(Settings(prebuilt={(BOARD.arch.name, kernel.variant.name): kernel}), [])
        return next(line for line in lines if "prebuilt" in line)

    bare = prebuilt(STOCK, tmp_path, None)
    assert told(replace(bare, build_tree=tree)) == f"x86_64: stock-kfence is {bare.image}, prebuilt"
    assert told(bare).endswith("prebuilt without a build tree: no predictions for it")
    assert told(prebuilt(PRODUCTION, tmp_path, None)).endswith("for it, nor for kernels that are compared with it")
