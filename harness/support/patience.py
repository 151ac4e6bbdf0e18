# SPDX-License-Identifier: Apache-2.0
"""Time limits for transfers: code that may wait for another machine for ever runs in a thread that is given up."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

Result = TypeVar("Result")
Report = Callable[[int], None]  # takes the number of bytes so far

_POLL_SECONDS = 0.1


class TooSlowError(Exception):
    """A transfer that was given up. Its text is the reason, for people."""


@dataclass(frozen=True)
class Patience:
    """How long to wait for another machine."""

    answer: float = 15.0  # seconds, without any data
    stall: float = 15.0  # seconds from one piece of data to the next
    rate: float = 200e3  # bytes a second, on the whole

    def call(self, work: Callable[[Report], Result], *, size: int = 0, on_bytes: Report = lambda _: None) -> Result:
        """Run `work` in a thread of its own, and return what it returns.

        work: is called with a function that it calls with the number of bytes it has moved. That function raises
        TooSlowError, which `work` passes on, after the transfer was given up.
        size: bytes to move. on_bytes: is called in this thread, several times a second.
        Raises TooSlowError, and what `work` raises. A thread that is given up ends with the process at the latest.
        """
        running = _Running(work)
        most = self.answer + size / self.rate
        try:
            threading.Thread(target=running.run, name="transfer", daemon=True).start()
            while not running.over.wait(_POLL_SECONDS):
                on_bytes(running.moved)
                now = time.monotonic()
                if running.moved and now - running.changed > self.stall:
                    raise TooSlowError(f"no data for {self.stall:g} s")
                if now - running.started > most:
                    raise TooSlowError(
                        f"slower than {self.rate / 1e3:g} kB/s" if running.moved else f"no answer for {most:.3g} s"
                    )
        finally:
            running.given_up = True
        return running.result()


class _Running(Generic[Result]):
    """Work in another thread."""

    def __init__(self, work: Callable[[Report], Result]) -> None:
        self._work = work
        self._results: list[Result] = []
        self._error: BaseException | None = None
        self.over = threading.Event()
        self.given_up = False
        self.moved = 0  # bytes
        self.started = self.changed = time.monotonic()

    def run(self) -> None:
        try:
            self._results.append(self._work(self._report))
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
            self._error = error
        finally:
            self.over.set()

    def result(self) -> Result:
        if self._error:
            raise self._error
        return self._results[0]

    def _report(self, moved: int) -> None:
        if self.given_up:
            raise TooSlowError("given up")
        if moved != self.moved:
            self.moved, self.changed = moved, time.monotonic()
