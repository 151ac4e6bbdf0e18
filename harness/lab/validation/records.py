# SPDX-License-Identifier: Apache-2.0
"""Measurements of the isolation series, by architecture: the JSON files next to this file.

harness.report.isolation_page makes the tables of the documentation from them.
"""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from harness.guest.boards import Board
from harness.kernel.toolchain import toolchain
from harness.kernel.variants import Variant
from harness.lab.execution.kernel_pool import Kernels
from harness.lab.plan.settings import Settings
from harness.lab.validation.bugs import BUGS
from harness.support.errors import ModcompatError
from harness.support.folders import write_file

FOLDER = Path(__file__).parent


def load(what: str, folder: Path = FOLDER) -> dict[str, Any]:
    """A measurement (bugs, costs, selftests) by architecture, or by that and a feature; empty if never made."""
    path = folder / f"{what}.json"
    facts: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    return facts


def record(what: str, measured: dict[str, Any], folder: Path = FOLDER) -> Path:
    """Write the measurement of an architecture to the file, in place of its former one.

    A measurement of a single "feature" has a place of its own.
    """
    key = " ".join(filter(None, [measured["arch"], measured.get("feature")]))
    facts = load(what, folder) | {key: measured}
    path = folder / f"{what}.json"
    write_file(path, json.dumps(dict(sorted(facts.items())), indent=1, ensure_ascii=False) + "\n")
    return path


def circumstances(board: Board, settings: Settings, variant: Variant) -> dict[str, Any]:
    """Board, kernel, compiler and date of a measurement. variant: one of the kernels that were measured."""
    return {
        "arch": board.arch.name,
        "board": board.id,
        "kernel": Kernels(settings).kernel(board, variant).release,
        "compiler": toolchain(board.arch)["compiler"],
        "date": datetime.now().astimezone().strftime("%Y-%m-%d"),
    }


def require_comparable(known: dict[str, Any], now: dict[str, Any]) -> None:
    """Raise ModcompatError if a record cannot take more: it is of one kernel, compiler and board.

    now: the circumstances() of what is to be measured.
    """
    if different := [what for what in ("kernel", "compiler", "board") if known[what] != now[what]]:
        raise ModcompatError(
            f"the recorded bugs have another {' and '.join(different)}", next_step="run the whole catalogue",
            details="\n".join(f"{what}: {known[what]}, now {now[what]}" for what in different),
        )  # fmt: skip


def with_bugs(known: dict[str, Any], measured: dict[str, Any]) -> dict[str, Any]:
    """The record of the catalogue with the bugs that were measured again, in its order; rows of former bugs go."""
    rows = {row["bug"]: row for row in (*known["bugs"], *measured["bugs"])}
    return measured | {
        "date": period(known["date"], measured["date"]),
        "bugs": [rows[bug.id] for bug in BUGS if bug.id in rows],
        "mixed": measured["mixed"] or known["mixed"],
    }


def period(known: str, today: str) -> str:
    """The dates of a measurement of which a part was made again today. known: its date, or its dates."""
    first, _, _ = known.partition(" to ")
    return today if first == today else f"{first} to {today}"
