"""summary.md: the run in a few lines, for a pull request or a job's summary page."""

import re
from itertools import groupby

from harness.report.run import Cell, Run, totals
from harness.report.visible import one_line

_MOST = 30  # cells listed one by one
_LONGEST = 160  # letters of a reason
_SPECIAL = re.compile(r"([\\`*_\[\]|~$])")
_LINKING = re.compile(r"([@#!]|://|\bGH-)(?=\w)")  # mentions, issues, addresses


def markdown(run: Run) -> str:
    """The summary of a run: totals, what is news, and a line a kernel."""
    shown = run.shown
    counts = ", ".join(f"{count} {word}" for word, count in totals(shown))
    news = [cell for cell in shown if not cell.is_expected]
    allowed = [cell for cell in shown if cell.allowed]
    verdict = f"**{len(news)} not as measured before, or not CLEAN**" if news else "all as measured before or allowed"
    lines = [
        "### Modules on debug kernels",
        "",
        f"{len(shown)} cells: {counts or 'none'}; {verdict}. {_about(run)}",
    ]
    if news:
        lines += ["", "| module | kernel | board | verdict | reason |", "|---|---|---|---|---|"]
        lines += [_row(cell) for cell in news[:_MOST]]
        lines += ["", f"... and {len(news) - _MOST} more"] if len(news) > _MOST else []
    if allowed:
        lines += ["", "| allowed | until | because |", "|---|---|---|"]
        lines += [_allowed(cell) for cell in allowed[:_MOST]]
        lines += ["", f"... and {len(allowed) - _MOST} more"] if len(allowed) > _MOST else []
    lines += ["", "<details><summary>Every kernel</summary>", "", "| board | kernel | verdicts |", "|---|---|---|"]
    for (place, variant), group in groupby(shown, key=lambda cell: (cell.place, cell.row["variant"])):
        words = ", ".join(f"{count} {word}" for word, count in totals(group))
        lines.append(f"| {inline(place)} | {inline(variant)} | {words} |")
    return "\n".join([*lines, "", "</details>", ""])


def inline(text: str) -> str:
    """Foreign text for a table: one line, nothing in it is markup, nobody is mentioned, nothing is linked."""
    text = one_line(text)
    text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _LINKING.sub("\\1\u200b", _SPECIAL.sub(r"\\\1", text))


def _about(run: Run) -> str:
    return f"Linux {inline(run.facts['kernel'])}, {inline(run.facts['date'])}."


def _allowed(cell: Cell) -> str:
    row, why = cell.row, cell.row["allowed"]
    what = f"{row['module']} on {row['variant']}, {cell.place}: {row['verdict']}"
    return f"| {' | '.join(inline(text) for text in (what, why['expires'], why['reason']))} |"


def _row(cell: Cell) -> str:
    row = cell.row
    cells = (row["module"], row["variant"], cell.place, row["verdict"], row["reason"])
    return f"| {' | '.join(inline(text) for text in cells)} |"
