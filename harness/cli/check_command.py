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
from harness.cli.exit_status import exit_status, require_matrix
from harness.cli.kernel_options import ABOUT_SOURCE
from harness.cli.param_types import ARCH, BOARD, FEATURE, GUESTS, SOURCE, WORKERS
from harness.cli.run_suite import PYTEST, SUITE, require_cells
from harness.kernel.arch import Architecture
from harness.kernel.features import THE_FIVE
from harness.kernel.source import DEFAULT_PACKAGE, KernelSource, absolute, version_of
from harness.kernel.user_config import lacking, read_config
from harness.kernel.variants import PRODUCTION, Preemption, preemption_of
from harness.lab.execution.assumptions import series_obstacle
from harness.lab.execution.kernel_pool import find_users_source
from harness.lab.execution.run_folder import forget_if_empty, new_run_folder
from harness.lab.plan.cells import DEFAULT_BOARDS, Flavour, choose_boards
from harness.lab.plan.manifest import NAME, Manifest, find_manifest, read_manifest
from harness.lab.plan.settings import Settings
from harness.plugin.options import joined
from harness.support import process
from harness.support.cache.store import Store
from harness.support.errors import ModcompatError
from harness.support.inputs import expanded, module_parameters, symbols, timeout_scale
from harness.support.paths import PROJECT
from harness.support.text import visible

_FLAVOURS = [str(flavour) for flavour in Flavour]
_FILE = click.Path(path_type=Path)


@click.command()
@click.argument("modules", nargs=-1, type=_FILE)
@click.option("--kernel-source", type=SOURCE, help=f"{ABOUT_SOURCE}  [default: {DEFAULT_PACKAGE}]")
@click.option("--config", "configs", multiple=True, type=_FILE, help="Production's .config, one an architecture.")
@click.option("--allow-config-additions", is_flag=True, help="Add what the harness needs; it says what that changes.")
@click.option("--allow-config-change", "tolerated", multiple=True, metavar="SYMBOL", help="May differ (repeatable).")
@click.option("--feature", "features", multiple=True, type=FEATURE, help="Debug features [the five] (repeatable).")
@click.option("--board", "boards", multiple=True, type=BOARD, help="Boards [one an architecture] (repeatable).")
@click.option("--arch", "arches", multiple=True, type=ARCH, help="Architectures (repeatable).")
@click.option("--flavour", "flavours", multiple=True, type=click.Choice(_FLAVOURS), help="Kernels [all] (repeatable).")
@click.option("--exercise", type=_FILE, help="Makes the modules work: a Python file, see docs/exercises.md.")
@click.option("--module-params", metavar="TEXT", help="Parameters to load them with, as for insmod.")
@click.option("--manifest", "named", type=_FILE, help=f"A {NAME} [without MODULES, the current folder's].")
@click.option("--root", "roots", multiple=True, type=_FILE, help="Root file system for exercises (repeatable).")
@click.option("--run-dir", type=_FILE, help="Folder for logs and evidence [runs/<time>].")
@click.option("--shared-uart", is_flag=True, help="Kernel log and commands on one serial port.")
@click.option("--timeout-scale", type=float, metavar="X", help="Multiplies every timeout.")
@click.option("--core-dump", is_flag=True, help="Keep the memory of guests whose cell is not CLEAN, for crash(8).")
@click.option("-k", "expression", metavar="TEXT", help="Only cells named so, as pytest takes it: 'vendor and arm'.")
@click.option("-n", "workers", type=WORKERS, default="0", show_default=True, help=GUESTS)
def check(
    *, modules: tuple[Path, ...], named: Path | None, flavours: tuple[str, ...], run_dir: Path | None, **given: Any
) -> None:
    """Judge MODULES on production, stock and isolated kernels.

    These are kernels of the architecture that they were built for. Without MODULES, those of the manifest are judged
    (modcompat.toml, `modcompat init` writes one). Kernels that are not cached are built first, minutes each. What was
    assumed is said at the start, at the end, in matrix.json and in the report.

    Exit status: 0 every cell is CLEAN, or has a finding that the manifest allows; 1 there are findings; 2 something
    is not valid: an option, a file, a kernel that does not build, a cell that proves nothing (INVALID).
    """
    path = named or (None if modules else find_manifest(Path()))
    if not modules and path is None:
        raise ModcompatError(
            f"no module was named, and there is no {NAME} here",
            next_step="`modcompat check vendor.ko`, or `modcompat init` for a manifest",
        )
    symbols(given["tolerated"])
    module_parameters(given["module_params"] or "")
    if given["timeout_scale"] is not None:
        timeout_scale(given["timeout_scale"])
    manifest = read_manifest(path) if path else Manifest()
    facts = {module: inspect_module(module) for module in map(expanded, modules)}
    if not facts and not manifest.modules:
        raise ModcompatError(f"{path} names no module", next_step="a [[module]] table with file = ...")
    for module, fact in facts.items():
        click.echo(visible(f"{module}: {fact.name}, for {fact.arch.name if fact.arch else '?'} {fact.vermagic}"))
    name = absolute(given["kernel_source"]) if given["kernel_source"] else manifest.source or DEFAULT_PACKAGE
    settings, store = Settings(source=name, patches=manifest.patches), Store()
    source = cache(lambda: find_users_source(settings, store))  # a folder is read through for it
    tell_of_other_versions(name, source, manifest, facts)
    _can_be_booted(given, manifest, source, store)
    models = _preemption(facts, has_config=bool(given["configs"] or manifest.configs))
    boards = _boards(given, manifest, facts)
    arches = {board.arch for board in choose_boards(boards, given["arches"])}
    chosen = joined(
        {
            "--board": boards,
            "--arch": given["arches"],
            "--flavour": flavours or manifest.flavours or _that_can_be(arches, source, store),
            "--feature": given["features"] or manifest.features or THE_FIVE,
            "--preemption": models,
            "--kernel-source": given["kernel_source"],
            "--config": given["configs"],
            "--allow-config-additions": given["allow_config_additions"],
            "--allow-config-change": given["tolerated"],
            "--manifest": path,
            "--module": list(facts),
            "--module-params": given["module_params"],
            "--exercise": given["exercise"],
            "--shared-uart": given["shared_uart"],
            "--root": given["roots"],
            "--timeout-scale": given["timeout_scale"],
            "--core-dump": given["core_dump"],
        }
    )
    named_so = [f"-k={given['expression']}"] if given["expression"] else []
    if named_so:
        require_cells(chosen, named_so)
    run = new_run_folder(str(run_dir) if run_dir else None, Path.cwd())
    options = ["-n", given["workers"], f"--run-dir={run}", "--as-check", *named_so, *chosen]
    try:
        status = process.attached([*PYTEST, *options, *SUITE], cwd=PROJECT)
    finally:
        forget_if_empty(run)
    require_matrix(status, run / "matrix.json")
    sys.exit(exit_status(status, run / "matrix.json"))


def _preemption(facts: Mapping[Path, ModuleFacts], *, has_config: bool) -> list[Preemption]:
    """The model of the kernels that the modules were built for, which a production configuration says by itself."""
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
    """The boards that are asked for, or one of each architecture that the modules are for.

    Raises ModcompatError where there is none for one of the modules.
    """
    boards = given["boards"] or manifest.boards or _one_each(given["arches"], manifest, facts.values())
    arches = {board.arch for board in choose_boards(boards, given["arches"])} if boards else set()
    for file, fact in facts.items():
        if fact.arch not in arches:
            raise ModcompatError(
                f"{file} is for {fact.arch.name if fact.arch else '?'}, and the boards that are asked for are not",
                next_step="leave --board and --arch out, and each module has a board of its architecture",
            )
    return boards


def _one_each(arches: tuple[str, ...], manifest: Manifest, facts: Iterable[ModuleFacts]) -> list[str]:
    """One board of each architecture that the modules are for."""
    found = {fact.arch for fact in facts if fact.arch} or {module.arch for module in manifest.modules if module.arch}
    return [board.id for board in DEFAULT_BOARDS if board.arch in found and (not arches or board.arch.name in arches)]


def tell_of_other_versions(
    name: str, source: Callable[[], KernelSource], manifest: Manifest, facts: Mapping[Path, ModuleFacts]
) -> None:
    """Say before anything is built that a module was built for another version than the kernels will have.

    name: of the source, for a person.
    """
    files = {module.file for module in manifest.modules if module.file}
    every = dict(facts) | {file: read_module(file) for file in files if file.is_file()}
    if not every or manifest.prebuilt:
        return
    version = version_of(source())
    for file, fact in every.items():
        built_for = next(iter(fact.vermagic.split()), "")
        if built_for and not re.match(rf"{re.escape(version)}(?!\d)", built_for):
            click.echo(
                visible(f"{file} was built for {built_for}, and {name} is {version}: its kernels ")
                + "will refuse it, unless both have MODVERSIONS; --kernel-source takes the tree that it was built for"
            )


def _can_be_booted(given: dict[str, Any], manifest: Manifest, source: Callable[[], KernelSource], store: Store) -> None:
    """Raise ModcompatError where a production configuration lacks what the harness needs, and may not be given it."""
    may_add = given["allow_config_additions"] or manifest.may_add
    prebuilt = {kernel.config.arch.name for kernel in manifest.prebuilt if kernel.variant == PRODUCTION}
    for path in given["configs"] or manifest.configs:
        users = read_config(path, may_add=may_add)
        if users.arch.name not in prebuilt:
            lacking(users, source(), store)


def _that_can_be(arches: Collection[Architecture], source: Callable[[], KernelSource], store: Store) -> list[str]:
    """Every kernel; the isolated ones only if the series is for one of the architectures, and fits the source."""
    without = sorted(arch.name for arch in arches if not arch.has_isolation)
    if without:
        click.echo(f"no isolated kernels for {', '.join(without)}: the isolation series does not support it")
    supported = len(without) < len(arches)
    obstacle = series_obstacle(source, store) if supported else "there is no series"
    if obstacle and supported:
        click.echo(f"no isolated kernels: {obstacle}")
    return [flavour for flavour in _FLAVOURS if not (obstacle and flavour == Flavour.ISOLATED)]
