# SPDX-License-Identifier: Apache-2.0
"""The settings, modules and cells that the options of a run and its manifest choose together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.abi.elf.module_file import inspect_module
from harness.guest.boards import Board
from harness.guest.guest import Timing
from harness.kernel.features import CORE_FEATURES, features_named
from harness.kernel.shipped_packages import shipped_kernels
from harness.kernel.user_config import UserConfig, require_for
from harness.kernel.variants import Preemption
from harness.lab.plan.cells import (
    DEBUG_SETS,
    EVERY_BOARD,
    EVERY_FEATURE,
    MATRICES,
    Cell,
    Flavour,
    Selection,
    cells_of,
    choose_boards,
    narrow,
)
from harness.lab.plan.exercise import load_exercise
from harness.lab.plan.manifest import Manifest
from harness.lab.plan.options import BY_NAME, GetOption, checked, is_set
from harness.lab.plan.settings import Settings, on_shipped
from harness.lab.plan.vendor_modules import VendorModule, shipped, user_module
from harness.support.cache.store import Store
from harness.support.errors import ModcompatError
from harness.support.inputs import expanded


@dataclass(frozen=True)
class SuitePlan:
    """What a run of the suite does."""

    settings: Settings
    modules: list[VendorModule]
    cells: Sequence[Cell]


def plan_of(given: GetOption, manifest: Manifest, *, by_name: bool) -> SuitePlan:
    """The plan of a run. by_name: as for choose_cells(). Raises ModcompatError."""
    settings = choose_settings(given, manifest)
    modules, arches = choose_modules(given, manifest)
    chosen = choose_cells(given, manifest, settings.configs, arches, by_name=by_name)
    cells = cells_of(chosen, modules)
    has_kasan = any(cell.feature.has_kasan for cell in cells)
    return SuitePlan(replace(settings, has_kasan=has_kasan), modules, cells)


def with_manifest(given: GetOption, manifest: Manifest) -> GetOption:
    """The options with the manifest's values for those that are not set, and defaults for the rest.

    The values are checked: the function that is returned raises ModcompatError for an invalid one.
    """

    def value(name: str) -> Any:
        option, own = BY_NAME[name], given(name)
        if not is_set(own) and option.manifest:
            own = getattr(manifest, option.field) or None
        return checked(option, own)

    return value


def choose_settings(given: GetOption, manifest: Manifest, *, userlands: bool = True) -> Settings:
    """The settings of a run; options override the manifest. Raises ModcompatError.

    userlands: unpack the root file systems, which takes time.
    """
    value = with_manifest(given, manifest)
    store = Store()
    kernels = shipped_kernels(value("--production"), store)
    timing = Timing(boot=value("--boot-timeout"), command=value("--command-timeout"))
    settings = Settings(
        source=value("--kernel-source"),
        timing=timing.scaled(value("--timeout-scale")),
        accelerator=value("--accelerator"),
        ignores_versions=value("--ignore-versions"),
        shared_uart=value("--shared-uart"),
        configs=manifest.production_configs(
            [Path(name) for name in given("--config") or ()],
            may_add=bool(given("--allow-config-additions")),
            tolerated=given("--allow-config-change") or (),
            shipped=bool(kernels),
        ),
        patches=manifest.patches,
        memory=value("--guest-memory") or 0,
        core_dump=value("--core-dump"),
        prebuilt=manifest.prebuilt_by_name,
        userlands=manifest.userlands([Path(name) for name in given("--root") or ()], store) if userlands else {},
    )
    own_source = given("--kernel-source") or manifest.source
    tolerated = (*(given("--allow-config-change") or ()), *manifest.allow_config_changes)
    return on_shipped(settings, kernels, source=own_source, tolerated=tolerated)


def choose_modules(given: GetOption, manifest: Manifest) -> tuple[list[VendorModule], set[str]]:
    """The modules that the options or the manifest name, and the architectures that their files are for."""
    files: Sequence[str] = given("--module") or ()
    if not files:
        if given("--exercise") or given("--module-params"):
            raise ModcompatError("--exercise and --module-params need --module FILE.ko")
        named = list(manifest.modules)
        return named or shipped(), {module.arch.name for module in named if module.arch}
    exercise = expanded(given("--exercise")) if given("--exercise") else None
    if exercise:
        load_exercise(exercise)
    parameters = given("--module-params") or ""
    chosen = [user_module(Path(file), parameters=parameters, exercise=exercise) for file in files]
    if not given("--board") and not given("--arch"):
        for file in files:  # the file chooses the boards, so it must be valid; on a named board the kernel refuses it
            inspect_module(expanded(file))
    stems = [(module.name, facts.arch) for module, facts in chosen]
    if len(set(stems)) < len(stems):
        names = ", ".join(name for name, _ in stems)
        raise ModcompatError(f"two modules have the same name: {names}", next_step="judge them one by one")
    arches = {facts.arch.name for _, facts in chosen if facts.arch}
    if len(arches) > 1:  # each runs on its own boards; a single module may be tried on a foreign board
        chosen = [(replace(module, arch=facts.arch), facts) for module, facts in chosen]
    return [module for module, _ in chosen], arches


def choose_cells(
    given: GetOption, manifest: Manifest, configs: Mapping[str, UserConfig], arches: set[str], *, by_name: bool
) -> list[Selection]:
    """The boards and kernels of a run: those of --matrix, or else all that the other options allow.

    configs: user-supplied production configurations, by architecture. arches: the architectures of the module files;
    they run on boards of these, unless options name boards. by_name: pytest selects among the cells by their names
    (-k), so every feature is planned, and isolated kernels with whole debug sets. Kernels have the default preemption
    model, unless --preemption or the matrix says otherwise; the text of -k never adds any.
    """
    wanted = given("--arch") or ()
    names = given("--board") or (() if wanted else manifest.boards)
    features = features_named(given("--feature") or manifest.features)
    preemptions = tuple(Preemption(name) for name in given("--preemption") or ())
    flavours = tuple(Flavour(name) for name in given("--flavour") or manifest.flavours)
    if configs and Preemption.FULL in preemptions:
        raise ModcompatError("--config sets the preemption model, so --preemption cannot")
    if matrix := given("--matrix"):
        selections = list(MATRICES[matrix])
    elif by_name or names or wanted or features or flavours:
        chosen = features or (EVERY_FEATURE if by_name else features_named(CORE_FEATURES))
        selections = [Selection(EVERY_BOARD, chosen, flavours=tuple(Flavour))]
        if by_name and not features:
            selections.append(Selection(EVERY_BOARD, DEBUG_SETS, flavours=(Flavour.ISOLATED,)))
    else:
        selections = list(MATRICES["default"])
    boards = choose_boards(names, wanted or (sorted(arches) if not names else []))
    if configs:
        boards = _configured(boards, arches, configs, by_option=bool(names or wanted))
    selections = [replace(selection, own_config=bool(configs)) for selection in selections]
    return narrow(selections, boards=boards, features=features, preemptions=preemptions, flavours=flavours)


def _configured(
    boards: tuple[Board, ...], arches: set[str], configs: Mapping[str, UserConfig], *, by_option: bool
) -> tuple[Board, ...]:
    """The boards whose architecture has a configuration.

    by_option: options name the boards. Raises ModcompatError if a configuration that is needed is missing.
    """
    needed = arches or ({board.arch.name for board in boards} if by_option else set())
    require_for(needed, configs)
    return tuple(board for board in boards if board.arch.name in configs)
