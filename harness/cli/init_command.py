# SPDX-License-Identifier: Apache-2.0
"""modcompat init."""

from pathlib import Path

import click

from harness.cli.path_param import PathParam
from harness.lab.plan.manifest import NAME, TEMPLATE
from harness.support.errors import ModcompatError


@click.command()
@click.argument("folder", default=".", type=PathParam())
def init(*, folder: Path) -> None:
    """Write a commented manifest, modcompat.toml.

    The manifest is written to FOLDER, by default the current folder. An existing one is not changed. Exit status 0, or
    2 if it cannot be written.
    """
    target = folder / NAME
    try:
        with target.open("x") as file:
            file.write(TEMPLATE.read_text())
    except FileExistsError:
        raise ModcompatError(f"there is a {target} already", next_step="`modcompat check` uses it") from None
    except OSError as error:
        raise ModcompatError(f"cannot write {target}: {error.strerror}") from None
    click.echo(f"written: {target}; uncomment what you need, then run `modcompat check`")
