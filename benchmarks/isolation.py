"""What the isolation series costs: operations on an isolated kernel against the stock debug kernel, in one run."""

import statistics
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import click
import psutil
from rich.console import Console
from rich.table import Table

from harness.boards import Board
from harness.errors import ModcompatError
from harness.features import FEATURES
from harness.guest.guest import Guest
from harness.isolation import recorded
from harness.kernel.modules import build_modules
from harness.lab import Lab, Settings
from harness.paths import IMAGES
from harness.plan import choose_boards
from harness.progress import task
from harness.report.isolation import PAGE, isolation_page
from harness.variants import Variant, variant_of

ALL = FEATURES["all"]
# Each with a module that was built for it, the last one with a module that was built for production
SIDES = {
    "production": (variant_of(ALL).production, variant_of(ALL).production),
    "stock": (variant_of(ALL), variant_of(ALL)),
    "isolated": (variant_of(ALL, isolated=True), variant_of(ALL, isolated=True)),
    "isolated, module built for production": (variant_of(ALL, isolated=True), variant_of(ALL).production),
}
LOCKS = ("spin_lock", "spin_lock_irqsave", "read_lock", "write_lock")
ROUNDS = 300_000  # of an operation of images/cost/cost.c
PROGRAMS = {  # operation -> what images/guest/tools/latency.c takes, and how many that makes
    "context switch": ("switch 1000", 2000),
    "fork and exit": ("fork 100", 100),
    "module load and removal": ("module 30 /cost/cost.ko cost", 30),
}
# What the kernel says on the console takes longer than what is measured, and the checks of SLUB hide the rest.
QUIET = "for p in kernel/parameters/initcall_debug printk/parameters/ignore_loglevel; do echo N >/sys/module/$p; done"
BOOT = "slub_debug=-"
PATIENCE = 300.0  # seconds for an operation, however often it is done
# QEMU: the guest's clock goes on by a nanosecond with each instruction, and does not wait where the guest sleeps.
COUNTING = ("-icount", "shift=0,sleep=off")
COUNTING_BOOT = {"x86_64": "nolapic_timer"}  # that timer never expires then (QEMU 7.2)
MODES = {"instructions": COUNTING, "host ns": ()}


def operations(guest: Guest, *, counting: bool) -> dict[str, float]:
    """What each operation takes in a pristine guest: instructions, or the time of the host's CPU for emulating it."""

    def taken(command: str) -> float:
        started = _emulated(guest)
        counted = _number(guest, command)
        return counted if counting else _emulated(guest) - started

    guest.make_pristine()
    _number(guest, f"{QUIET}; echo 0")
    programs = {name: taken(f"latency {words}") / count for name, (words, count) in PROGRAMS.items()}
    _number(guest, "insmod /cost/cost.ko; echo 0")
    run = "cd /sys/module/cost/parameters; echo {} >run; cat ns"
    idle = taken(run.format("nothing"))
    return {name: (taken(run.format(name)) - idle) / ROUNDS for name in LOCKS} | programs


def _emulated(guest: Guest) -> float:
    """The CPU time of the guest's QEMU so far, in ns."""
    times = psutil.Process(guest.qemu.process.pid).cpu_times()
    return float(times.user + times.system) * 1e9


def _number(guest: Guest, command: str) -> int:
    output = guest.run(command, PATIENCE)
    if output.status or not output.text.isdigit():
        raise ModcompatError(f"`{command}` gave no number", details=output.text)
    return int(output.text)


def measured(board: Board, settings: Settings, rounds: int) -> list[dict[str, Any]]:
    """A row for each operation and unit: what it took on each side, the median and the spread of the rounds."""
    rows = []
    for unit, options in MODES.items():
        place = _place(board, options)
        with ExitStack() as labs, task(f"measuring {unit} on {board.id}", rounds * len(SIDES)) as running:
            guests = {
                name: labs.enter_context(_lab(place, side[1], settings)).guest(place, side[0])
                for name, side in SIDES.items()
            }
            taken: dict[str, list[dict[str, float]]] = {name: [] for name in SIDES}
            for _ in range(rounds):
                for name, guest in guests.items():  # in turn, so that a busy host is no side's disadvantage
                    taken[name].append(operations(guest, counting=bool(options)))
                    running.step()
        rows += [
            _row(unit, name, {side: [found[name] for found in all_of] for side, all_of in taken.items()})
            for name in (*LOCKS, *PROGRAMS)
        ]
    return rows


def _place(board: Board, options: tuple[str, ...]) -> Board:
    """The board with further options of QEMU's, and one CPU: not every guest boots with two that are counted."""
    one_thread = replace(board.arch, cpu_threads="single")  # two cannot count instructions
    boot = " ".join([board.boot, BOOT, COUNTING_BOOT.get(board.arch.name, "") if options else ""]).strip()
    return replace(board, arch=one_thread, topology="1", boot=boot, options=(*board.options, *options))


def _lab(board: Board, built_for: Variant, settings: Settings) -> Lab:
    with Lab(settings, []) as builder:
        files = build_modules(IMAGES / "cost", builder.kernel(board, built_for), builder.store)
    return Lab(settings, [], files={f"cost/{name}.ko": file for name, file in files.items()})


def _row(unit: str, operation: str, taken: dict[str, list[float]]) -> dict[str, Any]:
    ratios = [one / other for one, other in zip(taken["isolated"], taken["stock"], strict=True)]
    return {
        "operation": operation,
        "unit": unit,
        **{side: round(statistics.median(all_of), 1) for side, all_of in taken.items()},
        "ratio": round(statistics.median(taken["isolated"]) / statistics.median(taken["stock"]), 3),
        "least": round(min(ratios), 3),
        "most": round(max(ratios), 3),
    }


@click.command()
@click.option("--board", default="x86_64-q35", show_default=True, help="Where to measure.")
@click.option("--rounds", default=5, show_default=True, help="Measurements on each kernel, in turn.")
@click.option("--record", is_flag=True, help="Stand by it: into tests/isolation, and docs/isolation.md.")
def main(*, board: str, rounds: int, record: bool) -> None:
    """Measure locks, context switches, forks and module loads on kernels with all features at once.

    Twice: in instructions, which hardly differ from run to run, and in time for emulating them. Without SLUB's
    checks (they would hide the rest), and with nothing on the console.
    """
    (place,) = choose_boards([board], [])
    settings = Settings(accelerator="tcg")
    rows = measured(place, settings, rounds)
    table = Table("operation", "unit", *SIDES, "isolated / stock", "spread", title=f"median of {rounds}")
    for row in rows:
        numbers = [f"{row[side]:.0f}" for side in SIDES]
        table.add_row(
            row["operation"], row["unit"], *numbers, f"{row['ratio']:.2f}", f"{row['least']:.2f} - {row['most']:.2f}"
        )
    Console(width=140).print(table)
    if record:
        path = recorded.record("costs", recorded.circumstances(place, settings) | {"rounds": rounds, "costs": rows})
        PAGE.write_text(isolation_page(PAGE.read_text()))
        print(f"recorded: {path}, {PAGE}")


if __name__ == "__main__":
    main()
