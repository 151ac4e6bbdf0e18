# SPDX-License-Identifier: Apache-2.0
"""Features that are not isolated, or not without preemption: the loader refuses the module and names the option."""

import pytest

from harness.detect.verdict import Verdict
from harness.guest.boards import BOARDS
from harness.kernel.features import FEATURES, Isolation
from harness.lab.execution.lab import Lab
from harness.lab.plan.cells import Cell, Flavour
from harness.lab.plan.settings import Settings
from harness.lab.plan.vendor_modules import shipped

# Feature -> the first of its options in include/linux/module_abi.h, which the refusal names
OPTIONS = {"lockdep": "DEBUG_LOCK_ALLOC", "atomic-sleep": "PREEMPT_COUNT", "debug-set": "PREEMPT_COUNT"}


def test_every_such_feature_is_tried() -> None:
    refused = (Isolation.REFUSED, Isolation.KEPT_WITH_PREEMPTION)
    assert set(OPTIONS) == {name for name, feature in FEATURES.items() if feature.isolation in refused}


@pytest.mark.parametrize("name", OPTIONS)
def test_the_refusal_names_the_option(name: str) -> None:
    (module,) = (module for module in shipped() if module.name == "locks")
    with Lab(Settings(), [module]) as lab:
        result = lab.run(Cell(BOARDS["x86_64-q35"], FEATURES[name], Flavour.ISOLATED, module))
    assert result.verdict is Verdict.REFUSED
    assert f"was built without CONFIG_{OPTIONS[name]}, which this kernel has on" in result.reason
