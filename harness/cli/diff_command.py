# SPDX-License-Identifier: Apache-2.0
"""modcompat diff."""

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from harness.cli.path_param import PathParam
from harness.report.compare import RunComparison, as_json_object, compare
from harness.report.recorded_run import RecordedCell, Run, read_run
from harness.support.text import one_line


@click.command()
@click.argument("run_a", type=PathParam())
@click.argument("run_b", type=PathParam())
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def diff(*, run_a: Path, run_b: Path, as_json: bool) -> None:
    """Compare the verdicts of two runs.

    RUN_A and RUN_B are run folders or their matrix.json. The output has the cells whose verdict changed, with both
    reasons, new cells, and cells that are gone.

    Exit status 0 if nothing changed, 1 if something did, 2 if a run cannot be read.
    """
    before, after = read_run(run_a), read_run(run_b)
    comparison = compare(before, after)
    if as_json:
        click.echo(json.dumps(as_json_object(comparison, before, after)))
    else:
        for line in _lines(comparison, before, after):
            click.echo(line)
    sys.exit(0 if comparison.is_empty else 1)


def _lines(comparison: RunComparison, before: Run, after: Run) -> Iterator[str]:
    for run, sign in ((before, "-"), (after, "+")):
        yield one_line(f"{sign} Linux {run.facts['kernel']}, {run.facts['date']}, {len(run.cells)} cells")
    for pair in comparison.changed:
        yield f"\n{one_line(pair.after.row['id'])}: {pair.before.verdict} → {pair.after.verdict}"
        yield f"  - {_verdict(pair.before)}"
        yield f"  + {_verdict(pair.after)}"
    yield from _listed("new", comparison.new)
    yield from _listed("gone", comparison.gone)
    counts = {name: len(getattr(comparison, name)) for name in ("changed", "new", "gone")} | {"same": comparison.same}
    yield "\n" + ", ".join(f"{count} {name}" for name, count in counts.items())


def _listed(what: str, cells: Iterable[RecordedCell]) -> Iterator[str]:
    for number, cell in enumerate(cells):
        yield "\n" * (number == 0) + f"{what}: {one_line(cell.row['id'])}: {_verdict(cell)}"


def _verdict(cell: RecordedCell) -> str:
    return f"{cell.verdict}: {one_line(cell.row['reason'])}"
