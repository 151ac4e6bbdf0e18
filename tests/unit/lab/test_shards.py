# SPDX-License-Identifier: Apache-2.0
"""A plan is split into parts of about the same cost, in the same way everywhere."""

import random

import pytest

from harness.lab.plan.cells import MATRICES, Cell, kernels_of
from harness.lab.plan.shards import cells_of_shard
from harness.lab.plan.vendor_modules import VendorModule, shipped
from harness.support.errors import ModcompatError


def plan(matrix: str, modules: list[VendorModule] | None = None) -> list[Cell]:
    return [cell for selection in MATRICES[matrix] for cell in selection.cells(modules or shipped())]


@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("parts", [1, 2, 3, 7])
def test_shards_are_a_partition_in_the_order_of_the_plan(matrix: str, parts: int) -> None:
    cells = plan(matrix)
    parts = min(parts, len({(cell.board.id, cell.feature.name, cell.preemption) for cell in cells}))
    shards = [cells_of_shard(cells, (part, parts)) for part in range(1, parts + 1)]
    places = {cell.id: place for place, cell in enumerate(cells)}
    for shard in shards:
        assert [places[cell.id] for cell in shard] == sorted(places[cell.id] for cell in shard)
    assert sorted(places[cell.id] for shard in shards for cell in shard) == list(range(len(cells)))


@pytest.mark.parametrize("matrix", ["default", "isolated", "nightly"])
def test_shards_have_about_as_many_kernels(matrix: str) -> None:
    counts = [len(kernels_of(cells_of_shard(plan(matrix), (part, 3)))) for part in (1, 2, 3)]
    assert max(counts) - min(counts) <= 2
    assert sum(counts) < 1.5 * len(kernels_of(plan(matrix))), "production is built again for each feature"


def test_the_split_does_not_depend_on_the_order_or_on_the_number_of_modules() -> None:
    cells = plan("default")
    shuffled = random.Random(1).sample(cells, len(cells))
    wanted = {cell.id for cell in cells_of_shard(cells, (2, 3))}
    assert {cell.id for cell in cells_of_shard(shuffled, (2, 3))} == wanted
    kernels = kernels_of(cells_of_shard(cells, (2, 3)))
    assert kernels_of(cells_of_shard(plan("default", [VendorModule("any")]), (2, 3))) == kernels


def test_more_shards_than_there_is_work_for() -> None:
    with pytest.raises(ModcompatError, match="shard 999/999 has no cell") as caught:
        cells_of_shard(plan("default"), (999, 999))
    assert "at most 20 shards" in caught.value.next_step
