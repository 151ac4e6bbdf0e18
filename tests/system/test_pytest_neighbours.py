# SPDX-License-Identifier: Apache-2.0
"""The pytest plugin beside other plugins, with each supported pytest, in separate virtual environments."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.support.paths import PROJECT

SOURCES = ("harness", "images", "modules", "pyproject.toml", "README.md", "LICENSES")
FEATURE = """\
Feature: a thing
    Scenario: it works
        Given a thing
        Then it works
"""
STEPS = """
from pytest_bdd import given, scenarios, then

scenarios("it.feature")

@given("a thing")
def thing(): ...

@then("it works")
def works(): ...
"""
PLAIN = "def test_plain(): pass\n"
OPTIONS = {
    "pytest-bdd": [],
    "labgrid": ["--lg-log"],
    "pytest-embedded": ["--embedded-services", ""],
    "pytest-xdist": ["-n", "1"],  # with several workers, their names in the output would vary
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel, built from a copy because a build leaves files beside the sources."""
    folder = tmp_path_factory.mktemp("wheel")
    ignore = shutil.ignore_patterns("__pycache__")
    for name in SOURCES:
        if (PROJECT / name).is_dir():
            shutil.copytree(PROJECT / name, folder / "source" / name, ignore=ignore)
        elif (PROJECT / name).exists():
            (folder / "source").mkdir(exist_ok=True)
            shutil.copy(PROJECT / name, folder / "source")
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(folder)]
    subprocess.run([*pip, str(folder / "source")], check=True)
    (built,) = folder.glob("modcompat-*.whl")
    return built


@pytest.mark.slow
@pytest.mark.parametrize("neighbour", OPTIONS)
@pytest.mark.parametrize("version", ["7.4", "8.0", "8.4", "9.0"])
def test_a_session_with_a_neighbour_is_as_without_the_plugin(
    version: str, neighbour: str, wheel: Path, tmp_path: Path
) -> None:
    """Its dependencies are not installed: until a test requests it, the plugin needs only pytest."""
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv/bin/python"
    pip = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, f"pytest=={version}.*", neighbour], check=True)
    project = tmp_path / "project"
    project.mkdir()
    (project / "test_plain.py").write_text(PLAIN)
    if neighbour == "pytest-bdd":
        (project / "it.feature").write_text(FEATURE)
        (project / "test_steps.py").write_text(STEPS)
    before = session(python, project, *OPTIONS[neighbour])
    subprocess.run([*pip, "--no-deps", str(wheel)], check=True)
    installed = subprocess.run([python, "-m", "pip", "list"], capture_output=True, text=True, check=True).stdout
    assert "modcompat" in installed
    assert session(python, project, *OPTIONS[neighbour]) == before
    assert "--modcompat-board" in output(python, project, "--help")


def session(python: Path, project: Path, *options: str) -> list[str]:
    """The output lines of a passing session, without times and the list of plugins."""
    text = output(python, project, "-v", "--strict-markers", *options)
    lines = [re.sub(r" in \d.*", "", line) for line in text.splitlines() if not line.startswith("plugins: ")]
    assert any("passed" in line for line in lines), text
    return sorted(lines)  # xdist reports in any order


def output(python: Path, project: Path, *options: str) -> str:
    """The output of pytest in the project. Fails unless its exit status is 0."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    command = [str(python), "-m", "pytest", "-p", "no:cacheprovider", *options]
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
