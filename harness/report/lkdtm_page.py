# SPDX-License-Identifier: Apache-2.0
"""docs/lkdtm.md: what each crash point of LKDTM led to, measured, beside the reason where nothing is reported."""

import json
from pathlib import Path
from typing import Any

from harness.kernel.arch import ARCHITECTURES
from harness.lab.validation.lkdtm_expectations import OUTCOMES, outcome
from harness.support.paths import HARNESS, PROJECT

PAGE = PROJECT / "docs/lkdtm.md"
MEASURED = HARNESS / "lab/validation/lkdtm.json"
_ARCHES = tuple(ARCHITECTURES)
_HEAD = """\
# Every way to crash: LKDTM

Made by `modcompat lkdtm --record` from what was measured ({date}, Linux {kernel}, production kernels); not edited by
hand. The kernel's own crash driver (`drivers/misc/lkdtm`) is built as a module, and every crash point that it offers
is provoked in a pristine guest. `harness/lab/validation/lkdtm_expectations.py` says what each must lead to: kind of
the report, time, and whether the guest survives. `modcompat lkdtm` measures it again, `make nightly` with it.

Each cell: kind of the first report, seconds of the guest's clock until it came, what became of the guest. Of
{total} points on {names} {seen} are reported, {blamed} of those name the driver as the culprit; the rest
is what these kernels have nothing for, with the reason.

## Reported

| crash point | {arches} |
|---|{bars}|
"""
_UNSEEN = """
## Nothing to report

Nothing is reported, the guest lives, and LKDTM itself says so where it says anything.

| crash point | where | why | LKDTM's words |
|---|---|---|---|
"""


def load(path: Path = MEASURED) -> dict[str, Any]:
    """`kernel`, `date`, and `points`, a row each."""
    facts: dict[str, Any] = json.loads(path.read_text())
    return facts


def record(rows: list[dict[str, Any]], kernel: str, date: str, path: Path = MEASURED) -> None:
    """Take rows into the file, one a line; rows of points that were not measured now stay."""
    known = load(path)["points"] if path.exists() else []
    by_key = {(row["arch"], row["point"]): row for row in [*known, *rows]}
    order = list(OUTCOMES)
    kept = sorted(by_key.values(), key=lambda row: (_ARCHES.index(row["arch"]), order.index(row["point"])))
    text = ",\n".join(json.dumps(row) for row in kept)
    path.write_text(f'{{"kernel": "{kernel}", "date": "{date}",\n"points": [\n{text}\n]}}\n')


def lkdtm_page(facts: dict[str, Any]) -> str:
    rows = {(row["arch"], row["point"]): row for row in facts["points"]}
    seen = [row for row in rows.values() if row["kind"]]
    blamed = [row for row in seen if row["blamed"] == "lkdtm"]
    points = list(dict.fromkeys(row["point"] for row in facts["points"]))
    measured = [arch for arch in _ARCHES if any(row["arch"] == arch for row in facts["points"])]
    lines = [
        _HEAD.format(
            **facts, total=len(rows), seen=len(seen), blamed=len(blamed),
            arches=" | ".join(measured), bars="|".join("---" for _ in measured), names=", ".join(measured),
        )
    ]  # fmt: skip
    for point in points:
        if any(row["point"] == point for row in seen):
            cells = [_cell(rows.get((arch, point))) for arch in measured]
            lines.append(f"| {point} | {' | '.join(cells)} |\n")
    lines.append(_UNSEEN)
    for point in points:
        silent = [row for row in rows.values() if row["point"] == point and not row["kind"]]
        for why in dict.fromkeys(outcome(row["arch"], point).why for row in silent):
            where = [row for row in silent if outcome(row["arch"], point).why == why]
            said = next((row["said"] for row in where if row["said"]), "").replace("|", "\\|")
            arches = "everywhere" if len(where) == len(measured) else ", ".join(row["arch"] for row in where)
            lines.append(f"| {point} | {arches} | {why} | {said} |\n")
    return "".join(lines)


def _cell(row: dict[str, Any] | None) -> str:
    if row is None:
        return "-"
    if not row["kind"]:
        return "nothing"
    return f"{row['kind']}, {row['seconds']:.1f} s, {row['fate']}"
