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
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import zstandard

from benchmarks.fleet_model import Task
from harness.lab.plan.cells import MATRICES, Cell, cells_of, choose_boards, kernels_of, narrow
from harness.lab.plan.shards import cells_of_shard
from harness.lab.plan.vendor_modules import shipped
from harness.support.cache.store import Entry, Store

DURATIONS = Path(__file__).with_name("fleet_durations.json")
MEASURED_CORES = 2
_FACTS = ("config", "headers", "layouts", "change")  # made of a kernel once, to compare it with production
_QUIET = 4  # the fastest of so many were built while the machine did little else

Durations = Mapping[str, Any]
Key = tuple[str, str, str]  # architecture, preemption model, feature


def load(file: Path = DURATIONS) -> Durations:
    facts: Durations = json.loads(file.read_text())
    return facts


def plan(matrix: str, arches: Sequence[str]) -> list[Cell]:
    """The cells of a matrix on the architectures."""
    boards = choose_boards([], arches)
    return cells_of(narrow(MATRICES[matrix], boards=boards, features=[], preemptions=()), shipped())


def tasks(cells: Sequence[Cell], lines: int, facts: Durations, *, cores: int, chance: random.Random) -> list[Task]:
    """The builds and groups of the plan on several kernel lines. Each group stands behind the builds it needs."""
    groups = _groups(cells)
    found: dict[str, Task] = {}
    for line in range(lines):
        for key, group in groups.items():
            kernels = {f"{line}/{board.arch.name}-{variant.name}": (board, variant) for board, variant in group.kernels}
            for name, (board, variant) in kernels.items():
                if name not in found:
                    seconds = _build_seconds(board.arch.name, facts, cores, chance)
                    seconds += facts["module_seconds"] * group.modules if variant.production == variant else 0.0
                    found[name] = Task(name, str(line), seconds, size=facts["packed_bytes"][board.arch.name])
            name = f"{line}/{'-'.join(key)}"
            found[name] = Task(name, str(line), _group_seconds(key[0], group, facts, chance), tuple(kernels))
    return list(found.values())


def split(cells: Sequence[Cell], lines: int, machines: int) -> list[list[Key]]:
    """The groups of each shard of one kernel line; all groups in one if there are no more machines than lines."""
    if machines <= lines:
        return [list(_groups(cells))]
    parts = min(machines // lines, len(_groups(cells)))
    return [list(_groups(cells_of_shard(cells, (part, parts)))) for part in range(1, parts + 1)]


def jobs(every: Sequence[Task], parts: Sequence[Sequence[Key]], lines: int, machines: int) -> list[list[list[Task]]]:
    """The shards of each machine: a part of a line if there are many machines, and whole lines if there are few."""
    by_name = {task.name: task for task in every}
    shards = []
    for line in range(lines):
        for keys in parts:
            groups = [by_name[f"{line}/{'-'.join(key)}"] for key in keys]
            builds = dict.fromkeys(name for group in groups for name in group.needs)
            shards.append([*(by_name[name] for name in builds), *groups])
    return [found for machine in range(machines) if (found := shards[machine::machines])]


class _Group:
    """The cells that stay together."""

    def __init__(self, cells: Sequence[Cell]) -> None:
        self.kernels = kernels_of(cells)
        self.guests = [
            (flavour, len({cell.module.name for cell in on_it}))
            for (_, flavour), on_it in _grouped(cells, lambda cell: (cell.board.id, str(cell.flavour))).items()
        ]
        self.modules = max(modules for _, modules in self.guests)


def _groups(cells: Iterable[Cell]) -> dict[Key, _Group]:
    found = _grouped(cells, lambda cell: (cell.board.arch.name, str(cell.preemption), cell.feature.name))
    return {key: _Group(group) for key, group in found.items()}


def _grouped(cells: Iterable[Cell], key: Any) -> dict[Any, list[Cell]]:
    found: dict[Any, list[Cell]] = defaultdict(list)
    for cell in cells:
        found[key(cell)].append(cell)
    return found


def _build_seconds(arch: str, facts: Durations, cores: int, chance: random.Random) -> float:
    """A build on so many cores, and the facts of the kernel, which are made on one."""
    whole, serial = chance.uniform(*facts["build_seconds"][arch]), facts["serial_seconds"]
    return float(serial + (whole - serial) * MEASURED_CORES / cores + facts["facts_seconds"][arch])


def _group_seconds(arch: str, group: _Group, facts: Durations, chance: random.Random) -> float:
    """Each guest is started once, with a snapshot of its own."""
    starts, cells = facts["start_seconds"][arch], facts["cell_seconds"][arch]
    return sum(
        chance.choice(starts) + facts["snapshot_seconds"][arch] + sum(chance.choices(cells[flavour], k=modules))
        for flavour, modules in group.guests
    )


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
        command = ["stat", "--format=%w", entry.path, entry.path / "entry.json"]
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

