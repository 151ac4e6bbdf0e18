# SPDX-License-Identifier: Apache-2.0
"""MODVERSIONS in both kernels: every symbol has production's version, and versions are still checked."""

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.detect.verdict import Verdict
from harness.guest.boards import BOARDS, Board
from harness.kernel.features import FEATURES
from harness.kernel.module_build import build_modules
from harness.kernel.variants import variant_of
from harness.lab.execution.guest_pool import Guests
from harness.lab.execution.lab import Lab
from harness.lab.plan.cells import DEFAULT_BOARDS, Cell, Flavour
from harness.lab.plan.settings import Settings
from harness.lab.plan.vendor_modules import VendorModule, shipped
from harness.support.paths import MODULES

EVERYTHING = FEATURES["all"]
ISOLATED = variant_of(EVERYTHING, isolated=True)
SUPPORTED = [board for board in DEFAULT_BOARDS if board.arch.has_isolation]


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab(Settings(versions=True), shipped()) as lab:
        yield lab


def symbol_versions(build_tree: Path) -> dict[str, tuple[str, str]]:
    """Symbol exported by vmlinux -> its CRC and its exporter. Symbols of modules are left out."""
    rows = (line.split("\t") for line in (build_tree / "Module.symvers").read_text().splitlines())
    return {symbol: (version, origin) for version, symbol, origin, *_ in rows if origin == "vmlinux"}


@pytest.mark.parametrize("board", SUPPORTED, ids=lambda board: board.id)
def test_every_symbol_has_its_version_of_production(board: Board, lab: Lab) -> None:
    production = symbol_versions(lab.kernels.kernel(board, ISOLATED.production).build_tree)
    isolated = symbol_versions(lab.kernels.kernel(board, ISOLATED).build_tree)
    assert len(production) > 1000
    assert {name: isolated.get(name) for name in production} == production


@pytest.mark.parametrize("board", SUPPORTED, ids=lambda board: board.id)
@pytest.mark.parametrize("module", shipped(), ids=lambda module: module.name)
def test_a_module_of_production_loads_and_works(board: Board, module: VendorModule, lab: Lab) -> None:
    result = lab.run(Cell(board, EVERYTHING, Flavour.ISOLATED, module))
    assert result.verdict is Verdict.CLEAN, result.reason


def test_a_module_with_another_version_is_refused(lab: Lab, tmp_path: Path) -> None:
    board, source = BOARDS["x86_64-q35"], MODULES / "warning"
    production = lab.kernels.kernel(board, ISOLATED.production)
    built = build_modules(source, production, lab.kernels.store)["warning"].read_bytes()
    version = struct.pack("<I", int(symbol_versions(production.build_tree)["_printk"][0], 16))
    assert built.count(version) == 1
    altered = tmp_path / "altered.ko"
    altered.write_bytes(built.replace(version, b"\1\2\3\4"))
    with Guests(lab.kernels, [VendorModule("altered", file=altered)]) as guests:
        guest = guests.guest(board, ISOLATED)
        assert guest.run("insmod modules/altered.ko").status
        assert "disagrees about version of symbol _printk" in guest.run("dmesg").text
