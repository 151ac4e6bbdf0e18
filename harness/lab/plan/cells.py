# SPDX-License-Identifier: Apache-2.0
"""The plan: the cells to run, in the order that reuses guests best."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from harness.guest.boards import BOARDS, Board, default_board
from harness.kernel.arch import ARM, RISCV64, X86_64
from harness.kernel.features import CORE_FEATURES, FEATURES, Feature, Isolation, features_named
from harness.kernel.variants import Preemption, Variant, variant_of
from harness.lab.plan.vendor_modules import VendorModule
from harness.support.errors import ModcompatError


class Flavour(StrEnum):
    PRODUCTION = "production"
    STOCK = "stock"
    ISOLATED = "isolated"


@dataclass(frozen=True)
class Cell:
    """A module on a kernel of a board, to be judged."""

    board: Board
    feature: Feature
    flavour: Flavour
    module: VendorModule
    preemption: Preemption = Preemption.NONE
    # the production configuration is user-supplied
    own_config: bool = False

    @property
    def variant(self) -> Variant:
        """The cell's kernel."""
        variant = variant_of(self.feature, self.preemption, isolated=self.flavour is Flavour.ISOLATED)
        if self.own_config:
            variant = variant.on_user_config
        return variant.production if self.flavour is Flavour.PRODUCTION else variant

    @property
    def is_control(self) -> bool:
        """Whether it runs on production, to compare debug kernels with."""
        return self.flavour is Flavour.PRODUCTION

    @property
    def control(self) -> "Cell":
        """The cell of the same module on production."""
        return replace(self, flavour=Flavour.PRODUCTION)

    @property
    def id(self) -> str:
        """A sentence: `locks-module-on-stock-kernel-with-spinlock-on-arm-virt`."""
        having = "without" if self.flavour is Flavour.PRODUCTION else "with"
        preempt = "" if self.preemption is Preemption.NONE else f"-and-{self.preemption}"
        kernel = f"{self.flavour}-kernel-{having}-{self.feature.name}{preempt}"
        return f"{self.module.name}-module-on-{kernel}-on-{self.board.id}"


_DEFAULT_FLAVOURS = (Flavour.PRODUCTION, Flavour.STOCK)


@dataclass(frozen=True)
class Selection:
    """Boards and kernels; each module on each of them is a cell."""

    boards: tuple[Board, ...]
    features: tuple[Feature, ...]
    preemptions: tuple[Preemption, ...] = (Preemption.NONE,)
    flavours: tuple[Flavour, ...] = _DEFAULT_FLAVOURS
    # the production configurations are user-supplied
    own_config: bool = False

    def cells(self, modules: Sequence[VendorModule]) -> Iterator[Cell]:
        """Every cell, board by board and kernel by kernel, so that a guest is started once."""
        for board in self.boards:
            for preemption in self.preemptions:
                for feature in self.features:
                    for flavour in self.flavours:
                        if flavour is Flavour.ISOLATED and not self._is_isolated(feature, board, preemption):
                            continue
                        for module in modules:
                            if module.is_for(board.arch):
                                yield Cell(board, feature, flavour, module, preemption, self.own_config)

    def _is_isolated(self, feature: Feature, board: Board, preemption: Preemption) -> bool:
        """Whether a feature has an isolated kernel that loads modules.

        A user-supplied configuration has its own preemption model; if that does not count preemption, modules are
        refused.
        """
        counts_preemption = self.own_config or preemption is Preemption.FULL
        kept = (Isolation.KEPT, *([Isolation.KEPT_WITH_PREEMPTION] if counts_preemption else []))
        return board.arch.has_isolation and feature.isolation in kept


EVERY_BOARD = tuple(BOARDS.values())
DEFAULT_BOARDS = tuple(board for board in EVERY_BOARD if board.is_default)  # one for each architecture
# On our own kernels, the parts of `hidden` and of these sets are measured one by one; the sets only with the series.
DEBUG_SETS = features_named(["debug-set", "opensuse", "distro"])
EVERY_FEATURE = tuple(feature for feature in FEATURES.values() if feature not in (FEATURES["hidden"], *DEBUG_SETS))
_REFERENCE = default_board(X86_64)
ALL_AT_ONCE = features_named(["all"])
_DEBUG_SET, _DISTRO, _LOCKDEP = (
    Selection(DEFAULT_BOARDS, features_named([name]), (Preemption.FULL,), (Flavour.ISOLATED,))
    for name in ("debug-set", "distro", "lockdep")
)

# The selections of a run, by the name of its matrix.
MATRICES = {
    # The five features on each architecture
    "default": (Selection(DEFAULT_BOARDS, features_named(CORE_FEATURES)),),
    # The isolation series: each of the five alone and all at once, in both preemption models
    "isolated": (
        Selection(DEFAULT_BOARDS, features_named([*CORE_FEATURES, "all"]), tuple(Preemption), (Flavour.ISOLATED,)),
    ),
    # All that the isolation series hides, without lockdep; lockdep alone; what distributions have in debug kernels
    "debug-set": (_DEBUG_SET, _DISTRO, _LOCKDEP),
    # Every feature, on one board
    "features": (Selection((_REFERENCE,), EVERY_FEATURE),),
    # Fits into an hour when nothing is cached: the five features on one architecture, with the kernels of the system
    # tests; spinlock on every board; perf on an architecture that can switch it off; all five at once, isolated, on
    # each architecture
    "ci": (
        Selection((_REFERENCE,), features_named([*CORE_FEATURES, "all", "kmemleak"])),
        Selection(tuple(board for board in EVERY_BOARD if board is not _REFERENCE), features_named(["spinlock"])),
        Selection((default_board(ARM),), features_named(["perf"])),
        Selection(DEFAULT_BOARDS, ALL_AT_ONCE, flavours=(Flavour.ISOLATED,)),
    ),
    # Everything. riscv64 has been measured with the core features and without preemption, which its function
    # tracer does not allow (arch/riscv/Kconfig).
    "nightly": (
        Selection(
            tuple(board for board in EVERY_BOARD if board.arch is not RISCV64),
            EVERY_FEATURE,
            tuple(Preemption),
            tuple(Flavour),
        ),
        _DEBUG_SET,
        _DISTRO,
        Selection((default_board(RISCV64),), features_named([*CORE_FEATURES, "all"])),
    ),
}


def narrow(
    selections: Iterable[Selection],
    *,
    boards: Sequence[Board],
    features: Sequence[Feature],
    preemptions: Iterable[Preemption],
    flavours: Sequence[Flavour] = (),
) -> list[Selection]:
    """Restrict selections to boards, features and flavours, and replace their preemption models.

    Without features, preemptions or flavours, a selection keeps its own. Raises ModcompatError if nothing is left.
    """
    models = tuple(preemptions)
    narrowed = [
        Selection(
            tuple(board for board in selection.boards if board in boards),
            tuple(feature for feature in selection.features if not features or feature in features),
            models or selection.preemptions,
            tuple(flavour for flavour in selection.flavours if not flavours or flavour in flavours),
            selection.own_config,
        )
        for selection in selections
    ]
    possible = [it for it in narrowed if it.boards and it.features and it.flavours]
    if possible and not any(_has_cells(selection) for selection in possible):
        arches = ", ".join(dict.fromkeys(board.arch.name for it in possible for board in it.boards))
        raise ModcompatError(
            f"the isolation series supports none of the features on {arches}: there is no such kernel",
            next_step="use stock kernels, `--flavour stock`, or another matrix",
        )
    if not possible:
        raise ModcompatError("no cell of the matrix matches the options", next_step="`--matrix nightly` has all cells")
    return narrowed


def _has_cells(selection: Selection) -> bool:
    return any(True for _ in selection.cells([VendorModule("any")]))


def cells_of(selections: Iterable[Selection], modules: Sequence[VendorModule]) -> list[Cell]:
    """The cells of selections, in their order."""
    return [cell for selection in selections for cell in selection.cells(modules)]


def kernels(selections: Iterable[Selection]) -> list[tuple[Board, Variant]]:
    """The kernels that the selections need, each once, with a board that it runs on."""
    return kernels_of(cells_of(selections, [VendorModule("any")]))


def kernels_of(cells: Iterable[Cell]) -> list[tuple[Board, Variant]]:
    """The kernels that cells need, each once, with a board that it runs on."""
    needed = {
        (cell.board.arch.name, variant.name): (cell.board, variant)
        for cell in cells
        for variant in (cell.variant.production, cell.variant)
        if variant.feature is None or variant.isolated or not variant.feature.always_on(cell.board.arch)
    }
    return list(needed.values())


def choose_boards(names: Iterable[str], arches: Iterable[str]) -> tuple[Board, ...]:
    """Boards by name (`virt`, or `arm-virt` for one of several) and architecture; all boards if both are empty.

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
    chosen = tuple(
        board
        for board in BOARDS.values()
        if (not wanted or board.id in wanted or board.name in wanted)
        and (not architectures or board.arch.name in architectures)
    )
    if not chosen:
        raise ModcompatError("no board matches both name and architecture", next_step=f"boards: {', '.join(BOARDS)}")
    return chosen


def _architectures() -> list[str]:
    return sorted({board.arch.name for board in BOARDS.values()})
