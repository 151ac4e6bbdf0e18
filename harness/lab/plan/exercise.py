# SPDX-License-Identifier: Apache-2.0
r"""Exercises: commands that use a module in a guest, and the answers that they require.

An exercise is a Python file with a function `exercise(bench)`. It may also define:

- `ANNOUNCES`: words that the module has to print to the kernel log.
  `{"init": "my_driver: probed", "exit": "my_driver: removed"}`
- `PARAMETERS`: module parameters, unless an option or the manifest has others. `"debug=1 name=x"`
- `EXPECTS`: warnings that the exercise provokes on purpose.
  `[{"kind": "warning", "title": r"at my_driver\.c:\d+ my_probe"}]`
- `TOUCHES`: structures and members that the module uses. If they moved, they explain why it broke.
  `["struct mutex", "struct file.f_pos"]`

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

_LOAD_TIMEOUT_SECONDS = 60.0  # for the top level of an exercise file
_MAX_QUOTED_CHARS = 120  # of an unexpected answer
_WARNINGS = {kind.name for kind in KINDS if kind.severity is Severity.WARNING}
_OWN_MARK = re.compile(r"(?:^|\] )modcompat: ")
_ANSWER = re.compile(r"check (\S+) (ok|FAILED)(?: (.*))?$")


class Bench:
    """The guest with the module loaded, as an exercise sees it. Every check is recorded."""

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
        """module: the kernel's name for it. log: returns the kernel log, complete at the time of the call.

        unread: returns the kernel log without the guest's help, so it may be incomplete. folder: the folder of the
        exercise's file. scale: factor for time limits, which exercises state for a machine of ordinary speed.
        """
        self._scale = scale
        self.folder = folder
        self.module = module
        self._run = run
        self._log = log
        self._unread = unread
        self._record = record
        self._logged = 0  # characters of the log at the last call of log()

    def run(self, command: str, seconds: float | None = None) -> Output:
        """Run one line of shell in the guest; returns its exit status and its output (both streams).

        seconds: time limit; a guest that does not answer within it counts as hung.
        """
        return self._run(command, seconds)

    def check(self, name: str, held: bool, detail: str = "") -> bool:  # noqa: FBT001 - reads as a statement
        """Record a required answer. held: whether it was right. detail: the answer that came. Returns `held`."""
        self._record(Check(name, held, detail))
        return held

    def expect(self, name: str, command: str, wanted: str) -> bool:
        """Check that a command succeeds and prints exactly `wanted`, apart from spaces around it."""
        output = self.run(command)
        held = output.status == 0 and output.text.strip() == wanted
        seen = f"`{command}` -> {output.status}: {output.text[:_MAX_QUOTED_CHARS]!r}, not {wanted!r}"
        return self.check(name, held, "" if held else seen)

    def put(self, file: Path | str | bytes, path: str) -> None:
        """Copy a file of the host, or bytes, into the guest. A relative name is relative to the exercise's folder.

        Raises GuestError if it cannot be written.
        """
        content = file if isinstance(file, bytes) else (self.folder / file).read_bytes()
        programs.put(self._run, content, path)

    def get(self, path: str) -> bytes:
        """The content of a file in the guest, of up to about 100 KB. Raises GuestError if it cannot be read."""
        return programs.get(self._run, path)

    def wait_for(self, path: str, seconds: float = 5.0) -> bool:
        """Wait for a device node or any other path. Records a check, and returns whether the path exists."""
        exists = programs.wait_for(self._run, path, seconds * self._scale)
        return self.check(f"{path} is there", exists, "" if exists else f"not within {seconds:g} s")

    def start(self, command: str) -> Program:
        """Start a program in the background: a load generator, or one to interact with.

        It has send(), expect(), stop(), printed and status. Raises GuestError if it cannot be started.
        """
        return Program(self._run, command, self._scale)

    def counter(self, path: str, key: str = "") -> int:
        """The number in a file, or the number after a word in it (key). Raises AssertionError if there is none."""
        text = self.run(f"cat {path}").text
        # a key ends where its word ends: `irq1` is not in `irq10: 7`
        named = rf"(?:^|\W){re.escape(key)}(?:(?<=\W)|(?!\w))\W*?(-?\d+)"
        pattern = named if key else r"^\s*(-?\d+)\s*$"
        found = re.search(pattern, text, re.MULTILINE)
        assert found, f"{path} has no number {key}".rstrip() + f": {text[:80]!r}"
        return int(found[1])

    def parameter(self, name: str, value: str, module: str = "") -> Output:
        """Write a parameter of the module, or of another module, through sysfs."""
        return self.run(f"echo {value} >/sys/module/{module or self.module}/parameters/{name}")

    def log(self) -> str:
        """The kernel log since the guest was pristine, as text."""
        text = self._log()
        self._logged = len(text)
        return text

    def module_checks(self, parameter: str, group: str, names: Iterable[str], module: str = "") -> None:
        """Make the module, or another one, run a group of its own checks, and require an answer for each name.

        The module prints "check NAME ok" or "check NAME FAILED ..." to the kernel log. A check without an answer
        failed. An answer that is printed between two groups counts for the second.
        """
        started, seen = self._logged, len(self._unread())
        try:
            output = self.parameter(parameter, group, module)
            answers = _answers(self.log()[started:])
        except BaseException:
            # The guest is lost or faulty. Answers until then still count.
            for name, (held, detail) in _answers(self._unread()[seen:]).items():
                self.check(name, held, detail)
            raise
        for name in names:
            held, detail = answers.pop(name, (False, f"no answer; `{output.command}` ended with {output.status}"))
            self.check(name, held, detail)
        for name, (held, detail) in answers.items():
            self.check(name, held, detail or "an answer that was not requested")


def _answers(log: str) -> dict[str, tuple[bool, str]]:
    """The answers of a module's own checks in a piece of the kernel log: name -> (held, detail).

    A check with several answers held only if none of them is a failure.
    """
    answers: dict[str, tuple[bool, str]] = {}
    for match in (_ANSWER.search(line.rstrip("\r")) for line in log.splitlines()):
        if match and answers.get(match[1], (True, ""))[0]:
            answers[match[1]] = match[2] == "ok", match[3] or ""
    return answers


def is_logged(words: str, log: str) -> bool:
    """Whether a line of the kernel log contains these words. The harness's own lines do not count."""
    return any(words in line and not _OWN_MARK.search(line) for line in log.replace("\r", "").splitlines())


@dataclass(frozen=True)
class Exercise:
    """A loaded exercise file."""

    path: Path
    run: Callable[[Bench], None]
    announces: dict[str, str] = field(default_factory=dict)  # "init" or "exit" -> words in the kernel log
    parameters: str = ""  # for the load
    touches: tuple[str, ...] = ()  # structures ("struct mutex") and members ("struct file.f_pos") that the module uses
    awaits: tuple[Awaited, ...] = ()  # warnings that it provokes


def load_exercise(path: Path) -> Exercise:
    """Read an exercise file. Raises ModcompatError, with file and line if possible, if anything is wrong with it."""
    if not path.exists():
        raise ModcompatError(f"there is no exercise file {path}", next_step="give --exercise the path of a .py file")
    specification = importlib.util.spec_from_file_location(f"exercise_{path.parent.name}_{path.stem}", path)
    if specification is None or specification.loader is None or not path.is_file():
        raise ModcompatError(f"{path} is not a Python file", next_step="give --exercise the path of a .py file")
    module: Any = importlib.util.module_from_spec(specification)
    try:
        with deadline(_LOAD_TIMEOUT_SECONDS):
            specification.loader.exec_module(module)
    except KeyboardInterrupt:
        raise  # more likely from the user than from the file
    except BaseException as error:  # pytest.skip() and sys.exit() do not raise an Exception
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
        raise ModcompatError(f'{path}: ANNOUNCES must be a dictionary with a string for "init", "exit" or both')
    if not isinstance(parameters, str) or "\n" in parameters:
        raise ModcompatError(f"{path}: PARAMETERS must be a string of one line, as for insmod")
    if not isinstance(touches, list | tuple) or not all(isinstance(place, str) for place in touches):
        raise ModcompatError(f'{path}: TOUCHES must be a list of strings like "struct file.f_pos"')
    awaits = _awaited(path, getattr(module, "EXPECTS", []))
    return Exercise(path, run, announces, parameters, tuple(touches), awaits)


def _takes_a_bench(path: Path, run: Callable[..., Any]) -> None:
    if inspect.iscoroutinefunction(run) or inspect.isgeneratorfunction(run):
        raise ModcompatError(
            f"{path}: `exercise` must be a plain function, without `async def` or `yield`",
            next_step="def exercise(bench): ...; docs/how-to/exercise.md has examples",
        )
    try:
        inspect.signature(run).bind(object())
    except ValueError:
        return  # a built-in callable without a signature
    except TypeError as error:
        raise ModcompatError(
            f"{path}: `exercise` cannot be called with the bench as its only argument: {error}",
            next_step="def exercise(bench): ...; docs/how-to/exercise.md has examples",
        ) from None


def _awaited(path: Path, expects: Any) -> tuple[Awaited, ...]:
    try:
        awaited = tuple(Awaited(**entry) for entry in expects)
        for entry in awaited:
            re.compile(entry.title)
    except Exception as error:  # re.compile() raises several types for a bad pattern, OverflowError among them
        raise ModcompatError(
            f'{path}: EXPECTS must be a list of {{"kind": ..., "title": a regular expression}}', details=str(error)
        ) from error
    strange = [str(entry.kind) for entry in awaited if str(entry.kind) not in _WARNINGS]
    if strange:
        raise ModcompatError(
            f"{path}: EXPECTS has {', '.join(strange)}, but only warnings can be expected",
            next_step=f"kinds of warnings: {', '.join(sorted(_WARNINGS))}",
        )
    return awaited


def explain(error: BaseException, path: Path) -> str:
    """One line about an exception that an exercise raised, with its place in the file."""
    return one_line(f"{type(error).__name__}: {error} ({place_in(error, path)})")


def place_in(error: BaseException, path: Path) -> str:
    """The line of an exercise's file that an exception passed through last."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f"{path.name} line {lines[-1]}" if lines else path.name
