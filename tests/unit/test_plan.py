"""The plan: cells as sentences, boards by name."""

import pytest

from harness.boards import BOARDS
from harness.errors import ModcompatError
from harness.features import FEATURES
from harness.measured import measured_verdict
from harness.modules import VendorModule, shipped
from harness.plan import Flavour, cells, choose_boards

MODULE = VendorModule("vendor")


def test_a_cell_reads_as_a_sentence() -> None:
    board = BOARDS["arm-virt"]
    production, stock = cells([board], list(Flavour), [MODULE])
    assert production.id.startswith("vendor-module-on-production-kernel-without-")
    assert stock.id.startswith("vendor-module-on-stock-kernel-with-")
    assert stock.id.endswith("-on-arm-virt")


def test_cells_come_board_by_board_and_kernel_by_kernel() -> None:
    plan = list(cells(list(BOARDS.values()), list(Flavour), [MODULE, VendorModule("other")]))
    guests = [(cell.board.id, cell.kernel_name) for cell in plan]
    assert len(plan) == len(BOARDS) * len(Flavour) * len(FEATURES) * 2
    assert len(set(guests)) == sum(one != other for one, other in zip(guests, [None, *guests], strict=False))


@pytest.mark.parametrize(
    ("names", "arches", "chosen"),
    [
        (["q35"], [], ["x86_64-q35"]),
        (["virt"], [], ["arm-virt", "arm64-virt"]),
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
    plan = cells(list(BOARDS.values()), list(Flavour), [VendorModule("spinlock")])
    assert not [cell for cell in plan if measured_verdict(cell)]
