# SPDX-License-Identifier: Apache-2.0
"""The suite that users run: each module on each kernel of each board."""

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.detect.verdict import PASSES
from harness.lab.execution.lab import Lab
from harness.lab.execution.run_folder import failure_text, write_cell
from harness.lab.plan.cells import Cell
from harness.lab.plan.expected_verdicts import measured_verdicts
from harness.lab.plan.manifest import Manifest
from harness.plugin.suite_plugin import ExpectedBreakageError
from harness.plugin.terminal import ROW
from harness.plugin.user_errors import user_errors_fail


@pytest.mark.usefixtures("built_kernels")
def test_survives(
    cell: Cell, lab: Lab, manifest: Manifest, run_folder: Path, record_property: Callable[[str, object], None]
) -> None:
    with user_errors_fail():
        result = lab.run(cell)
        row = write_cell(result, run_folder)
    allowed = manifest.allowance(cell, result.verdict)
    if allowed:
        row["allowed"] = {"reason": allowed.reason, "expires": str(allowed.expires)}
    record_property(ROW, row)
    if result.verdict in PASSES or result.is_reference:
        return
    text = failure_text(result, run_folder)
    if allowed or result.verdict in measured_verdicts(cell):
        raise ExpectedBreakageError(text)
    pytest.fail(text, pytrace=False)
