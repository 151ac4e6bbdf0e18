# SPDX-License-Identifier: Apache-2.0
"""benchmarks/fleet_simulation.py: what must be true of any fleet, and what is known beforehand of simple ones."""

import json
import math
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import simpy
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import fleet_plan
from benchmarks.fleet_model import (
    CELLS,
    IDLE,
    LOST,
    TRANSFER,
    WAITING,
    Fleet,
    Link,
    Order,
    Outcome,
    Task,
    cluster,
    longest_chain,
    shards,
    shares,
)
from benchmarks.fleet_simulation import Nightly, check, main
from harness.kernel.arch import ARM, X86_64
from harness.kernel.features import CORE_FEATURES, features_named
from harness.lab.plan.cells import DEFAULT_BOARDS, Selection, kernels

MB = 1_000_000


def tasks_of(chance: random.Random, kernels: int = 8, groups: int = 20) -> list[Task]:
    builds = [
        Task(f"k{i}", str(i % 2), chance.uniform(50, 150), size=chance.randrange(MB, 9 * MB)) for i in range(kernels)
    ]
    return builds + [
        Task(f"g{i}", str(i % 2), chance.uniform(10, 90), tuple(f"k{k}" for k in chance.sample(range(kernels), 3)))
        for i in range(groups)
    ]


TASKS = tasks_of(random.Random(1))
SLOW = Fleet(
    3, machine_bandwidth=10 * MB, remote_bandwidth=15 * MB, latency=0.1, source_size=100 * MB, source_seconds=9
)


def require_conservation(outcome: Outcome, tasks: Sequence[Task], fleet: Fleet) -> None:
    """Everything is done once, and the time of every machine is accounted for."""
    assert outcome.done == Counter(task.name for task in tasks)
    assert sum(outcome.uses.values()) == pytest.approx(outcome.wall * fleet.machines)
    assert all(seconds >= 0 for seconds in outcome.uses.values())
    assert sum(shares(outcome, fleet.machines).values()) == pytest.approx(1)


@given(
    seed=st.integers(0, 1000),
    machines=st.integers(1, 30),
    deaths=st.sampled_from([0.0, 0.5, 5.0, 20.0]),
    bandwidth=st.sampled_from([1e5, 1e7, math.inf]),
)
def test_everything_is_done_once_whoever_dies(seed: int, machines: int, deaths: float, bandwidth: float) -> None:
    tasks = tasks_of(random.Random(seed), kernels=5, groups=8)
    fleet = Fleet(machines, deaths, 30.0, bandwidth, 3 * bandwidth, 0.1, 10 * MB, 5.0)
    outcome = cluster(tasks, fleet, seed)
    require_conservation(outcome, tasks, fleet)
    assert bool(outcome.deaths) == (outcome.uses[LOST] > 0)
    assert outcome.wall >= longest_chain(tasks, fleet) * (1 - 1e-9)
    assert outcome.wall >= sum(task.seconds for task in tasks) / machines * (1 - 1e-9)


def test_machines_do_die_and_their_work_is_done_again() -> None:
    fleet = Fleet(4, deaths_per_hour=10.0)
    outcome = cluster(TASKS, fleet, 1)
    require_conservation(outcome, TASKS, fleet)
    assert sum(outcome.deaths.values()) > 3
    assert outcome.wall > cluster(TASKS, Fleet(4), 1).wall


def test_one_machine_takes_the_sum() -> None:
    outcome = cluster(TASKS, Fleet(1, source_seconds=9.0), 0)
    assert outcome.wall == pytest.approx(sum(task.seconds for task in TASKS) + 2 * 9.0)
    assert outcome.uses[IDLE] == outcome.uses[WAITING] == 0


def test_on_machines_without_number_the_longest_chain_is_left() -> None:
    fleet = Fleet(1000)
    assert cluster(TASKS, fleet, 0).wall == pytest.approx(longest_chain(TASKS, fleet))
    built = cluster(TASKS, Fleet(1000), 0, built=True)
    assert built.wall == pytest.approx(max(task.seconds for task in TASKS if not task.is_build))


def test_more_bandwidth_is_never_slower() -> None:
    """With a machine for each task; with fewer, another order of tasks can cost more than the transfers."""
    walls = [
        cluster(TASKS, Fleet(100, machine_bandwidth=rate, remote_bandwidth=4 * rate), 0).wall
        for rate in (1e4, 1e5, 1e6, 1e7, 1e8, math.inf)
    ]
    assert walls == sorted(walls, reverse=True)
    assert walls[0] > 2 * walls[-1]


def test_a_seed_gives_the_same_run_again() -> None:
    fleet = Fleet(5, deaths_per_hour=5.0, machine_bandwidth=1e6, remote_bandwidth=2e6)
    assert cluster(TASKS, fleet, 3) == cluster(TASKS, fleet, 3)
    assert cluster(TASKS, fleet, 3).wall != cluster(TASKS, fleet, 4).wall


def test_what_the_remote_carries() -> None:
    """Each kernel goes up once, and comes down once to the only machine, which has it already."""
    sizes = sum(task.size for task in TASKS)
    alone = cluster(TASKS, Fleet(1, machine_bandwidth=10 * MB, remote_bandwidth=15 * MB), 0)
    assert alone.carried == pytest.approx(sizes)
    assert alone.uses[TRANSFER] == pytest.approx(sizes / (10 * MB))
    three = cluster(TASKS, SLOW, 0)
    assert sizes < three.carried <= 3 * sizes
    assert three.peak <= 15 * MB
    assert three.mirrored == 3 * 2 * 100 * MB


def test_transfers_share_the_remote_equally() -> None:
    env = simpy.Environment()
    link = Link(env, each=10.0, total=15.0)
    ends: dict[int, float] = {}

    def transfer(start: float, size: float) -> Any:
        yield env.timeout(start)
        yield from link.carry(size)
        ends[int(size)] = env.now

    # 100 alone at 10/s for 5 s, then both at 7.5/s until the 30 is done at 9 s, then 20 left at 10/s
    for start, size in ((0.0, 100.0), (5.0, 30.0)):
        env.process(transfer(start, size))
    env.run()
    assert ends == {30: pytest.approx(9.0), 100: pytest.approx(11.0)}
    assert link.carried == pytest.approx(130.0)
    assert link.peak == 15.0


def test_a_transfer_that_is_interrupted_leaves_the_others_its_share() -> None:
    env = simpy.Environment()
    link = Link(env, each=10.0, total=10.0)
    ends: list[float] = []

    def transfer() -> Any:
        try:
            yield from link.carry(100.0)
        except simpy.Interrupt:
            return
        ends.append(env.now)

    env.process(transfer())
    dying = env.process(transfer())
    env.run(until=4.0)
    dying.interrupt()
    env.run()
    assert ends == [pytest.approx(12.0)]  # 20 by 4 s, 80 at the full rate


PLAN = fleet_plan.Plan("default", ["x86_64", "arm"], lines=2)
FACTS = fleet_plan.load()


def planned(cores: int = 2) -> list[Task]:
    return PLAN.tasks(FACTS, cores=cores, chance=random.Random(1))


def jobs_of(tasks: list[Task], machines: int) -> list[list[list[Task]]]:
    return PLAN.jobs(tasks, PLAN.split(machines), machines)


def test_the_plan_is_that_of_the_planner() -> None:
    boards = tuple(board for board in DEFAULT_BOARDS if board.arch in (X86_64, ARM))
    tasks = planned()
    assert sum(task.is_build for task in tasks) == 2 * len(kernels([Selection(boards, features_named(CORE_FEATURES))]))
    groups = [task for task in tasks if not task.is_build]
    assert [task.name for task in groups[:2]] == ["0/x86_64-none-spinlock", "0/x86_64-none-slub"]
    assert groups[0].needs == ("0/x86_64-production", "0/x86_64-stock-spinlock")
    assert len(groups) == 2 * 10
    known: set[str] = set()
    for task in tasks:
        assert set(task.needs) <= known, "a group stands behind its builds"
        known.add(task.name)
    assert sum(task.seconds for task in planned(cores=8) if task.is_build) < sum(
        task.seconds for task in tasks if task.is_build
    )


@pytest.mark.parametrize("machines", [1, 2, 3, 4, 7, 1000])
@pytest.mark.parametrize("deaths", [0.0, 2.0])
def test_shards_do_every_group_once_and_build_what_they_need(machines: int, deaths: float) -> None:
    tasks, fleet = planned(), Fleet(machines, deaths, machine_bandwidth=100 * MB, source_seconds=9.0)
    jobs = jobs_of(tasks, machines)
    for job in jobs:
        for shard in job:
            names = {task.name for task in shard}
            assert all(set(task.needs) <= names for task in shard)
    outcome = shards(jobs, fleet, 5)
    groups = [task for task in tasks if not task.is_build]
    assert {task.name: outcome.done[task.name] for task in groups} == {task.name: 1 for task in groups}
    assert all(outcome.done[task.name] >= 1 for task in tasks)
    assert sum(outcome.uses.values()) == pytest.approx(outcome.wall * machines)
    assert outcome.uses[CELLS] == pytest.approx(sum(task.seconds for task in groups))
    assert bool(outcome.deaths) == (outcome.uses[LOST] > 0)


def test_a_machine_alone_takes_as_long_with_a_shard_as_in_a_cluster() -> None:
    tasks, fleet = planned(), Fleet(1, source_seconds=9.0)
    assert shards(jobs_of(tasks, 1), fleet, 0).wall == pytest.approx(cluster(tasks, fleet, 0).wall)


def test_with_builds_first_the_last_chain_begins_earlier() -> None:
    tasks = [
        Task("k0", "0", 10.0), Task("g0", "0", 50.0, ("k0",)), Task("g1", "0", 50.0, ("k0",)),
        Task("k1", "0", 10.0), Task("k2", "0", 10.0), Task("g2", "0", 50.0, ("k1", "k2")),
    ]  # fmt: skip
    assert cluster(tasks, Fleet(2), 0).wall == 120.0
    assert cluster(tasks, Fleet(2), 0, order=Order.BUILDS).wall == 110.0


def test_the_spread_is_over_seeds() -> None:
    row = Nightly(PLAN, FACTS, cores=2, seeds=4).row("cluster", Fleet(3, deaths_per_hour=1.0))
    assert row.floor <= row.least < row.wall < row.most
    assert sum(row.shares.values()) == pytest.approx(1)


@pytest.mark.parametrize("way", ["cluster", "shards"])
def test_the_command_prints_a_table_and_an_object(way: str) -> None:
    words = ["--matrix", "default", "--arch", "arm", "--lines", "2", "--seeds", "2", "--machines", "3", "--way", way]
    words += ["--order", "builds"]
    shown = CliRunner().invoke(main, words)
    assert shown.exit_code == 0, shown.output
    assert "wait for kernels" in shown.output
    found = json.loads(CliRunner().invoke(main, [*words, "--json"]).output)
    assert (found["cells"], found["groups"]) == (2 * 100, 2 * 5)
    assert [(row["way"], row["machines"]) for row in found["rows"]] == [(way, 3)]
    assert found["rows"][0]["remote_gb"] > 0 if way == "cluster" else found["rows"][0]["remote_gb"] == 0


def cell(board: str, feature: str, seconds: float) -> dict[str, Any]:
    return {"board": board, "preemption": "none", "feature": feature, "whole_seconds": seconds}


ROWS = [cell("q35", "a", 10.0), cell("q35", "a", 20.0), cell("q35", "b", 30.0), cell("q35", "c", 30.0)]


def test_the_model_is_compared_with_real_runs(tmp_path: Path) -> None:
    runs = [{"workers": 1, "seconds": 95.0}, {"workers": 2, "seconds": 60.0}, {"workers": 4, "seconds": 70.0}]
    one, two, four = check({"cores": 2, "runs": runs}, ROWS)
    assert (one.predicted, one.off) == (95.0, 0.0)
    assert two.predicted == pytest.approx(60.0 + 5.0)
    assert four.predicted == pytest.approx(2 * (30.0 + 5.0)), "each of four gets half a core"
    (tmp_path / "matrix.json").write_text(json.dumps({"cells": ROWS}))
    (tmp_path / "runs.json").write_text(json.dumps({"cores": 2, "matrix": "matrix.json", "runs": runs}))
    shown = CliRunner().invoke(main, ["--validate", str(tmp_path / "runs.json")])
    assert "+8.3 %" in shown.output


def test_workers_that_wait_share_a_core() -> None:
    runs = [{"workers": 1, "seconds": 95.0}, {"workers": 4, "seconds": 70.0}]
    _, four = check({"cores": 2, "busy": 0.5, "runs": runs}, ROWS)
    assert four.predicted == pytest.approx(30.0 + 5.0)


def test_other_work_on_the_machine_is_shared_with() -> None:
    runs = [{"workers": 1, "seconds": 90.0, "load": 3.0}, {"workers": 2, "seconds": 60.0, "load": 3.0}]
    _, two = check({"cores": 2, "runs": runs}, ROWS)
    assert two.predicted == pytest.approx(60.0 * (2 / 4) / (2 / 5))
