# SPDX-License-Identifier: Apache-2.0
"""The files in examples/ci: the script with modcompat itself, and the others in the schemas of their services."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.support.paths import MODULES, PROJECT
from tests.system.conftest import users_environment

CI = PROJECT / "examples/ci"
MANIFEST = """\
[run]
boards = ["q35"]
features = ["spinlock", "slub"]
flavours = ["production", "stock"]

[[module]]
file = "locks.ko"
exercise = "exercise.py"
"""


def test_parts_and_their_merge(module_files: dict[str, dict[str, Path]], tmp_path: Path) -> None:
    """Two parts, as on two machines; the kernels are kept once, and the merge has the exit status of the findings."""
    (tmp_path / "modcompat.toml").write_text(MANIFEST)
    shutil.copy(module_files["x86_64"]["locks"], tmp_path)
    shutil.copy(MODULES / "locks/exercise.py", tmp_path)
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin/modcompat"
    program.write_text(f'#!/bin/sh\nexec env PYTHONPATH="{PROJECT}" "{sys.executable}" -m harness "$@"\n')
    program.chmod(0o755)
    environment = users_environment()
    environment |= {"PATH": f"{program.parent}:{environment['PATH']}", "MODCOMPAT_KERNELS": ""}

    def script(*arguments: str) -> int:
        command = ["sh", str(CI / "modcompat.sh"), *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment, check=False).returncode

    assert [script("1", "2"), script("2", "2")] == [0, 0]
    assert script("merge") == 1, "locks does not survive DEBUG_SPINLOCK"
    merged = json.loads((tmp_path / "results/all/matrix.json").read_text())
    assert {row["variant"] for row in merged["cells"]} == {
        "production", "stock-spinlock", "production-bare", "stock-slub",
    }  # fmt: skip


@pytest.mark.slow
def test_the_services_accept_their_files(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    tools = tmp_path / "venv/bin"
    pip: list[str | Path] = [tools / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, "check-jsonschema", "kubernetes-validate"], check=True)
    for schema, name in (("vendor.gitlab-ci", "gitlab-ci.yml"), ("vendor.github-workflows", "github-actions.yml")):
        check: list[str | Path] = [tools / "check-jsonschema", "--builtin-schema", schema]
        subprocess.run([*check, CI / name], check=True)
        broken = tmp_path / name
        broken.write_text((CI / name).read_text().replace("needs: ", "needs: {} #"))
        assert subprocess.run([*check, broken], check=False).returncode == 1
    jobs = sorted(CI.glob("kubernetes-*.yaml"))
    assert len(jobs) == 2
    check = [tools / "kubernetes-validate", "--strict"]
    subprocess.run([*check, *jobs], check=True)
    broken = tmp_path / "job.yaml"
    broken.write_text(jobs[0].read_text().replace("completionMode", "completionMood"))
    assert subprocess.run([*check, broken], check=False).returncode != 0
