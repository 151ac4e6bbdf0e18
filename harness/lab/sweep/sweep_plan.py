# SPDX-License-Identifier: Apache-2.0
"""The plan of a sweep: its kernels, its modules, and the groups in which workers judge them."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from harness import __version__
from harness.guest.boards import Board, default_board
from harness.guest.guest import Timing
from harness.kernel.features import FEATURES, Isolation
from harness.kernel.shipped import ShippedKernel
from harness.kernel.shipped_packages import shipped_kernels
from harness.kernel.variants import Preemption, Variant, variant_named
from harness.lab.plan.cells import Cell, Flavour, choose_boards
from harness.lab.plan.module_index import IndexedModule, ModuleIndex, index_folder, require_release
from harness.lab.plan.settings import Settings, on_shipped
from harness.lab.plan.vendor_modules import VendorModule, file_stem
from harness.support import digest
from harness.support.cache.store import Store
from harness.support.errors import ModcompatError

DEFAULT_KERNEL = "isolated-hidden"
_COMMAND_SECONDS = 300.0  # test_bpf runs for minutes; a kernel that hangs reports it much earlier
GROUP_SIZE = 48  # modules that a worker judges with the same two guests


@dataclass(frozen=True)
class SweepModule:
    """A module of the sweep."""

    # the kernel's name for it
    name: str
    file: Path
    # below the folder of all modules: kernel/drivers/net/veth.ko
    place: str

    def vendor(self) -> VendorModule:
        return VendorModule(file_stem(self.file), file=self.file)


@dataclass(frozen=True)
class SweepRequest:
    """The options of a sweep, in plain types, which other processes make the same plan from."""

    # --production
    production: tuple[str, ...]
    # names of the debug kernels
    kernels: tuple[str, ...]
    # name of the board, "" for the one that represents the architecture
    board: str = ""
    # --kernel-source, "" for that of production
    source: str = ""
    # options that may differ between production and debug kernels
    tolerated: tuple[str, ...] = ()
    # patterns for names or places of modules; empty: all
    only: tuple[str, ...] = ()
    # the number of modules, 0 for all
    sample: int = 0
    # the part of them, and the number of parts
    shard: tuple[int, int] = (1, 1)
    accelerator: str = "auto"
    # --ignore-versions
    ignores_versions: bool = False
    # MiB, 0 for the usual
    memory: int = 0
    timeout_scale: float = 1.0

    def conditions(self) -> dict[str, Any]:
        """The options that a verdict depends on, as JSON values: all but those that choose modules."""
        return {name: value for name, value in asdict(self).items() if name not in ("only", "sample", "shard")}


@dataclass(frozen=True)
class SweepPlan:
    """Everything that a sweep does."""

    settings: Settings
    shipped: ShippedKernel
    board: Board
    # the debug kernels
    variants: tuple[Variant, ...]
    modules: tuple[SweepModule, ...]
    # the part of all modules that these are, and the number of parts
    shard: tuple[int, int] = (1, 1)
    # a digest of the places of all modules
    whole: str = ""
    # a digest of what tells when a module of production has changed, chosen or not
    production: str = ""

    @property
    def places(self) -> set[str]:
        """The places of the modules."""
        return {module.place for module in self.modules}

    def part(self, shard: tuple[int, int]) -> "SweepPlan":
        """The part of a whole plan that is a shard. Raises ModcompatError if it has no module."""
        part, parts = shard
        modules = self.modules[part - 1 :: parts]
        if not modules:
            raise ModcompatError(
                f"shard {part}/{parts} has no module: there are only {len(self.modules)}",
                next_step="choose fewer shards",
            )
        whole = digest.of_value([module.place for module in self.modules])
        return replace(self, modules=modules, shard=shard, whole=whole)

    def identity(self) -> str:
        """A digest of the production kernel and of the places and sizes of its modules."""
        sizes = [(module.place, module.file.stat().st_size) for module in self.modules]
        return digest.of_value([self.shipped.release, digest.of_file(self.shipped.image), sizes])

    def conditions(self, request: SweepRequest, kernel_keys: Sequence[str]) -> dict[str, Any]:
        """Everything that verdicts depend on, as JSON values: a sweep goes on only with the same."""
        return {
            **request.conditions(),
            "kernel keys": list(kernel_keys),
            "modules of production": self.production,
            "version of modcompat": __version__,
        }

    def cells(self, module: SweepModule) -> list[Cell]:
        """The cells of a module on the debug kernels."""
        vendor = module.vendor()
        return [_cell(self.board, variant, vendor) for variant in self.variants]


def plan_sweep(request: SweepRequest, store: Store) -> SweepPlan:
    """The plan of a sweep. Fetches and unpacks production if necessary. Raises ModcompatError."""
    kernels = shipped_kernels(request.production, store)
    if len(kernels) != 1:
        raise ModcompatError(
            "a sweep has one production kernel", next_step="for example --production debian:linux-image-amd64"
        )
    (shipped,) = kernels.values()
    if shipped.modules is None:
        raise ModcompatError(f"{shipped.title} has no modules", next_step="it needs the folder lib/modules/<release>")
    boards = choose_boards([request.board], []) if request.board else (default_board(shipped.config.arch),)
    board = next((board for board in boards if board.arch is shipped.config.arch), None)
    if board is None:
        raise ModcompatError(f"{shipped.title} is for {shipped.config.arch.name}, and {request.board} is not")
    timing = Timing(command=_COMMAND_SECONDS).scaled(request.timeout_scale)
    settings = Settings(
        timing=timing, accelerator=request.accelerator, memory=request.memory, ignores_versions=request.ignores_versions
    )
    settings = on_shipped(settings, kernels, source=request.source, tolerated=request.tolerated)
    index = index_folder(shipped.modules, store)
    require_release(index, shipped.release, shipped.modules)
    modules = chosen_modules(index, shipped.modules, only=request.only, sample=request.sample)
    variants = debug_kernels(request.kernels)
    has_kasan = any(variant.feature is not None and variant.feature.has_kasan for variant in variants)
    settings = replace(settings, has_kasan=has_kasan)
    production = _state_of(index, shipped.modules)
    whole = SweepPlan(settings, shipped, board, variants, modules, production=production)
    return whole.part(request.shard)


def _state_of(index: ModuleIndex, folder: Path) -> str:
    """A digest of the places, sizes and times of all modules in a folder."""
    files = {str(module.path.relative_to(folder)): module.path.stat() for module in index.modules.values()}
    return digest.of_value(sorted((place, found.st_size, found.st_mtime_ns) for place, found in files.items()))


def debug_kernels(names: Iterable[str]) -> tuple[Variant, ...]:
    """The debug kernels of a sweep by name. Raises ModcompatError for a name that is none."""
    variants = []
    for name in dict.fromkeys(names):
        variant = variant_named(name)
        if variant.feature is None or variant.preemption is not Preemption.NONE:
            hidden = [
                f"isolated-{feature.name}"
                for feature in FEATURES.values()
                if feature.isolation not in (None, Isolation.REFUSED)
            ]
            raise ModcompatError(
                f"{name} is not a debug kernel on top of production: every sweep runs production, whose preemption "
                "model all kernels have",
                next_step=f"for example {', '.join(hidden)}, or stock- instead of isolated-",
            )
        variants.append(variant.on_user_config)
    return tuple(variants)


def chosen_modules(
    index: ModuleIndex, folder: Path, *, only: Sequence[str] = (), sample: int = 0
) -> tuple[SweepModule, ...]:
    """The modules of a sweep, in the order of their places.

    only: patterns for names or places; a module matches any of them. sample: the number of modules, 0 for all; the same
    ones are chosen each time. Raises ModcompatError if none matches.
    """
    every = [_sweep_module(module, folder) for module in index.modules.values()]
    matching = [module for module in every if not only or any(_matches(module, pattern) for pattern in only)]
    if not matching:
        raise ModcompatError(
            f"no module of {folder} matches {', '.join(only)}", next_step="for example --only 'kernel/drivers/net/*'"
        )
    if sample:
        matching = sorted(matching, key=lambda module: _rank(module.name))[:sample]
    return tuple(sorted(matching, key=lambda module: module.place))


def groups_of(modules: Sequence[SweepModule]) -> list[tuple[SweepModule, ...]]:
    """The modules in groups for workers, small ones at the end, so that no worker waits long for the last."""
    groups, start = [], 0
    while start < len(modules):
        size = max(4, min(GROUP_SIZE, (len(modules) - start) // 8))
        groups.append(tuple(modules[start : start + size]))
        start += size
    return groups


def _sweep_module(module: IndexedModule, folder: Path) -> SweepModule:
    return SweepModule(module.name, module.path, str(module.path.relative_to(folder)))


def _matches(module: SweepModule, pattern: str) -> bool:
    return fnmatchcase(module.name, pattern) or fnmatchcase(module.place, pattern)


def _rank(name: str) -> str:
    """An order that has nothing to do with names, and is always the same."""
    return hashlib.blake2b(name.encode(), digest_size=8).hexdigest()


def _cell(board: Board, variant: Variant, module: VendorModule) -> Cell:
    assert variant.feature is not None
    flavour = Flavour.ISOLATED if variant.isolated else Flavour.STOCK
    return Cell(board, variant.feature, flavour, module, own_config=True)
