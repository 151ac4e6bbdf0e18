# SPDX-License-Identifier: Apache-2.0
"""modcompat in a virtual environment outside the checkout. Downloads its dependencies, like a user's pip."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from harness import __version__
from harness.guest.boards import BOARDS
from harness.kernel.module_build import build_modules
from harness.kernel.variants import PRODUCTION
from harness.lab.execution.kernel_pool import Kernels
from harness.lab.plan.settings import Settings
from harness.support.paths import MODULES, PROJECT, cache_root


class Installation:
    """A virtual environment with the wheel; commands run in an unrelated folder."""

    def __init__(self, environment: Path, folder: Path, variables: Mapping[str, str]) -> None:
        self.environment, self.folder, self.variables = environment, folder, variables

    def run(self, program: str, *words: object) -> subprocess.CompletedProcess[str]:
        command = [str(self.environment / "bin" / program), *map(str, words)]
        return subprocess.run(
            command, cwd=self.folder, env=dict(self.variables), capture_output=True, text=True, check=False
        )

    def files(self) -> dict[Path, int]:
        """Every file of the environment, with its modification time in ns."""
        return {path: path.stat().st_mtime_ns for path in self.environment.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "-q", "--no-deps", "-w", folder, PROJECT], check=True)
    (wheel,) = folder.glob("*.whl")
    environment = folder / "environment"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    pip = [str(environment / "bin/python"), *pip[1:]]
    subprocess.run([*pip, "install", "-q", "--retries", "10", "-c", PROJECT / "requirements.txt", wheel], check=True)
    (folder / "elsewhere").mkdir()
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST"))}
    return Installation(environment, folder / "elsewhere", variables | {"MODCOMPAT_CACHE": str(cache_root())})


def test_help_and_version(installed: Installation) -> None:
    assert "Usage: modcompat" in installed.run("modcompat", "--help").stdout
    for done in (installed.run("modcompat", "--version"), installed.run("python", "-m", "harness", "--version")):
        assert (done.returncode, done.stdout) == (0, f"modcompat, version {__version__}\n")


def test_it_is_the_wheel_that_runs(installed: Installation) -> None:
    script = "from harness.support import paths; print(paths.IMAGES, paths.MODULES, sep='\\n')"
    images, modules = map(Path, installed.run("python", "-c", script).stdout.split())
    assert images.is_relative_to(installed.environment)
    assert (images / "kconfig/common.config").is_file()
    assert (modules / "locks/Kbuild").is_file()


def test_every_module_of_the_package_imports(installed: Installation) -> None:
    script = (
        "import importlib, pkgutil, harness\n"
        "names = [it.name for it in pkgutil.walk_packages(harness.__path__, 'harness.')]\n"
        "names = [name for name in names if '._data' not in name and name != 'harness.__main__']\n"
        "for name in names: importlib.import_module(name)\n"
        "print(len(names))"
    )
    done = installed.run("python", "-c", script)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 100


def test_doctor(installed: Installation) -> None:
    done = installed.run("modcompat", "doctor")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "qemu-system-x86_64" in done.stdout


@pytest.mark.parametrize(
    "words", [("init",), ("cache", "list"), ("scan", "boot.log"), ("isolate", "--help")], ids=" ".join
)
def test_commands_that_need_no_kernel(installed: Installation, words: tuple[str, ...]) -> None:
    (installed.folder / "boot.log").write_text("[    0.000000] Linux version 6.1.0\n")
    done = installed.run("modcompat", *words)
    assert done.returncode == 0, done.stderr


def test_a_measurement_is_recorded_in_a_checkout_only(installed: Installation) -> None:
    done = installed.run("modcompat", "isolate", "bugs", "--record")
    assert done.returncode == 2
    assert "--record needs a checkout of modcompat" in done.stderr


def test_predict_of_a_module_writes_nothing_beside_the_package(installed: Installation) -> None:
    kernels = Kernels(Settings())
    production = kernels.kernel(BOARDS["x86_64-q35"], PRODUCTION)
    module = build_modules(MODULES / "tail", production, kernels.store)["tail"]
    before = installed.files()
    good = installed.run("modcompat", "predict", module, "--kernel", "production")
    assert good.returncode == 0, good.stdout + good.stderr
    assert "CLEAN" in good.stdout
    bad = installed.run("modcompat", "predict", module, "--kernel", "stock-slub", "--kernel", "stock-spinlock")
    assert bad.returncode in (0, 1), bad.stderr
    assert "stock-spinlock" in bad.stdout
    assert installed.files() == before
