# SPDX-License-Identifier: Apache-2.0
"""Seconds per pristine guest, restored from a snapshot and booted cold, alternately in one run."""

import statistics
import time
from collections.abc import Callable

import click
from rich.console import Console
from rich.table import Table

from harness.kernel.variants import PRODUCTION
from harness.lab.execution.guest_pool import Guests
from harness.lab.execution.kernel_pool import Kernels
from harness.lab.plan.cells import choose_boards
from harness.lab.plan.settings import Settings


def seconds(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


@click.command()
@click.option("--board", "boards", multiple=True, default=("x86_64-q35", "arm-virt", "arm64-virt"), show_default=True)
@click.option("--rounds", default=7, show_default=True, help="Measurements of each kind.")
def main(*, boards: tuple[str, ...], rounds: int) -> None:
    """Measure on production kernels, which are built first unless they are cached.

    A measurement ends when the guest's shell has answered a command. A cold boot includes the start of
    QEMU; so does "new QEMU", a restore into a new process, which the first cell of a run needs.
    """
    columns = ("board", "cold boot s", "restore s", "ratio", "new QEMU s", "ratio", "spread of restore s")
    table = Table(*columns, title=f"median of {rounds}")
    with Guests(Kernels(Settings())) as guests:
        for board in choose_boards(boards, []):
            guest = guests.guest(board, PRODUCTION)
            cold, warm, fresh = [], [], []
            for _ in range(rounds):
                guest.close()
                cold.append(seconds(guest.boot))
                guest.close()
                fresh.append(seconds(guest.restore))
                guest.run("echo dirty >/tmp/dirty")
                warm.append(seconds(guest.restore))
            boot, restore, start = (statistics.median(times) for times in (cold, warm, fresh))
            table.add_row(
                board.id,
                f"{boot:.3f}",
                f"{restore:.3f}",
                f"{boot / restore:.1f}",
                f"{start:.3f}",
                f"{boot / start:.1f}",
                f"{min(warm):.3f} - {max(warm):.3f}",
            )
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
