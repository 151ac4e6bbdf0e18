# SPDX-License-Identifier: Apache-2.0
"""The measured matrix and the page made from it."""

import json
from pathlib import Path
from typing import Any

import pytest

from harness.lab.plan import expected_verdicts
from harness.lab.plan.vendor_modules import shipped
from harness.report.compatibility import PAGE, compatibility_page

MODULE = shipped()[0].name


def row(verdict: str, reason: str = "why", **facts: object) -> dict[str, Any]:
    known = {"arch": "arm", "feature": "ftrace", "preemption": "none", "module": MODULE, "flavour": "stock"}
    return {**known, "verdict": verdict, "reason": reason, "because": ["it | moved"], "seconds": 1.0, **facts}


def run(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"kernel": "6.1.9", "date": "2026-01-02", "compilers": {"arm": "gcc 12"}, "cells": list(rows)}


NOTHING = {"kernel": "", "date": "", "compilers": {}, "cells": []}


def test_the_page_is_what_the_measured_matrix_makes() -> None:
    """The page is never edited by hand: `modcompat record` writes it."""
    assert PAGE.read_text() == compatibility_page(expected_verdicts.load())


def test_what_was_measured_last_counts() -> None:
    first = expected_verdicts.record([run(row("SPLAT"), row("CLEAN", feature="perf"))], NOTHING)
    second = expected_verdicts.record([run(row("INERT"))], first)
    assert [(cell["feature"], cell["verdict"]) for cell in second["cells"]] == [("ftrace", "INERT"), ("perf", "CLEAN")]
    assert second["compilers"] == {"arm": "gcc 12"}


def test_what_was_seen_beside_the_verdict_stays_until_a_third_is_seen() -> None:
    known = expected_verdicts.record([run(row("SPLAT"))], NOTHING)
    known["cells"][0]["also"] = ["HUNG"]
    assert expected_verdicts.record([run(row("HUNG"))], known)["cells"] == known["cells"]
    assert "| ftrace | - | 1 SPLAT or HUNG | - |" in compatibility_page(known)
    assert expected_verdicts.words(expected_verdicts.record([run(row("DIED"))], known)["cells"][0]) == ["DIED"]


def test_what_proves_nothing_is_not_recorded() -> None:
    rows = [row("INVALID"), row("CLEAN", flavour="production"), row("SPLAT", module="gone"), row("SPLAT", feature="x")]
    assert expected_verdicts.record([run(*rows)], NOTHING)["cells"] == []


def test_a_written_matrix_reads_back(tmp_path: Path) -> None:
    facts = expected_verdicts.record([run(row("INERT"), row("CLEAN", arch="x86_64"))], NOTHING)
    expected_verdicts.write(facts, tmp_path / "measured.json")
    assert json.loads((tmp_path / "measured.json").read_text()) == facts


def test_the_page_says_what_broke_and_escapes_what_it_quotes() -> None:
    later = {"verdict": "HUNG", "phase": "exercise", "reason": "later"}
    first = {"verdict": "SPLAT", "phase": "load", "reason": f"{MODULE}: <b>|; then more"}
    page = compatibility_page(expected_verdicts.record([run(row("SPLAT", steps=[first, later]))], NOTHING))
    assert "| ftrace | - | 1 SPLAT | - |" in page
    assert f"| arm | SPLAT | {MODULE} | MODULE: &lt;b>\\|; then more | it \\| moved |" in page
    assert "6.1.9" in page


def test_a_row_of_an_older_run_has_its_whole_reason() -> None:
    """Runs before version 0.2 have no steps."""
    page = compatibility_page(expected_verdicts.record([run(row("SPLAT", "a BUG; then HUNG: later"))], NOTHING))
    assert f"| arm | SPLAT | {MODULE} | a BUG; then HUNG: later | it \\| moved |" in page


@pytest.mark.parametrize("always_on", [True, False])
def test_what_is_always_on_is_a_fact_of_the_row(always_on: bool) -> None:  # noqa: FBT001
    clean = row("CLEAN", "always on: nothing to break; init and exit ran", always_on=always_on)
    page = compatibility_page(expected_verdicts.record([run(clean)], NOTHING))
    assert ("| ftrace | - | always on: nothing to break | - |" in page) is always_on
    assert ("| ftrace | - | all 1 CLEAN | - |" in page) is not always_on
