# SPDX-License-Identifier: Apache-2.0
"""The evidence of a cell, which its log, its commands and its exercise contribute to."""

import re
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest

from harness.abi.elf.module_file import ModuleFacts
from harness.detect.evidence import Command, Evidence, Phase
from harness.detect.verdict import Verdict, judge
from harness.guest.failure import Fate, GuestFailure
from harness.kernel.variants import variant_named
from harness.lab.execution.cell import new_context, record_log, record_loss, run_cell
from harness.lab.execution.cell_phases import CellContext, Subject, check_integrity, exercise, load, load_companions
from harness.lab.execution.feature_proof import FeatureExerciser
from harness.lab.plan.exercise import Exercise, load_exercise
from harness.lab.plan.settings import Settings
from harness.lab.plan.vendor_modules import Companion
from tests.unit.lab.fake_guest import Answer, FakeGuest

BUG = "[    2.000000] BUG: spinlock already unlocked on CPU#0, sh/52\n[    2.000000]  lock: 0xc0ffee\n"


def context(
    guest: FakeGuest,
    exercise: Exercise | None = None,
    *,
    before: tuple[Companion, ...] = (),
    config: Mapping[str, str] | None = None,
) -> CellContext:
    subject = Subject(ModuleFacts("x"), "modules/x.ko", "", exercise, before)
    return new_context(guest, subject, FeatureExerciser(None), feature_proof=None, config=config or {})


def logged(folder: Path, *events: str | Phase, exercise: Exercise | None = None) -> Evidence:
    """The evidence from a log. Events after the begin mark are texts that the kernel prints, and phases."""
    guest = FakeGuest(folder)
    cell = context(guest, exercise)
    cell.evidence.load = cell.evidence.unload = Command("x", 0, "", 0.1)
    cell.log.begin("x")
    for event in events:
        if isinstance(event, Phase):
            cell.log.enter(event)
        else:
            guest.print(event)
    cell.log.end("x")
    record_log(cell)
    return cell.evidence


def test_a_report_belongs_to_the_phase_in_which_it_was_printed(tmp_path: Path) -> None:
    evidence = logged(tmp_path, Phase.LOAD, Phase.UNLOAD, BUG)
    assert [phase for phase, reports in evidence.reports.items() if reports] == [Phase.UNLOAD]
    assert evidence.scanned


def test_what_is_printed_before_the_load_is_not_blamed_on_the_module(tmp_path: Path) -> None:
    evidence = logged(tmp_path, BUG, Phase.LOAD)
    assert not evidence.all_reports()
    (blocker,) = evidence.blockers
    assert "before the module was loaded, the kernel reported: BUG: spinlock already unlocked" in blocker
    assert len(evidence.early_reports) == 1


def test_a_log_that_lost_messages_was_not_scanned_whole(tmp_path: Path) -> None:
    evidence = logged(tmp_path, Phase.LOAD, "** 5000 printk messages dropped **\n")
    assert not evidence.scanned
    assert "lost messages: ** 5000" in evidence.caveats[-1]


def test_what_exit_has_to_say_counts_from_the_unload_on(tmp_path: Path) -> None:
    words = Exercise(Path("x.py"), lambda _: None, {"exit": "x: removed"})
    removed = "[    2.000000] x: removed\n"
    for name, more, held in (("early", (), False), ("late", (removed,), True)):
        (tmp_path / name).mkdir()
        evidence = logged(tmp_path / name, Phase.LOAD, removed, Phase.UNLOAD, *more, exercise=words)
        assert [check.held for check in evidence.announced] == [held]


def test_references_are_counted_of_what_was_loaded_for_the_module(tmp_path: Path) -> None:
    """A module that a feature's own scripts loaded is gone by the end, through no fault of the tested module."""
    lists = iter(["probes 4096 0 - Live 0x0\n", "probes 4096 0 - Live 0x0\nbus 4096 0 - Live 0x0\n"])
    guest = FakeGuest(tmp_path, {"cat /proc/modules": lambda: next(lists)})
    cell = context(guest, before=(Companion("modules/bus.ko"),))
    assert load_companions(cell)
    assert cell.references == {"bus": "0"}
    assert "insmod modules/bus.ko" in guest.commands


def test_a_companion_that_is_refused_refuses_the_module(tmp_path: Path) -> None:
    guest = FakeGuest(tmp_path, {"insmod": ("invalid module format", 1)})
    cell = context(guest, before=(Companion("modules/bus.ko"), Companion("modules/never.ko")))
    assert not load_companions(cell)
    assert cell.evidence.load
    assert cell.evidence.load.output == "modules/bus.ko, which it needs, did not load: invalid module format"
    assert not [command for command in guest.commands if "never" in command]


def whole(folder: Path, exercise: Exercise | None = None) -> Evidence:
    """A whole cell in a guest in which nothing fails, from the pristine state to the end mark."""
    listed = iter(["x 4096 0 - Live 0xffffffffa0000000\n", "", ""])
    answers: dict[str, Answer] = {
        "agent alive": "well well 2", "agent state": "2 0 0 0", "agent validate": "7",
        "cat /proc/modules": lambda: next(listed),
    }  # fmt: skip
    return run_cell(
        FakeGuest(folder, answers), Subject(ModuleFacts("x"), "modules/x.ko", "", exercise), FeatureExerciser(None),
        title="x", feature_proof="it is off", config={"SLUB_DEBUG": "y"},
    )  # fmt: skip


def test_a_cell_goes_through_every_phase(tmp_path: Path) -> None:
    evidence = whole(tmp_path)
    assert evidence.blockers == []
    assert (evidence.loaded, evidence.removed, evidence.scanned, evidence.exercise_ended) == (True, True, True, True)
    assert [command.command for command in evidence.commands][:2] == ["insmod modules/x.ko", "rmmod x"]
    assert [(check.name, check.held) for check in evidence.liveness_checks] == [
        ("fork, file, pages and a timer on both CPUs", True)
    ]


def test_a_reference_that_the_kernel_holds_for_a_moment_is_waited_for(tmp_path: Path) -> None:
    held, free = "y 4096 1 - Live 0x1\nz 4096 1 y, Live 0x2\n", "y 4096 0 - Live 0x1\nz 4096 1 y, Live 0x2\n"
    readings = iter(["", held, held, free])
    guest = FakeGuest(tmp_path, {"cat /proc/modules": lambda: next(readings), "usleep": lambda: next(readings)})
    cell = context(guest, before=(Companion("modules/y.ko"),))
    load_companions(cell)
    assert cell.references == {"y": "0", "z": "1"}


@pytest.mark.parametrize(
    ("kernel", "command"), [("production", "insmod"), ("stock-hidden", "insmod -f"), ("isolated-hidden", "insmod")]
)
def test_a_module_is_forced_on_stock_debug_kernels_only(tmp_path: Path, kernel: str, command: str) -> None:
    facts = ModuleFacts("x", forced=Settings(ignores_versions=True).forces(variant_named(kernel)))
    cell = context(FakeGuest(tmp_path))
    cell = replace(cell, subject=replace(cell.subject, facts=facts, before=(Companion("modules/y.ko"),)))
    load_companions(cell)
    load(cell)
    loads = [each.command for each in cell.evidence.commands if each.command.startswith("insmod")]
    assert loads == [f"{command} modules/y.ko", f"{command} modules/x.ko"]
    assert not Settings().forces(variant_named(kernel))


def test_a_guest_that_is_lost_is_recorded_with_its_phase(tmp_path: Path) -> None:
    class Dying(FakeGuest):
        def run(self, command: str, seconds: float | None = None, *, inside: bool = False) -> Any:
            if command.startswith("insmod"):
                raise GuestFailure(Fate.PANICKED, command, 3.0, "Kernel panic - not syncing: the end")
            return super().run(command, seconds, inside=inside)

    subject = Subject(ModuleFacts("x"), "modules/x.ko", "", None)
    evidence = run_cell(
        Dying(tmp_path, {"agent state": "2 0 0 0"}),
        subject,
        FeatureExerciser(None),
        title="x",
        feature_proof="",
        config={},
    )
    assert evidence.loss
    assert evidence.loss.phase is Phase.LOAD
    assert evidence.loss.what == (
        "load left the guest panicked (insmod modules/x.ko, after 3 s); Kernel panic - not syncing: the end"
    )
    assert judge(evidence).verdict is Verdict.DIED


@pytest.mark.parametrize(("licence", "config", "is_told"), [
    (1, {"DEBUG_SPINLOCK": "y"}, True),
    (0, {"DEBUG_SPINLOCK": "y"}, False),
    (1, {}, False),
    (1, {"DEBUG_SPINLOCK": "y", "MODULE_ABI_ISOLATION": "y"}, False),
    (1, {"DEBUG_SPINLOCK": "y", "LOCKDEP": "y", "MODULE_ABI_ISOLATION": "y"}, True),
    (1, {"DEBUG_SPINLOCK": "y", "LOCKDEP": "y", "LOCKDEP_OUTSIDE": "y", "MODULE_ABI_ISOLATION": "y"}, False),
])  # fmt: skip
def test_a_proprietary_module_switches_lock_debugging_off(
    licence: int,
    config: dict[str, str],
    is_told: bool,  # noqa: FBT001
    tmp_path: Path,
) -> None:
    evidence = ending(tmp_path, config, taint=4096 | licence)
    assert any("stops debugging locks" in line for line in evidence.caveats) is is_told


def test_slab_debugging_that_validates_nothing_is_a_blocker(tmp_path: Path) -> None:
    assert ending(tmp_path, {}, taint=0).blockers == []
    assert "no slab cache could be validated" in ending(tmp_path, {"SLUB_DEBUG": "y"}, taint=0).blockers[0]


def test_kmemleak_that_cannot_look_is_a_blocker(tmp_path: Path) -> None:
    evidence = ending(tmp_path, {"DEBUG_KMEMLEAK": "y"}, taint=0, status=1)
    assert [line for line in evidence.blockers if line.startswith("kmemleak could not scan")]
    assert all(check.held for check in evidence.integrity)


def ending(folder: Path, config: dict[str, str], *, taint: int, status: int = 0) -> Evidence:
    """A cell after its integrity checks. Each command exits with `status`; no slab cache is validated."""
    guest = FakeGuest(
        folder, {"agent alive": "well well 2", "agent state": f"2 {taint} 0 0", "agent validate": "0"}, status=status
    )
    cell = context(guest, config=config)
    check_integrity(cell)
    return cell.evidence


def test_a_cell_proves_nothing_when_its_log_could_not_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = context(FakeGuest(tmp_path))
    failure = GuestFailure(Fate.SILENT, "mark load", 15.0, "the kernel log does not reach the console")
    monkeypatch.setattr("harness.lab.execution.cell_log.shutil.disk_usage", lambda _: SimpleNamespace(free=0))
    record_loss(cell, failure)
    assert cell.evidence.loss is None
    assert "no space is left on the disk" in cell.evidence.blockers[0]
    evidence = run_cell(
        FakeGuest(tmp_path), cell.subject, FeatureExerciser(None), title="x", feature_proof=None, config={}
    )
    assert "for lack of space" in (evidence.stopped or "")
    assert "no space is left on the disk" in evidence.blockers[-1]


def leave(_: object) -> NoReturn:
    sys.exit(0)


def skip(_: object) -> NoReturn:
    pytest.skip("not today")


@pytest.mark.parametrize("run_it", [leave, skip])
def test_an_exercise_cannot_end_the_run(run_it: Callable[[Any], None], tmp_path: Path) -> None:
    cell = context(FakeGuest(tmp_path), Exercise(Path("exercise.py"), run_it))
    exercise(cell)
    (blocker,) = cell.evidence.blockers
    assert blocker.startswith(("the exercise failed: SystemExit", "the exercise failed: Skipped"))


@pytest.mark.parametrize(
    "body",
    [
        "while True: pass",
        "while True: bench.run('true')",
        "import time; time.sleep(1000)",
        "import threading; threading.Event().wait()",
        "while True:\n  try: bench.run('true')\n  except Exception: pass",
    ],
)
def test_an_exercise_without_an_end_proves_nothing(body: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.lab.execution.cell_phases._EXERCISE_SECONDS", 0.2)
    file = tmp_path / "vendor.py"
    file.write_text("def exercise(bench):\n  " + body.replace("\n", "\n  ") + "\n")
    before = signal.getsignal(signal.SIGALRM)
    evidence = whole(tmp_path, load_exercise(file))
    (blocker,) = evidence.blockers
    assert re.fullmatch(r"the exercise did not end within 0\.2 s: it was at vendor\.py line \d", blocker)
    assert evidence.stopped == "stopped in the exercise, which did not end"
    assert not evidence.exercise_ended
    assert judge(evidence).verdict is Verdict.INVALID
    assert signal.getsignal(signal.SIGALRM) == before
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_an_interrupt_during_an_exercise_is_the_users(tmp_path: Path) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        exercise(context(FakeGuest(tmp_path), Exercise(Path("exercise.py"), interrupted)))
