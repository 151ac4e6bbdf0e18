# SPDX-License-Identifier: Apache-2.0
"""What a run left behind: everything a verdict may be derived from, and nothing else."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from harness.detect.initcalls import InitCall
from harness.detect.kernel_report import Report


class Phase(StrEnum):
    """The stations of a cell, in their order."""

    LOAD = "load"
    EXERCISE = "exercise"
    UNLOAD = "unload"
    INTEGRITY = "integrity"


class Loss(StrEnum):
    """How a guest was lost."""

    DIED = "died"
    HUNG = "hung"


@dataclass(frozen=True)
class Check:
    """One answer that was required. held: it came out right."""

    name: str
    held: bool
    detail: str = ""


@dataclass(frozen=True)
class Awaited:
    """A warning that the exercise provokes: a kind, and a pattern found in its title or a line that announces it."""

    kind: str
    title: str

    def is_seen_in(self, report: Report) -> bool:
        return report.kind == self.kind and report.says(self.title)


@dataclass(frozen=True)
class Command:
    """A command in the guest. status: exit status. seconds: how long it took."""

    command: str
    status: int
    output: str
    seconds: float


@dataclass(frozen=True)
class GuestLoss:
    """A guest that stopped answering in some phase. what: one line. backtraces: a text a CPU."""

    loss: Loss
    phase: Phase
    what: str
    backtraces: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Counters:
    """The kernel's own account: /proc/sys/kernel/tainted, /sys/kernel/{warn,oops}_count (None: not there)."""

    taint: int
    warnings: int | None
    oopses: int | None


@dataclass
class Evidence:
    """The evidence of one cell. Empty fields are evidence not had, never evidence of health."""

    module: str
    file_problem: str = ""  # why the module file could not be read on the host
    has_init: bool = True
    has_exit: bool = True
    obstacles: list[str] = field(default_factory=list)  # why the run proves nothing
    origin: str = ""  # how the pristine guest came about
    feature_proof: str = ""  # what proved the feature live (or, on production, absent)
    used: list[str] = field(default_factory=list)  # what was to be in use while the module worked
    in_use: list[Check] = field(default_factory=list)  # what they saw of it
    load: Command | None = None
    initcall: InitCall | None = None
    listed: bool = False  # in /proc/modules after the load
    announced: list[Check] = field(default_factory=list)  # words that init and exit must say
    exercise: str = ""  # its file; "" where none was given
    checks: list[Check] = field(default_factory=list)
    exercise_ended: bool = False
    stopped: str = ""  # why later phases were left out
    unload: Command | None = None
    gone: bool = False  # not in /proc/modules after the unload
    integrity: list[Check] = field(default_factory=list)  # of memory
    works: list[Check] = field(default_factory=list)  # what the guest still does at the end
    before: Counters | None = None
    after: Counters | None = None
    reports: dict[Phase, list[Report]] = field(default_factory=dict)
    awaited: list[Report] = field(default_factory=list)  # reports that the exercise provoked on purpose
    scanned: bool = False  # the whole log, from the first mark to the last, was read and scanned
    loss: GuestLoss | None = None
    commands: list[Command] = field(default_factory=list)
    explanation: list[str] = field(default_factory=list)  # which fields moved, and why; derived from the layouts
    layouts: list[dict[str, Any]] = field(default_factory=list)  # the structures that explain it: abi.layout_columns
    qmp_events: list[str] = field(default_factory=list)
    weak: list[str] = field(default_factory=list)  # what makes this evidence weaker than usual
    seconds: float = 0.0

    def set_apart(self, awaits: Iterable[Awaited]) -> None:
        """Take awaited reports out of those that tell of damage. That each appeared, once, is a check."""
        reports = self.reports.get(Phase.EXERCISE, [])
        for awaited in awaits:
            found = [report for report in reports if awaited.is_seen_in(report)]
            if found:
                reports.remove(found[0])
                self.awaited.append(found[0])
            seen = "" if len(found) == 1 else f"{len(found)} reports like {awaited.title!r}"
            self.checks.append(Check(f"awaited {awaited.kind}", len(found) == 1, seen))

    def all_reports(self) -> list[Report]:
        return [report for phase in Phase for report in self.reports.get(phase, [])]
