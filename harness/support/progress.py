# SPDX-License-Identifier: Apache-2.0
"""Progress of anything that takes longer than two seconds: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from harness.support.text import visible

PLAIN_INTERVAL = 15.0  # seconds between two lines if there is no bar
_HIDDEN_SECONDS = 2.0  # before task_if_long() shows anything
_MIN_COLUMNS = 60  # that title and bar need


class PipeConsole(Console):
    """A console that leaves a reader that is gone to the command, as other output does: rich would exit with 1."""

    def on_broken_pipe(self) -> None:
        """Called when the standard output is a pipe that nobody reads any more."""
        raise BrokenPipeError


def console() -> Console:
    """Standard error. Not kept in a variable, because test runners replace sys.stderr."""
    return PipeConsole(file=sys.stderr, highlight=False, soft_wrap=True)


def say(text: str) -> None:
    """Print one line to standard error. Control characters in it are made visible."""
    console().print(visible(text), markup=False)


@dataclass
class Task:
    """A running task."""

    what: str
    total: int  # expected number of steps; raised if there are more
    done: int = 0
    started: float = field(default_factory=time.monotonic)
    _printed: float = field(default_factory=time.monotonic)
    first: int = 0  # steps that were done before it started
    unit: str = "steps"
    bar: Progress | None = None

    def step(self) -> None:
        self.advance_to(self.done + 1)

    def advance_to(self, done: int) -> None:
        """Show that so many steps are done."""
        self.done = done
        self.total = max(self.total, self.done)
        if self.bar:
            self.bar.update(self.bar.task_ids[0], completed=self.done, total=self.total)
        elif (now := time.monotonic()) - self._printed >= PLAIN_INTERVAL and self.done > self.first:
            self._printed = now
            left = (now - self.started) / (self.done - self.first) * (self.total - self.done)
            say(f"{self.what}: {self.done} of about {self.total} {self.unit}, about {left:.0f} s left")


@contextmanager
def task(what: str, total: int, done: int = 0, unit: str = "steps") -> Iterator[Task]:
    """Show a task from start to end. Call step() on it after each step. done: steps that were done earlier."""
    running = Task(what, total, done, first=done, unit=unit)
    out = console()
    if out.is_terminal and not out.is_dumb_terminal and out.width >= _MIN_COLUMNS:
        columns = (
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
            TimeElapsedColumn(), TextColumn("left:"), TimeRemainingColumn(),
        )  # fmt: skip
        with Progress(*columns, console=out, transient=True) as bar:
            bar.add_task(what, total=total, completed=done)
            running.bar = bar
            yield running
    else:
        say(f"{what} ...")
        yield running
    say(f"{what}: done in {time.monotonic() - running.started:.0f} s")


class _HiddenTask:
    """A task that is shown only if it takes long."""

    def __init__(self, what: str, total: int, unit: str, shown: ExitStack) -> None:
        self._what = what
        self._total = total
        self._unit = unit
        self._shown = shown
        self._done = 0
        self._started = time.monotonic()
        self._task: Task | None = None

    def step(self) -> None:
        self.advance_to(self._done + 1)

    def advance_to(self, done: int) -> None:
        if self._task is None and time.monotonic() - self._started >= _HIDDEN_SECONDS:
            self._task = self._shown.enter_context(task(self._what, self._total, unit=self._unit))
            self._task.done, self._task.started = self._done, self._started
        self._done = done
        if self._task:
            self._task.advance_to(done)


@contextmanager
def task_if_long(what: str, total: int, unit: str = "steps") -> Iterator[_HiddenTask]:
    """A task that usually ends at once. Nothing is shown in its first two seconds."""
    with ExitStack() as shown:
        yield _HiddenTask(what, total, unit, shown)
