# SPDX-License-Identifier: Apache-2.0
"""Options of commands, generated from the table of options, and the settings that kernel options result in."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from harness.cli.param_types import BOARD, NameParam
from harness.cli.path_param import PathParam
from harness.kernel.variants import Variant, variant_named
from harness.lab.plan.manifest import Manifest, read_manifest
from harness.lab.plan.options import BY_NAME, OPTIONS, Option, ValueKind
from harness.lab.plan.settings import Settings
from harness.plugin.selection import choose_settings

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

ABOUT_SOURCE = BY_NAME["--kernel-source"].help
_TYPES: Mapping[ValueKind, Any] = {
    ValueKind.INTEGER: int,
    ValueKind.NUMBER: float,
    ValueKind.PATH: PathParam(),
}


def click_option(option: Option, destination: str = "") -> Decorator:
    """An option of the table as an option of a command. destination: the parameter's name [that of the option]."""
    spellings = [option.name, *([option.alias] if option.alias else []), destination or option.destination]
    if option.kind is ValueKind.FLAG:
        return click.option(*spellings, is_flag=True, help=option.help)
    default = f"  [default: {option.default}]" if option.default else ""
    metavar = None if option.choices else option.metavar
    return click.option(
        *spellings, type=_type(option), multiple=option.repeatable, metavar=metavar, help=option.help + default
    )


def check_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add every option that `modcompat check` takes."""
    for option in reversed([option for option in OPTIONS if option.in_check]):
        command = click_option(option)(command)
    return command


def by_option(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Name of an option -> its value, from the parameters of a command."""
    return {option.name: parameters[option.destination] for option in OPTIONS if option.destination in parameters}


def _type(option: Option) -> Any:
    """The click type of an option's values."""
    if option.choices:
        return click.Choice(option.values())
    if option.kind is ValueKind.SOURCE:
        return NameParam(lambda: [str(option.default)], option.metavar, path="dir")
    if option.name == "--board":
        return BOARD
    if option.known:
        return NameParam(option.known, option.metavar)
    return _TYPES.get(option.kind, str)


CONFIGS = click_option(BY_NAME["--config"], "configs")
_KERNEL_OPTIONS = (
    click_option(BY_NAME["--manifest"], "manifest_file"),
    click_option(BY_NAME["--kernel-source"]),
    click_option(BY_NAME["--production"]),
    CONFIGS,
    click_option(BY_NAME["--allow-config-additions"]),
    click_option(BY_NAME["--allow-config-change"], "tolerated"),
)


def kernel_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that choose the kernels: their source, configurations and manifest."""
    for option in reversed(_KERNEL_OPTIONS):
        command = option(command)
    return command


def settings_of(
    *,
    manifest_file: Path | None,
    kernel_source: str | None,
    production: tuple[str, ...],
    configs: tuple[Path, ...],
    allow_config_additions: bool,
    tolerated: tuple[str, ...],
    shared_uart: bool = False,
) -> tuple[Settings, Manifest]:
    """The settings from options and manifest, and the manifest. Options override the manifest.

    The settings are without root file systems, because only commands that start a guest need to unpack them. Raises
    ModcompatError for a file that is missing or invalid.
    """
    manifest = read_manifest(manifest_file) if manifest_file else Manifest()
    given = {
        "--kernel-source": kernel_source, "--production": production, "--config": configs,
        "--allow-config-additions": allow_config_additions, "--allow-config-change": tolerated,
        "--shared-uart": shared_uart,
    }  # fmt: skip
    return choose_settings(given.get, manifest, userlands=False), manifest


def variant_on(name: str, settings: Settings) -> Variant:
    """A kernel by name, on the user-supplied production configuration if there is one."""
    variant = variant_named(name)
    return variant.on_user_config if settings.configs else variant
