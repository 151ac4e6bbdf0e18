# SPDX-License-Identifier: Apache-2.0
"""docs/compatibility.md: the measured matrix as tables for people."""

import re
from collections import Counter
from itertools import groupby
from typing import Any

import jinja2

from harness.kernel.arch import ARCHITECTURES
from harness.lab.plan.expected_verdicts import words
from harness.support.paths import PROJECT

PAGE = PROJECT / "docs/compatibility.md"
_ARCHES = tuple(ARCHITECTURES)
_TITLES = {"none": "PREEMPT_NONE", "preempt": "PREEMPT"}
# What differs from module to module and from run to run.
_ACCIDENTAL = (
    (r"\b(?:0x)?[0-9a-f]{8,16}\b", "ADDRESS"),
    (r"\bPID: \d+", "PID: N"),
    (r"\bCPU(: |#)\d", r"CPU\1N"),
    (r"\b(sh|insmod|rmmod|cat)/\d+", r"\1/N"),
)
_LONGEST = 220  # characters of evidence in a cell of a table


def compatibility_page(measured: dict[str, Any]) -> str:
    """The page for what expected_verdicts.load() returns."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("harness", "report/templates"),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,
    )  # fmt: skip
    environment.filters["cell"] = _cell
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
        always = all(row["reason"].startswith("always on") for row in rows)
        return "always on: nothing to break" if always else f"all {len(rows)} CLEAN"
    return ", ".join(f"{count} {word}" for word, count in counts.most_common())


def _evidence(row: dict[str, Any]) -> str:
    """What was seen first, without what differs between modules that break alike."""
    text = re.split(r"; then (?:INERT|REFUSED|SPLAT|CORRUPTED|HUNG|DIED): ", row["reason"])[0]
    for pattern, word in ((rf"\b{row['module']}\b", "MODULE"), *_ACCIDENTAL):
        text = re.sub(pattern, word, text)
    return text


def _cell(text: str) -> str:
    short = text if len(text) <= _LONGEST else text[:_LONGEST].rsplit(" ", 1)[0] + " ..."
    return " ".join(short.split()).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")
