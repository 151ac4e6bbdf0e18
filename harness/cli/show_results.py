# SPDX-License-Identifier: Apache-2.0
"""Prints the results of runs that are over, and writes their reports."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from harness.report.formats import write, write_reports
from harness.report.sweep import PAGE, exit_status, page, read_sweep, summary
from harness.report.table import render


def show_run(facts: Mapping[str, Any], matrix: Path) -> None:
    """Print the verdicts of a run that was put together, and write its reports. facts: the content of matrix.json."""
    click.echo(render(facts["cells"], width=shutil.get_terminal_size((160, 40)).columns, colours=False))
    click.echo(f"matrix: {matrix}")
    click.echo(f"report: {write_reports(matrix.parent)[0]}")


def show_sweep(file: Path) -> int:
    """Print the summary of a sweep.json, and write its page beside it. Returns the exit status of the command."""
    results = read_sweep(file)
    for line in summary(results):
        click.echo(line)
    click.echo(f"written: {write(file.with_name(PAGE), page(results))}")
    return exit_status(results)
