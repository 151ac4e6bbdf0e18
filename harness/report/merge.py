# SPDX-License-Identifier: Apache-2.0
"""Make one run of several: the shards of a plan, or runs of different cells."""

import re
import shlex
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

from harness.report.recorded_run import Run
from harness.report.sweep import Sweep
from harness.support.errors import ModcompatError

CELLS = "cells"  # the folder of a run in which each cell has one
_SHARD_OPTION = "--shard"
_BY_ARCHITECTURE = ("compilers", "qemu")
_SAME_IN_SWEEPS = ("schema", "production", "board", "kernels", "options")
_SAME_PLAN = ("plan", "cells")  # of shards; runs before 0.3 lack them


def merged(runs: Sequence[Run]) -> dict[str, Any]:
    """The matrix.json of the run that several runs are together.

    The cells of shards are in the order of their plan, others in the order of the runs. Raises ModcompatError if a
    shard is missing, was interrupted or is there twice, or if a cell is in two runs.
    """
    _require_distinct(runs)
    return joined(runs)


def joined(runs: Sequence[Run]) -> dict[str, Any]:
    """The matrix.json of the run that several runs are together, whether shards are missing or not."""
    rows = _in_order(runs)
    first = runs[0].facts
    missing = [name for run in runs for name in run.facts["missing"]]
    return {
        "schema": first["schema"],
        "date": max(run.facts["date"] for run in runs),
        "kernel": ", ".join(sorted({row["kernel"] for row in rows if row["kernel"]})),
        **{name: _tools(run.facts[name] for run in runs) for name in _BY_ARCHITECTURE},
        "command": _without(first["command"], _SHARD_OPTION),
        "assumptions": list(dict.fromkeys(line for run in runs for line in run.facts["assumptions"])),
        **({"missing": missing} if missing else {}),
        "cells": rows,
    }


def copy_cells(runs: Iterable[Path], folder: Path) -> None:
    """Copy the files of all cells from the folders of runs into another.

    Links are left out, unless they lead to another file of the same run: runs may come from anywhere. Raises
    ModcompatError.
    """
    for run in runs:
        if not (run / CELLS).is_dir():
            continue
        try:
            for cell in sorted((run / CELLS).iterdir()):
                if cell.is_dir() and not cell.is_symlink():
                    shutil.copytree(
                        cell, folder / CELLS / cell.name, symlinks=True, dirs_exist_ok=True, ignore=_foreign_links
                    )
        except (OSError, shutil.Error) as error:
            raise ModcompatError(f"cannot copy {run / CELLS} to {folder}: {error}") from None


def _foreign_links(folder: str, names: list[str]) -> list[str]:
    """The links in a cell's folder that do not lead to a file in a cell of the same run."""
    cells = Path(folder).resolve().parent
    links = [name for name in names if Path(folder, name).is_symlink()]
    return [
        name
        for name in links
        if Path(folder, name).readlink().is_absolute() or cells not in Path(folder, name).resolve().parents
    ]


def merged_sweeps(sweeps: Sequence[tuple[Path, Sweep]]) -> dict[str, Any]:
    """The sweep.json of the sweep that the shards of one are together. sweeps: each with its folder.

    Raises ModcompatError if a shard is missing, is there twice or lacks modules, or if they are of different sweeps.
    """
    _require_shards([(folder, sweep.facts.get("shard")) for folder, sweep in sweeps], "sweeps")
    all_facts = [sweep.facts for _, sweep in sweeps]
    for name in _SAME_IN_SWEEPS:
        if any(facts.get(name) != all_facts[0].get(name) for facts in all_facts):
            raise ModcompatError(f"these are shards of different sweeps: they differ in {name!r}")
    for folder, sweep in sweeps:
        if len(sweep.modules) < sweep.facts["planned"]:
            raise ModcompatError(
                f"{folder} has {len(sweep.modules)} of {sweep.facts['planned']} modules",
                next_step=f"go on with it: {sweep.facts['command']}",
            )
    modules = sorted((module for _, sweep in sweeps for module in sweep.modules), key=itemgetter("place"))
    places = Counter(module["place"] for module in modules)
    if twice := [place for place, count in places.items() if count > 1]:
        raise ModcompatError(f"{len(twice)} modules are in two shards, for example {twice[0]}")
    facts = dict(all_facts[0])
    facts.pop("shard", None)
    return facts | {
        "date": max(facts["date"] for facts in all_facts),
        "modcompat": ", ".join(sorted({facts["modcompat"] for facts in all_facts})),
        "qemu": ", ".join(sorted({facts["qemu"] for facts in all_facts})),
        "command": _without(facts["command"], _SHARD_OPTION, "--run-dir"),
        "planned": len(modules),
        "modules": modules,
    }


def _require_distinct(runs: Sequence[Run]) -> None:
    """Raise ModcompatError unless the runs are every shard of one plan, or no shards, and have no cell in common."""
    if any(run.facts["shard"] for run in runs):
        _require_shards([(run.folder, run.facts["shard"]) for run in runs], "plans")
        if len({_anywhere(_without(run.facts["command"], _SHARD_OPTION)) for run in runs}) > 1:
            commands = "\n".join(sorted(run.facts["command"] for run in runs))
            raise ModcompatError("these are shards of different plans", details=commands)
        if short := [run for run in runs if not run.facts["shard"]["ended"]]:
            raise ModcompatError(
                f"{short[0].folder} lacks cells: it was interrupted, or they ended in errors", next_step="run it again"
            )
        count = runs[0].facts["shard"].get("cells")
        places = sorted(place for run in runs for place in run.facts["shard"]["places"])
        if count is not None and places != [*range(count)]:
            raise ModcompatError(f"these shards have {len(set(places))} of {count} cells")
    ids = Counter(cell.row["id"] for run in runs for cell in run.cells)
    if twice := [name for name, count in ids.items() if count > 1]:
        raise ModcompatError(f"{len(twice)} cells are in two runs, for example {twice[0]}")


def _require_shards(shards: Sequence[tuple[Path, Mapping[str, Any] | None]], wholes: str) -> None:
    """Raise ModcompatError unless these are all parts of one whole, each once. shards: with the folder of each.

    wholes: the word for several of what they are parts of.
    """
    parts: dict[int, Path] = {}
    counts = set()
    for folder, shard in shards:
        if shard is None:
            raise ModcompatError(f"{folder} is no shard", next_step="give the folders of runs with --shard only")
        if shard["part"] in parts:
            raise ModcompatError(f"{parts[shard['part']]} and {folder} are the same shard")
        parts[shard["part"]] = folder
        counts.add(shard["parts"])
    if len(counts) > 1:
        numbers = " and ".join(map(str, sorted(counts)))
        raise ModcompatError(f"these are shards of different {wholes}, of {numbers} parts")
    if len({tuple(shard.get(name) for name in _SAME_PLAN) for _, shard in shards if shard}) > 1:
        raise ModcompatError(
            f"these are shards of different {wholes}", next_step="give each the options of the others, but for --shard"
        )
    (count,) = counts
    if missing := [f"{part}/{count}" for part in range(1, count + 1) if part not in parts]:
        raise ModcompatError(f"shard {', '.join(missing)} is missing", next_step="give its run folder, too")


def _in_order(runs: Iterable[Run]) -> list[dict[str, Any]]:
    placed: list[tuple[int, dict[str, Any]]] = []
    for run in runs:
        places = run.facts["shard"]["places"] if run.facts["shard"] else [0] * len(run.cells)
        if len(places) != len(run.cells):
            raise ModcompatError(f"{run.folder}: its matrix.json has {len(run.cells)} cells and {len(places)} places")
        placed += zip(places, run.facts["cells"], strict=True)
    return [row for _, row in sorted(placed, key=lambda entry: entry[0])]


def _tools(values: Iterable[Mapping[str, str]]) -> dict[str, Any]:
    """What the tools of each architecture call themselves: all names, if the machines differ."""
    found: dict[str, dict[str, None]] = {}
    for by_arch in values:
        for arch, name in by_arch.items():
            found.setdefault(arch, {})[name] = None
    return {arch: ", ".join(names) for arch, names in sorted(found.items())}


def _anywhere(command: str) -> str:
    """A command, with paths reduced to names: the machines of a run have them in different folders."""
    return shlex.join(re.sub(r"[^=]*/", "", word) for word in shlex.split(command))


def _without(command: str, *options: str) -> str:
    """A command without options that have a value: `--shard 1/3`, or `--shard=1/3`."""
    kept, words = [], iter(shlex.split(command))
    for word in words:
        if word in options:
            next(words, None)
        elif not word.startswith(tuple(f"{option}=" for option in options)):
            kept.append(word)
    return shlex.join(kept)
