# SPDX-License-Identifier: Apache-2.0
"""docs/results/compatibility.md: the measured matrix as tables for people."""

import re
from collections import Counter
from itertools import groupby
from typing import Any

from harness.detect.generalize import generalize
from harness.detect.verdict import steps_in
from harness.kernel.arch import ARCHITECTURES
from harness.lab.plan.expected_verdicts import words
from harness.report.template import text_templates
from harness.support.paths import PROJECT

PAGE = PROJECT / "docs/results/compatibility.md"
_ARCHES = tuple(ARCHITECTURES)
_TITLES = {"none": "PREEMPT_NONE", "preempt": "PREEMPT"}
_PROCESSES = (r"\b(sh|insmod|rmmod|cat)/\d+", r"\1/N")  # their numbers differ from run to run
_MAX_LETTERS = 220  # of evidence in a cell of a table


def compatibility_page(measured: dict[str, Any]) -> str:
    """The page. measured: the content of expected_verdicts.json."""
    environment = text_templates(cell=_cell)
    models = {
        model: [_feature(name, list(rows)) for name, rows in groupby(cells, key=_name)]
        for model in _TITLES
        if (cells := [row for row in measured["cells"] if row["preemption"] == model])
    }
    suffixes = {"none": "", "preempt": ", PREEMPT"}
    text = environment.get_template("compatibility.md.j2").render(
        **measured, models=models, arches=_ARCHES, titles=_TITLES, suffixes=suffixes
    )
    return text.rstrip("\n") + "\n"


def _name(row: dict[str, Any]) -> str:
    return f"{row['feature']}{', isolated' if row['flavour'] == 'isolated' else ''}"


def _feature(name: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    broken = [row for row in rows if row["verdict"] != "CLEAN"]
    groups: dict[tuple[str, ...], list[str]] = {}
    for row in broken:
        key = (row["arch"], " or ".join(words(row)), _evidence(row), row["because"])
        groups.setdefault(key, []).append(row["module"])
    is_isolated = any(row["flavour"] == "isolated" for row in rows)
    rows_on = {arch: [row for row in rows if row["arch"] == arch] for arch in _ARCHES}
    return {
        "name": name,
        "summary": {
            arch: "no series" if is_isolated and not ARCHITECTURES[arch].has_isolation else _summary(rows_on[arch])
            for arch in _ARCHES
        },
        "broken": [
            dict(zip(("arch", "verdict", "evidence", "field"), key, strict=True)) | {"modules": modules}
            for key, modules in sorted(groups.items(), key=lambda item: _ARCHES.index(item[0][0]))
        ],
    }


def _summary(rows: list[dict[str, Any]]) -> str:
    if not rows:
        return "-"
    counts = Counter(" or ".join(words(row)) for row in rows)
    if set(counts) == {"CLEAN"}:
        always = all(row.get("always_on") for row in rows)
        return "always on: nothing to break" if always else f"all {len(rows)} CLEAN"
    return ", ".join(f"{count} {word}" for word, count in counts.most_common())


def _evidence(row: dict[str, Any]) -> str:
    """The reason of the first step, without the parts that differ between modules that break alike."""
    text = re.sub(rf"\b{row['module']}\b", "MODULE", steps_in(row)[0].reason)
    return generalize(text, [_PROCESSES])


def _cell(text: str) -> str:
    short = text if len(text) <= _MAX_LETTERS else text[:_MAX_LETTERS].rsplit(" ", 1)[0] + " ..."
    return " ".join(short.split()).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")
