# SPDX-License-Identifier: Apache-2.0
"""What a cell's log tells: what came before the load, what was lost, and what only the kernel's own buffer has."""

import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest

from harness.abi.elf.module_file import ModuleFacts
from harness.detect.evidence import Command, Phase
from harness.detect.verdict import Word, judge
from harness.guest.failure import Fate, GuestFailure
from harness.guest.guest import Timing
from harness.lab.execution.cell import Subject, _Run, _Stop
from harness.lab.execution.feature_proof import InUse
from harness.lab.plan.exercise import Exercise, load_exercise

BUG = "[    2.000000] BUG: spinlock already unlocked on CPU#0, sh/52\n[    2.000000]  lock: 0xc0ffee\n"


class Console:
    """A console log that is whole."""

    path = Path(__file__)

    def __init__(self, text: str) -> None:
        self.content = text.encode()

    def settle(self, quiet: float, longest: float) -> None:
        """Nothing comes any more."""

    def read(self, start: int = 0, end: int | None = None) -> bytes:
        return self.content[start:end]


def scanned(text: str, *, buffer: str = "", exercise: Exercise | None = None) -> _Run:
    """A cell that came to its end with this log. buffer: what the kernel's own one had, which was read last."""
    guest: Any = SimpleNamespace(console=Console(text), log_start=0, machine=SimpleNamespace(shared_uart=bool(buffer)))
    watch: Any = None
    run = _Run(guest, Subject(ModuleFacts("x"), "modules/x.ko", "", exercise), InUse(None), "", watch, config={})
    run.evidence.load = run.evidence.unload = Command("x", 0, "", 0.1)
    run._begun = "modcompat: begin of x"
    run._first = text.index(run._begun) + len(run._begun)
    for phase in Phase:
        mark = f"modcompat: {phase}\n"
        if mark in text:
            run._starts[phase] = text.index(mark) + len(mark) - 1
    run._end = len(text)
    if buffer:
        run._whole_log = buffer
        start = text.index("$ dmesg\n")
        run._echoes.append((start, text.index("$ done\n") + len("$ done\n")))
    run.scan()
    return run


BEGIN = "[    1.000000] modcompat: begin of x\n"
LOAD, UNLOAD = "[    1.100000] modcompat: load\n", "[    3.100000] modcompat: unload\n"


def test_a_report_belongs_to_the_phase_in_which_it_was_printed() -> None:
    evidence = scanned(BEGIN + LOAD + UNLOAD + BUG).evidence
    assert [phase for phase, reports in evidence.reports.items() if reports] == [Phase.UNLOAD]
    assert evidence.scanned


def test_what_is_printed_before_the_load_is_not_blamed_on_the_module() -> None:
    evidence = scanned(BEGIN + BUG + LOAD).evidence
    assert not evidence.all_reports()
    (obstacle,) = evidence.obstacles
    assert "before the module was loaded, the kernel reported: BUG: spinlock already unlocked" in obstacle


def test_what_is_printed_before_the_cell_is_not_looked_at() -> None:
    evidence = scanned(BUG + BEGIN + LOAD).evidence
    assert not evidence.all_reports()
    assert not evidence.obstacles


def test_a_log_that_lost_messages_was_not_scanned_whole() -> None:
    evidence = scanned(BEGIN + LOAD + "** 5000 printk messages dropped **\n").evidence
    assert not evidence.scanned
    assert "lost messages: ** 5000" in evidence.weak[-1]


@pytest.mark.parametrize("phase", [Phase.LOAD, Phase.UNLOAD])
def test_on_a_shared_uart_the_kernels_own_buffer_tells(phase: Phase) -> None:
    """What is torn by the echo of a command there, the buffer has whole; what came later, the console."""
    middle = BUG if phase is Phase.LOAD else ""
    later = BUG if phase is Phase.UNLOAD else ""
    buffer = "boot\n" + BUG + BEGIN + LOAD + middle
    run = scanned(BEGIN + LOAD + "$ dmesg\nBUG: spin[   2]lock\n$ done\n" + UNLOAD + later, buffer=buffer)
    assert [where for where, reports in run.evidence.reports.items() if reports] == [phase]
    assert not run.evidence.obstacles


def test_references_are_counted_of_what_was_loaded_for_the_module(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a feature in use had loaded before is gone by the end, and none of the module's doing."""
    guest: Any = SimpleNamespace(machine=SimpleNamespace(shared_uart=False), mark=lambda _: 0, console=Console(""))
    watch: Any = None
    subject = Subject(ModuleFacts("x"), "modules/x.ko", "", None, before=("modules/bus.ko",))
    run = _Run(guest, subject, InUse(None), "", watch, config={})
    for step in ("_make_pristine", "_begin", "_load", "_exercise", "_unload", "_integrity"):
        monkeypatch.setattr(run, step, lambda *_: None)
    counts = iter([{"probes": "0"}, {"probes": "0", "bus": "0"}])
    monkeypatch.setattr(run, "_modules", lambda: next(counts))
    monkeypatch.setattr(run, "_companion", lambda _: True)
    run.go("x")
    assert run._uses == {"bus": "0"}


@pytest.mark.parametrize(("last", "is_whole"), [("b\n", True), ("c\n", False)])
def test_a_buffer_that_fills_while_it_is_read_proves_nothing(last: str, is_whole: bool) -> None:  # noqa: FBT001
    """On a shared UART what is printed meanwhile is in neither copy of the log."""
    answers = {"dmesg": "a\nb\n", "dmesg | tail -n 1": last}
    guest: Any = SimpleNamespace(
        machine=SimpleNamespace(shared_uart=True), mark=lambda _: 0, run=lambda it: SimpleNamespace(text=answers[it]),
        console=SimpleNamespace(size=0, read=lambda *_: b""),
    )  # fmt: skip
    watch: Any = None
    run = _Run(guest, Subject(ModuleFacts("x"), "modules/x.ko", "", None), InUse(None), "", watch, config={})
    run._read_buffer()
    assert (run.evidence.obstacles == []) is is_whole


def test_what_exit_has_to_say_counts_from_the_unload_on() -> None:
    text = BEGIN + LOAD + "[    2.000000] x: removed\n" + UNLOAD
    announces = {"exit": "x: removed"}
    for log, held in ((text, False), (text + "[    4.000000] x: removed\n", True)):
        evidence = scanned(log, exercise=Exercise(Path("x.py"), lambda _: None, announces)).evidence
        assert [check.held for check in evidence.announced] == [held]


@pytest.mark.parametrize(("licence", "config", "is_told"), [
    (1, {"DEBUG_SPINLOCK": "y"}, True),
    (0, {"DEBUG_SPINLOCK": "y"}, False),
    (1, {}, False),
    (1, {"DEBUG_SPINLOCK": "y", "MODULE_ABI_ISOLATION": "y"}, False),
    (1, {"DEBUG_SPINLOCK": "y", "LOCKDEP": "y", "MODULE_ABI_ISOLATION": "y"}, True),
])  # fmt: skip
def test_a_proprietary_module_switches_lock_debugging_off(
    licence: int,
    config: dict[str, str],
    is_told: bool,  # noqa: FBT001
) -> None:
    run = ending(config, taint=4096 | licence)
    assert any("reports nothing of locks" in line for line in run.evidence.weak) is is_told


def test_slab_debugging_that_validates_nothing_is_an_obstacle() -> None:
    assert ending({}, taint=0).evidence.obstacles == []
    assert "no slab cache could be validated" in ending({"SLUB_DEBUG": "y"}, taint=0).evidence.obstacles[0]


def test_kmemleak_that_cannot_look_is_an_obstacle() -> None:
    run = ending({"DEBUG_KMEMLEAK": "y"}, taint=0, status=1)
    assert [line for line in run.evidence.obstacles if line.startswith("kmemleak could not look")]
    assert all(check.held for check in run.evidence.integrity)


def ending(config: dict[str, str], *, taint: int, status: int = 0) -> _Run:
    """A cell whose memory has been looked at. status: of each command; no slab cache is validated."""

    def answer(command: str, *_: object, **__: object) -> SimpleNamespace:
        text = "well well 2 " + f"{taint} 0 0" if "tainted" in command else "0" if "validate" in command else ""
        return SimpleNamespace(text=text, status=status, seconds=0.1)

    guest: Any = SimpleNamespace(
        machine=SimpleNamespace(shared_uart=False), run=answer, console=Console(""), timing=Timing(), log_start=0,
        symbols=SimpleNamespace(with_modules=lambda _: None),
    )  # fmt: skip
    watch: Any = SimpleNamespace(end=list, weak=[], obstacles=[])
    run = _Run(guest, Subject(ModuleFacts("x"), "modules/x.ko", "", None), InUse(None), "", watch, config=config)
    run._integrity()
    return run


def fresh(exercise: Exercise | None = None) -> _Run:
    guest: Any = SimpleNamespace(
        machine=SimpleNamespace(shared_uart=False), console=Console(""), timing=Timing(), log_start=0
    )
    watch: Any = None
    return _Run(guest, Subject(ModuleFacts("x"), "modules/x.ko", "", exercise), InUse(None), "", watch, config={})


def test_a_cell_proves_nothing_when_its_log_could_not_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    run = fresh()
    failure = GuestFailure(Fate.SILENT, "mark load", 15.0, "the kernel log does not reach the console")
    monkeypatch.setattr("harness.lab.execution.cell.shutil.disk_usage", lambda _: SimpleNamespace(free=0))
    run.lose(failure)
    assert run.evidence.loss is None
    assert "no space is left on the disk" in run.evidence.obstacles[0]
    with pytest.raises(_Stop, match="for lack of space"):
        run._need_space()


def leave(_: object) -> NoReturn:
    sys.exit(0)


def skip(_: object) -> NoReturn:
    pytest.skip("not today")


@pytest.mark.parametrize("run_it", [leave, skip])
def test_an_exercise_cannot_end_the_run(run_it: Callable[[Any], None]) -> None:
    run = fresh(Exercise(Path("exercise.py"), run_it))
    run._exercise()
    (obstacle,) = run.evidence.obstacles
    assert obstacle.startswith(("the exercise failed: SystemExit", "the exercise failed: Skipped"))


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
    monkeypatch.setattr("harness.lab.execution.cell._EXERCISE", 0.2)
    file = tmp_path / "vendor.py"
    file.write_text("def exercise(bench):\n  " + body.replace("\n", "\n  ") + "\n")
    run = fresh(load_exercise(file))
    monkeypatch.setattr(run, "_exercise_command", lambda *_: None)
    before = signal.getsignal(signal.SIGALRM)
    with pytest.raises(_Stop):
        run._exercise()
    (obstacle,) = run.evidence.obstacles
    assert re.fullmatch(r"the exercise did not end within 0\.2 s: it was at vendor\.py line \d", obstacle)
    assert not run.evidence.exercise_ended
    assert judge(run.evidence).word is Word.INVALID
    assert signal.getsignal(signal.SIGALRM) == before
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_an_interrupt_during_an_exercise_is_the_users() -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fresh(Exercise(Path("exercise.py"), interrupted))._exercise()
