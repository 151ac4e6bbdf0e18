# SPDX-License-Identifier: Apache-2.0
"""A time limit for a user's code that runs in this process and may never end."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

_REPEAT_SECONDS = 5.0  # until it is raised again: Python swallows exceptions in __del__, and `finally` may take long


class DeadlineError(BaseException):
    """The code did not end in time. Not an Exception, so that a user's `except Exception` does not catch it."""


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Raise DeadlineError in the code of the `with` block once it has run for so many seconds.

    This uses SIGALRM, which Python handles in the main thread only: in another thread there is no limit. It cannot
    end code that catches BaseException, or C code that never returns.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(*_: object) -> NoReturn:
        raise DeadlineError(f"it did not end within {seconds:g} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds, _REPEAT_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before or signal.SIG_DFL)
