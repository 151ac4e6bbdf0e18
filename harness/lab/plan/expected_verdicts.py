# SPDX-License-Identifier: Apache-2.0
"""The verdicts that were measured on debug kernels, harness/lab/plan/expected_verdicts.json.

A cell that broke when it was measured is a strict expected failure: any other verdict, CLEAN included, turns a
run red. `modcompat record` writes the file from a run's matrix.json; docs/results/compatibility.md is made from it.
"""

import functools
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from harness.detect.verdict import Verdict, steps_in
from harness.kernel.features import FEATURES
from harness.kernel.variants import Preemption
from harness.lab.plan.cells import Cell, Flavour
from harness.lab.plan.vendor_modules import shipped
from harness.support.folders import write_file

MEASURED = Path(__file__).with_suffix(".json")
_KEY_COLUMNS = ("arch", "feature", "preemption", "flavour", "module")
_RECORDED_COLUMNS = (*_KEY_COLUMNS, "verdict", "reason")  # of a row of the matrix
_Key = tuple[str, ...]


def measured_verdicts(cell: Cell) -> tuple[Verdict, ...]:
    """The verdicts that a cell with a module of this project is known to get; empty if it must be CLEAN.

    There are several if the damage depends on chance: further verdicts are added by hand to `also` in the cell's row.
    """
    if not cell.module.is_builtin or cell.own_config or cell.flavour is not Flavour.STOCK:
        return ()
    place = (cell.board.arch.name, cell.feature.name, str(cell.preemption), str(cell.flavour), cell.module.name)
    row = _table().get(place)
    return tuple(Verdict(word) for word in words(row)) if row and row["verdict"] != Verdict.CLEAN else ()


def words(row: dict[str, Any]) -> list[str]:
    """The verdict of a row, and the further verdicts that were seen."""
    return [row["verdict"], *row.get("also", [])]


def load() -> dict[str, Any]:
    """The file: `kernel`, `compilers` by architecture, `date`, and `cells`, the rows of stock and isolated kernels."""
    facts: dict[str, Any] = json.loads(MEASURED.read_text())
    return facts


def record(matrices: Iterable[dict[str, Any]], known: dict[str, Any]) -> dict[str, Any]:
    """`known`, updated with the results of later runs. Rows of features and modules that no longer exist are dropped.

    INVALID rows prove nothing and are not recorded. If boards of one architecture differ, the first one counts.
    """
    rows = {_key(row): row for row in known["cells"]}
    facts = {name: known.get(name) for name in ("kernel", "date")} | {"compilers": dict(known["compilers"])}
    for matrix in matrices:
        debug = [
            row for row in matrix["cells"] if row["flavour"] != Flavour.PRODUCTION and row["verdict"] != Verdict.INVALID
        ]
        for row in reversed(debug):
            if row["verdict"] not in words(rows.get(_key(row), {"verdict": ""})):
                rows[_key(row)] = _recorded(row)
        facts |= {"kernel": matrix["kernel"], "date": matrix["date"]}
        facts["compilers"] |= matrix["compilers"]
    places = [list(FEATURES), [str(model) for model in Preemption], [module.name for module in shipped()]]

    def order(row: dict[str, Any]) -> tuple[int, int, bool, str, int]:
        feature, model, module = (
            names.index(row[column]) for names, column in zip(places, ("feature", "preemption", "module"), strict=True)
        )
        return model, feature, row["flavour"] == Flavour.ISOLATED, row["arch"], module

    current = [row for row in rows.values() if row["feature"] in places[0] and row["module"] in places[2]]
    return facts | {"cells": sorted(current, key=order)}


def write(facts: dict[str, Any], path: Path = MEASURED) -> None:
    """Write the file with one row per line, so that changes are easy to review."""
    head = {name: value for name, value in facts.items() if name != "cells"}
    rows = ",\n".join(json.dumps(row, ensure_ascii=False) for row in facts["cells"])
    write_file(path, json.dumps(head, ensure_ascii=False)[:-1] + f',\n"cells": [\n{rows}\n]}}\n')


def _recorded(row: dict[str, Any]) -> dict[str, Any]:
    steps = [step.as_json_object() for step in steps_in(row)]
    always_on = bool(row.get("always_on"))
    because = next(iter(row["because"]), "")
    return {name: row[name] for name in _RECORDED_COLUMNS} | {
        "steps": steps,
        "always_on": always_on,
        "because": because,
    }


def _key(row: dict[str, Any]) -> _Key:
    return tuple(row[name] for name in _KEY_COLUMNS)


@functools.cache
def _table() -> dict[_Key, dict[str, Any]]:
    return {_key(row): row for row in load()["cells"]}
