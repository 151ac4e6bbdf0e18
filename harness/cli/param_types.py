# SPDX-License-Identifier: Apache-2.0
"""Values of options that commands have in common, which the shell completes: names, folders, guests at a time."""

import os
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

import click
from click.shell_completion import CompletionItem

from harness.guest.boards import BOARDS
from harness.kernel.arch import ARCHITECTURES
from harness.kernel.features import FEATURES
from harness.kernel.source import DEFAULT_PACKAGE
from harness.kernel.variants import variant_names
from harness.lab.plan.vendor_modules import shipped
from harness.lab.validation.lkdtm_expectations import OUTCOMES
from harness.support.cache.ownership import KINDS

_NUMBER = re.compile(r"[0-9]{1,6}")  # (int() takes 1_0 and digits of other scripts as well)
_A_CPU = 4  # guests at most: more only wait for one another, and each has its memory


class _Name(click.ParamType[str]):
    """A name that may also be one that is not among the known ones: that is for the command to tell.

    path: what it may be in place of a name, "file" or "dir", which the shell completes where no name fits.
    """

    def __init__(self, names: Iterable[str], shown: str = "NAME", *, path: str = "") -> None:
        self.names, self.name, self.path = sorted(names), shown, path

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        del ctx, param
        found = [CompletionItem(name) for name in self.names if name.startswith(incomplete)]
        return found + [CompletionItem(incomplete, type=self.path)] * bool(self.path)


class _Workers(click.ParamType[str]):
    """How many guests there are at a time, as pytest-xdist takes it, and no more than the machine can bear."""

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


_short = Counter(board.name for board in BOARDS.values())
BOARD = _Name([*BOARDS, *(name for name, count in _short.items() if count == 1)])
ARCH = _Name(ARCHITECTURES, "ARCH")
KERNEL = _Name(variant_names())
KERNEL_OR_TREE = _Name(variant_names(), path="dir")
FEATURE = _Name(FEATURES)
MODULE = _Name((module.name for module in shipped()), path="file")
SOURCE = _Name([DEFAULT_PACKAGE], "DIR", path="dir")
POINT = _Name(OUTCOMES)
KIND = _Name(KINDS, "KIND")
WORKERS = _Workers()
GUESTS = "Guests at a time, auto or logical (pytest-xdist; 0: one, in this process)."  # help of an option for them
