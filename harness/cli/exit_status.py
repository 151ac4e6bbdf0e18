# SPDX-License-Identifier: Apache-2.0
"""The exit status of commands that judge cells under pytest."""

import json
import sys
from pathlib import Path

import pytest

from harness.detect.verdict import Verdict
from harness.support.errors import ModcompatError


def require_matrix(status: int, matrix: Path) -> None:
    """Raise ModcompatError where a run left no verdicts: pytest did not start, or was ended under way.

    status: what pytest ended with. Of a mistake it has said all, and that is the end of it (SystemExit).
    """
    if status == pytest.ExitCode.USAGE_ERROR:
        sys.exit(2)
    if not matrix.is_file():
        raise ModcompatError(
            "the run gave no verdict",
            next_step="see what pytest said above; where it said nothing, something ended its process, "
            "os._exit() in an exercise for example",
        )


def exit_status(status: int, matrix: Path) -> int:
    """0 every verdict is what it has to be, 1 findings, 2 invalid: from what pytest said, and from the verdicts."""
    if status not in (0, 1) or not matrix.is_file():
        return 2
    rows = json.loads(matrix.read_text())["cells"]
    if any(row["verdict"] == Verdict.INVALID for row in rows):
        return 2
    findings = any(
        row["verdict"] not in (row.get("expected") or [Verdict.CLEAN]) for row in rows if not row.get("allowed")
    )
    return 1 if findings else 2 if status else 0
