# SPDX-License-Identifier: Apache-2.0
"""Deadlines: work that exceeds one is interrupted if possible, and no timer or signal handler remains."""

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from harness.support.time_limit import DeadlineError, deadline


def test_what_ends_in_time_goes_on() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with deadline(60.0):
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 0
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    assert signal.getsignal(signal.SIGALRM) == before


def test_what_goes_on_once_it_was_ended_is_ended_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.support.time_limit._REPEAT_SECONDS", 0.1)
    ended = []

    def work() -> None:
        try:
            time.sleep(1000)
        finally:
            ended.append(True)
            time.sleep(1000)

    with pytest.raises(DeadlineError, match=r"within 0\.1 s"), deadline(0.1):
        work()
    assert ended


def test_there_is_none_in_another_thread() -> None:
    ended = []

    def work() -> None:
        with deadline(0.01):
            time.sleep(0.1)
        ended.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert ended


def test_a_worker_of_pytest_has_one(tmp_path: Path) -> None:
    """pytest-xdist runs tests in the main thread of its workers."""
    test = tmp_path / "test_it.py"
    test.write_text(
        "import pytest, time\nfrom harness.support.time_limit import DeadlineError, deadline\n"
        "def test_it():\n  with pytest.raises(DeadlineError), deadline(0.1): time.sleep(1000)\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-n", "1", "-p", "no:cacheprovider", test.name]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout
