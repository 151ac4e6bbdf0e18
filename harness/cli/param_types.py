# SPDX-License-Identifier: Apache-2.0
"""Types of options that several commands take, with shell completion: names, folders, number of guests."""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import click
from click.shell_completion import CompletionItem

from harness.guest.boards import BOARDS
from harness.kernel.architectures import ARCHITECTURES
from harness.kernel.features import FEATURES
from harness.kernel.source import DEFAULT_PACKAGE
from harness.kernel.variants import variant_names
from harness.lab.plan.vendor_modules import shipped
from harness.lab.validation.lkdtm_expectations import OUTCOMES
from harness.support.cache.ownership import KINDS

_NUMBER = re.compile(r"[0-9]{1,6}")  # (int() takes 1_0 and digits of other scripts as well)
_A_CPU = 4  # guests at most: more would wait for one another, and each takes memory


class _Name(click.ParamType[str]):
    """A name that the shell completes. The command itself reports an unknown one.

    names: gives the known names when the shell asks, so that importing this module reads no files.
    path: "file" or "dir" if a path may stand in place of a name; the shell completes it as well.
    """

    def __init__(self, names: Callable[[], Iterable[str]], shown: str = "NAME", *, path: str = "") -> None:
        self.names, self.name, self.path = names, shown, path

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        del ctx, param
        found = [CompletionItem(name) for name in sorted(self.names()) if name.startswith(incomplete)]
        return found + [CompletionItem(incomplete, type=self.path)] * bool(self.path)


class _Workers(click.ParamType[str]):
    """The number of guests at a time, as pytest-xdist takes it, and at most _A_CPU for each CPU."""

    name = "N"
    _words = ("auto", "logical")

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        most = _A_CPU * len(os.sched_getaffinity(0))
        if value in self._words:
            return str(value)
        if not _NUMBER.fullmatch(str(value)) or int(value) > most:
            self.fail(f"{value!r} is not a whole number from 0 to {most}, auto or logical.", param, ctx)
        return str(int(value))

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        del ctx, param
        return [CompletionItem(word) for word in self._words if word.startswith(incomplete)]


def _board_names() -> list[str]:
    """Every id, and every short name that only one board has."""
    short = Counter(board.name for board in BOARDS.values())
    return [*BOARDS, *(name for name, count in short.items() if count == 1)]


BOARD = _Name(_board_names)
ARCH = _Name(lambda: ARCHITECTURES, "ARCH")
KERNEL = _Name(variant_names)
KERNEL_OR_TREE = _Name(variant_names, path="dir")
FEATURE = _Name(lambda: FEATURES)
MODULE = _Name(lambda: [module.name for module in shipped()], path="file")
SOURCE = _Name(lambda: [DEFAULT_PACKAGE], "DIR", path="dir")
POINT = _Name(lambda: OUTCOMES)
KIND = _Name(lambda: KINDS, "KIND")
WORKERS = _Workers()
GUESTS = "Guests at a time, auto or logical (pytest-xdist; 0: one, in this process)."  # the option's help
