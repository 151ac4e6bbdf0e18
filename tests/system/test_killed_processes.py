# SPDX-License-Identifier: Apache-2.0
"""Processes of a sweep are killed at random moments: nothing is lost, no verdict differs, and no process remains.

MODCOMPAT_KILL_SECONDS=1800 pytest tests/system/test_killed_processes.py does so for half an hour, and
MODCOMPAT_KILL_BOARDS="x86_64-q35 arm-virt arm64-virt" for that time on each of these boards.
"""

import json
import os
import random
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from harness.guest.boards import BOARDS
from tests.system.conftest import ship, users_environment
from tests.system.processes import descendants

SECONDS = float(os.environ.get("MODCOMPAT_KILL_SECONDS", "30"))
BOARD_IDS = os.environ.get("MODCOMPAT_KILL_BOARDS", "x86_64-q35").split()
_WORDS = ("--kernel", "isolated-spinlock", "--kernel-source", "linux-source-6.1", "-n", "2")
_PAUSE_SECONDS = (1.0, 5.0)  # between two kills: at least, at most
_END_SECONDS = 10.0  # after which no process of a killed command is left
_MOST_KILLS = 2  # in a sweep: of the command, and of its workers and guests, since a module gets three attempts


def sweep(production: Path, run: Path) -> subprocess.Popen[str]:
    command: list[str | Path] = [sys.executable, "-m", "harness", "sweep", "--production", production, *_WORDS]
    command += ["--run-dir", run]
    return subprocess.Popen(
        command, env=users_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    )


def verdicts(run: Path) -> dict[str, dict[str, str]]:
    modules = json.loads((run / "sweep.json").read_text())["modules"]
    return {module["name"]: {kernel: cell["verdict"] for kernel, cell in module["cells"].items()} for module in modules}


def workers_and_guests(process: int) -> list[psutil.Process]:
    """The workers of a command and their guests."""
    found = []
    for child in descendants(process, "qemu-system", "python"):
        with suppress(psutil.NoSuchProcess):
            if "resource_tracker" not in str(child.cmdline()):
                found.append(child)
    return found


def disturb(production: Path, run: Path, chance: random.Random) -> tuple[int, int]:
    """A sweep in which processes are killed. Returns its exit status, and how many were."""
    process, seen = sweep(production, run), set[psutil.Process]()
    deaths = {"command": 0, "other": 0}
    while True:
        try:
            output, _ = process.communicate(timeout=chance.uniform(*_PAUSE_SECONDS))
        except subprocess.TimeoutExpired:
            others = workers_and_guests(process.pid)
            seen |= set(others)
            kind = chance.choice(list(deaths))
            if deaths[kind] < _MOST_KILLS and others:
                deaths[kind] += 1
                with suppress(psutil.NoSuchProcess):
                    (psutil.Process(process.pid) if kind == "command" else chance.choice(others)).kill()
            continue
        require_gone(seen)
        if (run / "sweep.json").is_file():
            return process.returncode, sum(deaths.values())
        # The command itself was killed, or a guest before the first module: go on.
        assert process.returncode == -signal.SIGKILL or (process.returncode == 2 and "next: " in output), output
        process = sweep(production, run)


def require_gone(processes: Iterable[psutil.Process]) -> None:
    _, alive = psutil.wait_procs(list(processes), timeout=_END_SECONDS)
    assert not alive


@pytest.mark.parametrize("board", BOARD_IDS)
def test_whatever_is_killed_nothing_is_lost(board: str, tmp_path: Path) -> None:
    shipped = ship(BOARDS[board], tmp_path / "shipped")
    undisturbed = sweep(shipped, tmp_path / "undisturbed")
    output, _ = undisturbed.communicate()
    wanted = verdicts(tmp_path / "undisturbed")
    assert len(wanted) == 5, output
    seed = os.environ.get("MODCOMPAT_SEED") or secrets.token_hex(4)
    print(f"MODCOMPAT_SEED={seed}")  # repeats the same
    chance, rounds, killed = random.Random(seed), 0, 0
    end = time.monotonic() + SECONDS
    while rounds == 0 or time.monotonic() < end:
        rounds += 1
        run = tmp_path / f"round-{rounds}"
        status, deaths = disturb(shipped, run, chance)
        killed += deaths
        assert verdicts(run) == wanted, run
        assert status == undisturbed.returncode
    print(f"{killed} processes were killed in {rounds} sweeps")
    assert killed
