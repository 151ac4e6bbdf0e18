# SPDX-License-Identifier: Apache-2.0
"""summary.md: the run in a few lines, for a pull request or a job's summary page."""

import re
from collections.abc import Sequence

from harness.report.recorded_run import RecordedCell, Run, totals
from harness.support.text import and_more, one_line

_MAX_ROWS = 30  # of a table
_MAX_LETTERS = 160  # of a reason
_SPECIAL = re.compile(r"([\\`*_\[\]|~$])")
_AUTOLINK = re.compile(r"([@#!]|://|\bGH-)(?=\w)")  # mentions, issues, addresses


def markdown(run: Run) -> str:
    """The summary of a run: totals, news, and a line for each kernel."""
    shown = run.shown
    counts = ", ".join(f"{count} {word}" for word, count in totals(shown))
    news = [cell for cell in shown if not cell.is_expected]
    allowed = [cell for cell in shown if cell.allowed]
    mispredicted = [cell for cell in shown if cell.is_mispredicted]
    verdict = f"**{len(news)} not as measured before, or not CLEAN**" if news else "all as measured before or allowed"
    lines = [
        "### Modules on debug kernels",
        "",
        f"{len(shown)} cells: {counts or 'none'}; {verdict}. {_mispredicted_count(len(mispredicted))}{_about(run)}",
    ]
    lines += _listed(("module", "kernel", "board", "verdict", "reason"), [_unexpected(cell) for cell in news])
    lines += _listed(("not as predicted", "predicted", "observed", "reason"), [_mismatch(it) for it in mispredicted])
    lines += _listed(("allowed", "until", "because"), [_allowed(cell) for cell in allowed])
    lines += _listed(("not judged: something ended its test",), [[name] for name in run.facts["missing"]])
    lines += _listed(("assumed",), [[line] for line in run.facts["assumptions"]])
    lines += ["", "<details><summary>Every kernel</summary>", "", "| board | kernel | verdicts |", "|---|---|---|"]
    groups: dict[tuple[str, str], list[RecordedCell]] = {}
    for cell in shown:
        groups.setdefault((cell.place, cell.row["variant"]), []).append(cell)
    for (place, variant), group in groups.items():
        words = ", ".join(f"{count} {word}" for word, count in totals(group))
        lines.append(f"| {inline(place)} | {inline(variant)} | {words} |")
    return "\n".join([*lines, "", "</details>", ""])


def inline(text: str) -> str:
    """Foreign text for a table: one line, without markup, mentions and links."""
    text = one_line(text)
    text = text if len(text) <= _MAX_LETTERS else f"{text[:_MAX_LETTERS]}..."
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _AUTOLINK.sub("\\1\u200b", _SPECIAL.sub(r"\\\1", text))


def _mispredicted_count(count: int) -> str:
    return f"{count} {'was' if count == 1 else 'were'} not as predicted. " if count else ""


def _about(run: Run) -> str:
    return f"Linux {inline(run.facts['kernel'])}, {inline(run.facts['date'])}."


def _listed(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table of the first rows; no lines if there are none."""
    if not rows:
        return []
    lines = ["", f"| {' | '.join(headings)} |", f"|{'---|' * len(headings)}"]
    lines += [f"| {' | '.join(inline(text) for text in row)} |" for row in rows[:_MAX_ROWS]]
    return [*lines, *(["", f"... {more}"] if (more := and_more(len(rows) - _MAX_ROWS)) else [])]


def _unexpected(cell: RecordedCell) -> Sequence[str]:
    row = cell.row
    return row["module"], row["variant"], cell.place, row["verdict"], row["reason"]


def _mismatch(cell: RecordedCell) -> Sequence[str]:
    assert cell.prediction
    return _where(cell), cell.prediction["verdict"], cell.row["verdict"], cell.prediction["reason"]


def _allowed(cell: RecordedCell) -> Sequence[str]:
    why = cell.row["allowed"]
    return f"{_where(cell)}: {cell.row['verdict']}", why["expires"], why["reason"]


def _where(cell: RecordedCell) -> str:
    return f"{cell.row['module']} on {cell.row['variant']}, {cell.place}"
