# SPDX-License-Identifier: Apache-2.0
"""How long a nightly would take on 1, 10, 100 and 1,000 machines, and what of: a simulation with recorded durations."""

import json
import random
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from benchmarks import fleet_plan
from benchmarks.fleet_model import USES, Fleet, Order, Outcome, Task, cluster, longest_chain, shards, shares
from benchmarks.fleet_plan import Plan
from harness.lab.plan.cells import MATRICES
from harness.support.cache.store import Store

_MB = 1e6
_WAYS = ("cluster", "shards")
_GROUP = ("board", "preemption", "feature")  # of a row of matrix.json: what a worker of pytest-xdist gets at once


@dataclass(frozen=True)
class Row:
    """The runs of one number of machines."""

    way: str
    machines: int
    wall: float  # seconds, the median over the seeds
    least: float
    most: float
    floor: float  # seconds: the longest chain, or all work shared out equally if that is more
    shares: Mapping[str, float]  # of the machines' time, by use
    builds: float  # the number of builds, those that were lost not counted
    lost_tasks: float
    most_deaths: int  # of machines with the same task
    remote_gb: float
    remote_peak_mb: float  # MB/s
    mirror_gb: float


class Nightly:
    """What is simulated: a plan, with other durations for each seed."""

    def __init__(self, plan: Plan, facts: Mapping[str, Any], *, cores: int, seeds: int) -> None:
        self.plan = plan
        chances = [random.Random(f"durations {seed}") for seed in range(seeds)]
        self.tasks = [plan.tasks(facts, cores=cores, chance=chance) for chance in chances]

    def row(self, way: str, fleet: Fleet, *, built: bool = False, order: Order = Order.PLAN) -> Row:
        """Simulate every seed."""
        if way == "cluster":
            outcomes = [cluster(tasks, fleet, seed, built=built, order=order) for seed, tasks in enumerate(self.tasks)]
        else:
            split = self.plan.split(fleet.machines)
            outcomes = [
                shards(self.plan.jobs(tasks, split, fleet.machines), fleet, seed)
                for seed, tasks in enumerate(self.tasks)
            ]
        walls = [outcome.wall for outcome in outcomes]
        used = [shares(outcome, fleet.machines) for outcome in outcomes]
        return Row(
            way=way,
            machines=fleet.machines,
            wall=statistics.median(walls),
            least=min(walls),
            most=max(walls),
            floor=statistics.median(_floor(tasks, fleet, built=built) for tasks in self.tasks),
            shares={use: statistics.mean(each[use] for each in used) for use in USES},
            builds=statistics.mean(map(_builds, outcomes, self.tasks)),
            lost_tasks=statistics.mean(sum(outcome.deaths.values()) for outcome in outcomes),
            most_deaths=max(max(outcome.deaths.values(), default=0) for outcome in outcomes),
            remote_gb=statistics.mean(outcome.carried for outcome in outcomes) / (1000 * _MB),
            remote_peak_mb=max(outcome.peak for outcome in outcomes) / _MB,
            mirror_gb=statistics.mean(outcome.mirrored for outcome in outcomes) / (1000 * _MB),
        )


def _floor(tasks: Sequence[Task], fleet: Fleet, *, built: bool) -> float:
    left = [task for task in tasks if not (built and task.is_build)]
    return max(longest_chain(left, fleet), sum(task.seconds for task in left) / fleet.machines)


def _builds(outcome: Outcome, tasks: Sequence[Task]) -> int:
    return sum(outcome.done[task.name] for task in tasks if task.is_build)


def table(rows: Sequence[Row], title: str) -> Table:
    columns = (
        "way",
        "machines",
        "wall",
        "spread",
        "floor",
        *USES,
        "builds",
        "lost",
        "remote GB",
        "peak MB/s",
        "mirror GB",
    )
    found = Table(*columns, title=title)
    for row in rows:
        found.add_row(
            row.way, f"{row.machines:,}", _time(row.wall), f"{_time(row.least)} - {_time(row.most)}", _time(row.floor),
            *(f"{100 * row.shares[use]:.1f} %" for use in USES), f"{row.builds:,.0f}", f"{row.lost_tasks:.1f}",
            f"{row.remote_gb:.1f}", f"{row.remote_peak_mb:.0f}", f"{row.mirror_gb:.1f}",
        )  # fmt: skip
    return found


def _time(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02}" if minutes >= 100 else f"{seconds / 60:.1f} min"


@dataclass(frozen=True)
class Check:
    """A real run with several workers on one machine, and what the model says of it."""

    workers: int
    measured: float  # seconds
    predicted: float

    @property
    def off(self) -> float:
        """The error of the prediction, as a part of the measurement."""
        return self.predicted / self.measured - 1


def check(measured: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> Iterator[Check]:
    """Compare the model with real runs of one matrix.

    measured: `cores` of the machine, the part of a core that one worker keeps `busy`, and `runs` with `workers`,
    `seconds` and the `load` of other work; the first one has one worker. rows: those of its matrix.json. What its cells
    do not account for is the same in each run.
    """
    seconds: dict[tuple[str, ...], float] = {}
    for row in rows:
        group = tuple(row[name] for name in _GROUP)
        seconds[group] = seconds.get(group, 0.0) + row["whole_seconds"]
    first, *_ = measured["runs"]
    around = first["seconds"] - sum(seconds.values())
    for run in measured["runs"]:
        slower = _speed(first, measured) / _speed(run, measured)
        tasks = [Task("-".join(group), "", took * slower, ("kernels",)) for group, took in seconds.items()]
        every = [Task("kernels", "", 0.0), *tasks]
        wall = cluster(every, Fleet(run["workers"]), 0, built=True).wall
        yield Check(run["workers"], run["seconds"], wall + around * slower)


def _speed(run: Mapping[str, Any], measured: Mapping[str, Any]) -> float:
    """How fast each worker of a run is, 1 if it need not wait for a core."""
    wanted = float(run["workers"] * measured.get("busy", 1.0) + run.get("load", 0.0))
    return min(1.0, float(measured["cores"]) / wanted)


@click.command()
@click.option("--machines", multiple=True, type=click.IntRange(1), default=(1, 10, 100, 1000), show_default=True)
@click.option("--matrix", type=click.Choice(list(MATRICES)), default="nightly", show_default=True)
@click.option("--arch", "arches", multiple=True, default=("x86_64", "arm", "arm64"), show_default=True)
@click.option("--lines", type=click.IntRange(1), default=10, show_default=True, help="Kernel lines.")
@click.option("--cores", type=click.IntRange(1), default=2, show_default=True, help="Of a machine.")
@click.option("--seeds", type=click.IntRange(1), default=10, show_default=True, help="Runs of each number of machines.")
@click.option("--deaths", default=0.01, show_default=True, help="Of one machine in an hour.")
@click.option("--restart", default=60.0, show_default=True, help="Seconds until a machine is replaced.")
@click.option("--bandwidth", default=100.0, show_default=True, help="MB/s between a machine and the remote.")
@click.option("--remote", default=1000.0, show_default=True, help="MB/s of the remote in all.")
@click.option(
    "--latency", default=0.05, show_default=True, help="Seconds until an object of the remote begins to come."
)
@click.option("--built", is_flag=True, help="The remote has every kernel already.")
@click.option(
    "--order", type=click.Choice([str(it) for it in Order]), default="plan", show_default=True, help="Of ready tasks."
)
@click.option("--way", "ways", multiple=True, type=click.Choice(_WAYS), default=_WAYS, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--record", "runs", multiple=True, type=Path, help="Run folder: record durations of it and of the cache.")
@click.option("--validate", "measured", type=Path, help="JSON file with real runs: compare the model with them.")
def main(
    *, machines: tuple[int, ...], matrix: str, arches: tuple[str, ...], lines: int, cores: int, seeds: int,
    deaths: float, restart: float, bandwidth: float, remote: float, latency: float, built: bool, order: str,
    ways: tuple[str, ...], as_json: bool, runs: tuple[Path, ...], measured: Path | None,
) -> None:  # fmt: skip
    """Simulate a nightly on a cluster and with shards."""
    if runs:
        fleet_plan.write(fleet_plan.record(Store(), runs, fleet_plan.load()))
        return
    if measured:
        facts = json.loads(measured.read_text())
        found = list(check(facts, json.loads((measured.parent / facts["matrix"]).read_text())["cells"]))
        _print_checks(found, as_json=as_json)
        return
    durations = fleet_plan.load()
    nightly = Nightly(Plan(matrix, arches, lines), durations, cores=cores, seeds=seeds)
    fleet = {
        "deaths_per_hour": deaths, "restart_seconds": restart, "machine_bandwidth": bandwidth * _MB,
        "remote_bandwidth": remote * _MB, "latency": latency, "source_size": durations["source_bytes"],
        "source_seconds": durations["source_seconds"],
    }  # fmt: skip
    rows = [
        nightly.row(way, Fleet(count, **fleet), built=built, order=Order(order)) for way in ways for count in machines
    ]
    kernels = sum(task.is_build for task in nightly.tasks[0])
    size = {"cells": nightly.plan.cells, "kernels": kernels, "groups": len(nightly.tasks[0]) - kernels}
    if as_json:
        json.dump({**size, "fleet": fleet, "rows": [asdict(row) for row in rows]}, sys.stdout, indent=1)
        return
    title = ", ".join(f"{count:,} {name}" for name, count in size.items())
    Console(width=240 if not sys.stdout.isatty() else None).print(table(rows, title))


def _print_checks(checks: Sequence[Check], *, as_json: bool) -> None:
    if as_json:
        json.dump([{**asdict(it), "off": it.off} for it in checks], sys.stdout, indent=1)
        return
    found = Table("workers", "measured s", "predicted s", "off")
    for it in checks:
        found.add_row(str(it.workers), f"{it.measured:.1f}", f"{it.predicted:.1f}", f"{100 * it.off:+.1f} %")
    Console().print(found)


if __name__ == "__main__":
    main()
