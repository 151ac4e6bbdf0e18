# SPDX-License-Identifier: Apache-2.0
"""Where the time of a cell goes: milliseconds per command of the guest, per restore, and per read of its memory."""

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from harness.guest.guest import Guest
from harness.kernel.features import FEATURES
from harness.lab.execution.lab import Lab
from harness.lab.plan.cells import Cell, Flavour, choose_boards
from harness.lab.plan.settings import Settings
from harness.lab.plan.vendor_modules import shipped

_MEASURED = ("make_pristine", "post", "read_memory", "run")
_WORDS = 2  # of a command that distinguish it from others
_WARM_UP = 2  # cells, in which snapshots and proofs are made

Times = dict[str, list[float]]  # what -> seconds of each call


@contextmanager
def measured(times: Times) -> Iterator[None]:
    """Note how long the methods of every guest take."""
    methods = {name: getattr(Guest, name) for name in _MEASURED}
    for name, method in methods.items():
        setattr(Guest, name, _timed(name, method, times))
    try:
        yield
    finally:
        for name, method in methods.items():
            setattr(Guest, name, method)


def _timed(name: str, method: Callable[..., Any], times: Times) -> Callable[..., Any]:
    def timed(guest: Guest, *args: Any, **options: Any) -> Any:
        started = time.perf_counter()
        try:
            return method(guest, *args, **options)
        finally:
            what = " ".join(str(args[0]).split()[:_WORDS]) if name == "run" else name
            times[what].append(time.perf_counter() - started)

    return timed


@click.command()
@click.option("--board", "boards", multiple=True, default=("x86_64-q35", "arm-virt", "arm64-virt"), show_default=True)
@click.option("--module", "name", default="tail", show_default=True)
@click.option("--cells", default=20, show_default=True, help="Cells on each board.")
def main(*, boards: tuple[str, ...], name: str, cells: int) -> None:
    """Run one module again and again on production, in one guest for each board."""
    (module,) = [module for module in shipped() if module.name == name]
    for board in choose_boards(boards, []):
        cell = Cell(board, FEATURES["spinlock"], Flavour.PRODUCTION, module)
        times: Times = defaultdict(list)
        whole: list[float] = []
        with Lab(Settings(), [module], predicts=False) as lab:
            for number in range(_WARM_UP + cells):
                lab._controls.clear()  # noqa: SLF001 - it would run once
                if number == _WARM_UP:
                    times.clear()
                    whole.clear()
                with measured(times):
                    started = time.perf_counter()
                    result = lab.run(cell)
                    whole.append(time.perf_counter() - started)
        _print(f"{board.id}, {name}: {result.verdict}", whole, times)


def _print(title: str, whole: list[float], times: Times) -> None:
    median, spread = statistics.median(whole), f"{min(whole):.3f} - {max(whole):.3f}"
    table = Table("what", "calls a cell", "ms a cell", title=f"{title}, median {median:.3f} s a cell ({spread})")
    for what, each in sorted(times.items(), key=lambda entry: -sum(entry[1])):
        table.add_row(what, f"{len(each) / len(whole):.1f}", f"{1000 * sum(each) / len(whole):.1f}")
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
