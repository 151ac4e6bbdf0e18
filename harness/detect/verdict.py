# SPDX-License-Identifier: Apache-2.0
"""Derive the verdict from the evidence. The first thing that went wrong is the verdict; the rest follows as steps.

A cause comes before its consequences, so the first thing that went wrong is also the one that reproduces. Within
one phase a death outranks the reports before it, and a report outranks the silence after it: it is a matter of chance
whether a damaged kernel still answers.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from harness.detect.behaviour import Difference, differences, goes_wrong_like, reached
from harness.detect.evidence import Check, Evidence, Loss, Phase
from harness.detect.kernel_report import Report
from harness.detect.kinds import Severity
from harness.support.text import and_more, join_some

# Reports of a CPU or a task that makes no progress: they describe the silence itself, not its cause.
_SILENCE_KINDS = {"lockup", "hung-task", "rcu-stall"}
_MAX_CHECKS_SHOWN = 3  # failed checks that a reason names
_EXIT_RAN = "the exit of a module without an init ran (an exercise's ANNOUNCES can prove it)"
_COUNTED, _SCANNED = _READ = "the kernel's counters were read", "the whole log was scanned"
_ALWAYS_ON = "always on: nothing to break"


class Verdict(StrEnum):
    """The verdicts; docs/reference/verdicts.md describes when each applies."""

    CLEAN = "CLEAN"
    SAME = "SAME"
    DIFFERS = "DIFFERS"
    INERT = "INERT"
    REFUSED = "REFUSED"
    SPLAT = "SPLAT"
    CORRUPTED = "CORRUPTED"
    HUNG = "HUNG"
    DIED = "DIED"
    INVALID = "INVALID"


PASSES = (Verdict.CLEAN, Verdict.SAME)
_BREAKING = (Verdict.SPLAT, Verdict.CORRUPTED, Verdict.HUNG, Verdict.DIED)


@dataclass(frozen=True)
class Step:
    """One thing that went wrong, or the summary of a cell in which nothing did."""

    verdict: Verdict
    # one line, with the kernel's own words if there are any
    reason: str
    # None: no phase is to blame (CLEAN, SAME, DIFFERS, INVALID)
    phase: Phase | None = None
    # the module that a report of the kernel blames
    blamed: str | None = None

    def as_json_object(self) -> dict[str, Any]:
        """The step in plain types, as matrix.schema.json describes it."""
        phase = str(self.phase) if self.phase else None
        return {"verdict": str(self.verdict), "phase": phase, "reason": self.reason, "blamed": self.blamed}


def steps_in(row: Mapping[str, Any]) -> tuple[Step, ...]:
    """The steps of a row of matrix.json. A row without them (before version 0.2) has one, with all of its reason."""
    known = row.get("steps") or [{"verdict": row["verdict"], "phase": None, "reason": row["reason"]}]
    return tuple(
        Step(Verdict(it["verdict"]), it["reason"], Phase(it["phase"]) if it["phase"] else None, it.get("blamed"))
        for it in known
    )


@dataclass(frozen=True)
class Judgement:
    """The verdict on a cell, with the steps that lead to it."""

    # at least one, in the order in which things went wrong
    steps: tuple[Step, ...]
    # the debug kernel is production itself, because the feature changes nothing there
    always_on: bool = False

    @property
    def verdict(self) -> Verdict:
        return self.steps[0].verdict

    @property
    def phase(self) -> Phase | None:
        """The phase in which things went wrong first; None if nothing did, or if the run proves nothing."""
        return self.steps[0].phase

    @property
    def reason(self) -> str:
        """All steps as one line for people. Programs read the steps."""
        first, *rest = self.steps
        later = (
            f"; {step.reason}" if step.verdict is Verdict.INVALID else f"; then {step.verdict}: {step.reason}"
            for step in rest
        )
        return "".join([f"{_ALWAYS_ON}; " if self.always_on else "", first.reason, *later])


def judge(evidence: Evidence) -> Judgement:
    """The verdict that the evidence supports. CLEAN only if no proof is missing."""
    if evidence.blockers:
        return Judgement(tuple(Step(Verdict.INVALID, blocker) for blocker in evidence.blockers))
    steps = [replace(step, phase=phase) for phase in Phase for step in _steps_in(evidence, phase)]
    if not steps and (missing := _missing_proofs(evidence)):
        return _unproven(missing)
    return Judgement(tuple(steps or [Step(Verdict.CLEAN, _summary(evidence))]))


def judge_against(production: Sequence[Evidence], debug: Sequence[Evidence]) -> Judgement:
    """The verdict on a debug kernel, with production as the reference of what the module does.

    Both have the evidence of one run or more; further runs tell differences from chance, but a breakage in any run
    counts. If the module is CLEAN on production, it has to be CLEAN here, and to do the same. Otherwise it is SAME if
    it does the same and nothing else is wrong: less is proven, because it did not get to its end on either kernel.
    INVALID if production does not show what the module does.
    """
    # a run that could not be made tells nothing if there is another one
    production = [run for run in production if not run.blockers] or production
    debug = [run for run in debug if not run.blockers] or debug
    reference = next((run for run in production if judge(run).verdict is Verdict.CLEAN), production[0])
    if obstacle := reference_obstacle(reference):
        return Judgement((Step(Verdict.INVALID, obstacle),))
    theirs = judge(reference)
    broken = next((run for run in debug if judge(run).verdict in _BREAKING and not _is_known(run, production)), None)
    # where the module is CLEAN on production, so it has to be in all runs, and not in the first one only
    failed = (run for run in debug if theirs.verdict is Verdict.CLEAN and not _is_known(run, production))
    evidence = broken or next(failed, None) or next(_like(theirs, debug), debug[0])
    own = _with_frequency(judge(evidence), debug)
    if own.verdict is Verdict.INVALID and evidence.blockers:
        return own
    found = differences(production, debug)
    if theirs.verdict is Verdict.CLEAN:
        return Judgement(_differing(found)) if found and own.verdict is Verdict.CLEAN else own
    # what is not in a log that lost messages may have been printed
    unread = any(not run.scanned and not _was_cut_short(run) for run in (reference, evidence))
    if broken or (found and not unread):
        steps = own.steps if own.verdict in _BREAKING and own.verdict is not theirs.verdict else ()
        return Judgement(steps + _differing(found))
    if missing := [_SCANNED] if unread else _missing_proofs(evidence, as_on=reference):
        return _unproven(missing)
    return Judgement((Step(Verdict.SAME, _summary_of_same(theirs, evidence)),))


def _was_cut_short(run: Evidence) -> bool:
    """Whether a run did not come to its end, because the guest was lost or a fault left it undefined."""
    return bool(run.loss or run.stopped)


def _unproven(missing: Sequence[str]) -> Judgement:
    return Judgement((Step(Verdict.INVALID, "no proof that " + ", that ".join(missing)),))


def _is_known(run: Evidence, production: Sequence[Evidence]) -> bool:
    """Whether a run on production has the same verdict in the same phase, and all that went wrong here."""
    return any(goes_wrong_like(run, other) for other in _like(judge(run), production))


def _like(wanted: Judgement, runs: Sequence[Evidence]) -> Iterator[Evidence]:
    """The runs that have a verdict, in the same phase."""
    return (run for run in runs if (own := judge(run)).verdict is wanted.verdict and own.phase is wanted.phase)


def _with_frequency(own: Judgement, debug: Sequence[Evidence]) -> Judgement:
    """The verdict of a run, with the number of runs that have the same one if that is not all."""
    same = sum(judge(run).verdict is own.verdict for run in debug)
    if same == len(debug) or own.verdict is Verdict.CLEAN:
        return own
    first, *rest = own.steps
    return replace(own, steps=(replace(first, reason=f"{first.reason} (in {same} of {len(debug)} runs)"), *rest))


def reference_obstacle(production: Evidence) -> str | None:
    """Why a run on production does not show what the module does; None if it does."""
    judgement, load = judge(production), production.load
    missing = [] if production.blockers else _missing_proofs(production)
    if judgement.verdict is Verdict.INVALID and missing != [_EXIT_RAN]:  # that is missing on every kernel
        return f"the production control is INVALID: {judgement.reason}"
    if load and load.status and not production.companion_failed and production.initcall is None:
        return f"production itself refuses the module: {judgement.reason}"
    return None


def _differing(found: Sequence[Difference]) -> tuple[Step, ...]:
    return tuple(Step(Verdict.DIFFERS, str(difference)) for difference in found)


def _summary_of_same(production: Judgement, evidence: Evidence) -> str:
    got_to, missed = reached(evidence)
    compared = "messages, names in /proc, /sys and /dev" if evidence.observed else "messages"
    clean = f"{compared} as there, {len(evidence.integrity)} memory checks clean"
    not_reached = f"; not reached: {', '.join(missed)}" if missed else ""
    return (
        f"as on production, where it is {production.verdict} ({production.steps[0].reason}); "
        f"reached: {', '.join(got_to) or 'nothing'}; {clean}{not_reached}"
    )


def _steps_in(evidence: Evidence, phase: Phase) -> list[Step]:
    """Everything that went wrong in a phase; the phase itself is filled in by the caller."""
    loss = evidence.loss if evidence.loss and evidence.loss.phase is phase else None
    reports = [report for report in evidence.reports.get(phase, []) if report.severity is not Severity.REFUSAL]
    only_silence = all(report.kind in _SILENCE_KINDS for report in reports)
    if loss and (loss.loss is Loss.DIED or only_silence):
        after = f", after: {_describe(reports)}" if reports else ""
        verdict = Verdict.DIED if loss.loss is Loss.DIED else Verdict.HUNG
        return [Step(verdict, loss.what + after, blamed=_blamed_module(reports))]
    faults = [report for report in reports if report.severity is not Severity.FOLLOW_UP] or reports
    if faults:
        more = f" ({others})" if (others := and_more(len(faults) - 1)) else ""
        splat = Step(Verdict.SPLAT, _describe(faults) + more, blamed=_blamed_module(faults))
        return [splat, Step(Verdict.HUNG, loss.what)] if loss else [splat]
    step = _RULES[phase](evidence)
    return [step] if step else []


def _load(evidence: Evidence) -> Step | None:
    load, call = evidence.load, evidence.initcall
    if load is None:
        return None
    if load.status:
        if call and call.returned is not None:
            return Step(Verdict.REFUSED, f"its own init, {call.function}, returned {call.returned} ({load.output})")
        reported = [line for report in evidence.reports.get(Phase.LOAD, []) for line in _words(report)]
        causes = [*reported, load.output, evidence.file_problem]
        return Step(Verdict.REFUSED, "; ".join(dict.fromkeys(cause for cause in causes if cause)))
    if evidence.has_init and call is None:
        return Step(Verdict.INERT, "the load reported success, and the kernel never called the module's init")
    return _failed(Verdict.INERT, [check for check in evidence.announced if check.name == "init"])


def _words(report: Report) -> tuple[str, ...]:
    """The kernel's words for a report: of a refusal every line, since each names a symbol."""
    return report.heads if report.severity is Severity.REFUSAL and report.heads else (report.words,)


def _exercise(evidence: Evidence) -> Step | None:
    return _failed(Verdict.CORRUPTED, evidence.checks)


def _unload(evidence: Evidence) -> Step | None:
    unload = evidence.unload
    if unload is None:
        return None
    if unload.status and (evidence.has_exit or not evidence.has_init):
        what = "its exit never ran" if evidence.has_exit else "it could not be unloaded"
        return Step(Verdict.INERT, f"{what}: {unload.output or f'rmmod ended with {unload.status}'}")
    if not unload.status and not evidence.removed:
        return Step(Verdict.CORRUPTED, "the unload reported success, and the module is still listed")
    return _failed(Verdict.INERT, [check for check in evidence.announced if check.name == "exit"])


def _integrity(evidence: Evidence) -> Step | None:
    rose = evidence.counted_damage()
    if rose and all(report.severity is Severity.REFUSAL for report in evidence.all_reports()):
        return Step(Verdict.SPLAT, f"the kernel counted damage that no report was found for: {', '.join(rose)}")
    return _failed(Verdict.CORRUPTED, [*evidence.integrity, *evidence.liveness_checks])


_RULES: dict[Phase, Callable[[Evidence], Step | None]] = {
    Phase.LOAD: _load,
    Phase.EXERCISE: _exercise,
    Phase.UNLOAD: _unload,
    Phase.INTEGRITY: _integrity,
}


def _missing_proofs(evidence: Evidence, as_on: Evidence | None = None) -> list[str]:
    """The proofs of CLEAN that the evidence lacks.

    as_on: production's evidence, for SAME: what cannot be proved there need not be proved here. But what the kernel
    says at the end can be read on any kernel that the module leaves in a defined state.
    """
    waived = [False] * len(_proofs(evidence))
    if as_on:
        is_cut = _was_cut_short(as_on)
        waived = [not had and (is_cut or proof not in _READ) for proof, had in _proofs(as_on)]
    proofs = zip(_proofs(evidence), waived, strict=True)
    return [proof for (proof, had), is_waived in proofs if not had and not is_waived]


def _proofs(evidence: Evidence) -> list[tuple[str, bool]]:
    """The proofs of CLEAN, always in the same order, and whether the evidence has each."""
    unused = [f"{check.name} ({check.detail})" for check in evidence.feature_checks if not check.held]
    return list(
        {
            "the feature was live": bool(evidence.feature_proof),
            f"the feature was in use: {', '.join(unused) or 'not checked'}": (
                not unused and len(evidence.feature_checks) >= len(evidence.features_in_use)
            ),
            "the module was loaded": evidence.load is not None and evidence.loaded,
            "the exercise came to its end": evidence.exercise_ended,
            f"{evidence.exercise} checked anything": (
                not evidence.exercise or bool(evidence.checks or evidence.announced)
            ),
            # delete_module(2) refuses a module that has an init and no exit, and no other
            _EXIT_RAN: (
                evidence.has_init or not evidence.has_exit or "exit" in {check.name for check in evidence.announced}
            ),
            "the module was unloaded": (
                evidence.unload is not None and (evidence.removed or (evidence.has_init and not evidence.has_exit))
            ),
            f"memory was checked ({'; '.join(evidence.caveats) or 'for no known reason'})": bool(evidence.integrity),
            "the guest still works": bool(evidence.liveness_checks),
            _COUNTED: evidence.before is not None and evidence.after is not None,
            _SCANNED: evidence.scanned,
        }.items()
    )


def _summary(evidence: Evidence) -> str:
    ran = [text for text, present in (("init", evidence.has_init), ("exit", evidence.has_exit)) if present]
    without = evidence.exercise or "no exercise was given: load and unload only"
    checks = f"{len(evidence.checks)} checks held" if evidence.checks else f"no checks ({without})"
    used = f", {' and '.join(evidence.features_in_use)} in use" if evidence.features_in_use else ""
    reports = "only the awaited report" if evidence.awaited else "no report"
    clean = f"{reports}, {len(evidence.integrity)} memory checks clean"
    return f"{' and '.join(ran) or 'nothing'} ran, {checks}{used}, {clean}"


def _failed(verdict: Verdict, checks: Sequence[Check]) -> Step | None:
    """A step for the checks that did not hold; None if all did."""
    failed = [f"{check.name} ({check.detail})" if check.detail else check.name for check in checks if not check.held]
    if not failed:
        return None
    shown = join_some(failed, _MAX_CHECKS_SHOWN)
    return Step(verdict, f"{len(failed)} of {len(checks)} checks failed: {shown}")


def _describe(reports: Sequence[Report]) -> str:
    """The first report, with the blame of the first report that has one."""
    text = reports[0].words
    blamed = next((report for report in reports if report.module), None)
    if blamed:
        place = f" at {blamed.place}" if blamed.place else ""
        return f"{text}; blamed on {blamed.module}, {blamed.culprit}(){place} ({blamed.rule})"
    function = reports[0].function
    return f"{text}; in {function}()" if function and function not in text else text


def _blamed_module(reports: Sequence[Report]) -> str | None:
    return next((report.module for report in reports if report.module), None)
