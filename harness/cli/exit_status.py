# SPDX-License-Identifier: Apache-2.0
"""The exit status of commands that judge cells under pytest.

The same numbers mean the same in every command: 0 all is well, 1 findings, 2 an error. `modcompat scan` has one of its
own, 3: no line of a log looks like a message of the kernel, so nothing is known about reports in it.
"""

import json
import sys
from pathlib import Path

import pytest

from harness.cli.run_suite import SuiteOutcome
from harness.detect.verdict import PASSES, Verdict
from harness.support.errors import ModcompatError

_WITH_VERDICTS = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.INTERRUPTED)


def stamp_of(matrix: Path) -> tuple[int, int] | None:
    """What tells a file from a later one in its place; None if there is none."""
    try:
        found = matrix.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def require_matrix(outcome: SuiteOutcome, matrix: Path, earlier: tuple[int, int] | None) -> None:
    """Raise ModcompatError if a run of the suite wrote no verdicts, because pytest did not start or was ended.

    earlier: stamp_of() the file before the run: its folder may have one of an earlier run.
    """
    if outcome.error:
        raise outcome.error
    if outcome.status == pytest.ExitCode.USAGE_ERROR:  # pytest has printed the reason
        sys.exit(2)
    if stamp_of(matrix) in (None, earlier):
        raise ModcompatError(
            "the run gave no verdict",
            next_step="see the output of pytest above; without any, something ended its process, for example "
            "os._exit() in an exercise",
        )


def exit_status(status: int, matrix: Path) -> int:
    """The exit status of a command: 0 if all verdicts are as expected, 1 if there are findings, 2 if invalid.

    A run is invalid if a cell proves nothing, or has no verdict. status: pytest's; that of an interrupted run is the
    one of -x as well. matrix: the matrix.json of the run, which need not exist.
    """
    if status not in _WITH_VERDICTS or not matrix.is_file():
        return 2
    facts = json.loads(matrix.read_text())
    rows = facts["cells"]
    if facts.get("missing") or any(row["verdict"] == Verdict.INVALID for row in rows):
        return 2
    findings = any(row["verdict"] not in (row.get("expected") or PASSES) for row in rows if not row.get("allowed"))
    return 1 if findings else 2 if status else 0
