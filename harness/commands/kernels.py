"""Options that commands have in common: which kernels are meant, by source and configuration."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from harness.given import symbols
from harness.kernel.source import DEFAULT_PACKAGE
from harness.kernel.users_config import by_architecture, read_config
from harness.lab import Settings
from harness.variants import Variant, variant_named

_FILE = click.Path(path_type=Path)
_OPTIONS = (
    click.option("--kernel-source", default=DEFAULT_PACKAGE, show_default=True, metavar="DIR"),
    click.option("--config", "configs", multiple=True, type=_FILE, help="Production's .config, one an architecture."),
    click.option("--allow-config-additions", is_flag=True, help="Add what the harness needs to it."),
    click.option("--allow-config-change", "tolerated", multiple=True, metavar="SYMBOL", help="May differ."),
)


def kernel_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def settings_of(
    *,
    kernel_source: str,
    configs: tuple[Path, ...],
    allow_config_additions: bool,
    tolerated: tuple[str, ...],
    **others: Any,
) -> Settings:
    """What the options say, and other settings. Raises ModcompatError for a configuration or a symbol that is none."""
    may_differ = frozenset(symbols(tolerated))
    users = [read_config(path, may_add=allow_config_additions, tolerated=may_differ) for path in configs]
    return Settings(source=kernel_source, configs=by_architecture(users), **others)


def variant_on(name: str, settings: Settings) -> Variant:
    """A kernel by its name; on a user's configuration there are no detectors of ours to leave out."""
    variant = variant_named(name)
    return replace(variant, bare=False) if settings.configs else variant
