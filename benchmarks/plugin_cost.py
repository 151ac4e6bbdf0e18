# SPDX-License-Identifier: Apache-2.0
"""CPU time of `pytest --collect-only` in an unrelated project, with and without the modcompat plugin."""

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import click

_FILES = 20  # with as many tests each


def seconds(folder: Path, *options: str) -> float:
    """User and system time of one collection."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=folder)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise click.ClickException(f"`{' '.join(command)}` ended with {process.returncode}")
    return usage.ru_utime + usage.ru_stime


@click.command()
@click.option("--rounds", default=9, show_default=True, help="Pairs of collections, one with the plugin, one without.")
def main(*, rounds: int) -> None:
    """Measure the cost of the plugin in a project that does not use it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number in range(_FILES):
            text = "".join(f"def test_{each}(): pass\n" for each in range(_FILES))
            (folder / f"test_{number}.py").write_text(text)
        seconds(folder)  # not measured: writes .pyc files
        pairs = [(seconds(folder), seconds(folder, "-p", "no:modcompat")) for _ in range(rounds)]
    ratios = [with_it / without for with_it, without in pairs]
    with_it, without = (statistics.median(times) for times in zip(*pairs, strict=True))
    print(f"median of {rounds}: {with_it:.3f} s with the plugin, {without:.3f} s without it")
    print(f"ratio, pair by pair: {statistics.median(ratios):.3f} (from {min(ratios):.3f} to {max(ratios):.3f})")


if __name__ == "__main__":
    main()
