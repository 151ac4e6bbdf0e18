# SPDX-License-Identifier: Apache-2.0
"""modcompat report."""

from pathlib import Path

import click

from harness.cli.path_param import PathParam
from harness.report.formats import FORMATS, write, write_reports
from harness.report.recorded_run import Run, read_run


@click.command()
@click.argument("run", type=PathParam())
@click.option("--format", "form", type=click.Choice(list(FORMATS)), default=None, help="Write only this report.")
@click.option(
    "-o",
    "--output",
    type=PathParam(),
    default=None,
    help="File for the report of --format.  [default: standard output]",
)
def report(*, run: Path, form: str | None, output: Path | None) -> None:
    """Write the reports of a run again.

    RUN is a run folder or its matrix.json. Reports are made from the files in the folder alone, as at the end of every
    run. Without --format, all are written into the folder: report.html, junit.xml, results.ktap and summary.md.
    `--format json` prints matrix.json with the evidence of every cell. A report that -o writes to another folder has no
    links to files of the run.

    Exit status 0, or 2 if RUN is not a run folder or a report could not be written.
    """
    if form is None:
        if output:
            raise click.UsageError("-o needs --format")
        for path in write_reports(run):
            click.echo(path)
        return
    found, make = read_run(run), FORMATS[form].make
    if output and str(output) != "-":
        click.echo(write(output, make(_for(output, found))))
    else:
        click.echo(make(found).encode(), nl=False)  # UTF-8, whatever the terminal's encoding


def _for(output: Path, run: Run) -> Run:
    """The run with links only if the report is written into its folder."""
    return run if output.absolute().parent.resolve() == run.folder.resolve() else run.elsewhere
