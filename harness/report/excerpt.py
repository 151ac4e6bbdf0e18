# SPDX-License-Identifier: Apache-2.0
"""An excerpt of a console log: the lines that show the fault, marked, with some lines around them."""

from dataclasses import dataclass
from typing import Any

from harness.report.recorded_run import RecordedCell
from harness.support.text import decoded

_LINES_BEFORE, _LINES_AFTER = 8, 4  # around the marked ones
_MAX_REPORT_LINES = 90
_TAIL_LINES = 20  # shown if none can be marked
_MIN_LETTERS = 12  # of a line that is taken for the output of a command; shorter ones match by accident


@dataclass(frozen=True)
class Line:
    """A line of the log."""

    # from 1
    number: int
    text: str
    # the line shows the fault
    hit: bool


def excerpt(cell: RecordedCell) -> list[Line]:
    """The lines around the first report, or else around wrong answers, or else the last lines of the log."""
    lines = decoded(cell.log).split("\n")
    if lines[-1] == "":
        lines.pop()
    reports = [*cell.early_reports, *cell.reports]
    hits = _of_report(cell, reports[0]) if reports else _wrong_answers(cell, lines)
    first, last = (
        (hits[0] - _LINES_BEFORE, hits[-1] + _LINES_AFTER + 1) if hits else (len(lines) - _TAIL_LINES, len(lines))
    )
    first, last = max(first, 0), min(last, len(lines), first + _MAX_REPORT_LINES + _LINES_BEFORE + _LINES_AFTER)
    return [Line(index + 1, lines[index], index in hits) for index in range(first, last)]


def _of_report(cell: RecordedCell, report: dict[str, Any]) -> range:
    """The lines of a report, found by its first byte."""
    first = cell.log.count(b"\n", 0, report["start"])
    return range(first, first + max(1, min(report["last_line"] - report["first_line"] + 1, _MAX_REPORT_LINES)))


def _wrong_answers(cell: RecordedCell, lines: list[str]) -> list[int]:
    """Lines in which the module reports a failed check, and the output of a failed load or unload on a shared UART."""
    evidence = cell.evidence
    answers = [f"check {check['name']} FAILED" for check in evidence["checks"] if not check["held"]]
    commands = [command for command in (evidence["load"], evidence["unload"]) if command and command["status"]]
    printed = {line for command in commands for line in command["output"].splitlines() if len(line) >= _MIN_LETTERS}
    return [number for number, line in enumerate(lines) if line in printed or any(answer in line for answer in answers)]
