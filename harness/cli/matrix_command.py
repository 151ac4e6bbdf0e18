# SPDX-License-Identifier: Apache-2.0
"""modcompat matrix, record."""

import sys
from collections.abc import Iterable
from pathlib import Path

import click

from harness.cli.cluster_runs import CLUSTER, files_of, require_alone
from harness.cli.cluster_suite import run_suite_on_cluster
from harness.cli.exit_status import exit_status
from harness.cli.kernel_options import click_option
from harness.cli.param_types import GUESTS, USUAL_GUESTS, WORKERS
from harness.cli.path_param import PathParam
from harness.cli.run_matrix import build_kernels, run_cells, words_of
from harness.cli.run_suite import require_cells
from harness.kernel.features import features_named
from harness.kernel.variants import Preemption
from harness.lab.execution.run_folder import run_folder
from harness.lab.plan import expected_verdicts
from harness.lab.plan.cells import MATRICES, cells_of, choose_boards, kernels_of, narrow
from harness.lab.plan.options import BY_NAME, checked
from harness.lab.plan.settings import Settings
from harness.lab.plan.shards import cells_of_shard, require_whole
from harness.lab.plan.vendor_modules import shipped
from harness.plugin.selection import SuitePlan
from harness.plugin.suite_arguments import reproduction
from harness.report.compatibility import PAGE, compatibility_page
from harness.report.recorded_run import read_run
from harness.support.errors import ModcompatError
from harness.support.paths import require_checkout


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("which", type=click.Choice(list(MATRICES)), default="default")
@click_option(BY_NAME["--feature"])
@click_option(BY_NAME["--board"])
@click_option(BY_NAME["--arch"])
@click_option(BY_NAME["--preemption"])
@click.option("-n", "workers", type=WORKERS, help=GUESTS, **USUAL_GUESTS)
@click_option(BY_NAME["--shard"])
@CLUSTER
@click.option("-o", "--output", type=PathParam(dir_okay=False), help="Write matrix.json here as well.")
@click_option(BY_NAME["--run-dir"])
@click.argument("options", nargs=-1, type=click.UNPROCESSED, metavar="[PYTEST_OPTIONS]...")
def matrix(
    *,
    which: str,
    feature: tuple[str, ...],
    board: tuple[str, ...],
    arch: tuple[str, ...],
    preemption: tuple[str, ...],
    workers: str,
    shard: str | None,
    cluster: str | None,
    output: Path | None,
    run_dir: Path | None,
    options: tuple[str, ...],
) -> None:
    """Run a named set of cells and write the verdicts as JSON.

    The sets are:

    \b
    default    the five core features on one board per architecture, production and stock
    isolated   the isolation series: each of the five features alone and all at once, in both preemption models
    debug-set  the isolation series: the debug set, lockdep, and distro, on preemptible kernels
    features   every feature on one board
    ci         the set that CI runs, an hour if nothing is cached
    nightly    nearly everything

    Options narrow a set, except --preemption, which replaces its preemption models. Kernels are built first.
    PYTEST_OPTIONS, after the name, are passed on (`matrix default -x`).

    Exit status: 0 if every verdict is as expected, 1 if one is not, 2 if the run is not valid: an option, a kernel that
    does not build, an error in pytest, a cell that proves nothing (INVALID).
    """
    boards, features = choose_boards(board, arch), features_named(feature)
    chosen = narrow(MATRICES[which], boards=boards, features=features, preemptions=map(Preemption, preemption))
    part = checked(BY_NAME["--shard"], shard) or (1, 1)
    narrowed = [("--board", board), ("--arch", arch), ("--feature", feature), ("--preemption", preemption)]
    narrowed += [("--shard", (shard,))] if shard else []
    foreign = _foreign(options)
    require_whole(shard, by_name=any(word.startswith("-k") for word in options))
    if cluster:
        require_alone()
        if foreign:
            raise ModcompatError(
                f"--cluster takes no {foreign}",
                next_step="of pytest's options, it takes -k and -x; see `modcompat check`",
            )
    names = require_cells(["--matrix", which, *words_of(narrowed)], options) if options else None
    if cluster:
        words = ["--matrix", which, "--internal-command=matrix", *words_of(narrowed), *options]
        with run_folder(run_dir) as run:
            plan = SuitePlan(Settings(), shipped(), cells_of(chosen, shipped()))
            status, result = run_suite_on_cluster(
                cluster, words, run, settings=plan.settings, cells=plan.cells, selected=names,
                files=files_of(words, plan), command=reproduction(lambda _: None, "matrix"), kernels_may_fail=False,
            )  # fmt: skip
        status = exit_status(status, result)
    else:
        if not foreign:  # otherwise the run builds what it needs
            cells = cells_of_shard(cells_of(chosen, shipped()), part)
            build_kernels(kernels_of([cell for cell in cells if names is None or cell.id in names]), Settings())
        status, result = run_cells(which, workers, narrowed, options, run_dir)
    if output:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_bytes(result.read_bytes())
        click.echo(f"written: {output}")
    sys.exit(status)


def _foreign(options: Iterable[str]) -> str:
    """The first option of pytest that may change the kernels of a plan: any but -k and -x; "" if there is none."""
    words = iter(options)
    for word in words:
        if word == "-k":
            next(words, None)  # its value
        elif word != "-x" and not word.startswith("-k"):
            return word
    return ""


@click.command()
@click.argument("runs", nargs=-1, required=True, type=PathParam(exists=True))
def record(*, runs: tuple[Path, ...]) -> None:
    """Record the verdicts of runs as the expected ones.

    RUNS are run folders or their matrix.json. In a checkout, this writes harness/lab/plan/expected_verdicts.json, which
    the suite compares verdicts with, and docs/results/compatibility.md. Exit status 0, or 2 if a run cannot be read.
    """
    require_checkout("`modcompat record`")
    try:
        matrices = [read_run(run).facts for run in runs]
        facts = expected_verdicts.record(matrices, expected_verdicts.load())
    except (ValueError, LookupError, TypeError) as error:
        raise ModcompatError(f"not the matrix.json of a run: {error}") from None
    expected_verdicts.write(facts)
    PAGE.write_text(compatibility_page(expected_verdicts.load()))
    click.echo(f"recorded; review the difference, then commit {expected_verdicts.MEASURED} and {PAGE}")
