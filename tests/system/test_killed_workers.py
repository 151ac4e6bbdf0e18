# SPDX-License-Identifier: Apache-2.0
"""Runs on a cluster of two workers: whatever is killed, nothing is lost, no verdict differs, and no process remains."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness.support.cluster import task_process
from harness.support.process import end_group
from tests.system.conftest import users_environment
from tests.system.processes import guests_of

_START_SECONDS = 300.0
_END_SECONDS = 60
_MATRIX = (
    "matrix",
    "default",
    "--board",
    "q35",
    "--feature",
    "perf",
    "--feature",
    "kprobes",
    "-k",
    "locks or slab or tail or tasks",
)
_SWEEP = ("--kernel", "isolated-spinlock", "--kernel-source", "linux-source-6.1")
_CHANGING = {"seconds", "timings", "date", "whole_seconds"}


class Dask:
    """A scheduler and two workers, each with one task at a time."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "scheduler.json"
        self._folder = folder
        self.scheduler = self._start("scheduler", "--port", "0", "--scheduler-file", self._file)
        self.address = self._announced_address()
        self.nanny = self._start("worker", self.address, "--nthreads", "1", "--nworkers", "2")

    def _announced_address(self) -> str:
        """The scheduler's, from its file, which is empty at first."""
        until = time.monotonic() + _START_SECONDS
        while True:
            try:
                return str(json.loads(self._file.read_text())["address"])
            except (OSError, ValueError):
                assert time.monotonic() < until
            time.sleep(0.1)

    def _start(self, *words: str | Path) -> subprocess.Popen[bytes]:
        command: list[str | Path] = [sys.executable, "-m", "distributed.cli.dask_" + str(words[0]), *words[1:]]
        return subprocess.Popen(
            [*command, "--no-dashboard"], cwd=self._folder, env=users_environment(), start_new_session=True,
            stdout=(self._folder / f"{words[0]}.log").open("wb"), stderr=subprocess.STDOUT,
        )  # fmt: skip

    def tasks(self) -> list[psutil.Process]:
        """The processes in which tasks run."""
        found = []
        for each in psutil.Process(self.nanny.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if task_process.__name__ in each.cmdline():
                    found.append(each)
        return found

    def worker_that_judges(self) -> psutil.Process | None:
        """A worker whose task has a guest."""
        for task in self.tasks():
            if guests_of(task.pid):
                with suppress(psutil.NoSuchProcess):
                    return task.parent()
        return None

    def close(self) -> None:
        for process in (self.nanny, self.scheduler):
            process.terminate()
            try:
                process.wait(timeout=_END_SECONDS)
            except subprocess.TimeoutExpired:
                end_group(process)


@pytest.fixture
def dask(tmp_path: Path) -> Iterator[Dask]:
    folder = tmp_path / "dask"
    folder.mkdir()
    cluster = Dask(folder)
    yield cluster
    cluster.close()


def modcompat(*words: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "harness", *words],
        env=users_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        # A job in the background of a script ignores the signal, and what it starts does so, too.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def busy_worker(dask: Dask, process: subprocess.Popen[str]) -> psutil.Process:
    """Wait until a worker judges cells."""
    until = time.monotonic() + _START_SECONDS
    while (worker := dask.worker_that_judges()) is None:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < until
        time.sleep(0.05)
    return worker


def require_idle(dask: Dask) -> None:
    """No task goes on for more than some seconds."""
    _, alive = psutil.wait_procs(dask.tasks(), timeout=_END_SECONDS)
    assert not alive


def rows(run: Path) -> list[dict[str, Any]]:
    cells = json.loads((run / "matrix.json").read_text())["cells"]
    return [{name: value for name, value in row.items() if name not in _CHANGING} for row in cells]


def facts(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "matrix.json").read_text())
    return {name: value for name, value in found.items() if name not in ("cells", "date")}


def sweep_verdicts(run: Path) -> list[tuple[str, str, str]]:
    modules = json.loads((run / "sweep.json").read_text())["modules"]
    return [(module["name"], kernel, row["verdict"]) for module in modules for kernel, row in module["cells"].items()]


def test_a_matrix_is_that_of_one_machine_also_if_its_workers_are_killed(dask: Dask, tmp_path: Path) -> None:
    alone, apart = tmp_path / "alone", tmp_path / "apart"
    output, _ = modcompat(*_MATRIX, "--run-dir", alone).communicate()
    assert (alone / "matrix.json").is_file(), output
    process = modcompat(*_MATRIX, "--cluster", dask.address, "--run-dir", apart)
    busy_worker(dask, process).kill()
    output, _ = process.communicate()
    assert process.returncode == 0, output
    assert "2 workers" in output
    assert rows(apart) == rows(alone)
    assert facts(apart) == facts(alone)
    assert not (apart / "parts").exists()
    assert {path.name for path in apart.iterdir()} == {path.name for path in alone.iterdir()}


def test_ctrl_c_ends_the_tasks_and_the_same_command_goes_on(dask: Dask, tmp_path: Path) -> None:
    run = tmp_path / "run"
    # Four groups for two workers, so that some are left when the first has ended
    words = (*_MATRIX, "--feature", "slub", "--feature", "ftrace", "--cluster", dask.address, "--run-dir", run)
    process = modcompat(*words)
    busy_worker(dask, process)
    while not any(part.is_dir() for part in (run / "parts").glob("[!.]*")) and process.poll() is None:
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=_END_SECONDS)
    assert process.returncode == 130, output
    require_idle(dask)
    done = [part.name for part in (run / "parts").glob("[!.]*") if part.is_dir()]
    again = modcompat(*words)
    output, _ = again.communicate()
    assert again.returncode == 0, output
    assert done
    assert not any(name.replace("-", " ") in output.partition("┌")[0] for name in done), output


def test_what_a_killed_command_started_ends(dask: Dask, tmp_path: Path) -> None:
    process = modcompat(*_MATRIX, "--cluster", dask.address, "--run-dir", tmp_path / "run")
    busy_worker(dask, process)
    process.kill()
    process.communicate()
    until = time.monotonic() + 60  # the scheduler notices that the connection is lost
    while dask.tasks() and time.monotonic() < until:
        time.sleep(0.5)
    assert not dask.tasks()


def test_a_lost_scheduler_is_told_in_one_line(dask: Dask, tmp_path: Path) -> None:
    process = modcompat(*_MATRIX, "--cluster", dask.address, "--run-dir", tmp_path / "run")
    busy_worker(dask, process)
    os.killpg(dask.scheduler.pid, signal.SIGKILL)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 2, output
    assert f"modcompat: the scheduler at {dask.address} was lost" in output
    assert "Traceback" not in output


def test_a_sweep_is_that_of_one_machine_also_if_a_worker_is_killed(dask: Dask, shipped: Path, tmp_path: Path) -> None:
    words: Sequence[str | Path] = ("sweep", "--production", shipped, *_SWEEP)
    output, _ = modcompat(*words, "--run-dir", tmp_path / "alone").communicate()
    wanted = sweep_verdicts(tmp_path / "alone")
    process = modcompat(*words, "--cluster", dask.address, "--run-dir", tmp_path / "apart")
    busy_worker(dask, process).kill()
    output, _ = process.communicate()
    assert len(wanted) == 10, output
    assert sweep_verdicts(tmp_path / "apart") == wanted, output
