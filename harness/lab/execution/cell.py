# SPDX-License-Identifier: Apache-2.0
"""Run a cell: load a module into a pristine guest, exercise it, unload it, and collect the evidence."""

import re
import time
from collections.abc import Iterable, Mapping

from harness.detect.behaviour import comparable_messages
from harness.detect.evidence import Check, Evidence, GuestLoss, Loss, Phase
from harness.detect.initcalls import find_initcall
from harness.detect.kernel_report import Report
from harness.guest.failure import Fate, GuestFailure
from harness.lab.execution import cell_phases
from harness.lab.execution.access_checks import AccessMonitor
from harness.lab.execution.cell_guest import CellGuest
from harness.lab.execution.cell_log import CellLog, ScannedLog, StopCell
from harness.lab.execution.cell_phases import CellContext, KernelTraits, Recorder, Subject
from harness.lab.execution.feature_proof import FeatureExerciser
from harness.lab.execution.kmemleak import merge_details
from harness.lab.execution.memory_checks import MemoryMonitor
from harness.lab.plan.exercise import is_logged

_LOSSES = {Fate.SILENT: Loss.HUNG, Fate.AGENT_DIED: Loss.HUNG}  # every other fate is death
_QUIET_SECONDS = 0.3  # of silence, after which a faulty guest's log counts as complete


def run_cell(
    guest: CellGuest,
    subject: Subject,
    exerciser: FeatureExerciser,
    *,
    title: str,
    feature_proof: str | None,
    config: Mapping[str, str],
    release: str = "",
) -> Evidence:
    """Run a cell to its end, whatever the module does to the guest.

    exerciser: uses the feature while the module works. config, release: of the running kernel.
    Raises ModcompatError if QEMU cannot be started.
    """
    cell = new_context(guest, subject, exerciser, feature_proof=feature_proof, config=config, release=release)
    started = time.monotonic()
    try:
        _run_phases(cell, title)
    except GuestFailure as failure:
        record_loss(cell, failure)
    except StopCell as stop:
        cell.evidence.stopped = str(stop)
        cell.evidence.blockers += [stop.blocker] if stop.blocker else []
        guest.console.settle(quiet=_QUIET_SECONDS, longest=5.0)
    record_log(cell)
    cell.evidence.seconds = time.monotonic() - started
    return cell.evidence


def new_context(
    guest: CellGuest,
    subject: Subject,
    exerciser: FeatureExerciser,
    *,
    feature_proof: str | None,
    config: Mapping[str, str],
    release: str = "",
) -> CellContext:
    """A cell before its first phase."""
    patching = [*exerciser.patching, *(["jump labels"] if config.get("JUMP_LABEL") == "y" else [])]
    memory = MemoryMonitor(
        guest, patched_by=", ".join(patching), features_in_use=", ".join(exerciser.names), release=release
    )
    evidence = Evidence(
        module=subject.facts.name,
        file_problem=subject.facts.problem or None,
        has_init=subject.facts.has_init,
        has_exit=subject.facts.has_exit,
        feature_proof=feature_proof,
        features_in_use=list(exerciser.names),
        exercise=subject.exercise.path.name if subject.exercise else None,
    )
    if guest.machine.shared_uart:
        evidence.caveats.append("kernel log and commands share one UART: lines may be torn")
    log = CellLog(guest)
    accesses = AccessMonitor(guest, subject.facts, subject.file)
    recorder = Recorder(guest, log, evidence.commands, accesses)
    traits = KernelTraits.of(config)
    return CellContext(guest, subject, exerciser, memory, accesses, traits, log, recorder, evidence)


def _run_phases(cell: CellContext, title: str) -> None:
    evidence, log = cell.evidence, cell.log
    cell_phases.make_pristine(cell, title)
    if problem := cell.exerciser.start(cell.guest):
        evidence.blockers.append(problem)
        return
    log.enter(Phase.LOAD)
    if cell_phases.load_companions(cell):
        cell_phases.load(cell)
    if evidence.load and evidence.load.status == 0:
        log.enter(Phase.EXERCISE)
        cell_phases.exercise(cell)
        log.enter(Phase.UNLOAD)
        cell_phases.unload(cell)
    evidence.feature_checks += cell.exerciser.stop(cell.guest, evidence.module)
    log.enter(Phase.INTEGRITY)
    cell_phases.check_integrity(cell)
    if problem := log.read_buffer():
        evidence.blockers.append(problem)
    log.end(title)


def record_loss(cell: CellContext, failure: GuestFailure) -> None:
    """Record that the guest stopped answering, unless the host may be the cause."""
    evidence, log = cell.evidence, cell.log
    if blocker := log.lack_of_space():
        evidence.blockers.append(blocker)
        return
    if not log.has_started:
        evidence.blockers.append(f"the pristine guest did not answer: {failure.fate.value}. {failure.detail}")
        return
    if failure.fate in (Fate.PANICKED, Fate.RESET, Fate.QEMU_DIED):
        cell.guest.console.settle(quiet=_QUIET_SECONDS, longest=2.0)
    cell.accesses.publish_lost()
    what = f"{log.phase} left the guest {failure.fate.value} ({failure.command}, after {failure.waited:.0f} s)"
    details = (failure.detail, _running_module(failure.backtraces, evidence.module))
    what = "; ".join([what, *(detail for detail in details if detail)])
    evidence.loss = GuestLoss(_LOSSES.get(failure.fate, Loss.DIED), log.phase, what, failure.backtraces)


def record_log(cell: CellContext) -> None:
    """Scan the log of the whole cell. Record its reports by phase, lost messages, and the calls of init and exit."""
    evidence, given = cell.evidence, cell.subject.exercise
    log = cell.log.scan()
    evidence.early_reports = _with_leaks(log.early, cell.leaks)
    evidence.reports = {phase: _with_leaks(reports, cell.leaks) for phase, reports in log.reports.items()}
    evidence.blockers += [
        f"before the module was loaded, the kernel reported: {report.words}" for report in evidence.early_reports
    ]
    if given and Phase.EXERCISE in log.starts:
        evidence.set_apart(given.awaits)
    if log.dropped:
        evidence.caveats.append(f"the kernel reports that it lost messages: {log.dropped}")
    evidence.scanned = log.is_whole
    evidence.initcall = find_initcall(log.text, evidence.module)
    evidence.announced += _announcements(cell, log)
    evidence.messages = {phase: comparable_messages(text) for phase, text in log.by_phase().items()}


def _announcements(cell: CellContext, log: ScannedLog) -> list[Check]:
    """For init and exit, if they ran: whether they printed the words that the exercise announces."""
    exercise, evidence = cell.subject.exercise, cell.evidence
    commands = {"init": (Phase.LOAD, evidence.load), "exit": (Phase.UNLOAD, evidence.unload)}
    checks = []
    for name, words in exercise.announces.items() if exercise else ():
        phase, command = commands[name]
        if command is not None and command.status == 0:
            held = is_logged(words, log.since(phase))
            checks.append(Check(name, held, "" if held else f"never printed {words!r}"))
    return checks


def _with_leaks(reports: Iterable[Report], leaks: list[Report]) -> list[Report]:
    return [merge_details(report, leaks) if leaks and report.kind == "kmemleak" else report for report in reports]


def _running_module(backtraces: list[str], module: str) -> str | None:
    """The line of the CPU that was inside the module; None if none was."""
    inside = re.compile(rf"^CPU \d+ at .*\[{re.escape(module)}\]")
    return next((trace.splitlines()[0] for trace in backtraces if inside.match(trace)), None)
