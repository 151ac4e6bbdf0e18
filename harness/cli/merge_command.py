# SPDX-License-Identifier: Apache-2.0
"""modcompat merge."""

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from harness.cli.exit_status import exit_status
from harness.cli.path_param import PathParam
from harness.cli.show_results import show_run, show_sweep
from harness.lab.execution.run_folder import run_folder, write_facts
from harness.lab.sweep.sweep_results import RESULTS
from harness.report.merge import copy_cells, merged, merged_sweeps
from harness.report.recorded_run import read_run
from harness.report.sweep import read_sweep


@click.command()
@click.argument("runs", nargs=-1, required=True, type=PathParam(exists=True, file_okay=False))
@click.option("--run-dir", type=PathParam(), metavar="DIR", help="Folder of the new run [runs/<time>].")
def merge(*, runs: tuple[Path, ...], run_dir: Path | None) -> None:
    """Make one run of several, such as shards of a matrix or a sweep.

    RUNS are run folders. The new run has the files of all their cells and all reports: it is what one machine would
    have written. Shards (--shard) must be complete. Runs of a matrix or a check that are no shards may have different
    cells.

    Exit status: 0 if all verdicts are as expected, 1 if one is not, 2 if a cell proves nothing (INVALID), a shard is
    missing, or a run cannot be read.
    """
    are_sweeps = any((run / RESULTS).is_file() for run in runs)
    sys.exit(_merge_sweeps(runs, run_dir) if are_sweeps else _merge_runs(runs, run_dir))


def _merge_runs(runs: Sequence[Path], run_dir: Path | None) -> int:
    facts = merged([read_run(run) for run in runs])
    with run_folder(run_dir) as folder:
        copy_cells(runs, folder)
        matrix = write_facts(facts, folder)
        show_run(facts, matrix)
        return exit_status(0, matrix)


def _merge_sweeps(runs: Sequence[Path], run_dir: Path | None) -> int:
    facts = merged_sweeps([(run, read_sweep(run / RESULTS)) for run in runs])
    with run_folder(run_dir) as folder:
        copy_cells(runs, folder)
        return show_sweep(write_facts(facts, folder, RESULTS))
