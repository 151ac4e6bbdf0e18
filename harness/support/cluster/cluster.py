# SPDX-License-Identifier: Apache-2.0
"""A dask cluster: sends tasks to its workers, and gives their results in the order in which they come.

No more tasks are sent than there are workers to run them, so that the load is even however long each takes, and
workers that join later get their share. dask gives the task of a lost worker to another one.
"""

import asyncio
import concurrent.futures
import gc
import itertools
import logging
import secrets
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any, Self

from harness.support.cluster.cluster_task import ClusterTask, TaskResult
from harness.support.cluster.worker_task import cache_identity, run_task
from harness.support.errors import ModcompatError
from harness.support.progress import say

_CONNECT_SECONDS = 10.0
_POLL_SECONDS = 0.5
_MOST_LOSSES = 2  # of the process of one task, after which its error counts
_ROLL_CALL_SECONDS = 2.0  # between two looks at who the workers are
_CANCELLED = (asyncio.CancelledError, concurrent.futures.CancelledError)
_LOGGERS = ("distributed", "tornado", "asyncio")  # whose errors are reported here in one line
_INSTALL = "pip install 'modcompat[cluster]'"
START = "start one: `dask scheduler`, and `dask worker ADDRESS --nthreads 1 --nworkers N` on each machine"


class Cluster:
    """A connection to a dask scheduler. Leaving the context ends what was started."""

    def __init__(self, address: str) -> None:
        """Connect to the scheduler at an address, such as tcp://build:8786. Raises ModcompatError."""
        self._dask = _distributed()
        for name in list(logging.root.manager.loggerDict):
            if name.startswith(_LOGGERS):
                logging.getLogger(name).setLevel(logging.CRITICAL)
        self._address = address
        self._threads: dict[str, int] | None = None  # of each worker
        self._most: dict[str, float] = {}  # of each resource that workers declare, on one of them
        self._called = 0.0  # when the workers were last looked at
        problem = ""
        try:
            self._client = self._dask.Client(address, timeout=_CONNECT_SECONDS)
        except Exception as error:  # noqa: BLE001 - dask raises what its transports raise
            problem = str(error) or type(error).__name__
        if problem:
            gc.collect()  # dask's client closes itself when it is collected; in the start of another, that would hang
            raise ModcompatError(f"no dask scheduler answers at {address}: {problem}", next_step=START)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close(timeout=2)  # the scheduler cancels what only this client wanted

    def shares_a_cache(self) -> bool:
        """Whether what one worker builds is there for all: they have the same cache folder, or the same remote."""
        found = self._client.run(cache_identity, on_error="return")
        return len({str(identity) for identity in found.values()}) <= 1

    def run(self, tasks: Sequence[ClusterTask]) -> Iterator[tuple[ClusterTask, TaskResult]]:
        """Run tasks, those that come first in the sequence first, and give each result when it is there.

        Raises ModcompatError if the scheduler is lost, or if a task keeps ending its workers.
        """
        waiting = {task.name: task for task in tasks}
        running: dict[Any, ClusterTask] = {}
        lost: Counter[str] = Counter()
        run = secrets.token_hex(4)
        try:
            while waiting or running:
                free = self.thread_count() - len(running)
                pending = {*waiting, *(task.name for task in running.values())}
                ready = (task for task in waiting.values() if not task.after & pending)
                for task in list(itertools.islice(ready, max(0, free))):
                    running[self._submit(task, f"{run}-{lost[task.name]}")] = waiting.pop(task.name)
                for future in self._ended(running):
                    task = running.pop(future)
                    result = self._result(task, future)
                    if result.is_lost and lost[task.name] < _MOST_LOSSES:
                        lost[task.name] += 1
                        say(f"the process of {task.name} ended on {result.host}; it is run again")
                        waiting[task.name] = task
                    else:
                        yield task, result
        finally:
            self._client.cancel(list(running), force=True)

    def _submit(self, task: ClusterTask, suffix: str) -> Any:
        known = {name: amount for name, amount in task.resources.items() if name in self._most}
        for name, amount in known.items():
            if amount > self._most[name]:
                raise ModcompatError(
                    f"{task.name} needs {amount:g} of {name}, and no worker has more than {self._most[name]:g}",
                    next_step="see --resources of the workers",
                )
        return self._client.submit(
            run_task, task.packed(), key=f"modcompat {task.name} {suffix}", resources=known, pure=False
        )

    def _ended(self, running: Mapping[Any, ClusterTask]) -> list[Any]:
        """The futures that ended, after a short wait for one."""
        if not running:
            time.sleep(_POLL_SECONDS)
            return []
        try:
            return list(self._dask.wait(list(running), timeout=_POLL_SECONDS, return_when="FIRST_COMPLETED").done)
        except TimeoutError:
            return []
        except _CANCELLED:
            raise self._lost() from None

    def _result(self, task: ClusterTask, future: Any) -> TaskResult:
        try:
            result = future.result()
        except self._dask.KilledWorker:
            raise ModcompatError(
                f"{task.name}: each worker that ran it was lost",
                next_step="is there enough memory on the workers? Their logs have the reason",
            ) from None
        except _CANCELLED:
            raise self._lost() from None
        except Exception as error:  # noqa: BLE001 - whatever stops a task outside of its process
            raise ModcompatError(
                f"{self._address} cannot run {task.name}: {error or type(error).__name__}",
                next_step="install the same modcompat where the scheduler and the workers run",
            ) from None
        if not isinstance(result, TaskResult):
            raise self._lost()
        return result

    def thread_count(self) -> int:
        """How many tasks the workers run at a time. Tells of workers that came and went."""
        if self._threads is None or time.monotonic() - self._called > _ROLL_CALL_SECONDS:
            before, workers = self._threads, self._workers()
            now = {name: int(facts["nthreads"]) for name, facts in workers.items()}
            self._called, self._threads = time.monotonic(), now
            declared = [facts["resources"] for facts in workers.values()]
            self._most = {name: max(each.get(name, 0) for each in declared) for name in set().union(*declared)}
            if before is None:
                say(f"cluster {self._address}: {_workers(len(now))}" if now else f"{self._address} has no workers yet")
            elif gone := set(before) - set(now):
                say(f"{_workers(len(gone))} left: {', '.join(sorted(gone))}; others take over what they ran")
            elif new := set(now) - set(before):
                say(f"{_workers(len(new))} joined")
        return sum(self._threads.values())

    def _workers(self) -> dict[str, Any]:
        try:
            facts = self._client.scheduler_info(n_workers=-1)
        except (OSError, TimeoutError, *_CANCELLED):
            raise self._lost() from None
        if self._client.status != "running":
            raise self._lost()
        return dict(facts["workers"])

    def _lost(self) -> ModcompatError:
        return ModcompatError(
            f"the scheduler at {self._address} was lost",
            next_step="start it again; the same command goes on if it has a --run-dir",
        )


def _distributed() -> Any:
    """dask.distributed, which is optional and takes a second to import. Raises ModcompatError without it."""
    try:
        return import_module("distributed")
    except ImportError:
        raise ModcompatError("--cluster needs dask.distributed", next_step=_INSTALL) from None


def _workers(count: int) -> str:
    return f"{count} worker{'' if count == 1 else 's'}"
