# SPDX-License-Identifier: Apache-2.0
"""Builds the kernels of a matrix, and runs its cells under pytest."""

from collections.abc import Iterable
from pathlib import Path

from harness.cli.exit_status import exit_status, require_matrix, stamp_of
from harness.cli.run_suite import run_suite
from harness.guest.boards import Board
from harness.kernel.variants import Variant
from harness.lab.execution.kernel_pool import Kernels
from harness.lab.execution.run_folder import run_folder
from harness.lab.plan.settings import Settings
from harness.report.recorded_run import MATRIX


def build_kernels(wanted: Iterable[tuple[Board, Variant]], settings: Settings) -> None:
    """Build the kernels that are not cached. Raises ModcompatError for one that cannot be built."""
    known = Kernels(settings)
    for board, variant in wanted:
        known.kernel(board, variant)


def run_cells(
    which: str,
    workers: str,
    narrowed: Iterable[tuple[str, Iterable[str]]],
    options: Iterable[str],
    run_dir: Path | None = None,
) -> tuple[int, Path]:
    """Run the cells of a matrix under pytest. Returns the exit status for the command, and the path of matrix.json.

    narrowed: repeatable options with their values. options: others, for pytest. Raises ModcompatError if there is no
    verdict.
    """
    with run_folder(run_dir) as run:
        result = run / MATRIX
        earlier = stamp_of(result)
        chosen = ["--matrix", which, "--run-dir", str(run), *words_of(narrowed)]
        outcome = run_suite(["-n", workers, "--internal-command=matrix", *chosen, *options])
    require_matrix(outcome, result, earlier)
    return exit_status(outcome.status, result), result


def words_of(narrowed: Iterable[tuple[str, Iterable[str]]]) -> list[str]:
    """Repeatable options with their values, as words of a command."""
    return [word for option, values in narrowed for value in values for word in (option, value)]
