# SPDX-License-Identifier: Apache-2.0
"""Parameter types of several commands, with shell completion: names, paths, the number of guests."""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import click
from click.shell_completion import CompletionItem

from harness.guest.boards import BOARDS
from harness.kernel.features import FEATURES
from harness.kernel.source import DEFAULT_PACKAGE
from harness.kernel.variants import variant_names
from harness.lab.plan.vendor_modules import shipped
from harness.lab.validation.lkdtm_expectations import OUTCOMES
from harness.support.cache.ownership import KINDS

MAX_GUESTS_PER_CPU = 4  # more guests only wait for each other, and each takes its memory
_NUMBER = re.compile(r"[0-9]{1,6}")  # int() would also accept 1_0, and digits of other scripts


class NameParam(click.ParamType[str]):
    """A name with shell completion. Unknown names are accepted here; the command reports them with the known ones."""

    def __init__(self, names: Callable[[], Iterable[str]], shown: str = "NAME", *, path: str = "") -> None:
        """names: called for a completion only. path: "file" or "dir" if the shell may complete a path as well."""
        self._names, self.name, self.path = names, shown, path

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        del ctx, param
        found = [CompletionItem(name) for name in sorted(self._names()) if name.startswith(incomplete)]
        return found + [CompletionItem(incomplete, type=self.path)] * bool(self.path)


class _Workers(click.ParamType[str]):
    """The number of guests at a time, as pytest-xdist takes it, up to a limit that the machine can bear."""

    name = "N"
    _words = ("auto", "logical")

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        most = MAX_GUESTS_PER_CPU * len(os.sched_getaffinity(0))
        if value in self._words:
            return str(value)
        if not _NUMBER.fullmatch(str(value)) or int(value) > most:
            self.fail(f"{value!r} is not a whole number from 0 to {most}, auto or logical.", param, ctx)
        return str(int(value))

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        del ctx, param
        return [CompletionItem(word) for word in self._words if word.startswith(incomplete)]


def board_names() -> list[str]:
    """The names of all boards, with the architecture and, if they are unique, without."""
    short = Counter(board.name for board in BOARDS.values())
    return [*BOARDS, *(name for name, count in short.items() if count == 1)]


BOARD = NameParam(board_names)
KERNEL = NameParam(variant_names)
KERNEL_OR_TREE = NameParam(variant_names, path="dir")
FEATURE = NameParam(lambda: FEATURES)
MODULE = NameParam(lambda: [module.name for module in shipped()], path="file")
SOURCE = NameParam(lambda: [DEFAULT_PACKAGE], "DIR", path="dir")
POINT = NameParam(lambda: OUTCOMES)
KIND = NameParam(lambda: KINDS, "KIND")
WORKERS = _Workers()
# A cell waits for a third of its time, so that more guests than CPUs keep the CPUs busy.
USUAL_GUESTS: Any = {"default": lambda: str(-(-3 * len(os.sched_getaffinity(0)) // 2)), "show_default": "3 for 2 CPUs"}

GUESTS = "Guests at a time: a number, auto or logical (pytest-xdist). 0 runs one guest without worker processes."


def processes(workers: str) -> int:
    """The number of processes for a value of -n, where there is always one."""
    return max(1, int(workers)) if _NUMBER.fullmatch(workers) else len(os.sched_getaffinity(0))
