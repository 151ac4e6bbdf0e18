# SPDX-License-Identifier: Apache-2.0
"""A worker of a sweep: judges a group of modules, each on production and on the debug kernels."""

import os
import signal
from collections.abc import Sequence
from functools import cache
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any

from harness.abi.elf.module_file import ModuleFacts, read_module
from harness.detect.verdict import PASSES, Verdict
from harness.kernel.variants import Variant
from harness.lab.execution.kernel_pool import Kernels
from harness.lab.execution.lab import MOST_RUNS, CellResult, Lab, without_run
from harness.lab.execution.run_folder import matrix_row, write_cell
from harness.lab.sweep.sweep_plan import SweepModule, SweepPlan, SweepRequest, plan_sweep
from harness.lab.sweep.sweep_rows import PREDICTIONS, SweepRows, prove_nothing
from harness.support.cache.store import Store
from harness.support.errors import ModcompatError
from harness.support.process import die_with_parent

_KILLED = "the process that had only this module to do died every time; is there enough memory?"
_MOST_HOPELESS = 3  # modules in a row, after which others get one attempt


def prepare_worker(parent: int) -> None:
    """Called first in each process. Ctrl-C is for the parent, which ends the workers; and they die with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with_parent(parent)


@cache
def _store() -> Store:
    return Store()


@cache
def _kernels(request: SweepRequest) -> Kernels:
    return Kernels(_plan(request).settings, _store())


@cache
def _plan(request: SweepRequest) -> SweepPlan:
    return plan_sweep(request, _store())


@cache
def _lab(request: SweepRequest) -> Lab:
    """The lab of this process, whose guests go on from one group to the next. It is closed when the process ends."""
    lab = Lab(_plan(request).settings, [], _store(), predicts=False)
    Finalize(None, lab.close, exitpriority=0)
    return lab


def judge_group(request: SweepRequest, places: Sequence[str], run: Path) -> int:
    """Judge the modules in some places that have no rows yet, and add their rows. Returns the number of modules.

    Raises ModcompatError if production no longer has one of them.
    """
    plan, rows = _plan(request), SweepRows(run)
    waiting = _waiting(plan, places, rows)
    if not waiting:
        return 0
    lab = _lab(request)
    lab.use([module.vendor() for module in waiting])
    hopeless = 0  # modules in a row about which no attempt proved anything
    for module in waiting:
        rows.start(module.place)
        found = _judge(lab, plan, module, run)
        attempts = 1
        while prove_nothing(found) and attempts < MOST_RUNS and hopeless < _MOST_HOPELESS:
            # Something may have ended QEMU, such as the host for lack of memory.
            lab.forget()
            found = _judge(lab, plan, module, run)
            attempts += 1
        hopeless = hopeless + 1 if prove_nothing(found) else 0
        rows.add(found)
    return len(waiting)


def predict_group(request: SweepRequest, places: Sequence[str], run: Path) -> int:
    """Predict the verdicts of the modules in some places on the debug kernels. Returns and raises as judge_group()."""
    plan, rows = _plan(request), SweepRows(run, PREDICTIONS)
    waiting = _waiting(plan, places, rows)
    for module in waiting:
        rows.start(module.place)
        facts = read_module(module.file)
        rows.add(_predict(request, variant, module, facts) for variant in plan.variants)
    return len(waiting)


def _waiting(plan: SweepPlan, places: Sequence[str], rows: SweepRows) -> list[SweepModule]:
    """The modules in some places that have no rows yet."""
    if gone := set(places) - plan.places:
        raise ModcompatError(
            f"{min(gone)} is no longer a module of {plan.shipped.title}, or of this part of them",
            next_step="leave production as it is until its sweep has ended, and begin another one",
        )
    wanted = set(places) - rows.done()
    return [module for module in plan.modules if module.place in wanted]


def give_up_judging(request: SweepRequest, place: str, run: Path) -> None:
    """Add rows for a module that kills the process that judges it: INVALID on every kernel."""
    plan = _plan(request)
    (module,) = (module for module in plan.modules if module.place == place)
    cells = plan.cells(module)
    SweepRows(run).add(_row(without_run(cell, _KILLED), module, run, runs=1) for cell in (cells[0].control, *cells))


def give_up_predicting(request: SweepRequest, place: str, run: Path) -> None:
    """Add rows for a module that kills the process that predicts it: nothing is predicted."""
    variants = _plan(request).variants
    SweepRows(run, PREDICTIONS).add({"place": place, "variant": it.name, "problem": _KILLED} for it in variants)


def _predict(request: SweepRequest, variant: Variant, module: SweepModule, facts: ModuleFacts) -> dict[str, Any]:
    row: dict[str, Any] = {"place": module.place, "variant": variant.name}
    if facts.problem:
        return {**row, "problem": facts.problem}
    try:
        found = _kernels(request).predict(module.file, facts, _plan(request).board, variant, briefly=True)
    except Exception as error:  # noqa: BLE001 - whatever is in a module, a run is worth more than its prediction
        return {**row, "problem": str(error)}
    return {**row, "verdict": str(found.outcome), "reason": found.reason} if found else row


def _judge(lab: Lab, plan: SweepPlan, module: SweepModule, run: Path) -> list[dict[str, Any]]:
    """The rows of a module: production's first."""
    rows: list[dict[str, Any]] = []
    for cell in plan.cells(module):
        result = lab.run(cell)
        while result.verdict not in (*PASSES, Verdict.INVALID) and lab.runs_of(cell) < MOST_RUNS:
            result = lab.run_again(cell)
        control = lab.control_of(cell)
        if control and not rows:
            rows.append(_row(control, module, run, runs=1))
        rows.append(_row(result, module, run, runs=lab.runs_of(cell)))
    return rows


def _row(result: CellResult, module: SweepModule, run: Path, *, runs: int) -> dict[str, Any]:
    """The row of a cell. Its log and evidence are kept unless it passes."""
    if result.verdict in PASSES or (result.cell.is_control and result.verdict is not Verdict.INVALID):
        row = matrix_row(result, "")
    else:
        row = write_cell(result, run)
    return {**row, "name": module.name, "place": module.place, "runs": runs, "worker": os.getpid()}
