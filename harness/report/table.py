# SPDX-License-Identifier: Apache-2.0
"""The matrix as a table for a terminal or a CI log."""

import io
import os
from collections import Counter
from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.report.recorded_run import unique_cells

COLOURS = {
    "CLEAN": "green", "SAME": "green", "DIFFERS": "red", "INERT": "magenta", "REFUSED": "yellow", "SPLAT": "red",
    "CORRUPTED": "red", "HUNG": "red", "DIED": "red", "INVALID": "cyan",
}  # fmt: skip


def render(rows: Iterable[dict[str, Any]], *, width: int, colours: bool) -> str:
    """The cells as a table, with one or more lines for each cell; production is shown once, for all features."""
    shown = unique_cells(rows, lambda row: row)
    table = Table(title="module survival", title_justify="left", expand=False)
    for heading in ("board", "module", "kernel", "verdict", "s"):
        table.add_column(heading, no_wrap=True, justify="right" if heading == "s" else "left")
    table.add_column("reason", overflow="fold", ratio=1)
    for row in shown:
        verdict = Text(row["verdict"], style=COLOURS.get(row["verdict"], ""))
        cells = (f"{row['arch']} {row['board']}", row["module"], row["variant"], verdict, f"{row['seconds']:.1f}")
        table.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in cells), Text(row["reason"]))
    out = io.StringIO()
    console = Console(
        file=out, width=max(width, 100), force_terminal=colours, no_color=not colours or "NO_COLOR" in os.environ
    )
    console.print(table)
    words = Counter(row["verdict"] for row in shown)
    counts = ", ".join(f"{count} {word}" for word, count in words.most_common())
    console.print(f"{len(shown)} cell{'s' * (len(shown) != 1)}: {counts}")
    return out.getvalue()
