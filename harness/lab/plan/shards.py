# SPDX-License-Identifier: Apache-2.0
"""The part of a plan for one of several machines.

What costs time is a kernel, so the cells of a kernel stay together. The split depends on the plan alone, so that every
machine makes the same one.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby

from harness.kernel.arch import Architecture
from harness.lab.plan.cells import Cell, kernels_of
from harness.support.errors import ModcompatError

# The boot of a guest and ten modules in it, in steps of a kernel build, of which two cores do twelve in a second
_GUEST_STEPS = 120

_Kernel = tuple[Architecture, str]  # with the name of its variant


def cells_of_shard(cells: Sequence[Cell], shard: tuple[int, int]) -> list[Cell]:
    """The cells of the I-th of N parts of a plan, in its order. Raises ModcompatError if it has none."""
    part, parts = shard
    groups = {key: list(group) for key, group in groupby(sorted(cells, key=_key), _key)}
    costs = {key: _steps(_kernels(group)) + _guest_steps(group) for key, group in groups.items()}
    ends = [0] * parts
    built: list[set[_Kernel]] = [set() for _ in ends]
    place = {}
    for key, group in sorted(groups.items(), key=lambda entry: (-costs[entry[0]], entry[0])):
        kernels = _kernels(group)
        possible = [end + _steps(kernels - has) + _guest_steps(group) for end, has in zip(ends, built, strict=True)]
        chosen = possible.index(min(possible))
        ends[chosen] = possible[chosen]
        built[chosen] |= kernels
        place[key] = chosen
    found = [cell for cell in cells if place[_key(cell)] == part - 1]
    if not found:
        raise ModcompatError(
            f"shard {part}/{parts} has no cell: the kernels of a feature on an architecture stay together",
            next_step=f"use at most {len(groups)} shards",
        )
    return found


def require_whole(shard: object, *, by_name: bool) -> None:
    """Raise ModcompatError if cells of a shard are chosen by name (-k): nobody could tell whether one is missing.

    shard: what --shard gives, if anything.
    """
    if shard and by_name:
        raise ModcompatError(
            "-k and --shard do not go together",
            next_step="narrow the plan with --module, --feature, --board, --arch or --flavour",
        )


def group_names(cells: Iterable[Cell]) -> list[str]:
    """The names of the groups of cells that stay together. With as many shards, each has one group."""
    return sorted({" ".join(_key(cell)) for cell in cells})


def _key(cell: Cell) -> tuple[str, str, str]:
    """What stays together: production, stock and isolated kernels for a feature, on all boards of an architecture."""
    return cell.board.arch.name, str(cell.preemption), cell.feature.name


def _kernels(cells: Iterable[Cell]) -> set[_Kernel]:
    return {(board.arch, variant.name) for board, variant in kernels_of(cells)}


def _steps(kernels: Iterable[_Kernel]) -> int:
    return sum(arch.build_steps for arch, _ in kernels)


def _guest_steps(cells: Iterable[Cell]) -> int:
    return _GUEST_STEPS * len({(cell.board.id, cell.variant.name) for cell in cells})
