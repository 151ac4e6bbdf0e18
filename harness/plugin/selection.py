# SPDX-License-Identifier: Apache-2.0
"""What a run's options and its manifest choose together: settings, modules and cells."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from harness.abi.elf.module_file import inspect_module
from harness.guest.boards import Board
from harness.guest.guest import Timing
from harness.kernel.features import CORE_FEATURES, features_named
from harness.kernel.source import DEFAULT_PACKAGE
from harness.kernel.user_config import UserConfig, require_for
from harness.kernel.variants import Preemption
from harness.lab.plan.cells import EVERY_BOARD, EVERY_FEATURE, MATRICES, Flavour, Selection, choose_boards, narrow
from harness.lab.plan.exercise import load_exercise
from harness.lab.plan.manifest import Manifest
from harness.lab.plan.settings import Settings
from harness.lab.plan.vendor_modules import VendorModule, shipped, user_module
from harness.plugin.options import Given
from harness.support.cache.store import Store
from harness.support.errors import ModcompatError
from harness.support.inputs import expanded, guest_memory, timeout, timeout_scale


def choose_settings(given: Given, manifest: Manifest) -> Settings:
    """What the options say, and where they say nothing, the manifest. Raises ModcompatError."""
    scale = timeout_scale(given("--timeout-scale") or manifest.timeout_scale or 1.0)
    memory = given("--guest-memory")
    timing = Timing(**{name: timeout(given(f"--{name}-timeout")) for name in ("boot", "command")})
    return Settings(
        source=given("--kernel-source") or manifest.source or DEFAULT_PACKAGE,
        timing=timing.scaled(scale),
        accelerator=given("--accelerator"),
        shared_uart=given("--shared-uart") or manifest.shared_uart,
        configs=manifest.production(
            [Path(name) for name in given("--config")],
            may_add=given("--allow-config-additions"),
            tolerated=given("--allow-config-change"),
        ),
        patches=manifest.patches,
        memory=guest_memory(memory) if memory else manifest.memory,
        core_dump=given("--core-dump"),
        prebuilt=manifest.prebuilt_by_name,
        userlands=manifest.userlands([Path(name) for name in given("--root")], Store()),
    )


def choose_modules(given: Given, manifest: Manifest) -> tuple[list[VendorModule], set[str]]:
    """The modules that the options or the manifest ask for, and the architectures that their files are for."""
    files = given("--module")
    if not files:
        if given("--exercise") or given("--module-params"):
            raise ModcompatError("--exercise and --module-params go with --module FILE.ko")
        named = list(manifest.modules)
        return named or shipped(), {module.arch.name for module in named if module.arch}
    exercise = expanded(given("--exercise")) if given("--exercise") else None
    if exercise:
        load_exercise(exercise)
    parameters = given("--module-params")
    chosen = [user_module(Path(file), parameters=parameters, exercise=exercise) for file in files]
    if not given("--board") and not given("--arch"):
        for file in files:  # where it runs is what it says; on a board that is named, the kernel refuses it
            inspect_module(expanded(file))
    stems = [(module.name, facts.arch) for module, facts in chosen]
    if len(set(stems)) < len(stems):
        names = ", ".join(name for name, _ in stems)
        raise ModcompatError(f"two modules have the same name: {names}", next_step="judge them one by one")
    arches = {facts.arch.name for _, facts in chosen if facts.arch}
    if len(arches) > 1:  # each on boards of its own; one alone may be tried where it does not belong
        chosen = [(replace(module, arch=facts.arch), facts) for module, facts in chosen]
    return [module for module, _ in chosen], arches


def choose_cells(
    given: Given, manifest: Manifest, configs: Mapping[str, UserConfig], arches: set[str]
) -> list[Selection]:
    """Boards and kernels: of the matrix that is named, or of all where -k does the choosing, narrowed by options.

    configs: the user's, by architecture. arches: what the modules' files are for; they run on boards of these, unless
    boards are named.
    """
    wanted = given("--arch")
    names = given("--board") or ([] if wanted else list(manifest.boards))
    features = features_named(given("--feature") or manifest.features)
    preemptions = tuple(Preemption(name) for name in given("--preemption"))
    flavours = tuple(Flavour(name) for name in given("--flavour") or manifest.flavours)
    if configs and Preemption.FULL in preemptions:
        raise ModcompatError("with --config, production's preemption model is the configuration's")
    matrix, keyword = given("--matrix"), given("keyword")
    if matrix:
        selections = list(MATRICES[matrix])
    elif keyword or names or wanted or features or flavours:
        chosen = features or (EVERY_FEATURE if keyword else features_named(CORE_FEATURES))
        # The isolation series has to hold in both models; of other kernels the second one is asked for by its name.
        both = re.search(rf"(?<!not )(?:{Flavour.ISOLATED}|{Preemption.FULL})", keyword) and not configs
        selections = [Selection(EVERY_BOARD, chosen, tuple(Preemption)[: 2 if both else 1], tuple(Flavour))]
    else:
        selections = list(MATRICES["default"])
    boards = choose_boards(names, wanted or (sorted(arches) if not names else []))
    if configs:
        boards = _configured(boards, arches, configs, asked=bool(names or wanted))
    narrowed = narrow(selections, boards=boards, features=features, preemptions=preemptions, flavours=flavours)
    return [replace(selection, own_config=bool(configs)) for selection in narrowed]


def _configured(
    boards: tuple[Board, ...], arches: set[str], configs: Mapping[str, UserConfig], *, asked: bool
) -> tuple[Board, ...]:
    """The boards that there is a configuration for. Raises ModcompatError where one that is needed is missing."""
    needed = arches or ({board.arch.name for board in boards} if asked else set())
    require_for(needed, configs)
    return tuple(board for board in boards if board.arch.name in configs)
