# SPDX-License-Identifier: Apache-2.0
"""report.html: one file for people, without scripts and without links to other servers.

Console text, module names and reasons are foreign input. Everything that the template prints is escaped, control
characters included, and the page's Content-Security-Policy allows its own style sheet, by its hash, and nothing else.
"""

import functools
from typing import Any
from urllib.parse import quote

import jinja2
from markupsafe import Markup

from harness.report import picture
from harness.report.excerpt import excerpt
from harness.report.plain_text import reproduce_command
from harness.report.recorded_run import RecordedCell, Run, totals
from harness.report.template import TEMPLATES, content_hash, html_templates

_STYLE = TEMPLATES / "report.css"
_SIGNS = {
    "CLEAN": "✓", "SAME": "=", "DIFFERS": "≠", "INERT": "○", "REFUSED": "⊘", "SPLAT": "✱", "CORRUPTED": "✗",
    "HUNG": "…", "DIED": "†", "INVALID": "?",
}  # fmt: skip
_MEANINGS = {
    "CLEAN": "everything ran, every check held, nothing was reported",
    "SAME": "it does what it does on production, where it does not get to its end either",
    "DIFFERS": "it does something else than on production",
    "INERT": "it loaded, and its init or exit never ran",
    "REFUSED": "the kernel would not load it",
    "SPLAT": "the kernel reported a fault",
    "CORRUPTED": "no report, but wrong answers or damaged memory",
    "HUNG": "the guest stopped answering",
    "DIED": "panic, reset, or QEMU gone",
    "INVALID": "the run proves nothing",
}


def html(run: Run) -> str:
    """The page of a run."""
    style = _STYLE.read_text()
    numbers = {cell.row["id"]: f"cell-{number}" for number, cell in enumerate(run.shown, 1)}
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            run=run,
            cells=run.shown,
            numbers=numbers,
            boards=_boards(run.shown),
            totals=totals(run.shown),
            signs=_SIGNS,
            meanings=_MEANINGS,
            style=Markup(style),
            hash=content_hash(style),
        )
    )


@functools.cache
def _environment() -> jinja2.Environment:
    environment = html_templates()
    environment.filters |= {"address": _address, "draw": picture.draw}
    environment.globals |= {"excerpt": excerpt, "reproduce_command": reproduce_command, "sheet": picture}
    return environment


def _boards(cells: list[RecordedCell]) -> list[dict[str, Any]]:
    """The matrix: for each board its kernels, its modules, and the cells of each module on each kernel."""
    boards = []
    for place in dict.fromkeys(cell.place for cell in cells):
        here = [cell for cell in cells if cell.place == place]
        pairs: dict[tuple[str, str], list[RecordedCell]] = {}
        for cell in here:
            pairs.setdefault((cell.row["module"], cell.row["variant"]), []).append(cell)
        boards.append(
            {
                "place": place,
                "kernels": list(dict.fromkeys(cell.row["variant"] for cell in here)),
                "modules": list(dict.fromkeys(cell.row["module"] for cell in here)),
                "pairs": pairs,
            }
        )
    return boards


def _address(cell: RecordedCell, name: str) -> str:
    """The address of a file of the cell, relative to the page."""
    return f"./{quote(cell.row['folder'].encode(errors='replace'))}/{quote(name)}"
