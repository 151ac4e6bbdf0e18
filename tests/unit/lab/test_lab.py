# SPDX-License-Identifier: Apache-2.0
"""Cells that cannot be run are INVALID in every report, with the reason."""

import errno
import json
import os
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, cast
from unittest.mock import Mock

import pytest

from harness.cli.shell_command import loads
from harness.detect.evidence import Check, Command, Counters, Evidence, Phase
from harness.detect.initcalls import InitCall
from harness.detect.verdict import Judgement, Step, Verdict, judge
from harness.guest.boards import BOARDS
from harness.guest.guest import Guest
from harness.guest.machine import Machine
from harness.kernel.features import FEATURES
from harness.kernel.source import KernelSource
from harness.lab.execution import kernel_pool, run_folder
from harness.lab.execution import lab as lab_module
from harness.lab.execution.feature_proof import Proof
from harness.lab.execution.guest_pool import GuestImage
from harness.lab.execution.lab import MOST_RUNS, CellResult, Lab, _Runs, read_control, without_run, write_control
from harness.lab.execution.run_folder import failure_text, write_cell, write_matrix
from harness.lab.plan.cells import Cell, Flavour
from harness.lab.plan.manifest import AllowedFinding, Manifest
from harness.lab.plan.settings import Settings
from harness.lab.plan.vendor_modules import Companion, VendorModule
from harness.plugin.terminal import Matrix
from harness.plugin.user_errors import user_errors_fail
from harness.report.formats import write_reports
from harness.support.cache.store import Store
from harness.support.errors import ModcompatError

CELLS = [
    Cell(BOARDS["x86_64-q35"], FEATURES["spinlock"], Flavour.STOCK, VendorModule(name)) for name in ("first", "second")
]


def refuse(_: Settings, __: Store) -> KernelSource:
    raise ModcompatError("no such kernel", details="symbol  production  featured", next_step="another one")


def test_a_cell_that_cannot_be_run_is_invalid_by_what_keeps_it_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel_pool, "find_users_source", refuse)
    with Lab(Settings(), [], Store(tmp_path / "cache")) as lab:
        first, second = map(lab.run, CELLS)
    assert first.verdict is second.verdict is Verdict.INVALID
    assert first.reason == second.reason == "no such kernel"
    assert first.evidence.explanation == ["symbol  production  featured", "next: another one"]
    assert second.evidence.explanation == []  # explained only once

    run = tmp_path / "run"
    rows = [write_cell(result, run) for result in (first, second)]
    matrix = write_matrix(rows, run, "pytest", [])
    page, *_ = write_reports(run)
    assert [row["verdict"] for row in json.loads(matrix.read_text())["cells"]] == ["INVALID", "INVALID"]
    assert rows[0]["steps"] == [{"verdict": "INVALID", "phase": None, "reason": "no such kernel", "blamed": None}]
    assert rows[0]["always_on"] is False
    assert "next: another one" in page.read_text()


@pytest.mark.parametrize(("given", "loaded"), [("", "debug=1"), ("debug=2", "debug=2")])
def test_a_shell_loads_a_module_as_its_cell_does(tmp_path: Path, given: str, loaded: str) -> None:
    exercise = tmp_path / "exercise.py"
    exercise.write_text("PARAMETERS = 'debug=1'\ndef exercise(bench): ...\n")
    files = {name: tmp_path / f"{name}.ko" for name in ("my-vendor", "plain")}
    for file in files.values():
        file.touch()
    before = {"my-vendor": (Companion("modules/needed/the-bus.ko"),), "plain": ()}
    paths = {name: f"modules/{name}.ko" for name in files}
    equipment = GuestImage(Mock(), Mock(), paths, files, before)
    modules = [VendorModule("my-vendor", exercise=exercise, parameters=given), VendorModule("plain")]
    assert loads(modules, equipment) == {
        "the_bus": "insmod modules/needed/the-bus.ko",
        "my_vendor": f"insmod modules/my-vendor.ko {loaded}",
        "plain": "insmod modules/plain.ko",
    }


def test_guests_are_paused_between_cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are paused even after a cell that could not be run."""
    monkeypatch.setattr(kernel_pool, "find_users_source", refuse)
    with Lab(Settings(), [], Store(tmp_path / "cache")) as lab:
        pause = Mock()
        monkeypatch.setattr(lab.guests, "pause_all", pause)
        pauses = [(lab.run(cell).verdict, pause.call_count)[1] for cell in CELLS]
    assert 0 < pauses[0] < pauses[1]


class Dumping:
    """A guest whose memory contains its name."""

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def qemu(self) -> "Dumping":
        return self

    def dump_memory(self, core: Path) -> None:
        core.write_text(self.name)


def test_a_proof_that_failed_is_made_again_after_a_failure_is_forgotten(tmp_path: Path) -> None:
    with Lab(Settings(), [], Store(tmp_path / "cache")) as lab:
        lab._proofs = {("q35", "a"): Proof("it is live"), ("q35", "b"): Proof(blocker="the guest was lost")}
        lab.forget()
        assert list(lab._proofs) == [("q35", "a")]


def test_a_core_dump_of_a_control_is_kept_once_and_every_cell_has_it(tmp_path: Path) -> None:
    one, other = (
        [replace(cell, flavour=Flavour.PRODUCTION, feature=FEATURES[name]) for name in ("spinlock", "slub")]
        for cell in CELLS
    )
    run = tmp_path / "run"
    with Lab(Settings(), [], Store(tmp_path / "cache")) as lab:
        first = lab._not_run(one[0], ModcompatError("it broke"))
        first = replace(first, core=lab._dump(cast(Guest, Dumping("first")), one[0], first.evidence))
        second = lab._not_run(other[0], ModcompatError("it broke"))
        second = replace(second, core=lab._dump(cast(Guest, Dumping("second")), other[0], second.evidence))
        for result, cells in ((first, one), (second, other), (first, one)):  # writing it again loses nothing
            for cell in cells:
                write_cell(replace(result, cell=cell), run)
    run = run.rename(tmp_path / "moved")
    for text, cells in (("first", one), ("second", other)):
        cores = [run / "cells" / cell.id / "core" for cell in cells]
        assert [core.read_text() for core in cores] == [text, text]
        assert [core.is_symlink() for core in cores] == [False, True]


def a_control(tmp_path: Path, verdict: Verdict) -> CellResult:
    with Lab(Settings(), [], Store(tmp_path / "cache")) as lab:
        result = lab._not_run(CELLS[0], ModcompatError("it broke"))
    return replace(result, judgement=Judgement((Step(verdict, "why"),)))


@pytest.mark.parametrize(
    ("verdicts", "last", "runs"),
    [
        ((Verdict.DIFFERS, Verdict.CLEAN), Verdict.CLEAN, 2),
        ((Verdict.DIFFERS, Verdict.DIFFERS, Verdict.DIFFERS, Verdict.CLEAN), Verdict.DIFFERS, 3),
        ((Verdict.SPLAT, Verdict.CLEAN), Verdict.SPLAT, 1),
    ],
    ids=["by-chance", "always", "no-difference"],
)
def test_a_module_that_differs_from_production_runs_again(
    verdicts: tuple[Verdict, ...], last: Verdict, runs: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = iter([a_control(tmp_path, verdict) for verdict in verdicts])

    def run(lab: Lab, cell: Cell, *, again: bool = False) -> CellResult:
        ran = lab._runs.setdefault(cell.id, _Runs())
        assert again == bool(ran.debug)
        ran.debug.append(Evidence("vendor"))
        return next(waiting)

    monkeypatch.setattr(Lab, "_run", run)
    with Lab(Settings(), [], Store(tmp_path / "cache")) as lab:
        result = lab.run(CELLS[0])
        assert (result.verdict, lab.runs_of(CELLS[0])) == (last, runs)
        assert result.whole_seconds > 0


def test_a_clean_control_is_shared_with_other_labs(tmp_path: Path) -> None:
    control, file = a_control(tmp_path, Verdict.CLEAN), tmp_path / "shared/a.control"
    assert read_control(None) is None
    assert read_control(file) is None
    write_control(control, file)
    assert read_control(file) == control


def test_a_broken_control_is_not_shared(tmp_path: Path) -> None:
    file = tmp_path / "shared/a.control"
    write_control(a_control(tmp_path, Verdict.SPLAT), file)
    assert not file.exists()


def test_a_control_of_another_version_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The version is a digest of all fields of the classes that a control consists of."""
    file = tmp_path / "shared/a.control"
    write_control(a_control(tmp_path, Verdict.CLEAN), file)
    present = lab_module._control_header()

    @dataclass
    class Check:
        name: str
        is_new: bool

    Check.__qualname__ = "Check"
    monkeypatch.setitem(Evidence.__annotations__, "checks", list[Check])
    lab_module._control_header.cache_clear()
    try:
        assert lab_module._control_header() != present
        assert read_control(file) is None
    finally:
        monkeypatch.undo()
        lab_module._control_header.cache_clear()
    assert lab_module._control_header() == present
    assert read_control(file) is not None


def test_a_failure_names_the_module_that_is_blamed_and_how_to_start_the_guest(tmp_path: Path) -> None:
    result = a_control(tmp_path, Verdict.INVALID)
    steps = (Step(Verdict.INERT, "no init", Phase.LOAD), Step(Verdict.SPLAT, "a BUG", Phase.UNLOAD, "vendor"))
    machine = Machine(BOARDS["x86_64-q35"], Path("image"), Path("initramfs"))
    text = failure_text(replace(result, judgement=Judgement(steps), machine=machine), tmp_path)
    assert text.startswith("INERT: no init; then SPLAT: a BUG\n")
    assert "\nblamed: vendor\n" in text
    assert text.endswith(f"the guest by hand: sh {tmp_path}/cells/{CELLS[0].id}/qemu.sh")
    without = failure_text(result, tmp_path)
    assert "blamed:" not in without
    assert "qemu.sh" not in without


@pytest.fixture
def row(tmp_path: Path) -> dict[str, Any]:
    with Lab(Settings(), [], Store(tmp_path / "cache")) as lab:
        return write_cell(lab._not_run(CELLS[0], ModcompatError("it broke")), tmp_path / "run")


def test_a_matrix_can_be_written_where_a_tool_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: dict[str, Any]
) -> None:
    def missing(*_: object) -> str:
        raise ModcompatError("no-such-gcc is not installed")

    monkeypatch.setattr(run_folder, "toolchain", missing)
    monkeypatch.setattr(run_folder, "qemu_version", missing)
    facts = json.loads(write_matrix([row], tmp_path / "run").read_text())
    assert facts["compilers"] == facts["qemu"] == {"x86_64": "not installed"}
    assert [cell["id"] for cell in facts["cells"]] == [CELLS[0].id]


@pytest.fixture
def full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: dict[str, Any]) -> Path:
    """A run folder with an earlier matrix, on a disk that has become full."""
    write = Path.write_bytes

    def refuse(path: Path, content: bytes) -> int:
        write(path, content[:10])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    write_matrix([row], tmp_path / "run")
    monkeypatch.setattr(Path, "write_bytes", refuse)
    return tmp_path / "run"


def test_a_full_disk_leaves_no_half_matrix_and_no_older_one(full: Path, row: dict[str, Any]) -> None:
    with pytest.raises(ModcompatError, match=r"cannot write .*matrix\.json: No space left on device"):
        write_matrix([row], full)
    assert [path.name for path in full.iterdir()] == ["cells"]


def test_a_matrix_that_cannot_be_written_is_shown_all_the_same(full: Path, row: dict[str, Any]) -> None:
    manifest = Manifest(Path("m.toml"), allowed=(AllowedFinding("known", date.max, module="third", line=7),))
    matrix = Matrix(CELLS, manifest, "pytest", cells=CELLS, shard=None, assumed=list, run_folder=lambda: full)
    matrix.rows.append(row)
    terminal = Mock(hasmarkup=False)
    matrix.pytest_terminal_summary(terminal, pytest.ExitCode.TESTS_FAILED)
    assert "INVALID" in terminal.write.call_args.args[0]
    lines = [call.args[0] for call in terminal.write_line.call_args_list]
    assert lines[-2:-1] == ["allowed finding matches no cell of this run: m.toml:7: known"]
    assert lines[-1].startswith("no matrix: cannot write")


def test_the_control_of_a_cell_is_its_first_clean_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Something killed QEMU in the first run on production."""
    cell = CELLS[0].control
    lab = Lab(Settings(), [], Store(tmp_path / "cache"))
    monkeypatch.setattr(lab.guests, "running", Mock())
    monkeypatch.setattr("harness.lab.execution.lab.prove_absent", lambda *_, **__: Proof("off"))
    found = [Mock(verdict=Verdict.DIED), Mock(verdict=Verdict.CLEAN), Mock(verdict=Verdict.SPLAT)]
    key = (cell.board.id, cell.variant.name, cell.module.name)
    lab._controls[key] = found[0]
    monkeypatch.setattr(lab, "_judge", lambda *_: found.pop(1))
    for _ in range(2):
        lab._control(cell, again=True)
        assert lab._controls[key].verdict is Verdict.CLEAN


WORKS = Evidence(
    "first", feature_proof="off", load=Command("insmod first.ko", 0, "", 0.1), initcall=InitCall("first_init", 0),
    loaded=True, exercise_ended=True, unload=Command("rmmod first", 0, "", 0.1), removed=True,
    integrity=[Check("slabs", held=True)], liveness_checks=[Check("fork", held=True)],
    before=Counters(0, 0, 0), after=Counters(0, 0, 0), scanned=True,
)  # fmt: skip


def judging(lab: Lab, monkeypatch: pytest.MonkeyPatch, *found: Evidence, proof: Proof | None = None) -> Mock:
    """Let a lab find evidence in its cells, one after the other: controls and debug cells."""
    left = iter(found)

    def judge_next(cell: Cell, *_: object) -> CellResult:
        evidence = next(left)
        return CellResult(cell, judge(evidence), evidence, "6.1", "none")

    judged = Mock(side_effect=judge_next)
    monkeypatch.setattr(lab, "_judge", judged)
    monkeypatch.setattr(lab, "_predict", lambda *_: None)
    monkeypatch.setattr(lab, "_explain", lambda _: None)
    monkeypatch.setattr(lab, "_without_run", without_run)
    monkeypatch.setattr(lab, "_proof", lambda *_: proof or Proof("live"))
    monkeypatch.setattr(lab.guests, "running", Mock())
    monkeypatch.setattr("harness.lab.execution.lab.prove_absent", lambda *_, **__: Proof("off"))
    monkeypatch.setattr(lab.kernels, "spec", Mock())
    return judged


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(Settings(), [], Store(tmp_path / "cache"))


def test_a_cell_is_compared_with_its_control(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    judging(lab, monkeypatch, WORKS, replace(WORKS, removed=False))
    assert lab.run(CELLS[0]).verdict is Verdict.CORRUPTED
    assert (lab.runs_of(CELLS[0]), lab.control_of(CELLS[0]).verdict) == (1, Verdict.CLEAN)  # type: ignore[union-attr]


def test_a_module_that_production_refuses_does_not_run_on_a_debug_kernel(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = replace(WORKS, load=Command("insmod first.ko", 1, "invalid", 0.1), initcall=None, loaded=False)
    judged = judging(lab, monkeypatch, refused)
    result = lab.run(CELLS[0])
    assert result.verdict is Verdict.INVALID
    assert "production itself refuses the module" in result.reason
    assert judged.call_count == 1


def test_a_feature_that_is_not_live_proves_nothing_about_a_module(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    judged = judging(lab, monkeypatch, WORKS, proof=Proof(blocker="the violation was not reported"))
    result = lab.run(CELLS[0])
    assert (result.verdict, result.reason) == (Verdict.INVALID, "the violation was not reported")
    assert judged.call_count == 1


def test_a_difference_is_looked_for_again_on_both_kernels(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = replace(WORKS, messages={Phase.LOAD: ["first: odd"]})
    judged = judging(lab, monkeypatch, WORKS, odd, WORKS, WORKS)
    assert lab.run(CELLS[0]).verdict is Verdict.CLEAN
    assert (lab.runs_of(CELLS[0]), judged.call_count) == (2, 4)
    lab.forget()
    judging(lab, monkeypatch, WORKS, odd, WORKS, odd, WORKS, odd)
    assert lab.run(CELLS[0]).verdict is Verdict.DIFFERS
    assert lab.runs_of(CELLS[0]) == MOST_RUNS


def test_a_damaged_file_is_the_problem_of_its_own_module(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    error = ModcompatError("first.ko.xz: its xz data is damaged")
    running = Mock(image=GuestImage(Mock(), Mock(), {}, {}, {}, damaged={"first": error}))
    monkeypatch.setattr(lab.guests, "running", lambda *_: running)
    monkeypatch.setattr("harness.lab.execution.lab.prove_absent", lambda *_, **__: Proof("off"))
    result = lab.run(CELLS[0])
    assert (result.verdict, result.reason) == (Verdict.INVALID, "first.ko.xz: its xz data is damaged")


@pytest.mark.parametrize("missing", [0, 1])
def test_a_shard_that_lacks_cells_has_not_ended(tmp_path: Path, row: dict[str, Any], missing: int) -> None:
    mine = CELLS[: 1 + missing]
    matrix = Matrix(CELLS, Manifest(), "", cells=mine, shard=(1, 2), assumed=list, run_folder=lambda: tmp_path)
    matrix.rows.append(row | {"id": CELLS[0].id})
    matrix.pytest_terminal_summary(Mock(hasmarkup=False), pytest.ExitCode.TESTS_FAILED)
    shard = json.loads((tmp_path / "matrix.json").read_text())["shard"]
    assert (shard["ended"], shard["places"], shard["cells"]) == (not missing, [0], len(CELLS))


@pytest.mark.parametrize("when", ["setup", "call", "???"])
def test_a_cell_whose_test_failed_without_a_verdict_is_missing(tmp_path: Path, row: dict[str, Any], when: str) -> None:
    """That of a worker that was lost is "???" (pytest-xdist)."""
    matrix = Matrix(CELLS, Manifest(), "", cells=CELLS, shard=None, assumed=list, run_folder=lambda: tmp_path)
    matrix.rows.append(row | {"id": CELLS[0].id})
    for test in (f"test_modules.py::test_survives[{cell.id}]" for cell in CELLS[:2]):
        matrix.pytest_runtest_logreport(Mock(when=when, failed=True, nodeid=test, user_properties=[]))
    matrix.pytest_runtest_logreport(Mock(when="call", failed=True, nodeid="test_other.py::test_it", user_properties=[]))
    terminal = Mock(hasmarkup=False)
    matrix.pytest_terminal_summary(terminal, pytest.ExitCode.TESTS_FAILED)
    assert json.loads((tmp_path / "matrix.json").read_text())["missing"] == [CELLS[1].id]
    terminal.write_line.assert_any_call(f"not judged: {CELLS[1].id}")


def test_a_mistake_is_shown_once() -> None:
    with pytest.raises(pytest.fail.Exception, match="the cache is another's") as caught, user_errors_fail():
        raise ModcompatError("the cache is another's")
    assert caught.value.__suppress_context__
