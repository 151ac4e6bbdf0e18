"""The matrix as a table for a terminal or a CI log."""

import io
import os
from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

_COLOURS = {
    "CLEAN": "green", "INERT": "magenta", "REFUSED": "yellow", "SPLAT": "red",
    "CORRUPTED": "red", "HUNG": "red", "DIED": "red", "INVALID": "cyan",
}  # fmt: skip


def render(rows: Iterable[dict[str, Any]], *, width: int, colours: bool) -> str:
    """The cells as a table, one line or more a cell."""
    table = Table(title="module survival", title_justify="left", expand=False)
    for heading in ("board", "module", "kernel", "verdict", "s"):
        table.add_column(heading, no_wrap=True, justify="right" if heading == "s" else "left")
    table.add_column("reason", overflow="fold", ratio=1)
    for row in rows:
        kernel = row["flavour"] if row["flavour"] == "production" else f"{row['flavour']}-{row['feature']}"
        verdict = Text(row["verdict"], style=_COLOURS.get(row["verdict"], ""))
        cells = (f"{row['arch']} {row['board']}", row["module"], kernel, verdict, f"{row['seconds']:.1f}")
        table.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in cells), Text(row["reason"]))
    out = io.StringIO()
    console = Console(
        file=out, width=max(width, 100), force_terminal=colours, no_color=not colours or "NO_COLOR" in os.environ
    )
    console.print(table)
    return out.getvalue()
