# SPDX-License-Identifier: Apache-2.0
"""The commands of a cell as a shell script, which repeats them on a board without modcompat.

An exercise is a Python file, but its commands and their exit statuses are in the evidence of a run. The script repeats
the commands that production got, so the loops and decisions of the exercise are as they were there.
"""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import jinja2

from harness.report.recorded_run import RecordedCell, Run
from harness.report.template import text_templates
from harness.support.errors import ModcompatError
from harness.support.text import one_line

SCRIPT = "modcompat/cell.sh"  # its path on the board
_ANSWER = re.compile(r"check (\S+) ok\r?$", re.MULTILINE)  # of a module, as harness/lab/plan/exercise.py reads it
# Commands of Program (harness/guest/programs.py), which have the numbers of processes of that run
_BACKGROUND = re.compile(r"/tmp/program\d|kill -- -\d|\[ -d /proc/\d+ \]")
_OURS = "agent "  # commands of the guest's agent, which belong to the memory checks
_LOADED = re.compile(r"insmod (?:-f )?'?/?(modules/[^\s']+\.ko)")
_FOREIGN = re.compile(r"[^\w.-]+", re.ASCII)  # not allowed in the name of a case in LAVA
# USERLAND_PATH of images/guest/agent/main.c
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/.modcompat:/tools"


@dataclass(frozen=True)
class ReplayedCommand:
    """A command of the exercise."""

    # of its case
    name: str
    command: str
    # its exit status on production
    status: int
    # the exercise repeated it until it ended like this
    waits: bool = False


@dataclass(frozen=True)
class Replay:
    """What a cell does on a board."""

    # the kernel's name of the module
    module: str
    # commands that load other modules first
    before: tuple[str, ...]
    load: str
    has_init: bool
    steps: tuple[ReplayedCommand, ...]
    # name of a case -> check that the module answers in the kernel log
    answers: Mapping[str, str]
    # paths of the modules that the commands load
    files: tuple[str, ...]
    # the kernel reports nothing on production
    is_quiet: bool
    # commands that cannot be repeated
    left_out: tuple[str, ...]
    # why there is no more of the exercise; "" if it is whole
    cut_short: str

    @property
    def cases(self) -> list[str]:
        """The names of all cases that the script reports, in their order."""
        quiet = ["kernel-log"] if self.is_quiet else []
        init = ["init"] if self.has_init else []
        return ["load", *init, *(step.name for step in self.steps), *self.answers, "unload", *quiet]

    def script(self, title: str) -> str:
        """The script, for any POSIX shell. title: the name of the cell."""
        return templates().get_template("cell.sh.j2").render(title=title, cell=self)


def templates() -> jinja2.Environment:
    """The templates of scripts and configurations."""
    return text_templates(quoted=shlex.quote, comment=one_line)


def replay_of(cell: RecordedCell, run: Run) -> Replay:
    """The commands of a cell, or of its control in the same run if that came further.

    Raises ModcompatError for a cell that loaded no module.
    """
    model = max((cell, *_controls(cell, run)), key=_progress)
    evidence, commands = model.evidence, model.evidence["commands"]
    load = evidence["load"]["command"] if evidence["load"] else ""
    start = next((at for at, done in enumerate(commands) if done["command"] == load), None)
    if start is None:
        raise ModcompatError(
            f"{cell.row['id']} loaded no module: {cell.verdict}: {cell.row['reason']}",
            next_step="choose other cells with -k",
        )
    unload = f"rmmod {evidence['module']}"
    ends = [at for at, done in enumerate(commands) if done["command"] == unload and evidence["unload"]]
    steps, left_out = _steps(commands[start + 1 : max(ends, default=len(commands))])
    if not ends and steps:  # the command that the exercise was cut short in
        steps[-1] = replace(steps[-1], status=0)
    if model.machine and model.machine["userland"]:
        steps = [replace(step, command=_inside(step.command)) for step in steps]
    before = [done["command"] for done in commands[:start] if done["command"].startswith("insmod ")]
    loading = " ; ".join([*before, load, *(step.command for step in steps)])
    answers = dict.fromkeys(_ANSWER.findall(model.log.decode(errors="replace")))
    return Replay(
        module=evidence["module"],
        before=tuple(before),
        load=load,
        has_init=evidence.get("has_init", True),
        steps=tuple(steps),
        answers={f"check-{_FOREIGN.sub('_', answer)}": answer for answer in answers},
        files=tuple(dict.fromkeys(_LOADED.findall(loading))),
        is_quiet=not any(evidence["reports"].values()),
        left_out=tuple(left_out),
        cut_short="" if ends else f"{model.row['id']} came no further: {model.row['reason']}",
    )


def _controls(cell: RecordedCell, run: Run) -> Iterator[RecordedCell]:
    """The same module on production of the same board."""
    same = ("arch", "board", "feature", "module", "preemption")
    for other in run.cells:
        if other.row["flavour"] == "production" and all(other.row[key] == cell.row[key] for key in same):
            yield other


def _progress(cell: RecordedCell) -> tuple[bool, bool, bool, int]:
    """How far a cell came. Of two that came to the end, production knows the right answers."""
    evidence = cell.evidence
    load = evidence["load"]
    is_loaded, is_control = load is not None and load["status"] == 0, cell.row["flavour"] == "production"
    return is_loaded, bool(evidence["unload"]), is_control, len(evidence["commands"])


def _steps(commands: Sequence[Mapping[str, Any]]) -> tuple[list[ReplayedCommand], list[str]]:
    """The commands of an exercise that can be repeated, and those that cannot."""
    steps: list[ReplayedCommand] = []
    left_out: list[str] = []
    for command, repeated in groupby(commands, key=lambda done: str(done["command"])):
        if command.startswith(_OURS):
            continue
        if _BACKGROUND.search(command):
            left_out.append(command)
            continue
        statuses = [int(done["status"]) for done in repeated]
        waits = statuses[0] != statuses[-1]
        for status in statuses[-1:] if waits else statuses:
            steps.append(ReplayedCommand(f"exercise-{len(steps) + 1:03}", command, status, waits))
    return steps, left_out


def _inside(command: str) -> str:
    """The command, in the user's root file system."""
    return f"PATH={_PATH} chroot /userland sh -c {shlex.quote(command)}"
