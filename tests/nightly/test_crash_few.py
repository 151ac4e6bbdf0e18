# SPDX-License-Identifier: Apache-2.0
"""A few of LKDTM's crash points. test_crash_points.py has all of them; docs/results/lkdtm.md lists the results."""

from collections.abc import Iterator

import pytest

from harness.cli.lkdtm_command import PATIENCE
from harness.guest.boards import BOARDS
from harness.guest.guest import Guest
from harness.kernel.variants import PRODUCTION
from harness.lab.execution.guest_pool import Guests
from harness.lab.execution.kernel_pool import Kernels
from harness.lab.plan.settings import Settings
from harness.lab.validation.lkdtm import build, points, provoke
from harness.lab.validation.lkdtm_expectations import REPRESENTATIVE, outcome

BOARD = BOARDS["x86_64-q35"]


@pytest.fixture(scope="module")
def crashing() -> Iterator[Guest]:
    kernels = Kernels(Settings())
    module = build(kernels.kernel(BOARD, PRODUCTION), kernels.store)
    with Guests(kernels, [module]) as guests:
        yield guests.guest(BOARD, PRODUCTION)


def test_the_driver_offers_its_points(crashing: Guest) -> None:
    assert set(REPRESENTATIVE) <= set(points(crashing))


@pytest.mark.parametrize("point", REPRESENTATIVE)
def test_a_crash_is_reported_blamed_and_its_fate_told(point: str, crashing: Guest) -> None:
    seen = provoke(crashing, point, seconds=PATIENCE)
    assert seen.objections(outcome(BOARD.arch.name, point)) == []
    assert seen.reports[0].module == "lkdtm"
