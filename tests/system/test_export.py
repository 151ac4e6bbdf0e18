# SPDX-License-Identifier: Apache-2.0
"""Exported cells in LAVA's own schemas, and on a board of labgrid."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.cli.main import main
from harness.guest.boards import BOARDS
from harness.kernel.features import features_named
from harness.lab.execution.lab import Lab
from harness.lab.execution.run_folder import write_cell, write_matrix
from harness.lab.plan.cells import Flavour, Selection, cells_of
from harness.lab.plan.settings import Settings
from harness.lab.plan.vendor_modules import shipped

JOB_IS_VALID = """
import sys, yaml
from lava_common.schemas import validate

for name in sys.argv[1:]:
    with open(name) as job:
        validate(yaml.safe_load(job), strict=True)
"""
ENVIRONMENT_LOADS = """
import sys
from labgrid import Environment

environment = Environment(sys.argv[1])
target = environment.get_target()
assert target.get_driver("QEMUDriver").get_qemu_base_args()
assert Environment(sys.argv[2]).config.get_targets()
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with one module on production of two boards, and on a debug kernel that breaks it."""
    folder = tmp_path_factory.mktemp("run")
    modules = [module for module in shipped() if module.name == "files"]
    spinlock = features_named(["spinlock"])
    selections = [
        Selection((BOARDS["x86_64-q35"],), spinlock),
        Selection((BOARDS["arm-virt"],), spinlock, flavours=(Flavour.PRODUCTION,)),
    ]
    with Lab(Settings(), modules, predicts=False) as lab:
        rows = [write_cell(lab.run(cell), folder) for cell in cells_of(selections, modules)]
    write_matrix(rows, folder)
    assert [row["flavour"] for row in rows] == [Flavour.PRODUCTION, Flavour.STOCK, Flavour.PRODUCTION]
    return folder


def export(run: Path, *options: object) -> list[Path]:
    """The files that `modcompat export` names."""
    result = CliRunner().invoke(main, ["export", str(run), *map(str, options)])
    assert result.exit_code == 0, result.output
    return [Path(line) for line in result.output.splitlines()]


def with_packages(folder: Path, *packages: str) -> Path:
    """The Python of a new virtual environment with packages."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin/python"
    subprocess.run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *packages], check=True)
    return python


@pytest.mark.slow
def test_lava_accepts_the_jobs(run: Path, tmp_path: Path) -> None:
    subprocess.run(["apt-get", "-q", "download", "lava-common"], cwd=tmp_path, check=True)
    (package,) = tmp_path.glob("lava-common_*.deb")
    subprocess.run(["dpkg", "-x", package, tmp_path / "lava"], check=True)
    python = with_packages(tmp_path / "venv", "voluptuous", "pyyaml")
    jobs = export(run, "--lava", tmp_path / "qemu", "--url-base", "https://files.example")
    jobs += export(run, "-k", "arm", "--lava", tmp_path / "u-boot", "--device-type", "beaglebone-black")
    assert len(jobs) == 4
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "lava/usr/lib/python3/dist-packages")}
    subprocess.run([python, "-c", JOB_IS_VALID, *jobs], env=environment, check=True)
    broken = jobs[0].with_name("broken.yaml")
    broken.write_text(jobs[0].read_text().replace("method: qemu", "method: qemu\n      no-such-key: 1"))
    assert subprocess.run([python, "-c", JOB_IS_VALID, broken], env=environment, check=False).returncode == 1


@pytest.mark.slow
def test_labgrid_runs_the_cell(run: Path, tmp_path: Path) -> None:
    """The environments load, production passes on the emulated board, and the debug kernel fails as in its cell."""
    python = with_packages(tmp_path / "venv", "labgrid")
    (tmp_path / "venv/bin/modcompat").symlink_to(shutil.which("modcompat", path=Path(sys.executable).parent) or "none")
    files = export(run, "-k", "q35", "--labgrid", tmp_path / "lab with a space")
    for environment, place, test in zip(files[::3], files[1::3], files[2::3], strict=True):
        subprocess.run([python, "-c", ENVIRONMENT_LOADS, environment, place], check=True)
        command = [str(python), "-m", "pytest", "-p", "no:cacheprovider", "--lg-env", str(environment), "-q", str(test)]
        variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
        variables["PATH"] = f"{tmp_path / 'venv/bin'}:{variables['PATH']}"
        done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False)
        if "production" in str(test):
            assert done.returncode == 0, done.stdout + done.stderr
        else:
            assert done.returncode == 1, done.stdout + done.stderr
            failed = set(re.findall(r"^FAILED .*::test_case\[([\w.-]+)\]", done.stdout, re.MULTILINE))
            assert {"init", "exercise-002"} <= failed, done.stdout
            assert "load" not in failed
