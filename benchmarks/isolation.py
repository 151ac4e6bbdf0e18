# SPDX-License-Identifier: Apache-2.0
"""The cost of the isolation series: operations on an isolated kernel compared with the stock debug kernel."""

import statistics
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

import click
import psutil
from rich.console import Console
from rich.table import Table

from harness.guest.boards import Board
from harness.guest.guest import Guest, Timing
from harness.kernel.features import FEATURES
from harness.kernel.module_build import build_modules
from harness.kernel.variants import Preemption, Variant, variant_of
from harness.lab.execution.guest_pool import Guests
from harness.lab.execution.kernel_pool import Kernels
from harness.lab.plan.cells import choose_boards
from harness.lab.plan.settings import Settings
from harness.lab.validation import records
from harness.report.isolation_page import PAGE, isolation_page
from harness.support.errors import ModcompatError
from harness.support.paths import IMAGES
from harness.support.progress import task

ALL = "all"
SIDES = ("production", "stock", "isolated", "isolated, module built for production")
LOCKS = ("spin_lock", "spin_lock_irqsave", "read_lock", "write_lock")
PROGRAMS = {  # operation -> arguments of images/guest/tools/latency.c, and operations per count
    "context switch": ("switch {}", 2),
    "fork and exit": ("fork {}", 1),
    "module load and removal": ("module {} /cost/cost.ko cost", 1),
}
# Messages on the console would take longer than the measured operations, and SLUB's checks would hide the rest.
QUIET = "for p in kernel/parameters/initcall_debug printk/parameters/ignore_loglevel; do echo N >/sys/module/$p; done"
BOOT = "slub_debug=-"
PATIENCE = 300.0  # seconds for all repetitions of an operation
MEMORY = "memory that is taken after boot"
# Prints what is left of the guest's memory, in kB
AVAILABLE = "sed -n 's/^MemAvailable: *\\([0-9]*\\) kB$/\\1/p' /proc/meminfo"


@dataclass(frozen=True)
class Mode:
    """A way to measure."""

    unit: str
    locks: int  # repetitions of each lock operation
    programs: Mapping[str, int]  # repetitions of each operation in PROGRAMS
    options: tuple[str, ...] = ()  # of QEMU
    boot: Mapping[str, str] = field(default_factory=dict)  # architecture -> kernel parameters

    @property
    def is_counting(self) -> bool:
        """Whether the guest's clock counts instructions."""
        return bool(self.options)


MODES = (
    # With -icount, the guest's clock advances by 1 ns per instruction, and skips the time that the guest sleeps.
    Mode(
        "instructions",
        locks=100_000,
        programs={"context switch": 1000, "fork and exit": 100, "module load and removal": 30},
        options=("-icount", "shift=0,sleep=off"),
        boot={"x86_64": "nolapic_timer"},  # with -icount, that timer never expires (QEMU 7.2)
    ),
    # The host counts CPU time in hundredths of a second, so there are more repetitions.
    Mode(
        "host ns",
        locks=3_000_000,
        programs={"context switch": 10_000, "fork and exit": 1000, "module load and removal": 300},
    ),
)


def sides(feature: str, preemption: Preemption) -> dict[str, tuple[Variant, Variant]]:
    """Column -> the kernel in the guest, and the kernel that the module was built for."""
    stock, isolated = (variant_of(FEATURES[feature], preemption, isolated=it) for it in (False, True))
    pairs = [(stock.production,) * 2, (stock,) * 2, (isolated,) * 2, (isolated, isolated.production)]
    return dict(zip(SIDES, pairs, strict=True))


def operations(guest: Guest, mode: Mode) -> dict[str, float]:
    """Cost per operation in a pristine guest, in instructions or in ns of host CPU time."""

    def taken(command: str) -> float:
        started = _emulated(guest)
        counted = _number(guest, command)
        return counted if mode.is_counting else _emulated(guest) - started

    guest.make_pristine()
    _number(guest, f"{QUIET}; echo 0")
    programs = {
        name: taken("latency " + words.format(mode.programs[name])) / (mode.programs[name] * each)
        for name, (words, each) in PROGRAMS.items()
    }
    _number(guest, f"insmod /cost/cost.ko rounds={mode.locks}; echo 0")
    run = "cd /sys/module/cost/parameters; echo {} >run; cat ns"
    idle = taken(run.format("nothing"))
    return {name: (taken(run.format(name)) - idle) / mode.locks for name in LOCKS} | programs


def _available(guest: Guest) -> int:
    guest.make_pristine()
    return _number(guest, AVAILABLE)


def _emulated(guest: Guest) -> float:
    """CPU time that the guest's QEMU has used so far, in ns."""
    times = psutil.Process(guest.qemu.process.pid).cpu_times()
    return float(times.user + times.system) * 1e9


def _number(guest: Guest, command: str) -> int:
    output = guest.run(command, PATIENCE)
    if output.status or not output.text.isdigit():
        raise ModcompatError(f"`{command}` gave no number", details=output.text)
    return int(output.text)


def measured(
    board: Board, settings: Settings, rounds: int, kernels: Mapping[str, tuple[Variant, Variant]]
) -> list[dict[str, Any]]:
    """A row for each operation and unit, with the median of the rounds on each side, their ratio and its spread.

    kernels: as sides() gives them.
    """
    rows = []
    for mode in MODES:
        place = _place(board, mode)
        with ExitStack() as started, task(f"measuring {mode.unit} on {board.id}", rounds * len(SIDES)) as running:
            guests = {
                name: started.enter_context(_guests(place, side[1], settings)).guest(place, side[0])
                for name, side in kernels.items()
            }
            if mode.is_counting:
                kb = (settings.memory or board.memory) * 1024
                rows.append(_row("kB", MEMORY, {it: [kb - _available(guest)] for it, guest in guests.items()}))
            taken: dict[str, list[dict[str, float]]] = {name: [] for name in SIDES}
            for _ in range(rounds):
                for name, guest in guests.items():  # in turn, so that a busy host affects all sides
                    taken[name].append(operations(guest, mode))
                    running.step()
        rows += [
            _row(mode.unit, name, {side: [found[name] for found in all_of] for side, all_of in taken.items()})
            for name in (*LOCKS, *PROGRAMS)
        ]
    return rows


def _place(board: Board, mode: Mode) -> Board:
    """The board for a mode, with one CPU and thread: -icount needs that, and not every guest boots with two CPUs."""
    words = (board.boot, BOOT, mode.boot.get(board.arch.name, ""))
    return replace(
        board,
        arch=replace(board.arch, quirks=replace(board.arch.quirks, cpu_threads="single")),
        topology="1",
        boot=" ".join(word for word in words if word),
        options=(*board.options, *mode.options),
    )


def _guests(board: Board, built_for: Variant, settings: Settings) -> Guests:
    kernels = Kernels(settings)
    files = build_modules(IMAGES / "cost", kernels.kernel(board, built_for), kernels.store)
    return Guests(kernels, files={f"cost/{name}.ko": file for name, file in files.items()})


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
@click.option("--board", default="x86_64-q35", show_default=True, help="Board to measure on.")
@click.option("--feature", default=ALL, show_default=True, type=click.Choice(sorted(FEATURES)), help="What is on.")
@click.option("--preemption", default="none", show_default=True, type=click.Choice([it.value for it in Preemption]))
@click.option("--rounds", default=5, show_default=True, help="Measurements on each kernel, in turn.")
@click.option("--timeout-scale", "scale", default=1.0, show_default=True, help="For a slow machine.")
@click.option("--record", is_flag=True, help="Write to harness/lab/validation and docs/results/isolation.md.")
def main(*, board: str, feature: str, preemption: str, rounds: int, scale: float, record: bool) -> None:
    """Measure locks, context switches, forks, module loads and memory on kernels with a feature.

    Measures twice: in instructions, which hardly differ between runs, and in host CPU time for emulating them. SLUB's
    checks, which would hide the rest, and console output are off.
    """
    (place,) = choose_boards([board], [])
    settings = Settings(timing=Timing().scaled(scale), accelerator="tcg")
    kernels = sides(feature, Preemption(preemption))
    rows = measured(place, settings, rounds, kernels)
    table = Table("operation", "unit", *SIDES, "isolated / stock", "spread", title=f"median of {rounds}")
    for row in rows:
        numbers = [f"{row[side]:.0f}" for side in SIDES]
        table.add_row(
            row["operation"], row["unit"], *numbers, f"{row['ratio']:.2f}", f"{row['least']:.2f} - {row['most']:.2f}"
        )
    Console(width=140).print(table)
    if record:
        made = records.circumstances(place, settings, kernels["stock"][0]) | {"rounds": rounds, "costs": rows}
        path = records.record("costs", made | {"feature": "" if feature == ALL else f"{feature} {preemption}"})
        PAGE.write_text(isolation_page(PAGE.read_text()))
        print(f"recorded: {path}, {PAGE}")


if __name__ == "__main__":
    main()
