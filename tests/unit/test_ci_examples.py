# SPDX-License-Identifier: Apache-2.0
"""The files in examples/ci: the script for all services, with a program in place of modcompat.

tests/system/test_ci_files.py runs it with modcompat itself, and checks the files with the services' schemas.
"""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.support.paths import PROJECT
from tests.unit.tools import need

CI = PROJECT / "examples/ci"
SCRIPTS = sorted(CI.glob("*.sh"))
PROGRAM = """\
#!/bin/sh
echo "$@" >>calls
case $1 in
check) exit "${CHECK:-0}" ;;
merge) exit "${MERGE:-0}" ;;
cache) [ "$2" = import ] || echo tar >"$3" ;;
esac
"""


class Job:
    """A folder that a CI service runs the script in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "job"
        self.folder.mkdir()
        self.program = folder / "bin/modcompat"
        self.program.parent.mkdir()
        self.program.write_text(PROGRAM)
        self.program.chmod(0o755)

    def run(self, *arguments: str, path: str = "", **environment: str) -> int:
        path = f"{path or self.program.parent}:/usr/bin:/bin"
        command = ["sh", str(CI / "modcompat.sh"), *arguments]
        return subprocess.run(command, cwd=self.folder, env={"PATH": path} | environment, check=False).returncode

    def calls(self) -> list[str]:
        calls = self.folder / "calls"
        lines = calls.read_text().splitlines() if calls.exists() else []
        calls.unlink(missing_ok=True)
        return lines


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path)


def test_one_machine_judges_everything(job: Job) -> None:
    assert job.run() == 0
    assert job.calls() == [
        "check --manifest modcompat.toml --run-dir results/all",
        "cache export kernels/modcompat-all.tar",
    ]
    assert job.run(CHECK="1") == 1
    assert job.calls()[0] == "cache import kernels/modcompat-all.tar"
    assert job.run(CHECK="2") == 2
    assert job.calls()[-1].startswith("cache export"), "kernels of a run that failed are kept"


def test_findings_of_a_part_are_left_to_the_merge(job: Job) -> None:
    assert job.run("2", "4", CHECK="1") == 0
    assert job.calls()[0] == "check --manifest modcompat.toml --run-dir results/2-4 --shard 2/4"
    assert job.run("2", "4", CHECK="2") == 2


def test_a_merge_takes_the_parts_and_no_earlier_merge(job: Job) -> None:
    for name in ("1-2", "2-2", "all"):
        (job.folder / "results" / name).mkdir(parents=True)
    assert job.run("merge", MERGE="1") == 1
    assert job.calls() == ["merge results/1-2 results/2-2 --run-dir results/all"]


def test_without_a_folder_no_kernels_are_kept(job: Job) -> None:
    assert job.run(MODCOMPAT_KERNELS="") == 0
    assert job.calls() == ["check --manifest modcompat.toml --run-dir results/all"]
    assert not (job.folder / "kernels").exists()


def test_modcompat_is_cloned_and_set_up_once(job: Job, tmp_path: Path) -> None:
    fakes = tmp_path / "fakes"
    fakes.mkdir()
    venv = "modcompat/.venv/bin"
    (fakes / "git").write_text('#!/bin/sh\necho git "$@" >>calls; mkdir modcompat\n')
    (fakes / "make").write_text(f'#!/bin/sh\necho make "$@" >>calls; mkdir -p {venv}; cp {job.program} {venv}\n')
    for fake in fakes.iterdir():
        fake.chmod(0o755)
    for _ in range(2):
        assert job.run("setup", path=str(fakes), MODCOMPAT_URL="https://x/y") == 0
    assert job.calls() == ["git clone --depth 1 https://x/y modcompat", "make -C modcompat setup"]
    assert job.run("merge", path=str(fakes)) == 0
    assert job.calls()[0].startswith("merge ")


def test_slurm_gives_the_script_the_number_of_the_task(job: Job) -> None:
    shutil.copytree(CI, job.folder / "ci")
    environment = {"PATH": f"{job.program.parent}:/usr/bin:/bin", "MODCOMPAT_KERNELS": ""}
    environment |= {"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "4"}
    subprocess.run(["sh", "ci/slurm-array.sh"], cwd=job.folder, env=environment, check=True)
    assert job.calls() == ["check --manifest modcompat.toml --run-dir results/3-4 --shard 3/4"]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_posix_shell(script: Path) -> None:
    subprocess.run(["sh", "-n", script], check=True)
    need("shellcheck")
    subprocess.run(["shellcheck", script], check=True)


def test_every_service_runs_the_script_and_merges() -> None:
    services = [path for path in CI.iterdir() if path.name != "modcompat.sh"]
    assert len(services) == 6
    for path in services:
        assert re.search(r"ci/modcompat\.sh", path.read_text()), path
