# SPDX-License-Identifier: Apache-2.0
"""Evidence -> verdict. One rule: what went wrong first is the verdict, what followed is in the reason.

A cause comes before its consequences, so the first thing that went wrong is also what reproduces. Within
one phase a death says more than the reports before it, and a report more than the silence behind it: whether
a damaged kernel still answers is chance.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from harness.detect.evidence import Check, Evidence, Loss, Phase
from harness.detect.kernel_report import Report
from harness.detect.kinds import Severity

# What the kernel reports of a CPU or a task that does not come on: the silence itself, not its cause.
_OF_SILENCE = {"lockup", "hung-task", "rcu-stall"}
_WARNED = 1 << 9
_TAINT_DAMAGE = {1 << 5: "B (bad page or slab)", 1 << 7: "D (died)", _WARNED: "W (warning)", 1 << 14: "L (soft lockup)"}


class Word(StrEnum):
    """The verdicts; docs/reference/verdicts.md says when each is given."""

    CLEAN = "CLEAN"
    INERT = "INERT"
    REFUSED = "REFUSED"
    SPLAT = "SPLAT"
    CORRUPTED = "CORRUPTED"
    HUNG = "HUNG"
    DIED = "DIED"
    INVALID = "INVALID"


@dataclass(frozen=True)
class Verdict:
    """phase: where it went wrong first, None where nothing did."""

    word: Word
    reason: str
    phase: Phase | None = None


def judge(evidence: Evidence) -> Verdict:
    """The verdict that the evidence supports. CLEAN only when every proof is there."""
    if evidence.obstacles:
        return Verdict(Word.INVALID, "; ".join(evidence.obstacles))
    found = [replace(verdict, phase=phase) for phase in Phase if (verdict := _phase(evidence, phase))]
    if found:
        first, *rest = found
        later = "".join(f"; then {other.word}: {other.reason}" for other in rest)
        return replace(first, reason=first.reason + later)
    missing = _missing(evidence)
    if missing:
        return Verdict(Word.INVALID, "no proof that " + ", that ".join(missing))
    return Verdict(Word.CLEAN, _summary(evidence))


def _phase(evidence: Evidence, phase: Phase) -> Verdict | None:
    """What went wrong in a phase."""
    loss = evidence.loss
    reports = [report for report in evidence.reports.get(phase, []) if report.severity is not Severity.REFUSAL]
    lost = loss if loss and loss.phase is phase else None
    if lost and lost.loss is Loss.DIED:
        return Verdict(Word.DIED, f"{lost.what}{_after(reports)}")
    if lost and all(report.kind in _OF_SILENCE for report in reports):
        return Verdict(Word.HUNG, f"{lost.what}{_after(reports)}")
    faults = [report for report in reports if report.severity is not Severity.FOLLOW_UP] or reports
    if faults:
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        silence = f"; then {Word.HUNG}: {lost.what}" if lost else ""
        return Verdict(Word.SPLAT, _describe(faults) + more + silence)
    return _RULES[phase](evidence)


def _load(evidence: Evidence) -> Verdict | None:
    load, call = evidence.load, evidence.initcall
    if load is None:
        return None
    if load.status:
        if call and call.returned is not None:
            return Verdict(Word.REFUSED, f"its own init, {call.function}, returned {call.returned} ({load.output})")
        words = [report.words for report in evidence.reports.get(Phase.LOAD, [])]
        said = [*words, load.output, evidence.file_problem]
        return Verdict(Word.REFUSED, "; ".join(dict.fromkeys(word for word in said if word)))
    if evidence.has_init and call is None:
        return Verdict(Word.INERT, "the load reported success, and the kernel never called the module's init")
    return _unheld(Word.INERT, [check for check in evidence.announced if check.name == "init"])


def _exercise(evidence: Evidence) -> Verdict | None:
    return _unheld(Word.CORRUPTED, evidence.checks)


def _unload(evidence: Evidence) -> Verdict | None:
    unload = evidence.unload
    if unload is None:
        return None
    if unload.status and (evidence.has_exit or not evidence.has_init):
        what = "its exit never ran" if evidence.has_exit else "it could not be unloaded"
        return Verdict(Word.INERT, f"{what}: {unload.output or f'rmmod ended with {unload.status}'}")
    if not unload.status and not evidence.gone:
        return Verdict(Word.CORRUPTED, "the unload reported success, and the module is still listed")
    return _unheld(Word.INERT, [check for check in evidence.announced if check.name == "exit"])


def _integrity(evidence: Evidence) -> Verdict | None:
    before, after = evidence.before, evidence.after
    if before and after:
        known = before.taint | (_WARNED if evidence.awaited else 0)
        rose = [text for bit, text in _TAINT_DAMAGE.items() if after.taint & ~known & bit]
        rose += [
            f"{name} count {old} -> {new}"
            for name, old, new, awaited in (
                ("warn", before.warnings, after.warnings, len(evidence.awaited)),
                ("oops", before.oopses, after.oopses, 0),
            )
            if old is not None and new is not None and new > old + awaited
        ]
        if rose and all(report.severity is Severity.REFUSAL for report in evidence.all_reports()):
            return Verdict(Word.SPLAT, f"the kernel counted damage that no report was found for: {', '.join(rose)}")
    return _unheld(Word.CORRUPTED, [*evidence.integrity, *evidence.works])


_RULES: dict[Phase, Callable[[Evidence], Verdict | None]] = {
    Phase.LOAD: _load,
    Phase.EXERCISE: _exercise,
    Phase.UNLOAD: _unload,
    Phase.INTEGRITY: _integrity,
}


def _missing(evidence: Evidence) -> list[str]:
    """The proofs of CLEAN that the evidence does not hold."""
    unused = [f"{check.name} ({check.detail})" for check in evidence.in_use if not check.held]
    proofs = {
        "the feature was live": bool(evidence.feature_proof),
        f"the feature was in use: {', '.join(unused) or 'it was not asked'}": (
            not unused and len(evidence.in_use) >= len(evidence.used)
        ),
        "the module was loaded": evidence.load is not None and evidence.listed,
        "the exercise came to its end": evidence.exercise_ended,
        f"{evidence.exercise} checked anything": (not evidence.exercise or bool(evidence.checks or evidence.announced)),
        # delete_module(2) refuses a module that has an init and no exit, and no other
        "the exit of a module without an init ran (an exercise's ANNOUNCES can tell)": (
            evidence.has_init or not evidence.has_exit or "exit" in {check.name for check in evidence.announced}
        ),
        "the module was unloaded": (
            evidence.unload is not None and (evidence.gone or (evidence.has_init and not evidence.has_exit))
        ),
        f"memory was checked ({'; '.join(evidence.weak) or 'nothing says why'})": bool(evidence.integrity),
        "the guest still works": bool(evidence.works),
        "the kernel's counters were read": evidence.before is not None and evidence.after is not None,
        "the whole log was scanned": evidence.scanned,
    }
    return [proof for proof, had in proofs.items() if not had]


def _summary(evidence: Evidence) -> str:
    ran = [text for text, present in (("init", evidence.has_init), ("exit", evidence.has_exit)) if present]
    without = evidence.exercise or "no exercise was given: load and unload only"
    checks = f"{len(evidence.checks)} checks held" if evidence.checks else f"no checks ({without})"
    used = f", {' and '.join(evidence.used)} in use" if evidence.used else ""
    reports = "only the awaited report" if evidence.awaited else "no report"
    clean = f"{reports}, {len(evidence.integrity)} memory checks clean"
    return f"{' and '.join(ran) or 'nothing'} ran, {checks}{used}, {clean}"


def _unheld(word: Word, checks: list[Check]) -> Verdict | None:
    failed = [check for check in checks if not check.held]
    if not failed:
        return None
    shown = ", ".join(f"{check.name} ({check.detail})" if check.detail else check.name for check in failed[:3])
    more = f" and {len(failed) - 3} more" if len(failed) > 3 else ""
    return Verdict(word, f"{len(failed)} of {len(checks)} checks failed: {shown}{more}")


def _describe(reports: list[Report]) -> str:
    """The first report, with the blame of the first that has one."""
    text = reports[0].words
    blamed = next((report for report in reports if report.module), None)
    if blamed:
        place = f" at {blamed.place}" if blamed.place else ""
        return f"{text}; blamed on {blamed.module}, {blamed.culprit}(){place} ({blamed.rule})"
    function = reports[0].function
    return f"{text}; in {function}()" if function and function not in text else text


def _after(reports: list[Report]) -> str:
    return f", after: {_describe(reports)}" if reports else ""
