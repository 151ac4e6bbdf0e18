# SPDX-License-Identifier: Apache-2.0
"""Lockdep goes on beside a module with a proprietary licence, which upstream switches it off for."""

from dataclasses import replace

from harness.guest.boards import BOARDS
from harness.lab.plan.settings import Settings
from harness.lab.validation.bug_runner import commit, insmod, prepared
from harness.lab.validation.bugs import BUGS, Where

BOARD = BOARDS["x86_64-q35"]


def test_the_order_of_locks_is_reported_beside_a_proprietary_module() -> None:
    (bug,) = (bug for bug in BUGS if bug.id == "dependencies/static-mutexes")
    isolated, stock = bug.variant(Where.VENDOR), bug.variant(Where.STOCK)
    with prepared(BOARD, isolated, Settings()) as guests:
        assert commit(
            guests.guest(BOARD, isolated), replace(bug, before=insmod(Where.VENDOR, "proprietary")), Where.VENDOR
        )
    with prepared(BOARD, stock, Settings()) as guests:
        assert not commit(
            guests.guest(BOARD, stock), replace(bug, before=insmod(Where.STOCK, "proprietary")), Where.STOCK
        )
