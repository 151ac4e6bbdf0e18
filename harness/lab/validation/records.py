# SPDX-License-Identifier: Apache-2.0
"""What was measured of the isolation series, by architecture: the JSON files beside this file.

Tables of docs/results/isolation.md are made from them; see harness.report.isolation.
"""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from harness.guest.boards import Board
from harness.kernel.features import FEATURES
from harness.kernel.toolchain import toolchain
from harness.kernel.variants import variant_of
from harness.lab.execution.kernel_pool import Kernels
from harness.lab.plan.settings import Settings

FOLDER = Path(__file__).parent


def load(what: str, folder: Path = FOLDER) -> dict[str, Any]:
    """What was measured (bugs, costs, selftests), by architecture; nothing when it never was."""
    path = folder / f"{what}.json"
    facts: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    return facts


def record(what: str, measured: dict[str, Any], folder: Path = FOLDER) -> Path:
    """Take what was measured on an architecture into the file, in place of what was there of it."""
    facts = load(what, folder) | {str(measured["arch"]): measured}
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{what}.json"
    path.write_text(json.dumps(dict(sorted(facts.items())), indent=1, ensure_ascii=False) + "\n")
    return path


def circumstances(board: Board, settings: Settings) -> dict[str, Any]:
    """What is measured with, and when."""
    return {
        "arch": board.arch.name,
        "board": board.id,
        "kernel": Kernels(settings).kernel(board, variant_of(FEATURES["all"])).release,
        "compiler": toolchain(board.arch)["compiler"],
        "date": datetime.now().astimezone().strftime("%Y-%m-%d"),
    }
