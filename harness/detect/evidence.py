# SPDX-License-Identifier: Apache-2.0
"""The evidence of a cell: everything that a verdict may be derived from, and nothing else."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from harness.detect.initcalls import InitCall
from harness.detect.kernel_report import Report

# Bits of /proc/sys/kernel/tainted (kernel/panic.c) that mean damage
_WARN_TAINT = 1 << 9
_TAINT_DAMAGE = {
    1 << 5: "B (bad page or slab)",
    1 << 7: "D (died)",
    _WARN_TAINT: "W (warning)",
    1 << 14: "L (soft lockup)",
}


class Phase(StrEnum):
    """The phases of a cell, in their order."""

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
    """One required answer."""

    name: str
    # the answer was right
    held: bool
    # what was seen instead, "" if there is nothing to add
    detail: str = ""


@dataclass(frozen=True)
class Awaited:
    """A warning that the exercise provokes on purpose."""

    # the kind of the report, a name in harness/detect/kinds.py
    kind: str
    # regular expression, found in the report's title or in a line that announces it
    title: str

    def is_seen_in(self, report: Report) -> bool:
        return report.kind == self.kind and report.says(self.title)


@dataclass(frozen=True)
class Command:
    """A command that ran in the guest."""

    command: str
    # exit status
    status: int
    # standard output and standard error
    output: str
    # how long it took
    seconds: float


@dataclass(frozen=True)
class GuestLoss:
    """A guest that stopped answering."""

    loss: Loss
    phase: Phase
    # one line
    what: str
    # one text for each CPU
    backtraces: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Counters:
    """The kernel's own counters."""

    # /proc/sys/kernel/tainted
    taint: int
    # /sys/kernel/warn_count, None if the kernel has no such file
    warnings: int | None
    # /sys/kernel/oops_count, likewise
    oopses: int | None


@dataclass
class Evidence:
    """The evidence of one cell. An empty field means that the evidence is missing, never that nothing is wrong."""

    # the kernel's name of the module
    module: str
    # why the module file could not be read on the host
    file_problem: str | None = None
    has_init: bool = True
    has_exit: bool = True
    # why the run proves nothing
    blockers: list[str] = field(default_factory=list)
    # how the guest became pristine: restored, booted ...
    origin: str | None = None
    # proof that the feature is live or, on production, absent
    feature_proof: str | None = None
    # the features that had to be in use while the module worked
    features_in_use: list[str] = field(default_factory=list)
    # checks that these features were in use
    feature_checks: list[Check] = field(default_factory=list)
    load: Command | None = None
    initcall: InitCall | None = None
    # /proc/modules lists the module after the load
    loaded: bool = False
    # the module that it needs and that did not load, and why; then it was not loaded itself
    companion_failed: str | None = None
    # names in /proc, /sys and /dev were compared, so that the following two fields mean something
    observed: bool = False
    # names that appeared (+) and went away (-) between the load and before it, and likewise the unload
    after_load: list[str] = field(default_factory=list)
    after_unload: list[str] = field(default_factory=list)
    # the kernel's messages in each phase, in the form in which they are compared with those of another run
    messages: dict[Phase, list[str]] = field(default_factory=dict)
    # whether init and exit printed the words that the exercise announces
    announced: list[Check] = field(default_factory=list)
    # name of the exercise's file
    exercise: str | None = None
    checks: list[Check] = field(default_factory=list)
    exercise_ended: bool = False
    # why later phases were left out
    stopped: str | None = None
    unload: Command | None = None
    # /proc/modules does not list the module after the unload
    removed: bool = False
    # checks of memory
    integrity: list[Check] = field(default_factory=list)
    # checks that the guest still works at the end
    liveness_checks: list[Check] = field(default_factory=list)
    before: Counters | None = None
    after: Counters | None = None
    # reports between the start of the cell and the load, which the module did not cause
    early_reports: list[Report] = field(default_factory=list)
    reports: dict[Phase, list[Report]] = field(default_factory=dict)
    # reports that the exercise provoked on purpose
    awaited: list[Report] = field(default_factory=list)
    # the whole log of the cell, from the first mark to the last, was read and scanned
    scanned: bool = False
    loss: GuestLoss | None = None
    commands: list[Command] = field(default_factory=list)
    # which fields moved, and why; derived from the layouts of both kernels
    explanation: list[str] = field(default_factory=list)
    # the structures that explain it, as harness/abi/compare/layout_columns.py describes them
    layouts: list[dict[str, Any]] = field(default_factory=list)
    qmp_events: list[str] = field(default_factory=list)
    # why this evidence is weaker than usual
    caveats: list[str] = field(default_factory=list)
    # how long the cell took
    seconds: float = 0.0

    def set_apart(self, awaits: Iterable[Awaited]) -> None:
        """Move awaited reports out of those that count as damage. A check records whether each appeared just once."""
        reports = self.reports.get(Phase.EXERCISE, [])
        for awaited in awaits:
            found = [report for report in reports if awaited.is_seen_in(report)]
            if found:
                reports.remove(found[0])
                self.awaited.append(found[0])
            seen = "" if len(found) == 1 else f"{len(found)} reports like {awaited.title!r}"
            self.checks.append(Check(f"awaited {awaited.kind}", len(found) == 1, seen))

    def counted_damage(self) -> list[str]:
        """The damage that the kernel counted during the cell, in words, without that of awaited reports."""
        before, after = self.before, self.after
        if not before or not after:
            return []
        awaited = sum(report.is_counted for report in self.awaited)
        known = before.taint | (_WARN_TAINT if awaited else 0)
        counts = (
            ("warn", before.warnings, after.warnings, awaited),
            ("oops", before.oopses, after.oopses, 0),
        )
        return [text for bit, text in _TAINT_DAMAGE.items() if after.taint & ~known & bit] + [
            f"{name} count {old} -> {new}"
            for name, old, new, known_count in counts
            if old is not None and new is not None and new > old + known_count
        ]

    def all_reports(self) -> list[Report]:
        return [report for phase in Phase for report in self.reports.get(phase, [])]
