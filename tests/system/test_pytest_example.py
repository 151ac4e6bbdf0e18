# SPDX-License-Identifier: Apache-2.0
"""The pytest plugin in a user's project: the example runs, failures say where to look, and no guest remains."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from harness.guest.boards import BOARDS
from harness.kernel.variants import PRODUCTION
from harness.lab.execution.kernel_pool import Kernels
from harness.lab.plan.settings import Settings
from tests.system.conftest import SCALE
from tests.system.processes import guests_of

EXAMPLE = Path(__file__).parents[2] / "examples/pytest"
FAILING = """
import pytest

@pytest.mark.modcompat(kernels=["stock-spinlock"])
@pytest.mark.modcompat_requires("CLEAN")
def test_it(modcompat, modcompat_kernel):
    modcompat.judge("tail", modcompat_kernel)

def test_guest(modcompat_guest):
    modcompat_guest.run("echo c >/proc/sysrq-trigger")
"""
IN_A_TREE = """
def test_it(modcompat):
    kernel = modcompat.kernel("./tree")
    assert modcompat.judge("locks", kernel).verdict == "CLEAN"
    assert modcompat.predict("locks", kernel).outcome == "CLEAN"
    assert "Linux" in modcompat.guest(kernel).run("uname -a").text

def test_debug(modcompat):
    modcompat.kernel("./tree", variant="stock-spinlock")
"""


def start(folder: Path, *options: str) -> subprocess.Popen[str]:
    """Start pytest in a user's project."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"--modcompat-timeout-scale={SCALE}", *options]
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip


def finish(run: subprocess.Popen[str]) -> tuple[int, str]:
    text, _ = run.communicate(timeout=600 * SCALE)
    return run.returncode, text


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return Path(shutil.copytree(EXAMPLE, tmp_path / "project", ignore=shutil.ignore_patterns("__pycache__")))


@pytest.mark.parametrize("options", [[], ["-n", "2"]], ids=["alone", "xdist"])
def test_the_example_passes_in_a_folder_of_its_own(options: list[str], project: Path) -> None:
    before = {file.name for file in project.iterdir()}
    status, text = finish(start(project, *options))
    assert status == 0, text
    assert "3 passed" in text
    assert {file.name for file in project.iterdir()} - {"__pycache__"} == before
    (lines,) = [file.read_text() for file in EXAMPLE.glob("test_vendor_module.py")]
    assert len([line for line in lines.splitlines()[2:] if line]) <= 10


def test_a_failure_shows_verdict_reason_module_and_how_to_start_the_guest(project: Path) -> None:
    (project / "test_failing.py").write_text(FAILING)
    status, text = finish(start(project, "test_failing.py", "--modcompat-run-dir=evidence"))
    assert status == 1, text
    lines = text.splitlines()
    assert "verdict: INERT" in lines
    assert any(line.startswith("reason: the load reported success") for line in lines)
    assert "blamed module: tail" in lines
    # pytest repeats the whole text in its summary if CI is set
    scripts = {Path(line.removeprefix("by hand: ")) for line in lines if line.startswith("by hand: ")}
    assert len(scripts) == 2, text
    for script in scripts:
        assert script.is_relative_to(project / "evidence")
        assert "qemu-system-x86_64" in script.read_text()
    assert "GuestFailure" in text
    assert "sysrq" in text


def test_a_kernel_can_be_the_users_build_tree(project: Path) -> None:
    kernel = Kernels(Settings()).kernel(BOARDS["x86_64-q35"], PRODUCTION)
    tree = Path(shutil.copytree(kernel.build_tree, project / "tree", symlinks=True))
    boot = tree / "arch/x86/boot"
    boot.mkdir(parents=True, exist_ok=True)
    shutil.copy(kernel.image, boot / "bzImage")
    (project / "test_tree.py").write_text(IN_A_TREE)
    status, text = finish(start(project, "test_tree.py"))
    assert status == 1, text
    assert "1 failed, 1 passed" in text
    assert "there is no production kernel to compare it with" in text


@pytest.mark.parametrize("delay", [0.0, 1.5])
def test_ctrl_c_leaves_no_guest(delay: float, project: Path) -> None:
    run = start(project)
    deadline = time.monotonic() + 120 * SCALE
    while not (seen := guests_of(run.pid)):
        assert time.monotonic() < deadline
        assert run.poll() is None
        time.sleep(0.02)
    time.sleep(delay)
    seen += guests_of(run.pid)
    os.kill(run.pid, signal.SIGINT)
    run.communicate(timeout=60 * SCALE)
    assert run.returncode == pytest.ExitCode.INTERRUPTED
    _, alive = psutil.wait_procs(set(seen), timeout=60)
    assert alive == []
