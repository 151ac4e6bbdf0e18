# SPDX-License-Identifier: Apache-2.0
"""The measured outcome of each crash point of LKDTM: lkdtm.json next to this file.

harness.report.lkdtm_page makes the page of the documentation from it.
"""

import json
from pathlib import Path
from typing import Any

from harness.kernel.arch import ARCHITECTURES
from harness.lab.validation.lkdtm_expectations import OUTCOMES

MEASURED = Path(__file__).parent / "lkdtm.json"
_ARCHES = tuple(ARCHITECTURES)


def load(path: Path = MEASURED) -> dict[str, Any]:
    """`kernel`, `date`, and `points`, a row each."""
    facts: dict[str, Any] = json.loads(path.read_text())
    return facts


def record(rows: list[dict[str, Any]], kernel: str, date: str, path: Path = MEASURED) -> None:
    """Merge rows into the file, one per line. Rows of points that were not measured this time are kept."""
    known = load(path)["points"] if path.exists() else []
    by_key = {(row["arch"], row["point"]): row for row in [*known, *rows]}
    order = list(OUTCOMES)
    kept = sorted(by_key.values(), key=lambda row: (_ARCHES.index(row["arch"]), order.index(row["point"])))
    text = ",\n".join(json.dumps(row) for row in kept)
    path.write_text(f'{{"kernel": "{kernel}", "date": "{date}",\n"points": [\n{text}\n]}}\n')
