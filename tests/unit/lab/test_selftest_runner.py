# SPDX-License-Identifier: Apache-2.0
"""Self tests of the kernel: what counts as a failed case."""

from unittest.mock import Mock

import pytest

from harness.guest.failure import Fate, GuestFailure
from harness.lab.validation.bugs import Where
from harness.lab.validation.selftests import SelfTest, _run_test

TEST = SelfTest("locks", "lib/test_locks.c", "ok", "not ok", commands=("insmod test_locks.ko", "rmmod test_locks"))
LOST = GuestFailure(Fate.PANICKED, "insmod test_locks.ko", 1.0)


@pytest.mark.parametrize(
    ("outputs", "failed", "reports"),
    [
        ([Mock(status=0), Mock(status=0)], 0, []),
        ([Mock(status=1, text="busy"), Mock(status=0)], 1, ["insmod test_locks.ko: busy"]),
        ([LOST], 1, [f"the guest was lost: {LOST.headline}"]),
    ],
    ids=["passed", "failed", "lost"],
)
def test_a_guest_that_is_lost_is_a_case_that_failed(outputs: list[object], failed: int, reports: list[str]) -> None:
    """Other tests, whose rows are not written yet, go on."""
    guest = Mock(**{"run.side_effect": outputs, "console.read.return_value": b"[    1.0] ok\n"})
    assert _run_test(guest, TEST, Where.VENDOR) == {"passed": 1, "failed": failed, "reports": reports}
