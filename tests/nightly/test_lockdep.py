# SPDX-License-Identifier: Apache-2.0
"""Lockdep stays on beside a module that takes many locks for one context, and beside a proprietary module."""

from dataclasses import replace

import pytest

from harness.guest.boards import BOARDS
from harness.lab.plan.settings import Settings
from harness.lab.validation.bug_runner import commit, insmod, prepared
from harness.lab.validation.bugs import BUGS, Where

BOARD = BOARDS["x86_64-q35"]


@pytest.mark.parametrize("where", [Where.REBUILT, Where.VENDOR])
def test_many_locks_for_one_context_are_no_bug(where: Where) -> None:
    """A report would have switched lockdep off, so that the bug after it was not reported."""
    (bug,) = (bug for bug in BUGS if bug.id == "dependencies/static-mutexes")
    with prepared(BOARD, bug.variant(where), Settings()) as guests:
        guest = guests.guest(BOARD, bug.variant(where))
        assert commit(guest, replace(bug, before=insmod(where, "nested")), where)


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
