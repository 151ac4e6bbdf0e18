# SPDX-License-Identifier: Apache-2.0
"""Runs a sweep in several processes, and shows how far it is."""

import multiprocessing
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from harness.lab.sweep.sweep_plan import SweepModule, SweepPlan, SweepRequest, groups_of
from harness.lab.sweep.sweep_rows import PREDICTIONS, SweepRows
from harness.lab.sweep.sweep_worker import (
    give_up_judging,
    give_up_predicting,
    judge_group,
    predict_group,
    prepare_worker,
)
from harness.support.errors import ModcompatError
from harness.support.progress import say, task

Group = tuple[SweepRequest, list[str], Path]  # the arguments of a function that workers call
Work = Callable[[SweepRequest, Sequence[str], Path], int]
GiveUp = Callable[[SweepRequest, str, Path], None]  # adds rows for the place of a module that kills workers

_POLL_SECONDS = 0.5
_MOST_LOSSES = 20  # of worker processes, before the sweep gives up
_MOST_ALONE = 2  # attempts at a module in a process of its own


@dataclass(frozen=True)
class SweepRun:
    """A sweep on this machine."""

    request: SweepRequest
    plan: SweepPlan
    # the run folder, where rows are added
    folder: Path
    # processes at a time
    workers: int

    def predict_all(self) -> None:
        """Predict the verdicts of all modules on the debug kernels. Raises as judge_all()."""
        what = f"predicting {len(self.plan.modules)} modules on {len(self.plan.variants)} kernels"
        self._do(what, predict_group, give_up_predicting, SweepRows(self.folder, PREDICTIONS))

    def judge_all(self) -> None:
        """Judge every module that has no rows yet, on production and on the debug kernels.

        A worker that is killed loses the module that it was at, which is then judged alone. If its process dies every
        time, the module is INVALID. Raises ModcompatError if workers keep dying, and the exceptions of judge_group().
        """
        what = f"judging {len(self.plan.modules)} modules on {1 + len(self.plan.variants)} kernels"
        self._do(what, judge_group, give_up_judging, SweepRows(self.folder))

    def _without(self, done: set[str]) -> list[SweepModule]:
        """The modules that are not in some places."""
        return [module for module in self.plan.modules if module.place not in done]

    def _do(self, what: str, work: Work, give_up: GiveUp, rows: SweepRows) -> None:
        losses, done = 0, rows.done()
        others = len(done - self.plan.places)  # modules that an earlier sweep in this folder chose
        with task(what, len(self.plan.modules), done=rows.count() - others) as shown:
            while waiting := self._without(done):
                groups = [(self.request, [it.place for it in group], self.folder) for group in groups_of(waiting)]
                try:
                    _run_groups(work, groups, self.workers, lambda: shown.advance_to(rows.count() - others))
                except BrokenProcessPool:
                    losses += 1
                    if losses > _MOST_LOSSES:
                        raise ModcompatError(
                            "worker processes keep dying", next_step="is there enough memory? Fewer workers: -n 1"
                        ) from None
                    say("a worker process died; another one takes its modules")
                    for place in sorted(rows.take_unfinished()):
                        self._do_alone(place, work, give_up)
                done = rows.done()
            rows.take_unfinished()  # there are none: only the note of what was begun goes

    def _do_alone(self, place: str, work: Work, give_up: GiveUp) -> None:
        """Do a module that was in work when a worker died, in a process of its own."""
        for _ in range(_MOST_ALONE):
            with suppress(BrokenProcessPool):
                _run_groups(work, [(self.request, [place], self.folder)], 1, lambda: None)
                return
        say(f"{place} is given up: its process dies every time")
        give_up(self.request, place, self.folder)


def _run_groups(work: Work, groups: Iterable[Group], workers: int, on_wait: Callable[[], None]) -> None:
    """Let workers do groups of modules. No worker outlives this function.

    on_wait: called several times a second. Raises BrokenProcessPool if a worker dies.
    """
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, prepare_worker, (os.getpid(),))
    try:
        try:
            waiting: set[Future[int]] = {pool.submit(work, *group) for group in groups}
        except BrokenPipeError:
            raise BrokenProcessPool("a worker died while it started") from None
        while waiting:
            ended, waiting = wait(waiting, _POLL_SECONDS, FIRST_COMPLETED)
            on_wait()
            for each in ended:
                each.result()
        pool.shutdown()  # each worker closes its lab
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in multiprocessing.active_children():
            process.kill()  # its guests die with it
            process.join()
