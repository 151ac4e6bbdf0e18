# SPDX-License-Identifier: Apache-2.0
"""A shard of a sweep in one process, with its guests one after the other: what a worker of a cluster does."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

from harness.lab.execution.guest_pool import Guests
from harness.lab.execution.kernel_pool import Kernels
from harness.lab.sweep.sweep_plan import SweepPlan, SweepRequest, plan_sweep
from harness.lab.sweep.sweep_results import write_results
from harness.lab.sweep.sweep_rows import SweepRows, begin_rows
from harness.lab.sweep.sweep_worker import judge_group, predict_group
from harness.support.cache.store import Store
from harness.support.errors import ModcompatError

# Modules of a shard: a lost worker loses as many, each shard takes some seconds to begin, and workers need work
_FEWEST, _MOST = 4, 96
_SHARDS = 16  # if neither limit applies


def shard_count(plan: SweepPlan) -> int:
    """The number of parts that a sweep has on a cluster. It depends on the plan alone."""
    size = min(_MOST, max(_FEWEST, len(plan.modules) // _SHARDS))
    return -(-len(plan.modules) // size)


def judge_shard(folder: Path, request: SweepRequest, production: str) -> str:
    """Judge the modules of a shard. Writes sweep.json into a folder. Returns the verdicts in words.

    production: the identity of the plan that the shard is of. Raises ModcompatError if production is another one here.
    """
    store = Store()
    plan = _plan(request, production, store)
    kernels = Kernels(plan.settings, store)
    begin_rows(folder, plan.conditions(request, start_kernels(plan, kernels)))
    places = [module.place for module in plan.modules]
    predict_group(request, places, folder)
    judge_group(request, places, folder)
    write_results(plan, kernels, folder, "")
    names = {variant.name for variant in plan.variants}
    debug = Counter(row["verdict"] for rows in SweepRows(folder).read() for row in rows if row["variant"] in names)
    return ", ".join(f"{count} {verdict}" for verdict, count in debug.most_common())


def build_for_sweep(folder: Path, request: SweepRequest, variant: str, production: str) -> None:
    """Build a debug kernel of a sweep into the cache. production: as for judge_shard(). Raises ModcompatError."""
    del folder
    store = Store()
    plan = _plan(request, production, store)
    (chosen,) = (each for each in plan.variants if each.name == variant)
    Kernels(plan.settings, store).kernel(plan.board, chosen)


def _plan(request: SweepRequest, production: str, store: Store) -> SweepPlan:
    whole = plan_sweep(replace(request, shard=(1, 1)), store)
    if whole.identity() != production:
        raise ModcompatError(
            f"{whole.shipped.title} is another one here than on the machine of the command",
            next_step="all machines need the same files at the same path; those from Debian are fetched once, and "
            "`modcompat cache prune --all --kind shipped` makes a machine fetch them again",
        )
    return whole.part(request.shard)


def start_kernels(plan: SweepPlan, known: Kernels) -> list[str]:
    """Boot every kernel of a plan once, and build the debug kernels that are not cached. Returns the keys of all.

    Production is first: no debug kernel is worth half an hour if production does not boot. The snapshots are those that
    the workers start from. Raises ModcompatError if a kernel cannot be built or does not boot.
    """
    variants = (plan.variants[0].production, *plan.variants)
    with Guests(known) as guests:
        return [guests.running(plan.board, variant).image.kernel.key for variant in variants]


def keys_if_judged(plan: SweepPlan, known: Kernels, run: Path) -> list[str]:
    """The keys of all kernels, if a run folder proves something about every module and no kernel has to be built.

    Otherwise an empty list.
    """
    variants = (plan.variants[0].production, *plan.variants)
    if not plan.places <= SweepRows(run).proven():
        return []
    if not all(known.is_ready(plan.board, variant) for variant in variants):
        return []
    return [known.kernel(plan.board, variant).key for variant in variants]
