# SPDX-License-Identifier: Apache-2.0
"""modcompat doctor."""

import json
import sys

import click

from harness.cli.prerequisites import examine
from harness.support.text import one_line


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
def doctor(*, as_json: bool) -> None:
    """Check the prerequisites, and report what a first run takes.

    It also tests whether KVM works. Exit status 0 if nothing is missing, 1 if something is, 2 on an error.
    """
    missing = False
    for finding in examine():
        missing |= finding.ok is False
        if as_json:
            click.echo(json.dumps(vars(finding)))
            continue
        sign, colour = {True: ("ok", "green"), False: ("MISSING", "red"), None: ("note", "cyan")}[finding.ok]
        click.echo(f"{click.style(f'{sign:8}', fg=colour)}{finding.what:28} {one_line(finding.fact)}")
        if finding.next_step:
            click.echo(f"{'':8}{'':28} next: {one_line(finding.next_step)}")
    sys.exit(1 if missing else 0)
