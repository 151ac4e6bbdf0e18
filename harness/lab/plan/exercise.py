# SPDX-License-Identifier: Apache-2.0
r"""Exercises: the conversation that makes a module work, and the answers it must give.

An exercise is a Python file with a function `exercise(bench)`. It may also define ANNOUNCES, the words that
the module must print to the kernel log: {"init": "my_driver: probed", "exit": "my_driver: removed"}, and
PARAMETERS, what to load the module with when the user gives nothing: "debug=1 name=x". EXPECTS names warnings
that the exercise provokes: [{"kind": "warning", "title": r"at my_driver\.c:\d+ my_probe"}]. TOUCHES names structures
and members that the module uses, which explain its breakage if they moved: ["struct mutex", "struct file.f_pos"].
docs/how-to/exercise.md shows how to write one.
"""

import importlib.util
import inspect
import re
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.detect.evidence import Awaited, Check
from harness.detect.kinds import KINDS, Severity
from harness.guest import programs
from harness.guest.programs import Program
from harness.guest.shell import Output
from harness.support.errors import ModcompatError
from harness.support.text import one_line
from harness.support.time_limit import deadline

_LOADING = 60.0  # seconds until a file has to be read
_WARNINGS = {kind.name for kind in KINDS if kind.severity is Severity.WARNING}
_OURS = re.compile(r"(?:^|\] )modcompat: ")
_ANSWER = re.compile(r"check (\S+) (ok|FAILED)(?: (.*))?$")


class Bench:
    """What an exercise works with: the guest, with the module loaded. Every check is recorded."""

    def __init__(
        self,
        module: str,
        run: Callable[[str, float | None], Output],
        log: Callable[[], str],
        unread: Callable[[], str],
        record: Callable[[Check], None],
        *,
        folder: Path = Path(),
        scale: float = 1.0,
    ) -> None:
        """module: the kernel's name for it. log: the kernel log so far, complete at the time of the call.

        unread: the same without asking the guest, so perhaps not complete. folder: where the exercise's file is.
        scale: multiplies every time to wait, which an exercise states for an ordinary machine.
        """
        self._scale = scale
        self.folder = folder
        self.module = module
        self._run = run
        self._log = log
        self._unread = unread
        self._record = record
        self._told = 0  # how much of the log was asked for

    def run(self, command: str, seconds: float | None = None) -> Output:
        """Run one line of shell in the guest: its exit status and what it printed (both streams).

        seconds: longest wait; without an answer by then the guest counts as hung.
        """
        return self._run(command, seconds)

    def check(self, name: str, held: bool, detail: str = "") -> bool:  # noqa: FBT001 - reads as a statement
        """Record an answer that was required: whether it held, and what was seen. Returns `held`."""
        self._record(Check(name, held, detail))
        return held

    def expect(self, name: str, command: str, wanted: str) -> bool:
        """Check that a command succeeds and prints just `wanted`."""
        output = self.run(command)
        held = output.status == 0 and output.text.strip() == wanted
        return self.check(
            name, held, "" if held else f"`{command}` -> {output.status}: {output.text[:120]!r}, not {wanted!r}"
        )

    def put(self, file: Path | str | bytes, path: str) -> None:
        """Bring a file of the host, or bytes, into the guest. A relative name is found beside the exercise."""
        content = file if isinstance(file, bytes) else (self.folder / file).read_bytes()
        programs.put(self._run, content, path)

    def get(self, path: str) -> bytes:
        """The content of a file in the guest, of up to some 100 KB."""
        return programs.get(self._run, path)

    def wait_for(self, path: str, seconds: float = 5.0) -> bool:
        """Wait for a device node or any other path; records a check, and returns whether it came."""
        came = programs.wait_for(self._run, path, seconds * self._scale)
        return self.check(f"{path} is there", came, "" if came else f"not within {seconds:g} s")

    def start(self, command: str) -> Program:
        """Start a program in the background: a load, or one to talk with (send, expect, stop, printed, status)."""
        return Program(self._run, command, self._scale)

    def counter(self, path: str, key: str = "") -> int:
        """A number that a file holds: all of it, or what follows a word in it. Raises AssertionError for none."""
        text = self.run(f"cat {path}").text
        pattern = rf"(?:^|[^\w]){re.escape(key)}\W*?(-?\d+)" if key else r"^\s*(-?\d+)\s*$"
        found = re.search(pattern, text, re.MULTILINE)
        assert found, f"{path} has no number {key}".rstrip() + f": {text[:80]!r}"
        return int(found[1])

    def parameter(self, name: str, value: str, module: str = "") -> Output:
        """Write a parameter of the module, or of another one, through sysfs."""
        return self.run(f"echo {value} >/sys/module/{module or self.module}/parameters/{name}")

    def log(self) -> str:
        """The kernel log since the guest was pristine, as text."""
        text = self._log()
        self._told = len(text)
        return text

    def module_checks(self, parameter: str, group: str, names: Iterable[str], module: str = "") -> None:
        """Have the module, or another one, run a group of its own checks, and require an answer for each name.

        The module prints "check NAME ok" or "check NAME FAILED ..." to the kernel log. A check without an
        answer did not hold; one that came between two groups counts with the second.
        """
        started, seen = self._told, len(self._unread())
        try:
            output = self.parameter(parameter, group, module)
            answers = _answers(self.log()[started:])
        except BaseException:
            # The guest is lost or faulty: what was answered until then still counts.
            for name, (held, detail) in _answers(self._unread()[seen:]).items():
                self.check(name, held, detail)
            raise
        for name in names:
            held, detail = answers.pop(name, (False, f"no answer; `{output.command}` ended with {output.status}"))
            self.check(name, held, detail)
        for name, (held, detail) in answers.items():
            self.check(name, held, detail or "an answer that nobody asked for")


def _answers(log: str) -> dict[str, tuple[bool, str]]:
    """A module's own checks in a piece of the kernel log: name -> (held, detail). One that failed once did not hold."""
    answers: dict[str, tuple[bool, str]] = {}
    for match in (_ANSWER.search(line.rstrip("\r")) for line in log.splitlines()):
        if match and answers.get(match[1], (True, ""))[0]:
            answers[match[1]] = match[2] == "ok", match[3] or ""
    return answers


def is_said(words: str, log: str) -> bool:
    """Whether a line of the kernel log has these words in it; the harness' own lines do not count."""
    return any(words in line and not _OURS.search(line) for line in log.replace("\r", "").splitlines())


@dataclass(frozen=True)
class Exercise:
    """A loaded exercise. announces: phase ("init", "exit") -> words in the kernel log. parameters: for the load.

    touches: structures ("struct mutex") and members ("struct file.f_pos") that the module uses.
    awaits: warnings that it provokes.
    """

    path: Path
    run: Callable[[Bench], None]
    announces: dict[str, str] = field(default_factory=dict)
    parameters: str = ""
    touches: tuple[str, ...] = ()
    awaits: tuple[Awaited, ...] = ()


def load_exercise(path: Path) -> Exercise:
    """Read an exercise file. Raises ModcompatError with file and line for what is wrong with it."""
    if not path.exists():
        raise ModcompatError(f"there is no exercise file {path}", next_step="give --exercise the path of a .py file")
    specification = importlib.util.spec_from_file_location(f"exercise_{path.parent.name}_{path.stem}", path)
    if specification is None or specification.loader is None or not path.is_file():
        raise ModcompatError(f"{path} is not a Python file", next_step="give --exercise the path of a .py file")
    module: Any = importlib.util.module_from_spec(specification)
    try:
        with deadline(_LOADING):
            specification.loader.exec_module(module)
    except KeyboardInterrupt:
        raise  # the user's own, more likely than the file's
    except BaseException as error:  # pytest.skip() and sys.exit() are no Exception
        raise ModcompatError(
            f"{path} cannot be loaded: {type(error).__name__}: {error}", details=place_in(error, path)
        ) from error
    run = getattr(module, "exercise", None)
    announces = getattr(module, "ANNOUNCES", {})
    parameters = getattr(module, "PARAMETERS", "")
    touches = getattr(module, "TOUCHES", ())
    if not callable(run):
        raise ModcompatError(
            f"{path} has no function `exercise(bench)`", next_step="docs/how-to/exercise.md has examples"
        )
    _takes_a_bench(path, run)
    if (
        not isinstance(announces, dict)
        or not set(announces) <= {"init", "exit"}
        or not all(isinstance(words, str) for words in announces.values())
    ):
        raise ModcompatError(f'{path}: ANNOUNCES must be a dictionary with a text for "init", "exit" or both')
    if not isinstance(parameters, str) or "\n" in parameters:
        raise ModcompatError(f"{path}: PARAMETERS must be a text of one line, as insmod takes it")
    if not isinstance(touches, list | tuple) or not all(isinstance(place, str) for place in touches):
        raise ModcompatError(f'{path}: TOUCHES must be a list of texts like "struct file.f_pos"')
    awaits = _awaited(path, getattr(module, "EXPECTS", []))
    return Exercise(path, run, announces, parameters, tuple(touches), awaits)


def _takes_a_bench(path: Path, run: Callable[..., Any]) -> None:
    if inspect.iscoroutinefunction(run) or inspect.isgeneratorfunction(run):
        raise ModcompatError(
            f"{path}: `exercise` is called, and nothing runs what an `async def` or a `yield` makes of that",
            next_step="def exercise(bench): ...; docs/how-to/exercise.md has examples",
        )
    try:
        inspect.signature(run).bind(object())
    except ValueError:
        return  # something built in, that does not tell
    except TypeError as error:
        raise ModcompatError(
            f"{path}: `exercise` is called with the bench alone, and does not take that: {error}",
            next_step="def exercise(bench): ...; docs/how-to/exercise.md has examples",
        ) from None


def _awaited(path: Path, expects: Any) -> tuple[Awaited, ...]:
    try:
        awaited = tuple(Awaited(**entry) for entry in expects)
        for entry in awaited:
            re.compile(entry.title)
    except Exception as error:  # re.compile() has several for a bad pattern, OverflowError among them
        raise ModcompatError(
            f'{path}: EXPECTS must be a list of {{"kind": ..., "title": a regular expression}}', details=str(error)
        ) from error
    strange = [str(entry.kind) for entry in awaited if str(entry.kind) not in _WARNINGS]
    if strange:
        raise ModcompatError(
            f"{path}: EXPECTS has {', '.join(strange)}, and only warnings can be expected",
            next_step=f"kinds of warnings: {', '.join(sorted(_WARNINGS))}",
        )
    return awaited


def explain(error: BaseException, path: Path) -> str:
    """One line for an exception that came out of an exercise: what, and where in its file."""
    return one_line(f"{type(error).__name__}: {error} ({place_in(error, path)})")


def place_in(error: BaseException, path: Path) -> str:
    """Where in the file of an exercise an exception came from."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f"{path.name} line {lines[-1]}" if lines else path.name
