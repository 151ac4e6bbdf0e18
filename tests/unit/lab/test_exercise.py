# SPDX-License-Identifier: Apache-2.0
"""Exercises: clear errors for files that do not load, recorded checks, and silence as a failure."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.detect.evidence import Check
from harness.guest.programs import Program
from harness.guest.shell import Output
from harness.lab.plan.exercise import Bench, is_logged, load_exercise
from harness.support.errors import ModcompatError


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def exercise(bench)\n", "SyntaxError"),
        ("import nowhere_to_be_found\n", "ModuleNotFoundError"),
        ("x = 1\n", "no function"),
        ("ANNOUNCES = ['init']\ndef exercise(bench): pass\n", "ANNOUNCES"),
        ("EXPECTS = ['warning']\ndef exercise(bench): pass\n", "EXPECTS"),
        ("EXPECTS = [{'kind': 'warning', 'title': '('}]\ndef exercise(bench): pass\n", "EXPECTS"),
        ("EXPECTS = [{'kind': 'warning', 'title': 'a{99999999999999}'}]\ndef exercise(bench): pass\n", "EXPECTS"),
        ("EXPECTS = [{'kind': 'warning', 'title': 5}]\ndef exercise(bench): pass\n", "EXPECTS"),
        ("EXPECTS = [{'kind': 'access', 'title': 'x'}]\ndef exercise(bench): pass\n", "only warnings"),
        ("PARAMETERS = {'a': 1}\ndef exercise(bench): pass\n", "PARAMETERS"),
        ("PARAMETERS = 'a=1\\nb=2'\ndef exercise(bench): pass\n", "PARAMETERS"),
        ("async def exercise(bench): pass\n", "async def"),
        ("def exercise(bench): yield\n", "async def"),
        ("ANNOUNCES = {'init': 5}\ndef exercise(bench): pass\n", "ANNOUNCES"),
        ("TOUCHES = 5\ndef exercise(bench): pass\n", "TOUCHES"),
        ("EXPECTS = [{'kind': 5, 'title': 'x'}]\ndef exercise(bench): pass\n", "only warnings"),
        ("raise RuntimeError('at once')\n", "line 1"),
        ("import sys; sys.exit(0)\n", "SystemExit"),
        ("import pytest; pytest.skip('x', allow_module_level=True)\n", "Skipped"),
        ("def exercise(): pass\n", "as its only argument: too many positional arguments"),
        ("def exercise(bench, more): pass\n", "as its only argument: missing a required argument: 'more'"),
    ],
)
def test_a_faulty_file_is_explained(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "exercise.py"
    file.write_text(text)
    with pytest.raises(ModcompatError) as caught:
        load_exercise(file)
    assert words in str(caught.value)
    assert "exercise.py" in str(caught.value)


def test_a_missing_file_is_explained(tmp_path: Path) -> None:
    with pytest.raises(ModcompatError, match="there is no exercise file"):
        load_exercise(tmp_path / "absent.py")


class Script:
    """A bench whose guest answers from a list of log lines."""

    def __init__(self, log: list[str], status: int = 0) -> None:
        self.checks: list[Check] = []
        self.commands: list[str] = []
        self._log = ""
        self._coming = log
        self._status = status
        self.bench = Bench("vendor", self._run, lambda: self._log, lambda: self._log, self.checks.append)

    def _run(self, command: str, seconds: float | None) -> Output:
        self.commands.append(command)
        self._log += "\n".join(self._coming) + "\n"
        return Output(command, self._status, b"words\n", 0.1)


@pytest.mark.parametrize(
    ("text", "key", "number"),
    [
        ("irq10: 7\nirq1: 3\n", "irq1", 3),
        ("rx:5 tx:6", "tx:", 6),
        ("a = -4", "a", -4),
        ("MemFree:    12 kB", "MemFree", 12),
        ("  42 \n", "", 42),
    ],
)
def test_a_counter_is_the_number_after_a_whole_word(text: str, key: str, number: int) -> None:
    bench = Bench("vendor", lambda *_: Output("", 0, text.encode(), 0.1), str, str, lambda _: None)
    assert bench.counter("/proc/vendor", key) == number


def test_a_modules_own_checks_are_collected_by_name() -> None:
    script = Script(["[ 1.0][ T1] vendor: check a ok", "[ 1.0][ T1] vendor: check b FAILED got 0x1 want 0x0"])
    script.bench.module_checks("run", "locks", ["a", "b", "c"])
    assert script.commands == ["echo locks >/sys/module/vendor/parameters/run"]
    assert [(check.name, check.held) for check in script.checks] == [("a", True), ("b", False), ("c", False)]
    assert "got 0x1" in script.checks[1].detail
    assert "no answer" in script.checks[2].detail


@pytest.mark.parametrize("answers", [("ok", "FAILED got 0x1"), ("FAILED got 0x1", "ok")])
def test_a_check_that_failed_once_did_not_hold(answers: tuple[str, str]) -> None:
    script = Script([f"vendor: check a {answer}" for answer in answers])
    script.bench.module_checks("run", "locks", ["a"])
    assert [(check.held, check.detail) for check in script.checks] == [(False, "got 0x1")]


def test_an_answer_from_before_does_not_count() -> None:
    script = Script(["vendor: check a ok"])
    script.bench.module_checks("run", "locks", ["a"])
    script._coming = []
    script.bench.module_checks("run", "locks", ["a"])
    assert [check.held for check in script.checks] == [True, False]


def test_answers_from_before_a_fault_still_count() -> None:
    script = Script(["vendor: check a ok"])
    run = script._run

    def run_and_lose(command: str, seconds: float | None) -> Output:
        run(command, seconds)
        raise TimeoutError

    script.bench._run = run_and_lose
    with pytest.raises(TimeoutError):
        script.bench.module_checks("run", "locks", ["a", "b"])
    assert [(check.name, check.held) for check in script.checks] == [("a", True)]


@pytest.mark.parametrize(("status", "wanted", "held"), [(0, "words", True), (1, "words", False), (0, "others", False)])
def test_an_expectation_needs_both_status_and_text(status: int, wanted: str, held: bool) -> None:  # noqa: FBT001
    script = Script([], status)
    assert script.bench.expect("reads", "cat /dev/vendor", wanted) is held
    assert script.checks[0].held is held


@pytest.mark.parametrize(
    ("log", "said"),
    [
        ("[    1.5] vendor: ready", True),
        ("[    1.5] vendor: ready, with 8 queues\r", True),  # in the middle of a line
        ("[    1.5] vendor: not yet", False),
        ("[    1.5] modcompat: begin of vendor: ready", False),  # the harness's own line
        ("[    1.5][   T57] modcompat: begin of vendor: ready", False),
    ],
)
def test_what_a_module_announces_is_found_in_a_line(log: str, said: bool) -> None:  # noqa: FBT001
    assert is_logged("vendor: ready", f"before\n{log}\nafter") is said


def test_the_end_of_what_a_program_printed_can_be_waited_for() -> None:
    printed = Output("cat", 0, b"67\r\n", 0.1)
    started = Output("sh", 0, b"66\n", 0.1)
    commands = iter([started, Output("cat", 1, b"", 0.1), printed])
    program = Program(lambda command, seconds: next(commands), "echo $$; exec sleep 1000")
    found = program.expect(r"(\d+)\s")
    assert found is not None
    assert found[1] == "67"


def test_times_to_wait_are_scaled(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(1000))
    fake = SimpleNamespace(monotonic=lambda: next(clock), sleep=lambda _: None)
    monkeypatch.setattr("harness.guest.programs.time", fake)
    looks: list[str] = []

    def absent(command: str, _: float | None) -> Output:
        looks.append(command)
        return Output(command, 1, b"", 0.1)

    bench = Bench("vendor", absent, str, str, lambda _: None, scale=3.0)
    assert not bench.wait_for("/dev/vendor", 10.0)
    assert len(looks) == 30


def test_a_file_that_is_not_loaded_in_time_is_told_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.lab.plan.exercise._LOAD_TIMEOUT_SECONDS", 0.2)
    file = tmp_path / "vendor.py"
    file.write_text("x = 1\nwhile True: pass\n")
    with pytest.raises(
        ModcompatError, match=r"vendor\.py cannot be loaded: DeadlineError: it did not end within 0\.2 s"
    ):
        load_exercise(file)


def test_an_interrupt_while_a_file_is_loaded_is_the_users(tmp_path: Path) -> None:
    file = tmp_path / "exercise.py"
    file.write_text("raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        load_exercise(file)


@pytest.mark.parametrize(
    "text", ["def exercise(bench, *, seconds=1): pass\n", "def exercise(*all): pass\n", "exercise = dict\n"]
)
def test_an_exercise_may_take_more_than_the_bench(tmp_path: Path, text: str) -> None:
    file = tmp_path / "exercise.py"
    file.write_text(text)
    assert load_exercise(file).path == file
