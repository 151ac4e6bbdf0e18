# SPDX-License-Identifier: Apache-2.0
"""modcompat sweep."""

import shlex
import sys
from contextlib import suppress
from pathlib import Path

import click

from harness.cli.cluster_runs import CLUSTER, require_alone
from harness.cli.cluster_sweep import sweep_on_cluster
from harness.cli.kernel_options import click_option
from harness.cli.param_types import KERNEL, USUAL_GUESTS, WORKERS, processes
from harness.cli.show_results import show_sweep
from harness.lab.execution.kernel_pool import Kernels
from harness.lab.execution.run_folder import run_folder
from harness.lab.plan.options import BY_NAME, checked
from harness.lab.sweep.sweep_plan import DEFAULT_KERNEL, SweepRequest, plan_sweep
from harness.lab.sweep.sweep_results import write_results
from harness.lab.sweep.sweep_rows import begin_rows
from harness.lab.sweep.sweep_runner import SweepRun
from harness.lab.sweep.sweep_shard import keys_if_judged, start_kernels
from harness.support.cache.store import Store
from harness.support.errors import ModcompatError
from harness.support.progress import say


@click.command()
@click_option(BY_NAME["--production"])
@click.option(
    "--kernel",
    "kernels",
    multiple=True,
    type=KERNEL,
    help=f"Debug kernels to judge the modules on [{DEFAULT_KERNEL}] (repeatable).",
)
@click.option("--only", multiple=True, metavar="GLOB", help="Only modules whose name or place matches (repeatable).")
@click.option("--sample", type=click.IntRange(min=1), metavar="N", help="Only N modules, always the same ones.")
@click_option(BY_NAME["--shard"])
@CLUSTER
@click.option(
    "-n",
    "workers",
    type=WORKERS,
    help="Modules at a time: a number, or auto or logical for the number of CPUs.",
    **USUAL_GUESTS,
)
@click.option("--board", default="", metavar="NAME", help="The board to run on [one for the architecture].")
@click_option(BY_NAME["--kernel-source"])
@click_option(BY_NAME["--allow-config-change"])
@click_option(BY_NAME["--ignore-versions"])
@click_option(BY_NAME["--guest-memory"])
@click_option(BY_NAME["--accelerator"])
@click_option(BY_NAME["--timeout-scale"])
@click_option(BY_NAME["--run-dir"])
def sweep(
    *,
    production: tuple[str, ...],
    kernels: tuple[str, ...],
    only: tuple[str, ...],
    sample: int | None,
    shard: str | None,
    cluster: str | None,
    workers: str,
    board: str,
    kernel_source: str | None,
    allow_config_change: tuple[str, ...],
    ignore_versions: bool,
    guest_memory: int | None,
    accelerator: str | None,
    timeout_scale: float | None,
    run_dir: Path | None,
) -> None:
    """Judge every module of a production kernel as it ships.

    Each module is loaded with its dependencies into a pristine guest, and unloaded, on production and on debug kernels:
    it passes if it does the same there, and nothing is reported that production does not report. Production is taken as
    it is; debug kernels that are not cached are built from its source and configuration, without modules.

    A sweep that is interrupted goes on where it stopped, with the same options and --run-dir, and judges those
    modules again about which nothing was proven (INVALID). With another --sample or --only, it takes over what was
    judged of these modules: a sample grows into a whole sweep. The run folder has sweep.json, sweep.html, and the log
    and evidence of every module that does not pass.

    Exit status: 0 if every module passes on every debug kernel, 1 if one does not, 2 if the run is not valid: an
    option, a file, a kernel that does not build, a module about which nothing is proven (INVALID).
    """
    if not production:
        raise ModcompatError(
            "a sweep needs a production kernel", next_step="for example --production debian:linux-image-amd64"
        )
    if cluster:
        require_alone()
    request = SweepRequest(
        production=production, kernels=kernels or (DEFAULT_KERNEL,), board=board, source=kernel_source or "",
        tolerated=checked(BY_NAME["--allow-config-change"], allow_config_change), only=only, sample=sample or 0,
        shard=checked(BY_NAME["--shard"], shard) or (1, 1), accelerator=accelerator or "auto",
        ignores_versions=ignore_versions, memory=checked(BY_NAME["--guest-memory"], guest_memory) or 0,
        timeout_scale=checked(BY_NAME["--timeout-scale"], timeout_scale),
    )  # fmt: skip
    store = Store()
    plan = plan_sweep(request, store)
    click.echo(
        f"{plan.shipped.title}: {plan.shipped.release}, {len(plan.modules):,} modules, on production and "
        f"{', '.join(variant.name for variant in plan.variants)}"
    )
    click.echo("debug kernels do not enforce signatures of modules: they lack production's key")
    with run_folder(run_dir) as run:
        resume = f"{shlex.join(['modcompat', *sys.argv[1:]])}{'' if run_dir else f' --run-dir {shlex.quote(str(run))}'}"
        try:
            if cluster:
                results = sweep_on_cluster(cluster, request, plan, run, resume)
            else:
                running = SweepRun(request, plan, run, processes(workers))
                results = _sweep_here(running, Kernels(plan.settings, store), resume)
        except KeyboardInterrupt:
            say(f"interrupted; to go on: {resume}")
            raise
        sys.exit(show_sweep(results))


def _sweep_here(running: SweepRun, known: Kernels, resume: str) -> Path:
    """Judge all modules on this machine. Returns sweep.json, which is also written if the sweep ends early."""
    plan, run = running.plan, running.folder
    keys = keys_if_judged(plan, known, run) or start_kernels(plan, known)
    begin_rows(run, plan.conditions(running.request, keys))
    try:
        running.predict_all()
        running.judge_all()
    except (KeyboardInterrupt, ModcompatError, OSError) as error:
        with suppress(ModcompatError, OSError):
            write_results(plan, known, run, resume)
        if not isinstance(error, KeyboardInterrupt):
            say(f"stopped; to go on: {resume}")
        raise
    return write_results(plan, known, run, resume)
