"""Options that take a name, which the shell completes: of boards, architectures, kernels and features."""

from collections import Counter
from collections.abc import Iterable

import click
from click.shell_completion import CompletionItem

from harness.architectures import ARCHITECTURES
from harness.boards import BOARDS
from harness.features import FEATURES
from harness.variants import variant_names


class _Name(click.ParamType[str]):
    """A name that may also be one that is not among the known ones: that is for the command to tell."""

    def __init__(self, names: Iterable[str], shown: str = "NAME") -> None:
        self.names, self.name = sorted(names), shown

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        del ctx, param
        return [CompletionItem(name) for name in self.names if name.startswith(incomplete)]


_short = Counter(board.name for board in BOARDS.values())
BOARD = _Name([*BOARDS, *(name for name, count in _short.items() if count == 1)])
ARCH = _Name(ARCHITECTURES, "ARCH")
KERNEL = _Name(variant_names())
FEATURE = _Name(FEATURES)
