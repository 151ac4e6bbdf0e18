# SPDX-License-Identifier: Apache-2.0
"""The suite, as commands run it under pytest: its command, and whether it takes what a user adds to that."""

import re
import shlex
import subprocess
import sys
from collections.abc import Sequence

import click
import pytest

from harness.support.errors import ModcompatError
from harness.support.paths import PROJECT

PYTEST = (sys.executable, "-m", "pytest", "-q", "--as-command")
SUITE = ("-c", str(PROJECT / "pyproject.toml"), str(PROJECT / "harness/plugin/suite"))
_COMPLAINT = re.compile(r"error: (?!usage: )(.+)", re.IGNORECASE)


def require_cells(chosen: Sequence[str], added: Sequence[str]) -> None:
    """Raises ModcompatError (or the suite says it, SystemExit) where options are not taken, or leave no cell.

    Before a kernel is built for it: that takes minutes. chosen: options that choose the cells. added: the user's.
    """
    found = _collect([*chosen, *added])
    if found.returncode == pytest.ExitCode.NO_TESTS_COLLECTED:
        names = re.findall(r"\[(.+)\]$", _collect(chosen).stdout, re.MULTILINE)
        raise ModcompatError(
            f"no cell is left with {shlex.join(added)}",
            next_step=f"a cell is called {names[0]}, for example" if names else "",
        )
    if found.returncode:
        _, ours, said = found.stderr.partition("modcompat: ")
        if ours:
            click.echo(f"{ours}{said.rstrip()}", err=True)
            sys.exit(2)
        complaints = _COMPLAINT.findall(found.stderr)
        raise ModcompatError(
            f"pytest does not take {shlex.join(added)}" + (f": {complaints[-1]}" if complaints else ""),
            details="" if complaints else found.stderr,
        )


def _collect(options: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """What pytest says of the suite with these options, which it only looks at."""
    command = [*PYTEST, "--collect-only", *options, *SUITE]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
