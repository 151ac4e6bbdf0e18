# SPDX-License-Identifier: Apache-2.0
"""results.ktap: the run in the format of the kernel's tests (Documentation/dev-tools/ktap.rst).

Boards have kernels as subtests, and kernels have modules. A breakage that is allowed or was measured before is
`ok ... # XFAIL`, as in kselftest; an INVALID cell is an ERROR, a HUNG one a TIMEOUT.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

from harness.detect.verdict import PASSES, Verdict
from harness.report.plain_text import render_cell
from harness.report.recorded_run import RecordedCell, Run
from harness.support.text import one_line

_LEVELS: Sequence[Callable[[RecordedCell], str]] = (
    lambda cell: cell.place,
    lambda cell: f"{cell.row['feature']} {cell.row['variant']}",
)
_DIRECTIVES = {Verdict.INVALID: "ERROR ", Verdict.HUNG: "TIMEOUT "}


def ktap(run: Run) -> str:
    """The document of a run."""
    return "\n".join(_tests(run.cells, _LEVELS)) + "\n"


def _tests(cells: Sequence[RecordedCell], levels: Sequence[Callable[[RecordedCell], str]]) -> Iterator[str]:
    yield "KTAP version 1"
    if not levels:
        yield f"1..{len(cells)}"
        for number, cell in enumerate(cells, 1):
            yield from _result(number, cell)
        return
    groups = [(name, list(group)) for name, group in groupby(sorted(cells, key=levels[0]), key=levels[0])]
    yield f"1..{len(groups)}"
    for number, (name, inner) in enumerate(groups, 1):
        first, *lines = _tests(inner, levels[1:])
        yield from (f"  {line}" for line in (first, f"# Subtest: {_name(name)}", *lines))
        yield f"{_status(inner)} {number} {_name(name)}"


def _result(number: int, cell: RecordedCell) -> Iterator[str]:
    """The result line, after diagnostics if the cell did not pass."""
    row = cell.row
    line = f"{_status([cell])} {number} {_name(row['module'])}"
    reason = one_line(f"{row['verdict']}: {row['reason']}")
    if not cell.is_expected:
        yield from (f"# {line}".rstrip() for line in render_cell(cell).split("\n"))
        yield f"{line} # {_DIRECTIVES.get(cell.verdict, '')}{reason}"
    elif cell.verdict in PASSES:
        yield line
    else:
        yield f"{line} # XFAIL {reason}" + (f" ({one_line(cell.allowed)})" if cell.allowed else "")


def _status(cells: Sequence[RecordedCell]) -> str:
    return "ok" if all(cell.is_expected for cell in cells) else "not ok"


def _name(text: str) -> str:
    """A description, which must not contain a hash sign."""
    return one_line(text).replace("#", "_")
