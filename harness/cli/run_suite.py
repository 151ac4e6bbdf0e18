# SPDX-License-Identifier: Apache-2.0
"""Run the suite under pytest in a process of its own, and return the outcome as data."""

import json
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.plugin.suite_arguments import ENVIRONMENT, FOREIGN_ENVIRONMENT
from harness.support import process
from harness.support.errors import ModcompatError


@dataclass(frozen=True)
class SuiteOutcome:
    """The outcome of a run of the suite."""

    status: int  # pytest's exit status
    cells: tuple[str, ...] = ()  # names of the cells that were selected
    error: ModcompatError | None = None  # the reason why there was no session


def run_suite(options: Sequence[str]) -> SuiteOutcome:
    """Run the suite on this terminal. options: for pytest."""
    with _outcome_file() as file:
        return _outcome(process.attached(_command(file, options)), file)


def require_cells(chosen: Sequence[str], added: Sequence[str]) -> tuple[str, ...]:
    """The names of the cells that options select, before any kernel is built.

    Raises ModcompatError if pytest rejects them or they select none.

    chosen: options that choose cells. added: options for pytest that the user adds.
    """
    found = _collect([*chosen, *added])
    if found.error:
        raise found.error
    if found.status == pytest.ExitCode.NO_TESTS_COLLECTED:
        names = _collect(chosen).cells
        raise ModcompatError(
            f"no cell is left with {shlex.join(added)}",
            next_step=f"a cell is called {names[0]}, for example" if names else "",
        )
    if found.status:
        raise ModcompatError(f"pytest ended with status {found.status} for {shlex.join(added)}")
    return found.cells


def _collect(options: Sequence[str]) -> SuiteOutcome:
    """The outcome of a run that collects the cells only, and prints nothing."""
    with _outcome_file() as file:
        command = _command(file, ["--collect-only", *options])
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        return _outcome(done.returncode, file)


def _command(file: Path, options: Sequence[str]) -> list[str]:
    without = [word for name in FOREIGN_ENVIRONMENT for word in ("-u", name)]
    settings = [f"{name}={value}" for name, value in ENVIRONMENT.items()]
    # -P: Python must not import from the folder that the user is in.
    python = [sys.executable, "-P", "-m", "harness.plugin.suite_process"]
    return ["env", *without, *settings, *python, str(file), "-q", *options]


@contextmanager
def _outcome_file() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="modcompat-suite-") as folder:
        yield Path(folder) / "outcome.json"


def _outcome(status: int, file: Path) -> SuiteOutcome:
    """The outcome that the process wrote; without one, it was ended from outside or by an exercise."""
    if not file.is_file():
        return SuiteOutcome(status)
    facts = json.loads(file.read_text())
    error = ModcompatError(facts["problem"], details=facts["details"], next_step=facts["next_step"])
    return SuiteOutcome(status, tuple(facts["cells"]), error if facts["problem"] else None)
