# SPDX-License-Identifier: Apache-2.0
"""modcompat check."""

import re
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import click

from harness.abi.elf.module_file import ModuleFacts, inspect_module, read_module
from harness.cli.cluster_runs import CLUSTER, files_of, require_alone
from harness.cli.cluster_suite import run_suite_on_cluster
from harness.cli.exit_status import exit_status, require_matrix, stamp_of
from harness.cli.kernel_options import by_option, check_options
from harness.cli.param_types import GUESTS, WORKERS
from harness.cli.run_suite import require_cells, run_suite
from harness.kernel.arch import Architecture
from harness.kernel.features import CORE_FEATURES
from harness.kernel.shipped import ShippedKernel
from harness.kernel.shipped_packages import shipped_kernels
from harness.kernel.source import DEFAULT_PACKAGE, KernelSource, absolute, version_of
from harness.kernel.user_config import lacking, read_config
from harness.kernel.variants import PRODUCTION, Preemption, preemption_of
from harness.lab.execution.assumptions import series_blocker
from harness.lab.execution.kernel_pool import find_users_source
from harness.lab.execution.run_folder import run_folder
from harness.lab.plan.cells import DEFAULT_BOARDS, Flavour, choose_boards
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
@click.argument("modules", nargs=-1, type=click.Path(path_type=Path))
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
        _tell_of_other_releases(kernels, facts)
    else:
        tell_of_other_versions(name, source, manifest, facts)
    _can_be_booted(given, manifest, source, store)
    boards = _boards(given, manifest, facts)
    arches = {board.arch for board in choose_boards(boards, given["--arch"])}
    chosen = given | {
        "--preemption": _preemption(facts, has_config=bool(given["--config"] or manifest.has_configs or kernels)),
        "--board": boards,
        "--flavour": given["--flavour"]
        or manifest.flavours
        or _flavours_of(arches, source, store, shipped=bool(kernels)),
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


def _preemption(facts: Mapping[Path, ModuleFacts], *, has_config: bool) -> list[Preemption]:
    """The preemption model that the modules were built for; none if a production configuration decides it.

    Raises ModcompatError if they were built for different ones.
    """
    if has_config or not facts:
        return []
    models = {file: preemption_of(fact.vermagic) for file, fact in facts.items()}
    if len(set(models.values())) > 1:
        preemptible = [str(file) for file, model in models.items() if model is Preemption.FULL]
        raise ModcompatError(
            f"{', '.join(preemptible)} were built for a preemptible kernel, and the others were not",
            next_step="check them separately: no kernel takes both",
        )
    return list(set(models.values()))


def _boards(given: Mapping[str, Any], manifest: Manifest, facts: Mapping[Path, ModuleFacts]) -> Sequence[str]:
    """The boards that options or the manifest name, or one board per architecture of the modules.

    Raises ModcompatError if there is none for one of the modules.
    """
    wanted = given["--arch"]
    boards = given["--board"] or manifest.boards or _one_each(wanted, manifest, facts.values())
    arches = {board.arch for board in choose_boards(boards, wanted)} if boards else set()
    for file, fact in facts.items():
        if fact.arch not in arches:
            raise ModcompatError(
                f"{file} is for {fact.arch.name if fact.arch else '?'}, and the chosen boards are not",
                next_step="without --board and --arch, each module runs on a board of its architecture",
            )
    return boards


def _one_each(arches: tuple[str, ...], manifest: Manifest, facts: Iterable[ModuleFacts]) -> list[str]:
    """One board per architecture of the modules."""
    found = {fact.arch for fact in facts if fact.arch} or {module.arch for module in manifest.modules if module.arch}
    return [board.id for board in DEFAULT_BOARDS if board.arch in found and (not arches or board.arch.name in arches)]


def _tell_of_other_releases(kernels: Mapping[str, ShippedKernel], facts: Mapping[Path, ModuleFacts]) -> None:
    """Print a warning if a module was built for another release than that of production as it ships."""
    for file, fact in facts.items():
        kernel = kernels.get(fact.arch.name) if fact.arch else None
        built_for = fact.release
        if kernel and built_for not in ("", kernel.release) and not kernel.has_versions:
            click.echo(
                visible(f"{file} was built for {built_for}, and production is {kernel.release}: it will refuse it")
            )


def tell_of_other_versions(
    name: str, source: Callable[[], KernelSource], manifest: Manifest, facts: Mapping[Path, ModuleFacts]
) -> None:
    """Print a warning if a module was built for another version than that of the kernels, before anything is built.

    name: of the source, for a person.
    """
    files = {module.file for module in manifest.modules if module.file}
    every = dict(facts) | {file: read_module(file) for file in files if file.is_file()}
    if not every or manifest.prebuilt:
        return
    version = version_of(source())
    for file, fact in every.items():
        built_for = fact.release
        if built_for and not re.match(rf"{re.escape(version)}(?!\d)", built_for):
            click.echo(
                visible(f"{file} was built for {built_for}, and {name} is {version}: its kernels ")
                + "will refuse it, unless both have MODVERSIONS; --kernel-source takes the tree that it was built for"
            )


def _can_be_booted(
    given: Mapping[str, Any], manifest: Manifest, source: Callable[[], KernelSource], store: Store
) -> None:
    """Raise ModcompatError if a production configuration lacks options that modcompat needs and may not add."""
    may_add = given["--allow-config-additions"] or manifest.allow_config_additions
    prebuilt = {kernel.config.arch.name for kernel in manifest.prebuilt if kernel.variant == PRODUCTION}
    for path in given["--config"] or manifest.configs:
        users = read_config(path, may_add=may_add)
        if users.arch.name not in prebuilt:
            lacking(users, source(), store)


def _flavours_of(
    arches: Collection[Architecture], source: Callable[[], KernelSource], store: Store, *, shipped: bool
) -> list[str]:
    """Every flavour; isolated only if the series is for one of the architectures, and fits the source.

    shipped: production is used as it ships; then stock kernels, each of which takes half an hour to build, are left out
    if there are isolated ones.
    """
    without = sorted(arch.name for arch in arches if not arch.has_isolation)
    if without:
        click.echo(f"no isolated kernels for {', '.join(without)}: the isolation series does not support it")
    supported = len(without) < len(arches)
    obstacle = series_blocker(source, store) if supported else "there is no series"
    if obstacle and supported:
        click.echo(f"no isolated kernels: {obstacle}")
    left_out = Flavour.ISOLATED if obstacle else Flavour.STOCK if shipped else None
    return [str(flavour) for flavour in Flavour if flavour is not left_out]
