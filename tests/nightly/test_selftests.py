# SPDX-License-Identifier: Apache-2.0
"""Nothing else broke: the kernel's own tests have the same results on the isolated and the stock kernel."""

from typing import Any

import pytest

from harness.guest.boards import BOARDS
from harness.lab.plan.settings import Settings
from harness.lab.validation.selftests import SUITES, passed, run_boot_tests, run_module_tests

BOARD = BOARDS["x86_64-q35"]


def not_as_on_stock(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in rows if not passed(row)]


@pytest.mark.parametrize("feature", SUITES)
def test_those_that_are_modules_rebuilt_and_built_for_production(feature: str) -> None:
    assert not_as_on_stock(run_module_tests(BOARD, Settings(), SUITES[feature])) == []


@pytest.mark.parametrize("feature", SUITES)
def test_those_that_run_at_boot(feature: str) -> None:
    assert not_as_on_stock(run_boot_tests(BOARD, Settings(), SUITES[feature])) == []
