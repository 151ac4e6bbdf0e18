# SPDX-License-Identifier: Apache-2.0
"""Real uses of modules: their functions are found, and each difference between two kernels is told."""

import shutil
import subprocess
from dataclasses import replace

import pytest

from trial.real_use import EXPECTED, HERE, Used, difference, uses

GOOD = Used("0", frozenset({"xfs", "crc32c_generic"}), "1", frozenset())
PRODUCTION = replace(GOOD, locks="")


def test_every_expected_report_is_of_a_use() -> None:
    assert len(uses()) > 40
    assert {name for name, _ in EXPECTED} <= set(uses())


@pytest.mark.parametrize("script", sorted(HERE.iterdir()), ids=lambda path: path.name)
def test_the_scripts_are_clean(script: str) -> None:
    if not shutil.which("shellcheck"):
        pytest.skip("shellcheck is not installed")
    subprocess.run(["shellcheck", script], check=True)


def test_the_same_is_no_difference() -> None:
    assert difference(PRODUCTION, GOOD) == ""
    warned = replace(PRODUCTION, reports=frozenset({"WARNING in f"}))
    assert difference(warned, replace(warned, locks="1")) == ""
    assert difference(warned, GOOD) == ""


def test_a_use_that_fails_on_production_proves_nothing() -> None:
    assert difference(replace(PRODUCTION, status="1"), replace(GOOD, status="1")) == "status 1 on production"


@pytest.mark.parametrize(
    ("debug", "said"),
    [
        (replace(GOOD, status="1"), "status 1, on production 0"),
        (replace(GOOD, status="took too long"), "status took too long, on production 0"),
        (replace(GOOD, modules=frozenset({"xfs"})), "only one kernel loaded crc32c_generic"),
        (replace(GOOD, locks="0"), "lockdep is off"),
        (replace(GOOD, locks=""), "lockdep is off"),
        (replace(GOOD, reports=frozenset({"possible deadlock in f"})), "possible deadlock in f"),
    ],
)
def test_a_difference_is_told(debug: Used, said: str) -> None:
    assert difference(PRODUCTION, debug) == said
