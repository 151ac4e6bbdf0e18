# SPDX-License-Identifier: Apache-2.0
"""Programs that the harness runs: errors include the reason, and no program outlives the harness."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from harness.support import process
from harness.support.errors import ModcompatError, ProgramFailedError
from harness.support.paths import PROJECT


def test_a_failure_carries_its_last_lines_and_where_the_log_is(tmp_path: Path) -> None:
    log = tmp_path / "build.log"
    with pytest.raises(ModcompatError) as caught:
        process.run(["sh", "-c", "echo fatal: no such header; exit 3"], log=log, what="the build")
    assert caught.value.problem == "the build failed with exit status 3"
    assert "no such header" in caught.value.details
    assert str(log) in caught.value.next_step
    assert "no such header" in log.read_text()


def test_a_program_that_found_the_disk_full_says_so_in_one_line(tmp_path: Path) -> None:
    script = "echo 'ld: final link failed: No space left on device'; echo 'make: *** [vmlinux] Error 1'; exit 2"
    with pytest.raises(ModcompatError) as caught:
        process.run(["sh", "-c", script], log=tmp_path / "build.log", what="the build")
    assert caught.value.problem == "the build failed: no space left on a disk"
    assert "cache prune" in caught.value.next_step


def test_lines_are_told_as_they_come(tmp_path: Path) -> None:
    lines: list[str] = []
    process.run(["printf", "one\\ntwo\\n"], log=tmp_path / "log", what="printing", on_line=lines.append)
    assert lines == ["one", "two"]


def test_a_missing_program_is_explained() -> None:
    with pytest.raises(ModcompatError, match="not installed"):
        process.output(["no-such-program-anywhere"])


def test_what_a_failure_means_is_said_only_of_a_program_that_failed_by_itself() -> None:
    fail, what = ["sh", "-c", "echo no >&2; exit 1"], "the package is damaged"
    with pytest.raises(ProgramFailedError, match=what) as caught:
        process.output(fail, problem=what)
    assert caught.value.details == "no"
    with pytest.raises(ProgramFailedError, match="failed with exit status 1"):
        process.output(fail)
    killed, missing = ["sh", "-c", "kill -9 $$"], ["no-such-program-anywhere"]
    for other, says in ((killed, "ended by signal 9"), (missing, "no-such-program-anywhere is not installed")):
        with pytest.raises(ModcompatError, match=says) as raised:
            process.output(other, problem=what)
        assert not isinstance(raised.value, ProgramFailedError)


STARTER = """
import sys
from pathlib import Path
from harness.support import process
process.run(["sh", "-c", "sleep 300 & sleep 301; wait"], log=Path(sys.argv[1]), what="a long build")
"""


def is_sleep(process: psutil.Process) -> bool:
    try:
        return process.name() == "sleep"
    except psutil.NoSuchProcess:
        return False


def heed_interrupts() -> None:
    """A background job starts with SIGINT ignored, and its children would inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_a_program_whose_harness_is_gone_already_does_not_start(tmp_path: Path) -> None:
    command = process.dies_with_us(["touch", tmp_path / "started"])
    subprocess.run(command, check=True)
    (tmp_path / "started").unlink()
    # Another parent: what is left after the harness was killed before the program asked for the signal
    done = subprocess.run(["sh", "-c", '"$@"; exit "$?"', "sh", *command], check=False)
    assert done.returncode == 1
    assert not (tmp_path / "started").exists()


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_build_does_not_outlive_its_harness(tmp_path: Path, ending: signal.Signals) -> None:
    log = tmp_path / "log"
    harness = subprocess.Popen(
        [sys.executable, "-c", STARTER, str(log)],
        stderr=subprocess.DEVNULL,
        preexec_fn=heed_interrupts,
    )
    deadline = time.monotonic() + 60
    descendants: list[psutil.Process] = []
    while sum(is_sleep(child) for child in descendants) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.02)
        descendants = psutil.Process(harness.pid).children(recursive=True)
    os.kill(harness.pid, ending)
    harness.wait(timeout=60)
    _, alive = psutil.wait_procs(descendants, timeout=60)
    assert alive == []


@pytest.mark.parametrize(("script", "status"), [("exit 2", 130), ("exit 0", 0)], ids=["ended-by-it", "went-on"])
def test_an_interrupted_program_ends_the_command_with_130(script: str, status: int) -> None:
    """The program sends SIGINT to the harness and exits like an interrupted pytest."""
    code = f"""
import click
from harness.support import process
from harness.cli.main import main
main.add_command(click.Command("run", callback=lambda: process.attached(["sh", "-c", "kill -INT $PPID; {script}"])))
main(["run"])
"""
    done = subprocess.run([sys.executable, "-c", code], preexec_fn=heed_interrupts, capture_output=True, check=False)
    assert done.returncode == status
    assert done.stderr.decode().splitlines() == (["", "modcompat: interrupted"] if status else [])


def test_an_interrupt_of_the_harness_alone_is_passed_on(tmp_path: Path) -> None:
    """Without a terminal, as in a CI system that ends one process."""
    code = """
import os
from harness.support import process
process.attached(["sh", "-c", "touch started; exec sleep 100"])
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], preexec_fn=heed_interrupts, start_new_session=True, cwd=tmp_path,
        stderr=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(PROJECT)},
    ) as harness:  # fmt: skip
        while not (tmp_path / "started").exists():
            time.sleep(0.01)
        harness.send_signal(signal.SIGINT)
        _, complaints = harness.communicate(timeout=30)
    assert b"KeyboardInterrupt" in complaints


def test_a_program_that_was_killed_is_told_with_the_next_step(tmp_path: Path) -> None:
    killed = ["sh", "-c", "kill -9 $$"]
    for call in (lambda: process.output(killed), lambda: process.run(killed, log=tmp_path / "log", what="the build")):
        with pytest.raises(ModcompatError, match="was ended by signal 9") as caught:
            call()
        assert "(-n)" in caught.value.next_step
