# SPDX-License-Identifier: Apache-2.0
"""All of LKDTM: each crash point on a board of each architecture, in a pristine guest."""

import pytest

from harness.cli.lkdtm_command import PATIENCE
from harness.guest.boards import Board
from harness.kernel.variants import PRODUCTION
from harness.lab.execution.guest_pool import Guests
from harness.lab.execution.kernel_pool import Kernels
from harness.lab.plan.cells import DEFAULT_BOARDS
from harness.lab.plan.settings import Settings
from harness.lab.validation.lkdtm import build, points, provoke
from harness.lab.validation.lkdtm_expectations import OUTCOMES, outcome


@pytest.mark.parametrize("board", DEFAULT_BOARDS, ids=lambda board: board.id)
def test_every_crash_point_is_reported_in_time_and_the_fate_told(board: Board) -> None:
    kernels = Kernels(Settings())
    module = build(kernels.kernel(board, PRODUCTION), kernels.store)
    objections = {}
    with Guests(kernels, [module]) as guests:
        guest = guests.guest(board, PRODUCTION)
        offered = points(guest)
        for point in offered:
            found = provoke(guest, point, seconds=PATIENCE).objections(outcome(board.arch.name, point))
            if found:
                objections[point] = found
    assert set(offered) == set(OUTCOMES)
    assert objections == {}
