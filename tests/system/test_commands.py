# SPDX-License-Identifier: Apache-2.0
"""`modcompat check` and `modcompat shell` with real guests, and the tests that `pytest -k` selects."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pexpect
import pytest

from harness.guest.boards import BOARDS
from harness.kernel.features import CORE_FEATURES
from harness.kernel.module_build import build_modules
from harness.kernel.variants import PRODUCTION
from harness.lab.execution.kernel_pool import Kernels
from harness.lab.plan.settings import Settings
from harness.report.schema import load
from harness.support.paths import PROJECT
from tests.system.conftest import LOCKS, SCALE, users_environment

MANIFEST = """\
[run]
features = ["spinlock"]
flavours = ["production", "stock"]
timeout_scale = %s

[[module]]
x86_64 = "%s"
exercise = "exercise.py"
"""
ALLOWED = """
[[allow]]
module = "locks"
kernel = "stock-*"
verdicts = ["INERT"]
reason = "a rebuilt module comes"
expires = 2999-12-31
"""
EXERCISE = """\
from harness import Bench


def exercise(bench: Bench) -> None:
    bench.expect("the module is there", "grep -c '^locks ' /proc/modules", "1")
"""
Files = dict[str, dict[str, Path]]


def modcompat(*arguments: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "harness", *map(str, arguments)]
    return subprocess.run(
        command, cwd=folder, env=users_environment(), capture_output=True, text=True, check=False,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip


@pytest.fixture
def project(tmp_path: Path, module_files: Files) -> Path:
    """A user's folder with a manifest, a module and an exercise."""
    (tmp_path / "modcompat.toml").write_text(MANIFEST % (SCALE, module_files["x86_64"]["locks"]))
    (tmp_path / "exercise.py").write_text(EXERCISE)
    return tmp_path


def cells(run: Path) -> dict[str, dict[str, Any]]:
    return {cell["flavour"]: cell for cell in load(run / "matrix.json", "matrix")["cells"]}


def test_check_judges_a_manifest_and_reports_in_every_form(project: Path) -> None:
    done = modcompat("check", "--manifest", "modcompat.toml", "--run-dir", "run", folder=project)
    assert done.returncode == 1, done.stdout + done.stderr
    found = cells(project / "run")
    assert {flavour: cell["verdict"] for flavour, cell in found.items()} == {"production": "CLEAN", "stock": "INERT"}
    assert all(cell["prediction"]["agrees"] for cell in found.values())
    for name in ("report.html", "junit.xml", "results.ktap", "summary.md"):
        assert "INERT" in (project / "run" / name).read_text(), name
    evidence = json.loads((project / "run" / found["production"]["folder"] / "evidence.json").read_text())["evidence"]
    assert [check["held"] for check in evidence["checks"] if "the module is there" in check["name"]] == [True]


def test_shards_of_a_check_merge_into_the_run_of_one_machine(project: Path) -> None:
    words = ("check", "--manifest", "modcompat.toml", "--feature", "spinlock", "--feature", "slub")
    whole = modcompat(*words, "--run-dir", "whole", folder=project)
    runs = ["first", "second"]
    parts = [
        modcompat(*words, "--run-dir", run, "--shard", f"{part}/2", folder=project) for part, run in enumerate(runs, 1)
    ]
    assert all(done.returncode in (0, 1) for done in parts), [done.stderr for done in parts]
    merged = modcompat("merge", *reversed(runs), "--run-dir", "merged", folder=project)
    assert merged.returncode == whole.returncode == 1, merged.stdout + merged.stderr
    of_one, of_two = (json.loads((project / run / "matrix.json").read_text()) for run in ("whole", "merged"))
    assert len(of_one["cells"]) == 4
    for row in (*of_one["cells"], *of_two["cells"]):
        del row["seconds"], row["whole_seconds"], row["origin"]
    incidental = {"command": "", "date": ""}
    assert of_two | incidental == of_one | incidental
    assert (project / "merged/report.html").is_file()


def test_what_the_manifest_allows_is_told_and_is_no_finding(project: Path) -> None:
    with (project / "modcompat.toml").open("a") as manifest:
        manifest.write(ALLOWED)
    done = modcompat("check", "--manifest", "modcompat.toml", "--run-dir", "run", folder=project)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "a rebuilt module comes" in done.stdout + done.stderr
    assert cells(project / "run")["stock"]["allowed"]["reason"] == "a rebuilt module comes"


def test_shell_is_a_guest_with_the_module_in_it(project: Path, module_files: Files) -> None:
    command = ["-m", "harness", "shell", "--module", str(module_files["x86_64"]["locks"])]
    shell = pexpect.spawn(sys.executable, command, cwd=str(project), timeout=60 * SCALE, encoding="utf-8")
    try:
        shell.expect("# ")
        shell.sendline("lsmod; echo mod''ules: done")
        shell.expect("modules: done")
        assert "locks" in (shell.before or "")
        shell.sendline("reboot -f")
        shell.expect(pexpect.EOF)
        shell.close()
        assert shell.exitstatus == 0
    finally:
        shell.close(force=True)


def test_a_name_of_the_five_chooses_cells_alone() -> None:
    """`pytest -k ftrace` is meant to select cells, so no other test may have the name of a feature in its id."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-k", " or ".join(CORE_FEATURES)]
    listed = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    chosen = [line for line in listed.splitlines() if "::" in line]
    assert chosen
    assert {line.split("::")[0] for line in chosen} == {"harness/plugin/suite/test_modules.py"}


def listed(*options: str | Path, folder: Path = PROJECT) -> subprocess.CompletedProcess[str]:
    """Collect tests in the checkout, and return pytest's output."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", *map(str, options)]
    return subprocess.run(
        command, cwd=folder, env=users_environment(), capture_output=True, text=True, check=False, timeout=300 * SCALE
    )


def test_another_configuration_file_of_pytest_is_the_users_choice(tmp_path: Path) -> None:
    """The suite restarts pytest if a path misled it, but not if -c chose another configuration."""
    other = tmp_path / "other.ini"
    other.write_text("[pytest]\n")
    found = listed("-c", other, "tests/unit/support/test_inputs.py")
    assert found.returncode == 0, found.stdout + found.stderr
    assert "test_inputs.py" in found.stdout or "tests collected" in found.stdout


@pytest.mark.parametrize("folder", ["", "harness"], ids=["top", "below"])
def test_a_module_of_any_folder_is_judged_from_the_checkout(folder: str, tmp_path: Path) -> None:
    """`pytest -k spinlock --module vendor.ko`, as in the README, uses the checkout's configuration."""
    kernels = Kernels(Settings())
    built = build_modules(LOCKS, kernels.kernel(BOARDS["x86_64-q35"], PRODUCTION), kernels.store)
    options = ("-k", "spinlock", "--module", shutil.copy(built["locks"], tmp_path / "locks.ko"))
    found = listed(*options, folder=PROJECT / folder)
    assert found.returncode == 0, found.stdout + found.stderr
    cells = [line for line in found.stdout.splitlines() if "::" in line]
    assert {line.partition("::")[2] for line in cells} == {
        f"test_survives[locks-module-on-{kernel}-spinlock-on-x86_64-{board}]"
        for kernel in ("production-kernel-without", "stock-kernel-with", "isolated-kernel-with")
        for board in ("q35", "pc")
    }


def test_the_text_of_k_adds_no_kernels() -> None:
    """-k selects among the planned cells; only --preemption adds preemptible kernels."""
    cells = [line for line in listed("-k", "isolated and preempt").stdout.splitlines() if "::" in line]
    assert cells == []
    text = listed("-k", "isolated and all", "--preemption", "preempt").stdout
    assert "-with-all-and-preempt-on-arm-virt" in text
