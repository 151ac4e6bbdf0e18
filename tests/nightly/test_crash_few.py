"""A few of LKDTM's crash points; tests/nightly has all of them, docs/lkdtm.md what they led to."""

from collections.abc import Iterator

import pytest

from harness.boards import BOARDS
from harness.commands.lkdtm import PATIENCE
from harness.crashpoints import REPRESENTATIVE, outcome
from harness.guest.guest import Guest
from harness.guests import Guests
from harness.kernels import Kernels
from harness.lkdtm import build, points, provoke
from harness.settings import Settings
from harness.variants import PRODUCTION

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
