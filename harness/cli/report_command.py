# SPDX-License-Identifier: Apache-2.0
"""modcompat report."""

from pathlib import Path

import click

from harness.report.formats import FORMATS, write, write_reports
from harness.report.recorded_run import Run, read_run


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--format", "form", type=click.Choice(list(FORMATS)), default=None, help="Only this one, to -o.")
@click.option("-o", "--output", type=click.Path(path_type=Path), default=None, help="Where to [stdout].")
def report(*, run: Path, form: str | None, output: Path | None) -> None:
    """Make the reports of RUN again.

    RUN is a run folder or its matrix.json; what is in the folder is all that they are made of. Every run of the
    suite does this at its end. Without --format all are written into the folder: report.html, junit.xml,
    results.ktap and summary.md. `--format json` is matrix.json with the evidence of every cell in it. What -o puts
    elsewhere has no links to files of the run.

    Exit status 0 when they were made, 2 when RUN is no run folder or nothing could be written.
    """
    if form is None:
        if output:
            raise click.UsageError("-o goes with --format")
        for path in write_reports(run):
            click.echo(path)
        return
    found, make = read_run(run), FORMATS[form].make
    if output and str(output) != "-":
        click.echo(write(output, make(_for(output, found))))
    else:
        click.echo(make(found).encode(), nl=False)  # as it is in a file, whatever the terminal's encoding


def _for(output: Path, run: Run) -> Run:
    """The run as a report at this place can show it."""
    return run if output.absolute().parent.resolve() == run.folder.resolve() else run.elsewhere
