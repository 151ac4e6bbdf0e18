# SPDX-License-Identifier: Apache-2.0
"""What `modcompat check` chooses where its options are silent, and what it warns of before anything is built."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from harness.abi.elf.module_file import ModuleFacts, read_module
from harness.kernel.arch import Architecture
from harness.kernel.shipped import ShippedKernel
from harness.kernel.source import KernelSource, version_of
from harness.kernel.user_config import lacking, read_config
from harness.kernel.variants import PRODUCTION, Preemption, preemption_of
from harness.lab.execution.assumptions import series_blocker
from harness.lab.plan.cells import DEFAULT_BOARDS, Flavour, choose_boards
from harness.lab.plan.manifest import Manifest
from harness.support.cache.store import Store
from harness.support.errors import ModcompatError
from harness.support.text import visible


def models_of(facts: Mapping[Path, ModuleFacts], *, has_config: bool) -> list[Preemption]:
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


def boards_for(given: Mapping[str, Any], manifest: Manifest, facts: Mapping[Path, ModuleFacts]) -> Sequence[str]:
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


def tell_of_other_releases(kernels: Mapping[str, ShippedKernel], facts: Mapping[Path, ModuleFacts]) -> None:
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


def require_bootable(
    given: Mapping[str, Any], manifest: Manifest, source: Callable[[], KernelSource], store: Store
) -> None:
    """Raise ModcompatError if a production configuration lacks options that modcompat needs and may not add."""
    may_add = given["--allow-config-additions"] or manifest.allow_config_additions
    prebuilt = {kernel.config.arch.name for kernel in manifest.prebuilt if kernel.variant == PRODUCTION}
    for path in given["--config"] or manifest.configs:
        users = read_config(path, may_add=may_add)
        if users.arch.name not in prebuilt:
            lacking(users, source(), store)


def flavours_for(
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
