# SPDX-License-Identifier: Apache-2.0
"""Options that commands have in common: which kernels are meant, by source, configuration and manifest."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from harness.cli.param_types import SOURCE
from harness.kernel.source import DEFAULT_PACKAGE
from harness.kernel.variants import Variant, variant_named
from harness.lab.plan.manifest import Manifest, read_manifest
from harness.lab.plan.settings import Settings

ABOUT_SOURCE = "Kernel source tree, or Debian package of one."
_FILE = click.Path(path_type=Path)
CONFIGS = click.option(
    "--config", "configs", multiple=True, type=_FILE, help="Production's .config, one an architecture."
)
_OPTIONS = (
    click.option("--manifest", "manifest_file", type=_FILE, help="A modcompat.toml: its kernels and modules."),
    click.option("--kernel-source", type=SOURCE, help=f"{ABOUT_SOURCE}  [default: {DEFAULT_PACKAGE}]"),
    CONFIGS,
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
    manifest_file: Path | None,
    kernel_source: str | None,
    configs: tuple[Path, ...],
    allow_config_additions: bool,
    tolerated: tuple[str, ...],
    shared_uart: bool = False,
) -> tuple[Settings, Manifest]:
    """What the options say, and where they say nothing, the manifest. Raises ModcompatError for what is no such file.

    Without root file systems: unpacking these is for who starts a guest.
    """
    manifest = read_manifest(manifest_file) if manifest_file else Manifest()
    settings = Settings(
        source=kernel_source or manifest.source or DEFAULT_PACKAGE,
        configs=manifest.production(configs, may_add=allow_config_additions, tolerated=tolerated),
        patches=manifest.patches,
        shared_uart=shared_uart or manifest.shared_uart,
        memory=manifest.memory,
        prebuilt=manifest.prebuilt_by_name,
    )
    return settings, manifest


def variant_on(name: str, settings: Settings) -> Variant:
    """A kernel by its name, on the user's configuration where there is one."""
    variant = variant_named(name)
    return variant.on_user_config if settings.configs else variant
