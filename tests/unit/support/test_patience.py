# SPDX-License-Identifier: Apache-2.0
"""Waiting for another machine ends: with its answer, its error, or the end of our patience."""

import signal
import threading
import time
from collections.abc import Iterator

import pytest

from harness.support.patience import Patience, Report, TooSlowError

PATIENCE = Patience(answer=2, stall=2, rate=250)


@pytest.fixture
def never() -> Iterator[threading.Event]:
    """An event that comes when the test is over."""
    event = threading.Event()
    yield event
    event.set()


def test_an_answer_and_an_error_come_through() -> None:
    assert PATIENCE.call(lambda _: 5) == 5
    with pytest.raises(ZeroDivisionError):
        PATIENCE.call(lambda _: 1 // 0)


def test_no_answer_is_not_waited_for(never: threading.Event) -> None:
    with pytest.raises(TooSlowError, match="no answer"):
        PATIENCE.call(lambda _: never.wait())


def test_data_that_stops_is_not_waited_for(never: threading.Event) -> None:
    def work(report: Report) -> None:
        report(100)
        never.wait()

    with pytest.raises(TooSlowError, match="no data for 2 s"):
        PATIENCE.call(work, size=1_000_000)


def test_a_trickle_is_not_waited_for(never: threading.Event) -> None:
    ended = threading.Event()

    def work(report: Report) -> None:
        try:
            moved = 0
            while not never.wait(0.05):
                report(moved := moved + 1)
        finally:
            ended.set()

    with pytest.raises(TooSlowError, match=r"slower than 0\.25 kB/s"):
        PATIENCE.call(work, size=500)
    assert ended.wait(10), "the thread goes on"


def test_slow_data_is_waited_for_as_long_as_it_comes() -> None:
    def work(report: Report) -> str:
        for moved in range(10):
            report(moved)
            time.sleep(0.1)
        return "whole"

    seen: list[int] = []
    assert PATIENCE.call(work, size=10_000, on_bytes=seen.append) == "whole"
    assert seen == sorted(seen)
    assert len(set(seen)) > 2


def test_an_interrupt_ends_the_wait_and_the_transfer(never: threading.Event) -> None:
    ended = threading.Event()

    def work(report: Report) -> None:
        signal.raise_signal(signal.SIGINT)
        try:
            moved = 0
            while not never.wait(0.02):
                report(moved := moved + 1)
        finally:
            ended.set()

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # another test may have left another one
    try:
        with pytest.raises(KeyboardInterrupt):
            Patience(answer=60).call(work)
    finally:
        signal.signal(signal.SIGINT, before)
    assert ended.wait(10)
