# SPDX-License-Identifier: Apache-2.0
"""The measured outcome of each crash point of LKDTM: lkdtm.json next to this file.

harness.report.lkdtm_page makes the page of the documentation from it.
"""

import json
from pathlib import Path
from typing import Any

from harness.kernel.arch import ARCHITECTURES
from harness.lab.validation.lkdtm_expectations import OUTCOMES
from harness.support.errors import ModcompatError
from harness.support.folders import write_file

MEASURED = Path(__file__).parent / "lkdtm.json"
_ARCHES = tuple(ARCHITECTURES)


def load(path: Path = MEASURED) -> dict[str, Any]:
    """`kernel`, `date`, and `points`, a row each."""
    facts: dict[str, Any] = json.loads(path.read_text())
    return facts


def require_same_kernel(kernel: str, path: Path = MEASURED) -> None:
    """Raise ModcompatError if the recorded points are of another kernel, so that only all of them can be replaced."""
    if (known := _recorded_kernel(path)) and known != kernel:
        raise ModcompatError(
            f"the recorded points are of {known}, and this is {kernel}",
            next_step="run all points on all boards: without --board, --point and --few",
        )


def _recorded_kernel(path: Path) -> str:
    return str(load(path)["kernel"]) if path.exists() else ""


def record(rows: list[dict[str, Any]], kernel: str, date: str, path: Path = MEASURED) -> None:
    """Merge rows into the file, one per line. Rows of points that were not measured this time are kept.

    kernel: of the rows. Rows of another one are not kept.
    """
    known = load(path)["points"] if _recorded_kernel(path) == kernel else []
    by_key = {(row["arch"], row["point"]): row for row in [*known, *rows]}
    order = list(OUTCOMES)
    kept = sorted(by_key.values(), key=lambda row: (_ARCHES.index(row["arch"]), order.index(row["point"])))
    text = ",\n".join(json.dumps(row) for row in kept)
    write_file(path, f'{{"kernel": "{kernel}", "date": "{date}",\n"points": [\n{text}\n]}}\n')
