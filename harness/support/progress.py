# SPDX-License-Identifier: Apache-2.0
"""Progress of anything that takes longer than two seconds: a bar on a terminal that shows it, plain lines elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from harness.support.text import visible

PLAIN_INTERVAL = 15.0  # seconds between two lines where there is no bar
_PATIENCE = 2.0  # seconds in which nothing need be shown
_WIDTH = 60  # columns below which the title leaves no room for the bar


def console() -> Console:
    """Where progress goes: standard error, found anew each time because test runners exchange it."""
    return Console(file=sys.stderr, highlight=False, soft_wrap=True)


def say(text: str) -> None:
    """One line for the person who waits. Names of any origin may be in it."""
    console().print(visible(text), markup=False)


@dataclass
class Task:
    """A running task. total: expected number of steps; an estimate may be off, so it is raised when passed."""

    what: str
    total: int
    done: int = 0
    started: float = field(default_factory=time.monotonic)
    _told: float = field(default_factory=time.monotonic)
    bar: Progress | None = None

    def step(self) -> None:
        self.done += 1
        self.total = max(self.total, self.done)
        if self.bar:
            self.bar.update(self.bar.task_ids[0], completed=self.done, total=self.total)
        elif (now := time.monotonic()) - self._told >= PLAIN_INTERVAL:
            self._told = now
            left = (now - self.started) / self.done * (self.total - self.done)
            say(f"{self.what}: {self.done} of about {self.total} steps, about {left:.0f} s left")


@contextmanager
def task(what: str, total: int) -> Iterator[Task]:
    """Show a task from start to end; `step()` moves it on."""
    running = Task(what, total)
    out = console()
    if out.is_terminal and not out.is_dumb_terminal and out.width >= _WIDTH:
        columns = (
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
            TimeElapsedColumn(), TextColumn("left:"), TimeRemainingColumn(),
        )  # fmt: skip
        with Progress(*columns, console=out, transient=True) as bar:
            bar.add_task(what, total=total)
            running.bar = bar
            yield running
    else:
        say(f"{what} ...")
        yield running
    say(f"{what}: done in {time.monotonic() - running.started:.0f} s")


class _LateTask:
    """A task that is shown once it takes long."""

    def __init__(self, what: str, total: int, shown: ExitStack) -> None:
        self._what = what
        self._total = total
        self._shown = shown
        self._done = 0
        self._started = time.monotonic()
        self._task: Task | None = None

    def step(self) -> None:
        if self._task is None and time.monotonic() - self._started >= _PATIENCE:
            self._task = self._shown.enter_context(task(self._what, self._total))
            self._task.done, self._task.started = self._done, self._started
        self._done += 1
        if self._task:
            self._task.step()


@contextmanager
def task_if_long(what: str, total: int) -> Iterator[_LateTask]:
    """A task that is mostly over at once: nothing is shown of it in the first two seconds."""
    with ExitStack() as shown:
        yield _LateTask(what, total, shown)
