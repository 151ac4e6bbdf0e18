"""The plan: which cells there are to run, in the order that reuses guests best."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from harness.boards import BOARDS, Board
from harness.errors import ModcompatError
from harness.features import FEATURES, Feature
from harness.modules import VendorModule


class Flavour(StrEnum):
    PRODUCTION = "production"
    STOCK = "stock"


@dataclass(frozen=True)
class Cell:
    """One verdict to be had."""

    board: Board
    feature: Feature
    flavour: Flavour
    module: VendorModule

    @property
    def kernel_feature(self) -> Feature | None:
        """What is switched on in the cell's kernel."""
        return None if self.flavour is Flavour.PRODUCTION else self.feature

    @property
    def kernel_name(self) -> str:
        return "production" if self.kernel_feature is None else f"{self.flavour}-{self.feature.name}"

    @property
    def id(self) -> str:
        """A sentence: `spinlock-module-on-stock-kernel-with-spinlock-on-arm-virt`."""
        having = "without" if self.kernel_feature is None else "with"
        return f"{self.module.name}-module-on-{self.flavour}-kernel-{having}-{self.feature.name}-on-{self.board.id}"


def cells(boards: Sequence[Board], flavours: Sequence[Flavour], modules: Sequence[VendorModule]) -> Iterator[Cell]:
    """Every cell, board by board and kernel by kernel, so that a guest is started once."""
    for board in boards:
        for flavour in flavours:
            for feature in FEATURES.values():
                for module in modules:
                    yield Cell(board, feature, flavour, module)


def choose_boards(names: Iterable[str], arches: Iterable[str]) -> list[Board]:
    """Boards by name (`virt`, or `arm-virt` for one of several) and architecture; all when nothing is asked.

    Raises ModcompatError with the known names.
    """
    wanted, architectures = list(names), set(arches)
    unknown = [name for name in wanted if not any(name in (board.id, board.name) for board in BOARDS.values())]
    unknown += sorted(architectures - {board.arch.name for board in BOARDS.values()})
    if unknown:
        raise ModcompatError(
            f"there is no board or architecture {', '.join(unknown)}",
            next_step=f"boards: {', '.join(BOARDS)}; architectures: {', '.join(_architectures())}",
        )
    chosen = [
        board
        for board in BOARDS.values()
        if (not wanted or board.id in wanted or board.name in wanted)
        and (not architectures or board.arch.name in architectures)
    ]
    if not chosen:
        raise ModcompatError("no board is of all the kinds asked for", next_step=f"boards: {', '.join(BOARDS)}")
    return chosen


def _architectures() -> list[str]:
    return sorted({board.arch.name for board in BOARDS.values()})
