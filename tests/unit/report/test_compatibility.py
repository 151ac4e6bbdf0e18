# SPDX-License-Identifier: Apache-2.0
"""The measured matrix and the page that is made of it."""

import json
from pathlib import Path
from typing import Any

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
    """It is never edited by hand: `modcompat record` writes it."""
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
    page = compatibility_page(
        expected_verdicts.record([run(row("SPLAT", f"{MODULE}: <b>|; then HUNG: later"))], NOTHING)
    )
    assert "| ftrace | - | 1 SPLAT | - |" in page
    assert f"| arm | SPLAT | {MODULE} | MODULE: &lt;b>\\| | it \\| moved |" in page
    assert "6.1.9" in page
