# SPDX-License-Identifier: Apache-2.0
"""The parameter type of paths."""

from pathlib import Path
from typing import Any

import click


class PathParam(click.Path):
    """A path. An empty text, as of a variable that is not set, is refused: pathlib takes it for the current folder."""

    def __init__(self, **options: Any) -> None:
        """options: as for click.Path."""
        super().__init__(**{"path_type": Path, **options})

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not str(value):
            self.fail("the path is empty.", param, ctx)
        return super().convert(value, param, ctx)
