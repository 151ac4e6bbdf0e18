# SPDX-License-Identifier: Apache-2.0
"""Real uses of modules: their functions are found, and each difference between two kernels is told."""

import subprocess
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import pytest

from tests.unit.tools import need
from trial.real_use.__main__ import use_all, uses
from trial.real_use.machine import DISKS
from trial.real_use.outcome import EXPECTED, Outcome, difference, outcome
from trial.real_use.root_file_system import GUEST

GOOD = Outcome("0", frozenset({"xfs", "crc32c_generic"}), "1", frozenset(), frozenset())
PRINTED = "real use: cannot ln a b\nreal use: modules xfs crc32c_generic \nreal use: locks 1\nreal use: status 0\n"
LOG = b"[    9.1] BUG: unable to handle page fault\n[   10.0] real use: xfs begins\n[   12.0] real use: xfs ended\n"
PRODUCTION = replace(GOOD, locks="")


def test_every_expected_report_is_of_a_use() -> None:
    assert len(uses()) > 40
    assert {name for name, _ in EXPECTED} <= set(uses())


def test_the_exit_status_tells_a_difference_from_what_could_not_be_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And disks, which are large, do not stay behind."""
    both = Mock(), Mock()
    both[0].name, both[1].name = "production", "debug"
    lost, refused = replace(PRODUCTION, status="took too long"), replace(GOOD, status="1")
    outcomes = {
        ("same", "production"): PRODUCTION, ("same", "debug"): GOOD,
        ("other", "production"): PRODUCTION, ("other", "debug"): refused,
        ("lost", "production"): lost, ("lost", "debug"): GOOD,
    }  # fmt: skip

    def boot(_: object, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        (folder / DISKS[0]).touch()

    monkeypatch.setattr("trial.real_use.__main__.boot", boot)
    monkeypatch.setattr("trial.real_use.__main__.use", lambda name, machine, *_: outcomes[name, machine.name])
    assert use_all(["same"], both, tmp_path) == 0
    assert use_all(["same", "other"], both, tmp_path) == 1
    assert use_all(["lost", "other", "same"], both, tmp_path) == 2
    assert {path.name for path in tmp_path.rglob("*")} == {"production", "debug"}


@pytest.mark.parametrize("script", sorted(GUEST.iterdir()), ids=lambda path: path.name)
def test_the_scripts_are_clean(script: str) -> None:
    need("shellcheck")
    subprocess.run(["shellcheck", script], check=True)


def test_an_outcome_is_what_the_guest_printed_and_what_the_kernel_said_during_the_use() -> None:
    assert outcome("xfs", PRINTED, LOG, "") == replace(GOOD, refused=frozenset({"ln a b"}))
    warned = LOG.replace(b"ended\n", b"went on\n") + b"[   12.5] INFO: task a:1 blocked for more than 120 seconds.\n"
    lost = outcome("xfs", "", warned, "took too long")
    assert lost.status == "took too long"
    assert lost.reports


@pytest.mark.parametrize("log", [b"", LOG.replace(b"begins", b"began"), LOG.partition(b"[   12.0]")[0]])
def test_a_use_whose_messages_were_not_seen_has_no_status(log: bytes) -> None:
    assert outcome("xfs", PRINTED, log, "").status == "the kernel's log is incomplete"


def test_the_same_is_no_difference() -> None:
    assert difference(PRODUCTION, GOOD) == ""
    warned = replace(PRODUCTION, reports=frozenset({"WARNING in f"}))
    assert difference(warned, replace(warned, locks="1")) == ""
    assert difference(warned, GOOD) == ""


def test_a_use_that_fails_on_production_proves_nothing() -> None:
    assert difference(replace(PRODUCTION, status="1"), replace(GOOD, status="1")) == "status 1 on production"
    none = frozenset[str]()
    assert difference(replace(PRODUCTION, modules=none), replace(GOOD, modules=none)) == (
        "no module was loaded on production"
    )


@pytest.mark.parametrize(
    ("debug", "said"),
    [
        (replace(GOOD, status="1"), "status 1, on production 0"),
        (replace(GOOD, status="took too long"), "status took too long, on production 0"),
        (replace(GOOD, modules=frozenset({"xfs"})), "only one kernel loaded crc32c_generic"),
        (replace(GOOD, refused=frozenset({"ln a b"})), "only one kernel refused ln a b"),
        (replace(GOOD, locks="0"), "lockdep is off"),
        (replace(GOOD, locks=""), "lockdep is off"),
        (replace(GOOD, reports=frozenset({"possible deadlock in f"})), "possible deadlock in f"),
    ],
)
def test_a_difference_is_told(debug: Outcome, said: str) -> None:
    assert difference(PRODUCTION, debug) == said
