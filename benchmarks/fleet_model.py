# SPDX-License-Identifier: Apache-2.0
"""A model of a fleet of machines that build kernels and judge cells, as discrete events. benchmarks/fleet_simulation.py
runs it.

Two ways to spread the work: a cluster, in which a scheduler hands out tasks and artefacts travel through a remote
cache, and shards, which are fixed beforehand and share nothing.
"""

import heapq
import math
import random
from collections import Counter, defaultdict
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import simpy

# What the time of a machine goes into
BUILD, SOURCE, TRANSFER, CELLS = "build", "source", "transfer", "cells"
LOST = "lost work"  # by a machine that died
DOWN = "down"  # from a death until a new machine has started
WAITING = "wait for kernels"  # no task is ready, and some are not started yet
IDLE = "idle"  # every task is started or done
USES = (BUILD, SOURCE, TRANSFER, CELLS, LOST, DOWN, WAITING, IDLE)

Steps = Generator[simpy.Event, Any, None]
Uses = defaultdict[str, float]  # use -> seconds


class Order(StrEnum):
    """What a scheduler hands out first, of the tasks whose kernels are built."""

    PLAN = "plan"  # the first of the plan
    BUILDS = "builds"  # builds, each kind in the order of the plan


@dataclass(frozen=True)
class Task:
    """A build of a kernel, or the cells of a group, which need kernels."""

    name: str
    # of kernel sources: one is fetched by a machine once
    line: str
    seconds: float
    # names of builds
    needs: tuple[str, ...] = ()
    # bytes of the packed kernel; 0 for a group
    size: int = 0

    @property
    def is_build(self) -> bool:
        return not self.needs


@dataclass(frozen=True)
class Fleet:
    """Machines, and what connects them. A machine works on one task at a time."""

    machines: int
    deaths_per_hour: float = 0.0  # of one machine
    restart_seconds: float = 60.0  # until a new one takes its place, with nothing in its cache
    machine_bandwidth: float = math.inf  # bytes per second
    remote_bandwidth: float = math.inf  # of all machines together
    latency: float = 0.0  # seconds before the first byte of each object
    source_size: int = 0  # bytes of a packed source, from a mirror near the machines
    source_seconds: float = 0.0  # to unpack and patch it


@dataclass
class Outcome:
    """What a simulated run took."""

    wall: float  # seconds until the last group was done
    uses: Uses  # seconds of all machines by use; their sum is wall x machines
    done: Counter[str]  # how often each task was done
    deaths: Counter[str]  # how often each task was lost with its machine
    carried: float = 0.0  # bytes through the remote
    peak: float = 0.0  # bytes per second
    mirrored: float = 0.0  # bytes of sources


def longest_chain(tasks: Sequence[Task], fleet: Fleet) -> float:
    """Seconds that no number of machines can go below: a source, a build, and a group that needs the build."""
    builds = {task.name: task for task in tasks if task.is_build}
    source = _fetch_seconds(fleet)
    kernels = {
        name: source + build.seconds + (fleet.latency + build.size / fleet.machine_bandwidth)
        for name, build in builds.items()
    }
    return max(
        task.seconds + max((kernels[name] for name in task.needs if name in kernels), default=source)
        for task in tasks
        if not task.is_build
    )


def _fetch_seconds(fleet: Fleet) -> float:
    return fleet.latency + fleet.source_size / fleet.machine_bandwidth + fleet.source_seconds


class Link:
    """The connection to the remote, which all transfers at one time share equally.

    As each gets the same rate, it is enough to count the bytes that one transfer would have received since the
    beginning: each ends when that count has grown by its size.
    """

    def __init__(self, env: simpy.Environment, each: float, total: float) -> None:
        self._env, self._each, self._total = env, each, total
        self._count = 0.0
        self._at = env.now
        self._ends: list[tuple[float, int, simpy.Event]] = []  # the count at the end, order, what happens then
        self._active: set[simpy.Event] = set()
        self._number = 0
        self.carried = self.peak = 0.0

    @property
    def _rate(self) -> float:
        return min(self._each, self._total / len(self._active)) if self._active else 0.0

    def carry(self, size: float) -> Steps:
        """Carry so many bytes. An interrupt ends the transfer."""
        if not size or math.isinf(min(self._each, self._total)):
            self.carried += size
            return
        self._advance()
        end = self._env.event()
        self._number += 1
        heapq.heappush(self._ends, (self._count + size, self._number, end))
        self._active.add(end)
        self.peak = max(self.peak, self._rate * len(self._active))
        self._wake()
        try:
            yield end
        except simpy.Interrupt:
            self._advance()
            self._active.discard(end)
            self._wake()
            raise

    def _advance(self) -> None:
        passed = self._env.now - self._at
        self._count += passed * self._rate
        self.carried += passed * self._rate * len(self._active)
        self._at = self._env.now

    def _wake(self) -> None:
        """Come back when the next transfer ends, unless another begins or ends before."""
        while self._ends and self._ends[0][2] not in self._active:
            heapq.heappop(self._ends)
        if not self._ends:
            return
        end, number, _ = self._ends[0]
        timer = self._env.timeout(max(0.0, end - self._count) / self._rate, value=(number, len(self._active)))
        timer.callbacks.append(lambda event: self._end_first(*event.value))

    def _end_first(self, number: int, active: int) -> None:
        if not self._ends or self._ends[0][1] != number or len(self._active) != active:
            return
        self._advance()
        end, _, event = self._ends[0]
        if end - self._count > 1.0:  # the timer is of an earlier moment, in which as many were active
            return
        heapq.heappop(self._ends)
        self._active.discard(event)
        event.succeed()
        self._wake()


class _Cluster:
    """A scheduler with machines: it hands out a task as soon as its kernels are built."""

    def __init__(
        self, tasks: Sequence[Task], fleet: Fleet, chance: random.Random, *, built: bool, order: Order
    ) -> None:
        self.env = simpy.Environment()
        self._fleet, self._chance = fleet, chance
        self._link = Link(self.env, fleet.machine_bandwidth, fleet.remote_bandwidth)
        first = order is Order.BUILDS
        self._place = {task.name: (first and not task.is_build, place) for place, task in enumerate(tasks)}
        self._tasks = {task.name: task for task in tasks}
        self._ready: simpy.PriorityStore = simpy.PriorityStore(self.env)
        there = {task.name for task in tasks if task.is_build} if built else set[str]()
        self._left = {task.name for task in tasks} - there
        self._not_started = set(self._left)
        self._missing = {task.name: set(task.needs) - there for task in tasks if task.name in self._left}
        self._users: dict[str, list[str]] = {}
        for task in tasks:
            for name in task.needs:
                self._users.setdefault(name, []).append(task.name)
        self._waiting, self._since = 0, 0.0
        self._end = self.env.event()
        self.outcome = Outcome(0.0, defaultdict(float), Counter(), Counter())
        for task in tasks:
            if task.name in self._left and not self._missing[task.name]:
                self._offer(task)

    def run(self) -> Outcome:
        machines = [self.env.process(self._machine()) for _ in range(self._fleet.machines)]
        self.env.run(self._end)
        wall = self.env.now
        for machine in machines:  # so that each accounts for what it was doing
            machine.interrupt()
        while any(machine.is_alive for machine in machines):
            self.env.step()
        self._count_idle()
        found = self.outcome
        found.wall, found.carried, found.peak = wall, self._link.carried, self._link.peak
        return found

    def _machine(self) -> Steps:
        """One machine after the other in one place. Interrupted at the end of the run."""
        rate = self._fleet.deaths_per_hour / 3600
        while True:
            life = self.env.process(self._life())
            death = self.env.timeout(self._chance.expovariate(rate)) if rate else self.env.event()
            try:
                yield life | death
                life.interrupt()
                yield life
                yield from self._timed(self.outcome.uses, DOWN, self._wait(self._fleet.restart_seconds))
            except simpy.Interrupt:
                if life.is_alive:
                    life.interrupt()
                    yield life
                return

    def _life(self) -> Steps:
        """A machine from its start to its death."""
        stored: set[str] = set()  # kernels and sources
        while True:
            self._count_idle(+1)
            request = self._ready.get()
            try:
                item = yield request
            except simpy.Interrupt:
                self._count_idle(-1)
                if request.triggered:
                    self._ready.put(request.value)
                else:
                    request.cancel()
                return
            self._count_idle(-1)
            task: Task = item.item
            self._not_started.discard(task.name)
            began, spent = self.env.now, Uses(float)
            try:
                yield from self._do(task, stored, spent)
            except simpy.Interrupt:
                self.outcome.uses[LOST] += self.env.now - began
                self.outcome.deaths[task.name] += 1
                self._count_idle()
                self._not_started.add(task.name)
                self._offer(task)
                return
            _add(self.outcome.uses, spent)
            self._finish(task)

    def _do(self, task: Task, stored: set[str], spent: Uses) -> Steps:
        fleet = self._fleet
        if task.line not in stored:
            yield from self._timed(spent, SOURCE, self._wait(_fetch_seconds(fleet)))
            stored.add(task.line)
            self.outcome.mirrored += fleet.source_size
        wanted = [self._tasks[name] for name in task.needs if name not in stored]
        if wanted:
            yield from self._timed(spent, TRANSFER, self._carry(wanted))
            stored.update(build.name for build in wanted)
        yield from self._timed(spent, BUILD if task.is_build else CELLS, self._wait(task.seconds))
        if task.is_build:
            stored.add(task.name)
            yield from self._timed(spent, TRANSFER, self._carry([task]))

    def _carry(self, builds: Sequence[Task]) -> Steps:
        yield self.env.timeout(self._fleet.latency * len(builds))
        yield from self._link.carry(sum(build.size for build in builds))

    def _wait(self, seconds: float) -> Steps:
        yield self.env.timeout(seconds)

    def _timed(self, spent: Uses, use: str, steps: Steps) -> Steps:
        began = self.env.now
        try:
            yield from steps
        finally:
            spent[use] += self.env.now - began

    def _offer(self, task: Task) -> None:
        self._ready.put(simpy.PriorityItem(self._place[task.name], task))

    def _finish(self, task: Task) -> None:
        self._count_idle()
        self.outcome.done[task.name] += 1
        self._left.discard(task.name)
        for name in self._users.get(task.name, ()):
            if name in self._left:
                self._missing[name].discard(task.name)
                if not self._missing[name]:
                    self._offer(self._tasks[name])
        if not self._left:
            self._end.succeed()

    def _count_idle(self, change: int = 0) -> None:
        """Account for the machines without a task since the last change."""
        use = WAITING if self._not_started else IDLE
        self.outcome.uses[use] += self._waiting * (self.env.now - self._since)
        self._since = self.env.now
        self._waiting += change


def cluster(
    tasks: Sequence[Task], fleet: Fleet, seed: int, *, built: bool = False, order: Order = Order.PLAN
) -> Outcome:
    """A run on a cluster. built: whether the remote has every kernel already."""
    return _Cluster(tasks, fleet, random.Random(seed), built=built, order=order).run()


def shards(jobs: Sequence[Sequence[Sequence[Task]]], fleet: Fleet, seed: int) -> Outcome:
    """A run of shards: each machine has a list of them. A shard whose machine dies begins again, and all of it."""
    chance, rate = random.Random(seed), fleet.deaths_per_hour / 3600
    outcome = Outcome(0.0, defaultdict(float), Counter(), Counter())
    ends = []
    for job in jobs:
        now, death = 0.0, chance.expovariate(rate) if rate else math.inf
        stored: set[str] = set()
        for shard in job:
            while True:
                uses = _uses_of(shard, stored, fleet)
                took = sum(uses.values())
                if now + took <= death:
                    break
                outcome.uses[LOST] += death - now
                outcome.deaths.update(task.name for task in shard)
                outcome.uses[DOWN] += fleet.restart_seconds
                now = death + fleet.restart_seconds
                death = now + chance.expovariate(rate)
                stored = set()
            now += took
            stored |= {task.line for task in shard} | {task.name for task in shard if task.is_build}
            _add(outcome.uses, uses)
            outcome.done.update(task.name for task in shard)
            outcome.mirrored += fleet.source_size if uses[SOURCE] else 0
        ends.append(now)
    outcome.wall = max(ends)
    idle = sum(outcome.wall - end for end in ends) + (fleet.machines - len(jobs)) * outcome.wall
    outcome.uses[IDLE] += idle
    return outcome


def _uses_of(shard: Sequence[Task], stored: set[str], fleet: Fleet) -> Uses:
    uses = Uses(float)
    sources = {task.line for task in shard} - stored
    uses[SOURCE] = len(sources) * _fetch_seconds(fleet)
    for task in shard:
        if task.name not in stored:
            uses[BUILD if task.is_build else CELLS] += task.seconds
    return uses


def _add(uses: Uses, more: Uses) -> None:
    for use, seconds in more.items():
        uses[use] += seconds


def shares(outcome: Outcome, machines: int) -> Mapping[str, float]:
    """The parts of the machines' time, by use. Their sum is 1."""
    return {use: outcome.uses[use] / (outcome.wall * machines) for use in USES}
