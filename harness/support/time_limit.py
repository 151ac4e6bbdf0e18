# SPDX-License-Identifier: Apache-2.0
"""A deadline for a user's code that runs in this process, and may never come to an end."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

_AGAIN = 5.0  # seconds: what was in the midst of a `finally`, or is raised where Python swallows it, is ended then


class DeadlineError(BaseException):
    """What did not end in time. No Exception, so that a user's `except Exception` lets it through."""


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Raise DeadlineError in the midst of what is run, when that takes longer.

    A signal does it, which only the main thread can be sent (of pytest-xdist's workers as well): in another thread
    there is no deadline. Code that catches everything, and C code that never returns, are not ended.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(*_: object) -> NoReturn:
        raise DeadlineError(f"it did not end within {seconds:g} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before or signal.SIG_DFL)
