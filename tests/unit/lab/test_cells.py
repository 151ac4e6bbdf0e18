# SPDX-License-Identifier: Apache-2.0
"""The plan: cells as sentences, boards by name."""

from dataclasses import replace
from pathlib import Path

import pytest

from harness.guest.boards import BOARDS
from harness.kernel.features import CORE_FEATURES, FEATURES, features_named
from harness.kernel.variants import Preemption
from harness.lab.plan.cells import (
    DEFAULT_BOARDS,
    EVERY_BOARD,
    EVERY_FEATURE,
    MATRICES,
    Flavour,
    Selection,
    choose_boards,
    kernels,
    narrow,
)
from harness.lab.plan.expected_verdicts import measured_verdicts
from harness.lab.plan.manifest import Manifest
from harness.lab.plan.vendor_modules import VendorModule, shipped
from harness.plugin.selection import choose_modules
from harness.support.errors import ModcompatError

MODULE = VendorModule("vendor")


def test_a_cell_reads_as_a_sentence() -> None:
    board = BOARDS["arm-virt"]
    production, stock = Selection((board,), EVERY_FEATURE[:1]).cells([MODULE])
    assert production.id.startswith("vendor-module-on-production-kernel-without-")
    assert stock.id.startswith("vendor-module-on-stock-kernel-with-")
    assert stock.id.endswith("-on-arm-virt")


def test_a_preemption_model_is_part_of_the_sentence() -> None:
    selection = Selection((BOARDS["arm-virt"],), EVERY_FEATURE[:1], (Preemption.FULL,))
    assert all("-and-preempt-on-arm-virt" in cell.id for cell in selection.cells([MODULE]))


def test_the_cells_of_a_feature_on_a_board_come_together() -> None:
    plan = list(Selection(EVERY_BOARD, EVERY_FEATURE).cells([MODULE, VendorModule("other")]))
    places = [(cell.board.id, cell.feature.name) for cell in plan]
    assert len(plan) == len(EVERY_BOARD) * len([Flavour.PRODUCTION, Flavour.STOCK]) * len(EVERY_FEATURE) * 2
    assert len(set(places)) == sum(one != other for one, other in zip(places, [None, *places], strict=False))


def test_what_ci_covers() -> None:
    """The five features and all at once on one architecture, spinlock on every board, and perf where it is optional."""
    covered = {(board, feature.name) for part in MATRICES["ci"] for board in part.boards for feature in part.features}
    assert {name for board, name in covered if board.name == "q35"} == {*CORE_FEATURES, "all", "kmemleak"}
    assert len({(board.arch.name, variant.name) for board, variant in kernels(MATRICES["ci"])}) <= 20
    assert {board for board, name in covered if name == "spinlock"} == set(EVERY_BOARD)
    assert any(not FEATURES["perf"].always_on(board.arch) for board, name in covered if name == "perf")
    isolated = {board for part in MATRICES["ci"] if Flavour.ISOLATED in part.flavours for board in part.boards}
    assert {board for board in isolated if board.arch.has_isolation} == {
        board for board in DEFAULT_BOARDS if board.arch.has_isolation
    }


def test_the_default_matrix_is_the_five_on_each_architecture() -> None:
    (selection,) = MATRICES["default"]
    assert {board.arch.name for board in selection.boards} == {"x86_64", "arm", "arm64", "riscv64"}
    assert [feature.name for feature in selection.features] == list(CORE_FEATURES)
    assert selection.boards == DEFAULT_BOARDS


def test_what_needs_a_count_is_hidden_only_where_production_counts() -> None:
    part = Selection(DEFAULT_BOARDS[:1], features_named(["atomic-sleep"]), tuple(Preemption), (Flavour.ISOLATED,))
    assert {cell.preemption for cell in part.cells(shipped())} == {Preemption.FULL}
    own = replace(part, own_config=True, preemptions=(Preemption.NONE,))
    assert list(own.cells(shipped())), "a user-supplied configuration has a preemption model of its own"


def test_an_architecture_without_the_isolation_series_has_no_isolated_cells() -> None:
    boards, flavours = (BOARDS["arm-virt"], BOARDS["riscv64-virt"]), tuple(Flavour)
    plan = Selection(boards, (FEATURES["all"],), flavours=flavours).cells([MODULE])
    assert {cell.board.id for cell in plan if cell.flavour is Flavour.ISOLATED} == {"arm-virt"}
    with pytest.raises(ModcompatError, match="supports none of the features on riscv64"):
        narrow(MATRICES["isolated"], boards=boards[1:], features=[], preemptions=[])


@pytest.mark.parametrize(
    ("names", "arches", "chosen"),
    [
        (["q35"], [], ["x86_64-q35"]),
        (["virt"], [], ["arm-virt", "arm64-virt", "riscv64-virt"]),
        (["virt"], ["arm"], ["arm-virt"]),
        (["arm64-virt", "pc"], [], ["x86_64-pc", "arm64-virt"]),
        ([], ["x86_64"], ["x86_64-q35", "x86_64-pc"]),
        ([], [], list(BOARDS)),
    ],
)
def test_boards_are_chosen_by_name_and_architecture(names: list[str], arches: list[str], chosen: list[str]) -> None:
    assert [board.id for board in choose_boards(names, arches)] == chosen


@pytest.mark.parametrize(("names", "arches"), [(["q36"], []), ([], ["riscv"]), (["q35"], ["arm"])])
def test_an_unknown_board_is_an_error_that_lists_the_known(names: list[str], arches: list[str]) -> None:
    with pytest.raises(ModcompatError) as caught:
        choose_boards(names, arches)
    assert "x86_64-q35" in caught.value.next_step


def test_every_shipped_module_has_an_exercise() -> None:
    assert shipped()
    assert all(module.exercise and module.exercise.is_file() for module in shipped())


def test_a_users_module_is_never_expected_to_break() -> None:
    plan = Selection(EVERY_BOARD, EVERY_FEATURE, flavours=tuple(Flavour)).cells([VendorModule("locks")])
    assert not [cell for cell in plan if measured_verdicts(cell)]


def test_a_file_that_is_no_module_runs_only_where_a_board_is_named(tmp_path: Path) -> None:
    """The file's architecture is unknown, so the user chooses the board; its kernel then refuses the file."""
    (tmp_path / "junk.ko").write_text("junk")
    options = {"--module": [str(tmp_path / "junk.ko")], "--exercise": None, "--module-params": "", "--arch": []}
    with pytest.raises(ModcompatError, match=r"junk\.ko: it is not an ELF file"):
        choose_modules({**options, "--board": []}.__getitem__, Manifest())
    (module,), _ = choose_modules({**options, "--board": ["q35"]}.__getitem__, Manifest())
    assert module.name == "junk"
