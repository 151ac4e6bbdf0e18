"""modcompat isolate."""

from pathlib import Path

import click

from harness.kernel.isolation import apply_series
from harness.store import Store


@click.group()
def isolate() -> None:
    """Kernel patches that make debug features leave the module ABI unchanged."""


@isolate.command("apply")
@click.option("--source", required=True, type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="DIR")
def isolate_apply(*, source: Path) -> None:
    """Apply the series for its version to a kernel source tree: all of it, or, if one patch does not fit, nothing.

    Then switch on CONFIG_MODULE_ABI_ISOLATION with the debug features.
    """
    patches = apply_series(source.absolute(), Store())
    for patch in patches:
        click.echo(f"applied {patch.name}")
