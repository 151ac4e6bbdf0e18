# SPDX-License-Identifier: Apache-2.0
"""Isolated kernels still detect bugs: deliberate bugs on stock and isolated kernels with many features."""

from dataclasses import replace

import pytest

from harness.guest.boards import BOARDS
from harness.guest.guest import Timing
from harness.kernel.features import FEATURES
from harness.lab.plan.settings import Settings
from harness.lab.validation import records
from harness.lab.validation.bug_runner import commit, insmod, passed, prepared, run_catalogue, run_mixed
from harness.lab.validation.bugs import BUGS, Where
from tests.system.conftest import SCALE

BOARD = BOARDS["x86_64-q35"]
SETTINGS = Settings(timing=Timing().scaled(SCALE))


@pytest.mark.parametrize("kernel", list(dict.fromkeys(bug.kernel.name for bug in BUGS)))
def test_every_bug_is_reported_where_it_was_when_it_was_recorded(kernel: str) -> None:
    together = [bug for bug in BUGS if bug.kernel is FEATURES[kernel]]
    measured = {row["bug"]: row for row in records.load("bugs")[BOARD.arch.name]["bugs"]}
    rows, failures = run_catalogue(BOARD, SETTINGS, together)
    assert failures == []
    assert [row["bug"] for row in rows] == [bug.id for bug in together]
    for row in rows:
        said = {where: (row[where], measured[row["bug"]][where]) for where in Where}
        assert {where for where, (now, _) in said.items() if now} == {
            where for where, (_, then) in said.items() if then
        }, said


def test_modules_of_both_builds_share_locks_in_one_kernel() -> None:
    rows = run_mixed(BOARD, SETTINGS)
    assert [row for row in rows if not passed(row)] == []
    assert len(rows) == 4


@pytest.mark.parametrize("name", ["spinlocks/already-unlocked", "mutexes/not-locked", "rwsems/not-write-locked"])
def test_a_proprietary_module_does_not_end_lock_debugging(name: str) -> None:
    (bug,) = (bug for bug in BUGS if bug.id == name)
    variant = bug.variant(Where.REBUILT)
    with prepared(BOARD, variant, SETTINGS) as guests:
        guest = guests.guest(BOARD, variant)
        assert commit(guest, replace(bug, before=insmod(Where.VENDOR, "proprietary")), Where.REBUILT)
        log = guest.console.read(guest.log_start)
    assert b"module license 'Proprietary' taints kernel" in log
    assert b"Disabling lock debugging" not in log
