# SPDX-License-Identifier: Apache-2.0
"""Runs a sweep in several processes, and shows how far it is."""

import multiprocessing
import os
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from harness.lab.sweep.sweep_plan import SweepPlan, SweepRequest, groups_of
from harness.lab.sweep.sweep_rows import SweepRows
from harness.lab.sweep.sweep_worker import judge_group, prepare_worker
from harness.support.errors import ModcompatError
from harness.support.progress import say, task

_POLL_SECONDS = 0.5
_MOST_LOSSES = 20  # of worker processes, before the sweep gives up


def run_sweep(request: SweepRequest, plan: SweepPlan, run: Path, workers: int) -> None:
    """Judge every module of a plan that has no rows yet, in `run`. workers: processes at a time.

    A worker that is killed loses the module that it was at, and another one continues. Raises ModcompatError if workers
    keep dying, and the exceptions of judge_group().
    """
    rows = SweepRows(run)
    losses = 0
    what = f"judging {len(plan.modules)} modules on {1 + len(plan.variants)} kernels"
    with task(what, len(plan.modules), done=rows.count()) as shown:
        while waiting := [module for module in plan.modules if module.place not in rows.done()]:
            groups = [[module.place for module in group] for group in groups_of(waiting)]
            try:
                _run_groups(
                    [(request, group, run) for group in groups], workers, lambda: shown.advance_to(rows.count())
                )
            except BrokenProcessPool:
                losses += 1
                if losses > _MOST_LOSSES:
                    raise ModcompatError(
                        "worker processes keep dying", next_step="is there enough memory? Fewer workers: -n 1"
                    ) from None
                say("a worker process died; another one takes its modules")


def _run_groups(
    groups: Iterable[tuple[SweepRequest, list[str], Path]], workers: int, on_wait: Callable[[], None]
) -> None:
    """Let workers judge groups, given as the arguments of judge_group(). No worker outlives this function.

    on_wait: called several times a second. Raises BrokenProcessPool if a worker dies.
    """
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, prepare_worker, (os.getpid(),))
    try:
        waiting: set[Future[int]] = {pool.submit(judge_group, *group) for group in groups}
        while waiting:
            ended, waiting = wait(waiting, _POLL_SECONDS, FIRST_COMPLETED)
            on_wait()
            for each in ended:
                each.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in multiprocessing.active_children():
            process.kill()  # its guests die with it
            process.join()
