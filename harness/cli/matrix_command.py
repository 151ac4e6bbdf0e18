# SPDX-License-Identifier: Apache-2.0
"""modcompat matrix, record."""

import sys
from collections.abc import Iterable
from pathlib import Path

import click

from harness.cli.exit_status import exit_status, require_matrix
from harness.cli.param_types import ARCH, BOARD, FEATURE, GUESTS, WORKERS
from harness.cli.run_suite import PYTEST, SUITE, require_cells
from harness.kernel.features import features_named
from harness.kernel.variants import Preemption
from harness.lab.execution.kernel_pool import Kernels
from harness.lab.execution.run_folder import forget_if_empty, new_run_folder
from harness.lab.plan import expected_verdicts
from harness.lab.plan.cells import MATRICES, Selection, choose_boards, kernels, narrow
from harness.lab.plan.settings import Settings
from harness.report.compatibility import PAGE, compatibility_page
from harness.report.recorded_run import read_run
from harness.support import process
from harness.support.errors import ModcompatError
from harness.support.paths import PROJECT


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("which", type=click.Choice(list(MATRICES)), default="default")
@click.option("--feature", "features", multiple=True, type=FEATURE, help="Only these features (repeatable).")
@click.option("--board", "boards", multiple=True, type=BOARD, help="Only these boards (repeatable).")
@click.option("--arch", "arches", multiple=True, type=ARCH, help="Only these architectures (repeatable).")
@click.option(
    "--preemption",
    "models",
    multiple=True,
    type=click.Choice([str(model) for model in Preemption]),
    help="Only kernels of this preemption model (repeatable).",
)
@click.option("-n", "workers", type=WORKERS, default="2", show_default=True, help=GUESTS)
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write the JSON here as well.")
@click.option("--run-dir", type=click.Path(path_type=Path), help="Folder for logs and reports.  [default: runs/<time>]")
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def matrix(
    *,
    which: str,
    features: tuple[str, ...],
    boards: tuple[str, ...],
    arches: tuple[str, ...],
    models: tuple[str, ...],
    workers: str,
    output: Path | None,
    run_dir: Path | None,
    options: tuple[str, ...],
) -> None:
    """Run a whole set of cells and write it as JSON.

    default: the five features on a board of each architecture, production and stock, every module. isolated: the
    same on kernels with the isolation series, each alone and all at once, in both preemption models. features:
    every feature there is on one board. ci: what CI runs, an hour when nothing is cached. nightly: everything there
    is. Kernels are built first.
    Further OPTIONS, behind the name, go to pytest (`matrix default -x`).

    Exit status: 0 every verdict is what it has to be; 1 one is not; 2 something is not valid: an option, a kernel
    that does not build, an error under pytest, a cell that proves nothing (INVALID).
    """
    boards_of, of_features = choose_boards(boards, arches), features_named(features)
    chosen = narrow(MATRICES[which], boards=boards_of, features=of_features, preemptions=map(Preemption, models))
    narrowed = (("--board", boards), ("--arch", arches), ("--feature", features), ("--preemption", models))
    if options:
        require_cells(["--matrix", which, *_words(narrowed)], options)
    build_kernels(chosen, Settings())
    status, result = run_cells(which, workers, narrowed, options, run_dir)
    if output:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_bytes(result.read_bytes())
        click.echo(f"written: {output}")
    sys.exit(status)


def build_kernels(chosen: Iterable[Selection], settings: Settings) -> None:
    """Have every kernel of a plan. Raises ModcompatError for one that cannot be built."""
    known = Kernels(settings)
    for board, variant in kernels(chosen):
        known.kernel(board, variant)


def run_cells(
    which: str,
    workers: str,
    narrowed: Iterable[tuple[str, Iterable[str]]],
    options: Iterable[str],
    run_dir: Path | None = None,
) -> tuple[int, Path]:
    """Run the cells of a matrix under pytest; the exit status that it makes, and the matrix.json.

    narrowed: options that can be given several times, and their values. options: others.
    Raises ModcompatError when there is no verdict.
    """
    run = new_run_folder(str(run_dir) if run_dir else None, PROJECT)
    command = [*PYTEST, "-n", workers, "--matrix", which, "--run-dir", str(run), *_words(narrowed), *options]
    try:
        status = process.attached([*command, *SUITE])
    finally:
        forget_if_empty(run)
    result = run / "matrix.json"
    require_matrix(status, result)
    return exit_status(status, result), result


def _words(narrowed: Iterable[tuple[str, Iterable[str]]]) -> list[str]:
    return [word for option, values in narrowed for value in values for word in (option, value)]


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
def record(*, runs: tuple[Path, ...]) -> None:
    """Stand by what was measured.

    RUNS are run folders or their matrix.json files. Their verdicts go into harness/lab/plan/expected_verdicts.json,
    which tells the suite what breaks, and docs/results/compatibility.md is written from it. Exit status 0, or 2 when
    one of RUNS is not a run.
    """
    try:
        matrices = [read_run(run).facts for run in runs]
        facts = expected_verdicts.record(matrices, expected_verdicts.load())
    except (ValueError, LookupError, TypeError) as error:
        raise ModcompatError(f"that is not the matrix.json of a run: {error}") from None
    expected_verdicts.write(facts)
    PAGE.write_text(compatibility_page(expected_verdicts.load()))
    click.echo(f"recorded; look at the difference, then commit {expected_verdicts.MEASURED} and {PAGE}")
