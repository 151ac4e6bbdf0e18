# SPDX-License-Identifier: Apache-2.0
"""The results of a sweep as one file, sweep.json, which every report of it is made from."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from harness import __version__
from harness.abi.predict.loader import PredictedOutcome
from harness.abi.predict.prediction import is_seen
from harness.guest.machine import qemu_version
from harness.kernel.config import KernelSpec, resolve
from harness.kernel.kconfig import differences, parse
from harness.kernel.variants import ISOLATION
from harness.lab.execution.kernel_pool import Kernels
from harness.lab.execution.run_folder import write_facts
from harness.lab.sweep.sweep_plan import SweepPlan
from harness.lab.sweep.sweep_rows import PREDICTIONS, SweepRows
from harness.support.cache.store import Store

RESULTS = "sweep.json"
_SCHEMA = 1
# Fields of a row of matrix.json that are the same for all rows of a sweep, or mean nothing in one
_LEFT_OUT = {
    "board",
    "arch",
    "feature",
    "flavour",
    "preemption",
    "always_on",
    "expected",
    "origin",
    "id",
    "module",
    "whole_seconds",
}


def write_results(plan: SweepPlan, kernels: Kernels, run: Path, command: str) -> Path:
    """Write sweep.json from the rows in a run folder about the modules of the plan.

    command: the one that goes on with the sweep. Raises ModcompatError if it cannot be written.
    """
    places = plan.places
    judged = [rows for rows in SweepRows(run).read() if rows[0]["place"] in places]
    predicted = {(row["place"], row["variant"]): row for rows in SweepRows(run, PREDICTIONS).read() for row in rows}
    part, parts = plan.shard
    specs = [kernels.spec(plan.board, variant) for variant in plan.variants]
    facts = {
        "schema": _SCHEMA,
        "modcompat": __version__,
        "date": datetime.now().astimezone().strftime("%Y-%m-%d"),
        "command": command,
        "production": {
            "name": plan.shipped.title,
            "release": plan.shipped.release,
            "version": plan.shipped.version,
            "arch": plan.board.arch.name,
        },
        "board": plan.board.name,
        "qemu": qemu_version(plan.board.arch.qemu),
        "kernels": [_kernel(spec, kernels.store) for spec in specs],
        "options": {"ignore_versions": plan.settings.ignores_versions, "guest_memory": plan.settings.memory},
        "planned": len(plan.modules),
        **({"shard": {"part": part, "parts": parts, "plan": plan.whole}} if (part, parts) != (1, 1) else {}),
        "modules": [_module(rows, predicted) for rows in _in_order(judged)],
    }
    return write_facts(facts, run, RESULTS)


def _kernel(spec: KernelSpec, store: Store) -> dict[str, Any]:
    """A debug kernel: its name, source, and what it has that production has not, without what follows from that."""
    changed = differences(parse(resolve(spec.production, store)), parse(resolve(spec, store)))
    follows = spec.variant.feature.follows if spec.variant.feature else {}
    return {
        "name": spec.variant.name,
        "source": spec.source.label,
        "options": {
            name: new for name, (_, new) in changed.items() if name not in follows and not ISOLATION.fullmatch(name)
        },
    }


def _module(rows: list[dict[str, Any]], predicted: Mapping[tuple[str, str], dict[str, Any]]) -> dict[str, Any]:
    """A module with its verdicts by kernel, production's among them."""
    first = rows[0]
    kept = [{key: value for key, value in row.items() if key not in {*_LEFT_OUT, "name", "place"}} for row in rows]
    for row in kept:
        row["prediction"] = _prediction(predicted.get((first["place"], row["variant"])), row["verdict"])
    return {"name": first["name"], "place": first["place"], "cells": {row["variant"]: row for row in kept}}


def _prediction(found: Mapping[str, Any] | None, verdict: str) -> dict[str, Any] | None:
    """The prediction of a cell, with `agrees`: whether the verdict is of the predicted class; None without one."""
    if found is None or "verdict" not in found:
        return None
    agrees = is_seen(PredictedOutcome(found["verdict"]), verdict)
    return {"verdict": found["verdict"], "reason": found["reason"], "agrees": agrees}


def _in_order(rows: Iterable[list[dict[str, Any]]]) -> list[list[dict[str, Any]]]:
    return sorted(rows, key=lambda each: str(each[0]["place"]))
