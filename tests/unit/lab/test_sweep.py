# SPDX-License-Identifier: Apache-2.0
"""A sweep chooses its modules, goes on where it stopped, and loses nothing when a worker dies."""

import json
import os
import resource
import signal
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock, patch

import pytest

from harness.detect.verdict import Judgement, Step, Verdict
from harness.guest.boards import BOARDS
from harness.lab.execution.lab import without_run
from harness.lab.plan.cells import Cell
from harness.lab.plan.module_index import IndexedModule, ModuleIndex
from harness.lab.plan.settings import Settings
from harness.lab.plan.vendor_modules import VendorModule
from harness.lab.sweep import sweep_worker
from harness.lab.sweep.sweep_plan import (
    GROUP_SIZE,
    SweepModule,
    SweepPlan,
    SweepRequest,
    chosen_modules,
    debug_kernels,
    groups_of,
)
from harness.lab.sweep.sweep_rows import PREDICTIONS, SweepRows, begin_rows
from harness.lab.sweep.sweep_runner import SweepRun
from harness.support.errors import ModcompatError
from harness.support.run_plan import note_plan

FOLDER = Path("/lib/modules/6.1")
PLACES = [f"kernel/drivers/{kind}/{kind}{number}.ko" for kind in ("net", "gpu") for number in range(60)]
INDEX = ModuleIndex(
    IndexedModule(Path(place).stem, FOLDER / place, (), (), (), "6.1", "") for place in PLACES
)  # fmt: skip


def places(**options: Any) -> list[str]:
    return [module.place for module in chosen_modules(INDEX, FOLDER, **options)]


def plan_of(count: int) -> SweepPlan:
    modules = tuple(SweepModule(str(number), Path(), f"{number:03}.ko") for number in range(count))
    return SweepPlan(Settings(), Mock(), BOARDS["x86_64-q35"], (), modules)


def test_all_modules_in_the_order_of_their_places() -> None:
    assert places() == sorted(PLACES)


def test_patterns_match_names_and_places() -> None:
    assert places(only=["net1"]) == ["kernel/drivers/net/net1.ko"]
    assert len(places(only=["kernel/drivers/gpu/*", "net1"])) == 61
    with pytest.raises(ModcompatError, match=r"no module of .* matches sound"):
        places(only=["sound"])


def test_a_sample_is_always_the_same_and_of_all_folders() -> None:
    sample = places(sample=40)
    assert len(sample) == 40
    assert sample == places(sample=40)
    assert set(sample) < set(places(sample=50))
    assert {place.split("/")[2] for place in sample} == {"net", "gpu"}


def test_a_shard_without_a_module_is_refused() -> None:
    with pytest.raises(ModcompatError, match="shard 2/2 has no module: there are only 1"):
        plan_of(1).part((2, 2))


def test_shards_are_a_partition() -> None:
    shards = [plan_of(100).part((part, 3)) for part in (1, 2, 3)]
    assert sorted(place for shard in shards for place in shard.places) == sorted(plan_of(100).places)
    sizes = [len(shard.modules) for shard in shards]
    assert max(sizes) - min(sizes) <= 1
    assert len({shard.whole for shard in shards}) == 1
    assert plan_of(99).part((1, 3)).whole != shards[0].whole


def test_groups_have_every_module_once_and_are_small_at_the_end() -> None:
    modules = [SweepModule(str(number), Path(), str(number)) for number in range(1000)]
    groups = groups_of(modules)
    assert [module for group in groups for module in group] == modules
    assert len(groups[0]) == GROUP_SIZE
    assert len(groups[-2]) == 4


@pytest.mark.parametrize(
    "name", ["production", "stock-spinlock-preempt", "nonsense"], ids=["control", "preempt", "none"]
)
def test_only_debug_kernels_on_top_of_production(name: str) -> None:
    with pytest.raises(ModcompatError, match=name):
        debug_kernels([name])
    (variant,) = debug_kernels(["isolated-hidden", "isolated-hidden"])
    assert not variant.bare, "production keeps its detectors"


def test_a_sweep_goes_on_where_it_stopped(tmp_path: Path) -> None:
    rows = SweepRows(tmp_path)
    begin_rows(tmp_path, {"sample": 3})
    rows.add([{"place": "a"}, {"place": "a"}])
    with rows.path.open("a") as file:
        file.write('[{"place": "b"}')  # the machine went down
    again = SweepRows(tmp_path)
    begin_rows(tmp_path, {"sample": 3})
    assert again.done() == {"a"}
    again.add([{"place": "b"}])
    assert (again.done(), again.count()) == ({"a", "b"}, 2)


@pytest.mark.parametrize("torn", ['[{"place": "b"}', "[" + 100_000 * " "], ids=["short", "longer than a block"])
def test_rows_follow_the_whole_ones_if_a_process_was_killed_in_between(torn: str, tmp_path: Path) -> None:
    rows = SweepRows(tmp_path)
    rows.add([{"place": "a"}])
    with rows.path.open("a") as file:
        file.write(torn)
    rows.add([{"place": "c"}])
    assert rows.done() == {"a", "c"}


def test_a_plan_is_written_once(tmp_path: Path) -> None:
    note_plan(tmp_path, {"sample": 3}, "a sweep")
    (note,) = tmp_path.iterdir()
    note.chmod(0o444)
    before = note.stat()
    note_plan(tmp_path, {"sample": 3}, "a sweep")
    assert note.stat() == before


def test_rows_that_do_not_fit_on_the_disk_leave_no_part(tmp_path: Path) -> None:
    rows = SweepRows(tmp_path)
    rows.add([{"place": "a"}])
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (rows.path.stat().st_size + 10, usual[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            rows.add([{"place": "b"}])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    rows.add([{"place": "c"}])
    assert rows.done() == {"a", "c"}


def test_a_folder_of_another_sweep_is_refused(tmp_path: Path) -> None:
    begin_rows(tmp_path, SweepRequest(("folder",), ("isolated-all",)).conditions())
    with pytest.raises(ModcompatError, match="has a sweep that differs in kernels"):
        begin_rows(tmp_path, SweepRequest(("folder",), ("stock-all",)).conditions())


@pytest.mark.parametrize("content", ["", "[]", "{", '"x"'], ids=["empty", "list", "cut off", "text"])
def test_a_folder_with_the_plan_of_something_else_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text(content)
    with pytest.raises(ModcompatError, match=r"plan\.json is not the plan of a sweep"):
        begin_rows(tmp_path, {"sample": 3})


def test_modules_about_which_nothing_was_proven_are_judged_again(tmp_path: Path) -> None:
    rows = SweepRows(tmp_path)
    rows.add([{"place": "a", "verdict": "CLEAN"}, {"place": "a", "verdict": "SAME"}])
    rows.add([{"place": "b", "verdict": "CLEAN"}, {"place": "b", "verdict": "INVALID"}])
    assert (rows.done(), rows.proven()) == ({"a", "b"}, {"a"})
    begin_rows(tmp_path, {})
    assert rows.done() == {"a"}


def test_a_module_that_production_no_longer_has_ends_the_sweep(tmp_path: Path) -> None:
    with (
        patch.object(sweep_worker, "_plan", lambda _: plan_of(3)),
        pytest.raises(ModcompatError, match="gone is no longer a module of"),
    ):
        sweep_worker.predict_group(SweepRequest((), ()), ["gone"], tmp_path)


def test_a_sample_grows_into_a_whole_sweep(tmp_path: Path) -> None:
    request = SweepRequest(("folder",), ("isolated-all",))
    rows = SweepRows(tmp_path)
    begin_rows(tmp_path, replace(request, sample=2, only=("a*",)).conditions())
    for place in ("a1", "a2"):
        rows.add([{"place": place}])
    again = SweepRows(tmp_path)
    begin_rows(tmp_path, request.conditions())
    sweep_run(tmp_path, ["a1", "b"])._do("judging", judge, never, again)
    assert sorted(again.done()) == ["a1", "a2", "b"]
    assert again.count() == 3, "nothing is judged twice"


def judge(request: SweepRequest, group: Sequence[str], run: Path) -> int:
    """Stands for judge_group() in a worker process. The first one to see the module `deadly` is killed."""
    del request
    rows = SweepRows(run)
    for place in group:
        if place == "deadly" and not (run / "killed").exists():
            (run / "killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        rows.add([{"place": place, "worker": os.getpid()}])
    return len(group)


def sweep_run(folder: Path, names: Sequence[str]) -> SweepRun:
    modules = tuple(SweepModule(name, Path(), name) for name in names)
    plan = Mock(modules=modules, places=set(names), variants=(1,))
    return SweepRun(SweepRequest((), ()), plan, folder, workers=2)


def never(request: SweepRequest, place: str, run: Path) -> None:
    """Stands for give_up_judging(), where no module is given up."""
    pytest.fail(f"{place} was given up")


def die(request: SweepRequest, group: Sequence[str], run: Path) -> int:
    """Stands for judge_group() with a module that kills its process whenever it is judged."""
    del request
    for place in group:
        SweepRows(run).start(place)
        if place == "deadly":
            os.kill(os.getpid(), signal.SIGKILL)
        SweepRows(run).add([{"place": place}])
    return len(group)


def test_a_module_that_kills_every_worker_is_given_up_and_nothing_else(tmp_path: Path) -> None:
    given_up: list[str] = []

    def give_up(request: SweepRequest, place: str, run: Path) -> None:
        given_up.append(place)
        SweepRows(run).add([{"place": place}])

    names = [*map(str, range(20)), "deadly"]
    sweep_run(tmp_path, names)._do("judging", die, give_up, SweepRows(tmp_path))
    assert given_up == ["deadly"]
    assert SweepRows(tmp_path).done() == set(names)


def test_a_module_that_is_given_up_is_invalid_everywhere_and_has_no_prediction(tmp_path: Path) -> None:
    board, kernels = BOARDS["x86_64-q35"], debug_kernels(["isolated-all"])
    module = SweepModule("veth", FOLDER / "veth.ko", "kernel/drivers/net/veth.ko")
    plan = SweepPlan(Settings(), Mock(), board, kernels, (module,))
    request = SweepRequest(("folder",), ("isolated-all",))
    with patch.object(sweep_worker, "_plan", lambda _: plan):
        sweep_worker.give_up_judging(request, module.place, tmp_path)
        sweep_worker.give_up_predicting(request, module.place, tmp_path)
    (rows,) = SweepRows(tmp_path).read()
    assert [(row["variant"], row["verdict"]) for row in rows] == [
        ("production", "INVALID"),
        ("isolated-all", "INVALID"),
    ]
    ((prediction,),) = SweepRows(tmp_path, PREDICTIONS).read()
    assert "died every time" in prediction["problem"]


def test_a_worker_that_is_killed_loses_nothing(tmp_path: Path) -> None:
    names = [*map(str, range(20)), "deadly"]
    sweep_run(tmp_path, names)._do("judging", judge, never, SweepRows(tmp_path))
    found = [json.loads(line)[0]["place"] for line in (tmp_path / "verdicts.jsonl").read_text().splitlines()]
    assert set(found) == set(names)


def test_a_worker_that_is_killed_while_it_starts_loses_nothing(tmp_path: Path) -> None:
    """The process that starts it writes into a pipe that nobody reads: multiprocessing/popen_spawn_posix.py."""
    start, names, starts = ProcessPoolExecutor.submit, [*map(str, range(20))], []

    def submit(pool: ProcessPoolExecutor, *work: Any) -> Any:
        starts.append(work)
        if len(starts) == 1:
            raise BrokenPipeError
        return start(pool, *work)

    with patch.object(ProcessPoolExecutor, "submit", submit):
        sweep_run(tmp_path, names)._do("judging", judge, never, SweepRows(tmp_path))
    assert SweepRows(tmp_path).done() == set(names)


def fail(request: SweepRequest, group: Sequence[str], run: Path) -> int:
    del request, group, run
    raise ModcompatError("the kernel does not build")


def test_an_error_of_a_worker_is_that_of_the_sweep(tmp_path: Path) -> None:
    with pytest.raises(ModcompatError, match="the kernel does not build"):
        sweep_run(tmp_path, ["one"])._do("judging", fail, never, SweepRows(tmp_path))


def test_modules_that_were_judged_are_not_judged_again(tmp_path: Path) -> None:
    rows = SweepRows(tmp_path)
    rows.add([{"place": "one"}])
    sweep_run(tmp_path, ["one"])._do("judging", fail, never, rows)


def test_the_rows_are_read_once_however_many_modules_there_are(tmp_path: Path) -> None:
    rows = Mock(wraps=SweepRows(tmp_path))
    for place in "abc":
        rows.add([{"place": place}])
    sweep_run(tmp_path, "abc")._do("judging", fail, never, rows)
    assert rows.done.call_count == 1


class StandIn:
    """Stands for a lab: judges each module as it is told, in the order of its runs."""

    def __init__(self, verdicts: dict[str, list[str]]) -> None:
        self.verdicts = verdicts
        self.runs: list[str] = []
        self.used: list[list[str]] = []
        self.forgotten = 0

    def use(self, modules: list[VendorModule]) -> None:
        self.used.append([module.name for module in modules])

    def forget(self) -> None:
        self.forgotten += 1

    def run(self, cell: Cell) -> Any:
        self.runs.append(cell.module.name)
        waiting = self.verdicts[cell.module.name]
        verdict = Verdict(waiting.pop(0) if len(waiting) > 1 else waiting[0])
        return without_run(cell, "why") if verdict is Verdict.INVALID else judged(cell, verdict)

    run_again = run

    def runs_of(self, cell: Cell) -> int:
        return self.runs.count(cell.module.name)

    def control_of(self, cell: Cell) -> Any:
        return judged(cell.control, Verdict.CLEAN)


def judged(cell: Cell, verdict: Verdict) -> Any:
    return replace(without_run(cell, "x"), judgement=Judgement((Step(verdict, "because"),)))


def judge_with(lab: StandIn, folder: Path) -> dict[str, list[str]]:
    """Module -> its verdicts, production's first, after judge_group()."""
    modules = tuple(SweepModule(name, Path(f"/{name}.ko"), f"kernel/{name}.ko") for name in lab.verdicts)
    plan = SweepPlan(Settings(), Mock(), BOARDS["x86_64-q35"], debug_kernels(["isolated-all"]), modules)
    request = SweepRequest(("folder",), ("isolated-all",))
    with patch.object(sweep_worker, "_plan", lambda _: plan), patch.object(sweep_worker, "_lab", lambda _: lab):
        sweep_worker.judge_group(request, [module.place for module in modules], folder)
    return {rows[0]["name"]: [row["verdict"] for row in rows] for rows in SweepRows(folder).read()}


def test_a_finding_is_repeated_and_a_pass_is_not(tmp_path: Path) -> None:
    lab = StandIn({"good": ["CLEAN"], "odd": ["SPLAT", "SPLAT", "SPLAT"], "chance": ["DIFFERS", "CLEAN"]})
    assert judge_with(lab, tmp_path) == {
        "good": ["CLEAN", "CLEAN"], "odd": ["CLEAN", "SPLAT"], "chance": ["CLEAN", "CLEAN"],
    }  # fmt: skip
    assert lab.runs == ["good", "odd", "odd", "odd", "chance", "chance"]
    assert (tmp_path / "cells").is_dir(), "of the finding"


def test_an_attempt_that_proves_nothing_is_repeated_until_too_many_modules_are_hopeless(tmp_path: Path) -> None:
    lab = StandIn({"ended": ["INVALID", "CLEAN"], **{f"bad{number}": ["INVALID"] for number in range(5)}})
    found = judge_with(lab, tmp_path)
    assert found["ended"] == ["CLEAN", "CLEAN"]
    assert found["bad4"] == ["CLEAN", "INVALID"]
    attempts = [lab.runs.count(f"bad{number}") for number in range(5)]
    assert attempts == [3, 3, 3, 1, 1], "MOST_RUNS each, and one each after three hopeless modules"


def test_modules_that_have_rows_are_not_prepared_again(tmp_path: Path) -> None:
    lab = StandIn({"one": ["CLEAN"]})
    judge_with(lab, tmp_path)
    again = StandIn({"one": ["CLEAN"], "two": ["CLEAN"]})
    judge_with(again, tmp_path)
    assert again.used == [["two"]]
    last = StandIn({"one": ["CLEAN"]})
    judge_with(last, tmp_path)
    assert (last.used, last.runs) == ([], [])
