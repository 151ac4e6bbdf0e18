# SPDX-License-Identifier: Apache-2.0
"""The assumptions of a run, one line each: where modules and kernels come from, and which options were added."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from harness.abi.compare.layout_text import summarize_cause
from harness.abi.headers.layouts import layout_difference
from harness.guest.boards import Board
from harness.kernel import user_config
from harness.kernel.isolation_patches import isolated, kernel_spec
from harness.kernel.module_headers import headers_of
from harness.kernel.source import KernelSource
from harness.kernel.user_config import UserConfig
from harness.kernel.variants import PRODUCTION
from harness.lab.execution.kernel_pool import find_users_source
from harness.lab.plan.cells import Cell, Flavour
from harness.lab.plan.settings import Settings
from harness.support.cache.store import Store
from harness.support.errors import ModcompatError
from harness.support.text import join_some

_MAX_NAMES = 12  # options or structures in a line


def at_a_glance(settings: Settings, cells: Sequence[Cell]) -> list[str]:
    """The assumptions that are known before anything is built."""
    boards: dict[str, Board] = {cell.board.id: cell.board for cell in cells}
    modules = {(cell.module.name, cell.board.arch.name): cell.module for cell in cells}
    lines = [f"kernels are built from {settings.source}{_patches(settings)}"]
    for (arch, name), kernel in settings.prebuilt.items():
        if kernel.config.shipped:
            continue
        lacking = "" if kernel.build_tree else " without a build tree: no predictions for it"
        lacking += ", nor for kernels that are compared with it" if lacking and kernel.variant == PRODUCTION else ""
        lines.append(f"{arch}: {name} is {kernel.image}, prebuilt{lacking}")
    for arch in dict.fromkeys(board.arch.name for board in boards.values()):
        lines.append(f"{arch}: production is {_production(arch, settings)}")
        if arch in settings.shipped:
            lines.append(f"{arch}: debug kernels do not enforce signatures of modules: they lack production's key")
        if userland := settings.userlands.get(arch):
            lines.append(f"{arch}: commands of exercises run in {userland.path}")
    without_exercise = sorted({module.name for module in modules.values() if not module.exercise})
    if without_exercise:
        lines.append(f"no exercise for {_some(without_exercise)}: loaded and unloaded only")
    if not any(cell.flavour is Flavour.ISOLATED for cell in cells):
        lines.append("no isolated kernels")
    return lines


def of_configurations(settings: Settings, cells: Sequence[Cell], store: Store) -> list[str]:
    """The changes of user-supplied configurations. Takes up to a minute the first time, if options were added."""
    built = {cell.board.arch.name for cell in cells for variant in (cell.variant, cell.variant.production)
             if (cell.board.arch.name, variant.name) not in settings.prebuilt}  # fmt: skip
    configs = [users for arch, users in settings.configs.items() if arch in built]
    if not configs:
        return []
    source = find_users_source(settings, store)
    return [line for users in configs for line in _of_configuration(users, source, store)]


def assumptions_at_start(settings: Settings, cells: Sequence[Cell]) -> list[str]:
    """The assumptions that are known before the run; none if all modules and kernels are this project's own."""
    if not settings.configs and all(cell.module.is_builtin for cell in cells):
        return []
    return at_a_glance(settings, cells)


def assumptions_at_end(settings: Settings, cells: Sequence[Cell], store: Store) -> list[str]:
    """All assumptions of a run. Takes as long as `of_configurations`."""
    lines = assumptions_at_start(settings, cells)
    try:
        return [*lines, *of_configurations(settings, cells, store)] if lines else []
    except ModcompatError as error:
        return [*lines, error.problem]


def series_blocker(source: Callable[[], KernelSource], store: Store) -> str | None:
    """The reason why the isolation series does not apply to a source; None if it does. source: returns it, or raises.

    Raises ModcompatError if the source itself cannot be prepared, for instance if a user-supplied patch does not apply.
    """
    whole = source()
    whole.tree()
    try:
        isolated(whole, store).tree()
    except ModcompatError as error:
        return error.problem
    return None


def _of_configuration(users: UserConfig, source: KernelSource, store: Store) -> list[str]:
    name = f"{users.arch.name}: {users.path.name}"
    lines = []
    changed = user_config.changed_by_kconfig(users, source, store)
    if changed:
        shown = _some([f"{symbol} {given} → {got}" for symbol, (given, got) in changed.items()])
        lines.append(f"{name}: Kconfig of this source tree changed settings of the file: {shown}")
    added = user_config.added(users, source, store) if users.may_add or users.shipped else {}
    if added and users.shipped:
        shown = _some([f"{symbol} {given} → {now}" for symbol, (given, now) in added.items()])
        lines.append(f"{name}: debug kernels differ from production in what their build needs: {shown}")
    elif added:
        shown = _some([f"{symbol} {given} → {now}" for symbol, (given, now) in added.items()])
        lines.append(f"{name}: the harness needs these changes, in production and debug kernels alike: {shown}")
        lines.append(f"{name}: {_layout_changes(users, source, store)}")
    return lines


def _layout_changes(users: UserConfig, source: KernelSource, store: Store) -> str:
    """How the added options change the structures that modules see."""
    given = kernel_spec(users.arch, source, PRODUCTION, store, user_config=replace(users, as_it_is=True))
    booted = kernel_spec(users.arch, source, PRODUCTION, store, user_config=users)
    difference = layout_difference(headers_of(given, store), headers_of(booted, store), store)
    if not difference.changes:
        return "these additions change no structure that modules see"
    causes = [summarize_cause(difference, cause) for cause in difference.causes]
    return (
        f"these additions change {len(difference.changes)} of {difference.compared} structures: modules built for "
        f"your production may break because of them: {_some(causes)}"
    )


def _production(arch: str, settings: Settings) -> str:
    """The production kernel of an architecture, for people."""
    if shipped := settings.shipped.get(arch):
        return f"{shipped.title}, {shipped.release}, as it ships"
    if users := settings.configs.get(arch):
        return str(users.path)
    return "our own configuration (images/kconfig): --config FILE and --production take yours"


def _patches(settings: Settings) -> str:
    return f" with {len(settings.patches)} patches of yours" if settings.patches else ""


def _some(words: Iterable[str]) -> str:
    return join_some(words, _MAX_NAMES)
