# SPDX-License-Identifier: Apache-2.0
"""The measurements of LKDTM's crash points: every point is accounted for, and the page follows from them."""

import re
from pathlib import Path

import pytest

from harness.kernel.arch import ARCHITECTURES
from harness.lab.validation.lkdtm_expectations import OUTCOMES, REPRESENTATIVE, outcome
from harness.lab.validation.lkdtm_records import load, record, require_same_kernel
from harness.report.lkdtm_page import PAGE, lkdtm_page
from harness.support.errors import ModcompatError


def test_the_page_is_what_was_measured() -> None:
    """The page is never edited by hand: `modcompat lkdtm --record` writes it."""
    assert PAGE.read_text() == lkdtm_page(load())


def test_every_point_is_measured_on_every_architecture() -> None:
    measured = {(row["arch"], row["point"]) for row in load()["points"]}
    assert measured == {(arch, point) for arch in ARCHITECTURES for point in OUTCOMES}
    assert set(REPRESENTATIVE) <= set(OUTCOMES)


def test_every_point_led_to_what_it_must_lead_to() -> None:
    for row in load()["points"]:
        wanted = outcome(row["arch"], row["point"])
        assert re.fullmatch(wanted.kind, row["kind"]), row
        assert row["fate"] == wanted.fate, row
        assert row["seconds"] is None or row["seconds"] <= wanted.within, row
        assert row["blamed"] in ("lkdtm", ""), row


def test_what_is_not_reported_has_a_reason() -> None:
    for row in load()["points"]:
        assert bool(row["kind"]) != bool(outcome(row["arch"], row["point"]).why), row


def test_the_recorded_points_are_of_one_kernel(tmp_path: Path) -> None:
    file = tmp_path / "lkdtm.json"
    require_same_kernel("6.1.192", file)
    one, other = load()["points"][:2]
    record([one, other], "6.1.191", "2026-01-02", file)
    record([other], "6.1.191", "2026-01-03", file)
    assert load(file) == {"kernel": "6.1.191", "date": "2026-01-03", "points": [one, other]}
    with pytest.raises(ModcompatError, match=r"are of 6\.1\.191"):
        require_same_kernel("6.1.192", file)
    record([other], "6.1.192", "2026-01-04", file)
    assert load(file)["points"] == [other]
