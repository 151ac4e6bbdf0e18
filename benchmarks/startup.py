# SPDX-License-Identifier: Apache-2.0
"""Seconds until a command prints its help, which imports the command, in a new process."""

import statistics
import subprocess
import sys
import time

import click
from rich.console import Console
from rich.table import Table

from harness.cli.main import COMMANDS

_COUNT = "import sys, runpy\ntry: runpy.run_module('harness', run_name='__main__')\nfinally: print(len(sys.modules))"


def seconds(words: list[str]) -> float:
    """Wall-clock time of `python -m harness` with these arguments."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "harness", *words], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


def modules(words: list[str]) -> int:
    """The number of modules that the command imports."""
    command = [sys.executable, "-c", _COUNT, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout.splitlines()[-1])


@click.command()
@click.option("--rounds", default=7, show_default=True, help="Measurements of each command.")
@click.option("--limit", type=float, help="Fail if the median of `modcompat --help` takes more seconds.")
def main(*, rounds: int, limit: float | None) -> None:
    """Measure `modcompat --help` and `modcompat COMMAND --help`."""
    table = Table("command", "median s", "from", "to", "modules", title=f"{rounds} measurements")
    medians: dict[str, float] = {}
    for words in (["--help"], ["--version"], *([name, "--help"] for name in COMMANDS)):
        seconds(words)  # not measured: fills the page cache and writes .pyc files
        measured = [seconds(words) for _ in range(rounds)]
        name = " ".join(words)
        medians[name] = statistics.median(measured)
        table.add_row(name, *(f"{it:.2f}" for it in (medians[name], min(measured), max(measured))), str(modules(words)))
    Console().print(table)
    if limit is not None and medians["--help"] > limit:
        raise click.ClickException(f"modcompat --help takes {medians['--help']:.2f} s, and {limit:g} s are allowed")


if __name__ == "__main__":
    main()
