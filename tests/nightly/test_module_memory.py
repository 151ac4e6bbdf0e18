# SPDX-License-Identifier: Apache-2.0
"""Code and constants of a module are compared on each kernel, wherever it keeps them."""

import pytest

from harness.detect.verdict import Verdict
from harness.guest.boards import BOARDS
from harness.kernel.features import FEATURES
from harness.kernel.versions import SERIES, Series
from harness.lab.execution.lab import Lab
from harness.lab.plan.cells import Cell, Flavour
from harness.lab.plan.settings import Settings
from harness.lab.plan.vendor_modules import shipped


@pytest.mark.parametrize("series", SERIES.values(), ids=lambda series: series.name)
def test_both_are_compared(series: Series) -> None:
    module = next(it for it in shipped() if it.name == "tail")
    with Lab(Settings(source=series.package), shipped()) as lab:
        result = lab.run(Cell(BOARDS["x86_64-q35"], FEATURES["spinlock"], Flavour.PRODUCTION, module))
    assert result.verdict is Verdict.CLEAN, result.reason
    held = {check.name for check in result.evidence.integrity if check.held}
    assert {"the module's code unchanged", "the module's constants unchanged"} <= held
