# SPDX-License-Identifier: Apache-2.0
"""The part of a console log that matters, with the lines that tell what went wrong marked."""

from collections.abc import Collection
from dataclasses import dataclass

from harness.report.recorded_run import RecordedCell
from harness.support.text import decoded

_BEFORE, _AFTER = 8, 4  # lines around those that are marked
_LONGEST = 90  # lines of a report
_TAIL = 20  # lines where nothing can be marked
_SHORTEST = 12  # letters of a line that can be recognised in a reason


@dataclass(frozen=True)
class Line:
    """A line of the log. number: from 1. hit: it tells what went wrong."""

    number: int
    text: str
    hit: bool


def excerpt(cell: RecordedCell) -> list[Line]:
    """The lines around the first report, or around what the verdict quotes, or the last lines of the log."""
    lines = decoded(cell.log).split("\n")
    if lines[-1] == "":
        lines.pop()
    hits = _of_report(cell) if cell.reports else _quoted(cell, lines)
    first, last = (hits[0] - _BEFORE, hits[-1] + _AFTER + 1) if hits else (len(lines) - _TAIL, len(lines))
    first, last = max(first, 0), min(last, len(lines), first + _LONGEST + _BEFORE + _AFTER)
    return [Line(index + 1, lines[index], index in hits) for index in range(first, last)]


def _of_report(cell: RecordedCell) -> range:
    """Lines of the first report, found by its first byte."""
    report = cell.reports[0]
    first = cell.log.count(b"\n", 0, report["start"])
    return range(first, first + max(1, min(report["last_line"] - report["first_line"] + 1, _LONGEST)))


def _quoted(cell: RecordedCell, lines: list[str]) -> list[int]:
    """Lines that the reason quotes, and answers of the module that were wrong."""
    failed = [f"check {check['name']} FAILED" for check in cell.evidence["checks"] if not check["held"]]
    return [number for number, line in enumerate(lines) if _tells(line, cell.row["reason"], failed)]


def _tells(line: str, reason: str, failed: Collection[str]) -> bool:
    text = line.rpartition("] ")[2] if line.startswith("[") else line
    return (len(text) >= _SHORTEST and text in reason) or any(answer in line for answer in failed)
