# SPDX-License-Identifier: Apache-2.0
"""modcompat check."""

import sys
from functools import cache
from pathlib import Path
from typing import Any

import click

from harness.abi.elf.module_file import inspect_module
from harness.cli.check_choices import (
    boards_for,
    flavours_for,
    models_of,
    require_bootable,
    tell_of_other_releases,
    tell_of_other_versions,
)
from harness.cli.cluster_runs import CLUSTER, files_of, require_alone
from harness.cli.cluster_suite import run_suite_on_cluster
from harness.cli.exit_status import exit_status, require_matrix, stamp_of
from harness.cli.kernel_options import by_option, check_options
from harness.cli.param_types import GUESTS, WORKERS
from harness.cli.path_param import PathParam
from harness.cli.run_suite import require_cells, run_suite
from harness.kernel.features import CORE_FEATURES
from harness.kernel.shipped_packages import shipped_kernels
from harness.kernel.source import DEFAULT_PACKAGE, absolute
from harness.lab.execution.kernel_pool import find_users_source
from harness.lab.execution.run_folder import run_folder
from harness.lab.plan.cells import choose_boards
from harness.lab.plan.manifest import NAME, Manifest, find_manifest, read_manifest
from harness.lab.plan.options import BY_NAME, checked, command_line
from harness.lab.plan.settings import Settings, on_shipped
from harness.lab.plan.shards import require_whole
from harness.plugin.selection import plan_of
from harness.plugin.suite_arguments import reproduction
from harness.report.recorded_run import MATRIX
from harness.support.cache.store import Store
from harness.support.errors import ModcompatError
from harness.support.inputs import expanded
from harness.support.text import visible

_ON_SHIPPED = ("hidden",)  # on production as it ships: one kernel has the five features, mutexes and rw-semaphores


@click.command()
@click.argument("modules", nargs=-1, type=PathParam())
@check_options
@CLUSTER
@click.option("-k", "expression", metavar="TEXT", help="Only cells whose names match, as in pytest: 'vendor and arm'.")
@click.option("-n", "workers", type=WORKERS, default="0", show_default=True, help=GUESTS)
def check(*, modules: tuple[Path, ...], cluster: str | None, expression: str, workers: str, **parameters: Any) -> None:
    """Judge modules on production, stock and isolated kernels.

    Each module runs on kernels of the architecture that it was built for. With --production, that is production as it
    ships, and an isolated kernel with the feature `hidden`, unless options choose others.
    Without MODULES, the modules of the manifest are judged: that of --manifest, or modcompat.toml in the current folder
    (`modcompat init` writes one). Kernels that are not cached are built first, which takes minutes for each. The
    assumptions of the run are printed at its start and end, and are in matrix.json and in the report.

    Exit status: 0 if every cell is CLEAN or SAME, or has a finding that the manifest allows, 1 if there are findings, 2
    if the run is not valid: an option, a file, a kernel that does not build, a cell that proves nothing (INVALID).
    """
    given = by_option(parameters)
    if cluster:
        require_alone()
    path = given["--manifest"] or (None if modules else find_manifest(Path()))
    if not modules and path is None:
        raise ModcompatError(
            f"no module was named, and there is no {NAME} here",
            next_step="`modcompat check vendor.ko`, or `modcompat init` for a manifest",
        )
    for name, value in given.items():
        checked(BY_NAME[name], value)
    manifest = read_manifest(path) if path else Manifest()
    facts = {module: inspect_module(module) for module in map(expanded, modules)}
    if not facts and not manifest.modules:
        raise ModcompatError(f"{path} names no module", next_step="a [[module]] table with file = ...")
    for module, fact in facts.items():
        click.echo(visible(f"{module}: {fact.name}, for {fact.arch.name if fact.arch else '?'} {fact.vermagic}"))
    store = Store()
    kernels = shipped_kernels(given["--production"] or manifest.production, store)
    source_name = given["--kernel-source"]
    own_source = absolute(source_name) if source_name else manifest.source
    settings = Settings(source=own_source or DEFAULT_PACKAGE, patches=manifest.patches)
    settings = on_shipped(settings, kernels, source=own_source, tolerated=())
    name = settings.source
    source = cache(lambda: find_users_source(settings, store))  # it reads through a whole folder
    if kernels:
        tell_of_other_releases(kernels, facts)
    else:
        tell_of_other_versions(name, source, manifest, facts)
    require_bootable(given, manifest, source, store)
    boards = boards_for(given, manifest, facts)
    arches = {board.arch for board in choose_boards(boards, given["--arch"])}
    chosen = given | {
        "--preemption": models_of(facts, has_config=bool(given["--config"] or manifest.has_configs or kernels)),
        "--board": boards,
        "--flavour": given["--flavour"]
        or manifest.flavours
        or flavours_for(arches, source, store, shipped=bool(kernels)),
        "--feature": given["--feature"] or manifest.features or (_ON_SHIPPED if kernels else CORE_FEATURES),
        "--manifest": path,
        "--module": list(facts),
        "--run-dir": None,  # below, because `runs/<time>` is made here
    }
    words = command_line(chosen)
    selected = [f"-k={expression}"] if expression else []
    require_whole(given["--shard"], by_name=bool(expression))
    names = require_cells(words, selected) if selected else None
    with run_folder(given["--run-dir"]) as run:
        earlier = stamp_of(run / MATRIX)
        if cluster:
            plan = plan_of(chosen.get, manifest, by_name=bool(expression))
            status, matrix = run_suite_on_cluster(
                cluster, ["--internal-command=check", *selected, *words], run, settings=plan.settings, cells=plan.cells,
                selected=names, files=files_of(words, plan, path), command=reproduction(chosen.get, "check"),
                kernels_may_fail=True,
            )  # fmt: skip
            sys.exit(exit_status(status, matrix))
        outcome = run_suite(["-n", workers, f"--run-dir={run}", "--internal-command=check", *selected, *words])
    require_matrix(outcome, run / MATRIX, earlier)
    sys.exit(exit_status(outcome.status, run / MATRIX))
