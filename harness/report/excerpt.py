"""The part of a console log that matters, with the lines of the report marked."""

from dataclasses import dataclass
from itertools import count

from harness.report.run import Cell
from harness.report.visible import decoded

_BEFORE, _AFTER = 8, 4  # lines around a report
_LONGEST = 90  # lines of a report
_TAIL = 20  # lines where there is no report


@dataclass(frozen=True)
class Line:
    """A line of the log. number: from 1. hit: it belongs to the report."""

    number: int
    text: str
    hit: bool


def excerpt(cell: Cell) -> list[Line]:
    """The lines around the first report, or the last lines of a log without one."""
    lines = decoded(cell.log).split("\n")
    if lines[-1] == "":
        lines.pop()
    if not cell.reports:
        return _lines(lines, max(len(lines) - _TAIL, 0), len(lines), range(0))
    report = cell.reports[0]
    first = cell.log.count(b"\n", 0, report["start"])
    hit = range(first, first + min(report["last_line"] - report["first_line"] + 1, _LONGEST))
    return _lines(lines, max(first - _BEFORE, 0), hit.stop + _AFTER, hit)


def _lines(lines: list[str], start: int, stop: int, hit: range) -> list[Line]:
    return [Line(index + 1, text, index in hit) for index, text in zip(count(start), lines[start:stop], strict=False)]
