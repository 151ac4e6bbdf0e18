# SPDX-License-Identifier: Apache-2.0
"""The tasks of a run on many machines: what the planner says, with durations and sizes that were recorded.

`record()` makes benchmarks/fleet_durations.json of a cache and of run folders.
"""

import io
import json
import random
import statistics
import subprocess
import tarfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar

import zstandard

from benchmarks.fleet_model import Task
from harness.lab.plan.cells import MATRICES, Cell, cells_of, choose_boards, kernels_of, narrow
from harness.lab.plan.shards import cells_of_shard
from harness.lab.plan.vendor_modules import VendorModule, shipped
from harness.support.cache.store import Entry, Store

DURATIONS = Path(__file__).with_name("fleet_durations.json")
MEASURED_CORES = 2
_FACTS = ("config", "headers", "layouts", "change")  # made of a kernel once, to compare it with production
_QUIET = 4  # the fastest of so many were built while the machine did little else

K = TypeVar("K")
Durations = Mapping[str, Any]
Key = tuple[str, str, str]  # architecture, preemption model, feature


def load(file: Path = DURATIONS) -> Durations:
    facts: Durations = json.loads(file.read_text())
    return facts


class Group:
    """The cells that stay together."""

    def __init__(self, cells: Sequence[Cell]) -> None:
        self.kernels = kernels_of(cells)
        # flavour and number of modules of each guest
        self.guests = [
            (on_it[0].flavour, len(on_it))
            for on_it in _grouped(cells, lambda cell: (cell.board.id, cell.flavour)).values()
        ]
        self.modules = max(modules for _, modules in self.guests)


class Plan:
    """The cells of a matrix on some architectures, for several kernel lines."""

    def __init__(self, matrix: str, arches: Sequence[str], lines: int) -> None:
        selections = narrow(MATRICES[matrix], boards=choose_boards([], arches), features=[], preemptions=())
        cells = cells_of(selections, shipped())
        self.lines = [str(line) for line in range(lines)]
        self.cells = len(cells) * lines
        self.groups = {key: Group(group) for key, group in _grouped(cells, _key).items()}
        self._one_module = cells_of(selections, [VendorModule("any")])  # shards do not depend on their number

    def tasks(self, facts: Durations, *, cores: int, chance: random.Random) -> list[Task]:
        """The builds and groups. Each group stands behind the builds that it needs."""
        found: dict[str, Task] = {}
        for line in self.lines:
            for key, group in self.groups.items():
                arch, needs = key[0], []
                for _, variant in group.kernels:
                    needs.append(f"{line}/{arch}-{variant.name}")
                    if needs[-1] not in found:
                        seconds = _build_seconds(arch, facts, cores, chance)
                        seconds += facts["module_seconds"] * group.modules if variant.production == variant else 0.0
                        found[needs[-1]] = Task(needs[-1], line, seconds, size=facts["packed_bytes"][arch])
                name = _name(line, key)
                found[name] = Task(name, line, _group_seconds(arch, group, facts, chance), tuple(needs))
        return list(found.values())

    def split(self, machines: int) -> list[list[Key]]:
        """The groups of each shard of one line: all of them if there are no more machines than lines."""
        if machines <= len(self.lines):
            return [list(self.groups)]
        parts = min(machines // len(self.lines), len(self.groups))
        shards = (cells_of_shard(self._one_module, (part, parts)) for part in range(1, parts + 1))
        return [list(dict.fromkeys(map(_key, shard))) for shard in shards]

    def jobs(self, tasks: Sequence[Task], split: Sequence[Sequence[Key]], machines: int) -> list[list[list[Task]]]:
        """The shards of each machine: a part of a line if there are many machines, and whole lines if there are few."""
        by_name = {task.name: task for task in tasks}
        shards = []
        for line in self.lines:
            for keys in split:
                groups = [by_name[_name(line, key)] for key in keys]
                builds = dict.fromkeys(name for group in groups for name in group.needs)
                shards.append([*(by_name[name] for name in builds), *groups])
        return [found for machine in range(machines) if (found := shards[machine::machines])]


def _key(cell: Cell) -> Key:
    return cell.board.arch.name, str(cell.preemption), cell.feature.name


def _name(line: str, key: Key) -> str:
    return f"{line}/{'-'.join(key)}"


def _grouped(cells: Iterable[Cell], key: Callable[[Cell], K]) -> dict[K, list[Cell]]:
    found: dict[K, list[Cell]] = defaultdict(list)
    for cell in cells:
        found[key(cell)].append(cell)
    return found


def _build_seconds(arch: str, facts: Durations, cores: int, chance: random.Random) -> float:
    """A build on so many cores, and the facts of the kernel, which are made on one."""
    whole, serial = chance.uniform(*facts["build_seconds"][arch]), facts["serial_seconds"]
    return float(serial + (whole - serial) * MEASURED_CORES / cores + facts["facts_seconds"][arch])


def _group_seconds(arch: str, group: Group, facts: Durations, chance: random.Random) -> float:
    """Each guest is started once, with a snapshot of its own."""
    starts, snapshot = facts["start_seconds"][arch], facts["snapshot_seconds"][arch]
    seconds = 0.0
    for flavour, modules in group.guests:
        seconds += (
            chance.choice(starts) + snapshot + sum(chance.choices(facts["cell_seconds"][arch][flavour], k=modules))
        )
    return seconds


def record(store: Store, runs: Sequence[Path], before: Durations) -> dict[str, Any]:
    """The durations and sizes in a cache and in run folders; what they do not have is as before."""
    took = _seconds_of_entries(store)
    starts, cells = _seconds_of_cells(runs)
    builds, packed = _builds(store), _packed_bytes(store)
    quiet = {key: statistics.median(sorted(values)[: -(-len(values) // _QUIET)]) for key, values in took.items()}
    arches = sorted(cells)
    return {
        **before,
        "build_seconds": {**before["build_seconds"], **builds},
        "facts_seconds": {arch: round(sum(quiet[kind, arch] for kind in _FACTS), 1) for arch in arches},
        "module_seconds": round(quiet["module", ""], 1),
        "snapshot_seconds": {arch: round(quiet["snapshot", arch], 1) for arch in arches},
        "start_seconds": {arch: starts[arch] for arch in arches},
        "cell_seconds": {arch: cells[arch] for arch in arches},
        "packed_bytes": {**before["packed_bytes"], **packed},
    }


def _seconds_of_entries(store: Store) -> dict[tuple[str, str], list[float]]:
    """(kind, architecture) -> seconds between the birth of the folder of an entry and that of its manifest."""
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for entry in (entry for kind in (*_FACTS, "module", "snapshot") for entry in store.entries(kind)):
        command: list[str | Path] = ["stat", "--format=%w", entry.path, entry.path / "entry.json"]
        births = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
        if len(births) == len(command) - 2 and "-" not in births:  # a dash: the file system does not know
            began, ended = (datetime.fromisoformat(f"{birth[:26]}+00:00") for birth in births)
            found[entry.kind, "" if entry.kind == "module" else _arch(entry)].append((ended - began).total_seconds())
    return found


def _arch(entry: Entry) -> str:
    return "" if "-users" in entry.name else entry.name.split("-")[0]


def _seconds_of_cells(runs: Iterable[Path]) -> tuple[dict[str, list[float]], dict[str, dict[str, list[float]]]]:
    """Architecture -> seconds that the start of a guest took; architecture -> flavour -> seconds of a cell."""
    starts: dict[str, list[float]] = defaultdict(list)
    cells: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        rows = json.loads((run / "matrix.json").read_text())["cells"]
        ran = [row for row in rows if row.get("whole_seconds", 0.0) >= row["seconds"] > 0]  # no control of another cell
        for _, on_guest in groupby(ran, key=lambda row: (row["board"], row["variant"])):
            first, *others = on_guest
            starts[first["arch"]].append(round(first["whole_seconds"] - first["seconds"], 2))
            cells[first["arch"]][first["flavour"]] += [row["whole_seconds"] for row in others]
    return starts, cells


def _builds(store: Store) -> dict[str, list[float]]:
    """Architecture -> the least and the most seconds of a build on two cores that do nothing else."""
    found: dict[str, list[float]] = defaultdict(list)
    for entry in store.entries("kernel"):
        log = entry.path / "build.log"
        *_, last = log.read_text(errors="replace").splitlines() if log.is_file() else [""]
        if last.startswith("modcompat: built in ") and _arch(entry):
            processor = float(last.split(", ")[1].split()[0])
            found[_arch(entry)].append(round(processor / MEASURED_CORES, 1))
    return {arch: [min(seconds), max(seconds)] for arch, seconds in found.items()}


def _packed_bytes(store: Store) -> dict[str, int]:
    """Architecture -> the bytes of a kernel and its facts, packed."""
    sizes: dict[tuple[str, str], list[int]] = defaultdict(list)
    for kind in ("kernel", *_FACTS):
        for entry in store.entries(kind):
            sizes[kind, _arch(entry)].append(_packed(entry.path))
    arches = {arch for kind, arch in sizes if kind == "kernel" and arch}
    return {
        arch: round(sum(statistics.median(sizes[kind, arch]) for kind in ("kernel", *_FACTS) if (kind, arch) in sizes))
        for arch in arches
    }


def _packed(folder: Path) -> int:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        tar.add(folder, arcname=folder.name)
    return len(zstandard.compress(content.getvalue()))


def write(facts: Mapping[str, Any], file: Path = DURATIONS) -> None:
    file.write_text(json.dumps(facts, indent=1) + "\n")
