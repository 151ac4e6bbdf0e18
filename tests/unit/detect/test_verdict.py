# SPDX-License-Identifier: Apache-2.0
"""Verdicts follow from evidence alone: each verdict, their precedence, and no CLEAN unless every proof is there."""

from dataclasses import replace
from typing import Any

import pytest

from harness.detect.evidence import Awaited, Check, Command, Counters, Evidence, GuestLoss, Loss, Phase
from harness.detect.initcalls import InitCall
from harness.detect.kernel_report import Report
from harness.detect.kinds import Severity
from harness.detect.scan import scan
from harness.detect.verdict import Judgement, Step, Verdict, judge, steps_in

WELL = Command("insmod x.ko", 0, "", 0.1)


def clean(**changes: Any) -> Evidence:
    evidence = Evidence(
        module="x",
        feature_proof="spinlock already unlocked",
        load=WELL,
        initcall=InitCall("x_init", 0),
        loaded=True,
        announced=[Check("init", held=True), Check("exit", held=True)],
        checks=[Check("heap", held=True)],
        exercise_ended=True,
        unload=Command("rmmod x", 0, "", 0.1),
        removed=True,
        integrity=[Check("slabs", held=True)],
        liveness_checks=[Check("fork", held=True)],
        before=Counters(0, 0, 0),
        after=Counters(4096, 0, 0),
        scanned=True,
    )
    return replace(evidence, **changes)


def report(severity: Severity = Severity.FAULT, kind: str = "access", title: str = "BUG: it broke") -> Report:
    return Report(kind, severity, title, "f", "x", "x_f", "faulting instruction", 1, 2, 0, title)


def failed(name: str) -> list[Check]:
    return [Check(name, held=False, detail="seen")]


def test_every_proof_together_is_clean() -> None:
    assert judge(clean()).verdict is Verdict.CLEAN


@pytest.mark.parametrize(
    "without",
    [
        {"feature_proof": ""},
        {"loaded": False},
        {"exercise_ended": False},
        {"unload": None},
        {"integrity": []},
        {"liveness_checks": []},
        {"exercise": "vendor.py", "checks": [], "announced": []},
        {"has_init": False, "initcall": None, "announced": []},
        {"before": None},
        {"after": None},
        {"scanned": False},
        {"load": None},
        {"features_in_use": ["ftrace"]},
        {"features_in_use": ["ftrace"], "feature_checks": [Check("ftrace-graph", held=False)]},
        {"features_in_use": ["ftrace", "perf"], "feature_checks": [Check("ftrace-graph", held=True)]},
        {"has_init": False, "initcall": None, "announced": [Check("init", held=True)]},
    ],
    ids=lambda change: next(iter(change)),
)
def test_one_proof_less_is_invalid(without: dict[str, Any]) -> None:
    judgement = judge(clean(**without))
    assert judgement.verdict is Verdict.INVALID
    assert "no proof" in judgement.reason


def test_a_module_whose_exit_need_not_run_has_to_be_unloaded_if_it_can() -> None:
    """delete_module(2) refuses a module with an init and without an exit, and takes one that has neither."""
    stays: dict[str, Any] = {"unload": Command("rmmod x", 1, "busy", 0.1), "removed": False, "announced": []}
    assert judge(clean(has_exit=False, **stays)).verdict is Verdict.CLEAN
    neither = judge(clean(has_init=False, has_exit=False, initcall=None, announced=[], unload=None, removed=False))
    assert neither.reason == "no proof that the module was unloaded"


@pytest.mark.parametrize("kind", ["lockup", "hung-task", "rcu-stall"])
def test_a_report_of_the_silence_itself_is_no_cause_of_it(kind: str) -> None:
    loss = GuestLoss(Loss.HUNG, Phase.EXERCISE, "silent")
    judgement = judge(clean(loss=loss, reports={Phase.EXERCISE: [report(kind=kind)]}))
    assert [step.verdict for step in judgement.steps] == [Verdict.HUNG]


def test_a_fault_goes_before_what_follows_from_it() -> None:
    panic = report(Severity.FOLLOW_UP, "panic", "Kernel panic - not syncing: the end")
    judgement = judge(clean(reports={Phase.EXERCISE: [panic, report()]}))
    assert judgement.reason.startswith("BUG: it broke")


def test_a_refusal_says_what_is_wrong_with_the_file() -> None:
    judgement = judge(
        clean(load=Command("insmod", 1, "invalid format", 0.1), initcall=None, file_problem="it is cut off")
    )
    assert judgement.reason == "invalid format; it is cut off"


def test_announced_words_are_something_that_an_exercise_checks() -> None:
    assert judge(clean(exercise="vendor.py", checks=[])).verdict is Verdict.CLEAN


def test_empty_evidence_is_invalid() -> None:
    assert judge(Evidence("x")).verdict is Verdict.INVALID


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"blockers": ["the feature is not live"]}, Verdict.INVALID),
        ({"initcall": None}, Verdict.INERT),
        ({"announced": failed("init")}, Verdict.INERT),
        ({"announced": failed("exit")}, Verdict.INERT),
        ({"unload": Command("rmmod x", 1, "Device or resource busy", 0.1), "removed": False}, Verdict.INERT),
        ({"load": Command("insmod x.ko", 1, "invalid module format", 0.1), "initcall": None}, Verdict.REFUSED),
        ({"load": Command("insmod x.ko", 1, "No such device", 0.1), "initcall": InitCall("i", -19)}, Verdict.REFUSED),
        ({"reports": {Phase.EXERCISE: [report()]}}, Verdict.SPLAT),
        ({"reports": {Phase.INTEGRITY: [report(kind="slub")]}}, Verdict.SPLAT),
        ({"after": Counters(4096 | 1 << 9, 1, 0)}, Verdict.SPLAT),
        ({"after": Counters(4096, 0, 1)}, Verdict.SPLAT),
        ({"checks": failed("heap")}, Verdict.CORRUPTED),
        ({"integrity": failed("slabs")}, Verdict.CORRUPTED),
        ({"liveness_checks": failed("fork")}, Verdict.CORRUPTED),
        ({"removed": False}, Verdict.CORRUPTED),
        ({"loss": GuestLoss(Loss.HUNG, Phase.LOAD, "silent")}, Verdict.HUNG),
        ({"loss": GuestLoss(Loss.DIED, Phase.UNLOAD, "panicked")}, Verdict.DIED),
    ],
)
def test_each_word_has_its_evidence(changes: dict[str, Any], word: Verdict) -> None:
    assert judge(clean(**changes)).verdict is word


def test_what_went_wrong_first_is_the_verdict_and_the_rest_is_told() -> None:
    judgement = judge(clean(initcall=None, reports={Phase.EXERCISE: [report()]}))
    assert judgement.verdict is Verdict.INERT
    assert "then SPLAT: BUG: it broke" in judgement.reason


WARNED = report(Severity.WARNING, "warning", "WARNING: CPU: 0 PID: 1 at x.c:7 x_f+0x1/0x2 [x]")
AWAITED = Awaited("warning", r"at x\.c:\d+ x_f\+")


def with_warnings(*reports: Report, counted: int) -> Evidence:
    evidence = clean(
        checks=[Check("heap", held=True)],
        reports={Phase.EXERCISE: list(reports)},
        after=Counters(4096 | 1 << 9, counted, 0),
    )
    evidence.set_apart([AWAITED])
    return evidence


def test_an_awaited_warning_is_no_damage() -> None:
    judgement = judge(with_warnings(WARNED, counted=1))
    assert judgement.verdict is Verdict.CLEAN
    assert "only the awaited report" in judgement.reason


def test_an_awaited_warning_that_does_not_come_is_a_failed_check() -> None:
    judgement = judge(replace(with_warnings(counted=0), after=Counters(4096, 0, 0)))
    assert judgement.verdict is Verdict.CORRUPTED
    assert "awaited warning" in judgement.reason


@pytest.mark.parametrize(
    "others",
    [[WARNED], [report(Severity.WARNING, "warning", "WARNING: at y.c:7 y_f")], [report(title="BUG: x.c:7 x_f+")]],
    ids=["again", "another", "fault"],
)
def test_only_one_report_is_awaited(others: list[Report]) -> None:
    assert judge(with_warnings(WARNED, *others, counted=2)).verdict is Verdict.SPLAT


def test_warnings_are_counted_beyond_the_awaited_one() -> None:
    judgement = judge(with_warnings(WARNED, counted=2))
    assert judgement.verdict is Verdict.SPLAT
    assert "warn count 0 -> 2" in judgement.reason


def test_an_awaited_report_that_the_kernel_does_not_count_hides_no_warning() -> None:
    """What the kernel counts beside it went unseen."""
    mismatch = report(Severity.WARNING, "irq", "genirq: Flags mismatch irq 1. 00000000 (x) vs. 00000080 (y)")
    evidence = with_warnings(counted=1)
    evidence.checks.clear()
    evidence.reports[Phase.EXERCISE] = [mismatch]
    evidence.set_apart([Awaited("irq", "Flags mismatch")])
    judgement = judge(evidence)
    assert judgement.verdict is Verdict.SPLAT
    assert "warn count 0 -> 1" in judgement.reason


def test_a_panic_is_a_death_and_not_only_a_splat() -> None:
    panic = report(Severity.FOLLOW_UP, "panic", "Kernel panic - not syncing: the end")
    loss = GuestLoss(Loss.DIED, Phase.LOAD, "panicked")
    judgement = judge(clean(loss=loss, reports={Phase.LOAD: [panic]}))
    assert judgement.verdict is Verdict.DIED
    assert "the end" in judgement.reason


def test_a_panic_that_the_guest_survived_is_still_reported() -> None:
    panic = report(Severity.FOLLOW_UP, "panic", "Kernel panic - not syncing: the end")
    assert judge(clean(reports={Phase.EXERCISE: [panic]})).verdict is Verdict.SPLAT


def test_a_refusal_gives_the_kernels_own_words() -> None:
    words = report(Severity.REFUSAL, "module-load", "x: version magic '1' should be '2'")
    judgement = judge(
        clean(load=Command("insmod", 1, "invalid format", 0.1), initcall=None, reports={Phase.LOAD: [words, words]})
    )
    assert judgement.verdict is Verdict.REFUSED
    assert judgement.reason.count("version magic") == 1


def test_a_refusal_names_every_symbol() -> None:
    lines = [f"x: Unknown symbol {symbol} (err -2)" for symbol in ("mutex_lock", "init_srcu_struct")]
    reports = scan("\n".join(lines).encode())
    assert len(reports) == 1
    judgement = judge(clean(load=Command("insmod", 1, "no", 0.1), initcall=None, reports={Phase.LOAD: reports}))
    assert judgement.reason == "; ".join([*lines, "no"])


def test_a_module_without_an_exit_need_not_be_unloaded() -> None:
    stays = clean(has_exit=False, unload=Command("rmmod x", 1, "busy", 0.1), removed=False, announced=[])
    assert judge(stays).verdict is Verdict.CLEAN


def test_the_blame_is_in_the_reason() -> None:
    assert "blamed on x, x_f() (faulting instruction)" in judge(clean(reports={Phase.LOAD: [report()]})).reason


def test_a_library_that_cannot_be_unloaded_is_not_clean() -> None:
    """The kernel can unload a module that has neither init nor exit, so a failure means damage."""
    stuck: dict[str, Any] = {"unload": Command("rmmod x", 1, "busy", 0.1), "removed": False}
    library = clean(has_init=False, has_exit=False, initcall=None, announced=[])
    assert judge(library).verdict is Verdict.CLEAN
    assert judge(replace(library, **stuck)).reason == "it could not be unloaded: busy"


def test_damage_that_was_only_counted_is_not_hidden_by_a_refusal() -> None:
    refused = {Phase.EXERCISE: [report(Severity.REFUSAL, "module-load", "other: Unknown symbol foo (err -2)")]}
    assert judge(clean(reports=refused)).verdict is Verdict.CLEAN
    assert judge(clean(reports=refused, after=Counters(4096, 1, 0))).verdict is Verdict.SPLAT


def test_the_steps_are_what_went_wrong_in_order() -> None:
    loss = GuestLoss(Loss.HUNG, Phase.EXERCISE, "silent")
    judgement = judge(clean(initcall=None, reports={Phase.EXERCISE: [report()]}, loss=loss, checks=failed("heap")))
    assert [(step.verdict, step.phase, step.blamed) for step in judgement.steps] == [
        (Verdict.INERT, Phase.LOAD, None),
        (Verdict.SPLAT, Phase.EXERCISE, "x"),
        (Verdict.HUNG, Phase.EXERCISE, None),
    ]
    assert (judgement.verdict, judgement.phase) == (Verdict.INERT, Phase.LOAD)


def test_the_reason_is_made_of_the_steps() -> None:
    steps = (Step(Verdict.INERT, "no init", Phase.LOAD), Step(Verdict.SPLAT, "a BUG", Phase.UNLOAD, "x"))
    assert Judgement(steps).reason == "no init; then SPLAT: a BUG"
    assert Judgement((Step(Verdict.CLEAN, "all ran"),), always_on=True).reason == "always on: nothing to break; all ran"


def test_each_blocker_is_a_step_of_its_own() -> None:
    judgement = judge(clean(blockers=["no feature", "one CPU"]))
    assert [step.reason for step in judgement.steps] == ["no feature", "one CPU"]
    assert (judgement.reason, judgement.phase) == ("no feature; one CPU", None)


def test_a_clean_cell_has_one_step_that_blames_nobody() -> None:
    (step,) = judge(clean()).steps
    assert (step.verdict, step.phase, step.blamed) == (Verdict.CLEAN, None, None)


def test_steps_are_read_back_from_a_row() -> None:
    judgement = judge(clean(initcall=None, reports={Phase.EXERCISE: [report()]}))
    row = {"steps": [step.as_json_object() for step in judgement.steps]}
    assert steps_in(row) == judgement.steps


def test_a_row_without_steps_has_one_with_its_whole_reason() -> None:
    """Rows from before version 0.2 have no steps, and their reason is not parsed."""
    row = {"verdict": "INERT", "reason": "no init; then SPLAT: a BUG"}
    assert steps_in(row) == (Step(Verdict.INERT, "no init; then SPLAT: a BUG"),)
