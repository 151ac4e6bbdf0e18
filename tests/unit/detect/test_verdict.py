# SPDX-License-Identifier: Apache-2.0
"""Verdicts follow from evidence alone: each word, its order of precedence, and no CLEAN without every proof."""

from dataclasses import replace
from typing import Any

import pytest

from harness.detect.evidence import Awaited, Check, Command, Counters, Evidence, GuestLoss, Loss, Phase
from harness.detect.initcalls import InitCall
from harness.detect.kernel_report import Report
from harness.detect.kinds import Severity
from harness.detect.verdict import Word, judge

WELL = Command("insmod x.ko", 0, "", 0.1)


def clean(**changes: Any) -> Evidence:
    evidence = Evidence(
        module="x",
        feature_proof="spinlock already unlocked",
        load=WELL,
        initcall=InitCall("x_init", 0),
        listed=True,
        announced=[Check("init", held=True), Check("exit", held=True)],
        checks=[Check("heap", held=True)],
        exercise_ended=True,
        unload=Command("rmmod x", 0, "", 0.1),
        gone=True,
        integrity=[Check("slabs", held=True)],
        works=[Check("fork", held=True)],
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
    assert judge(clean()).word is Word.CLEAN


@pytest.mark.parametrize(
    "without",
    [
        {"feature_proof": ""},
        {"listed": False},
        {"exercise_ended": False},
        {"unload": None},
        {"integrity": []},
        {"works": []},
        {"exercise": "vendor.py", "checks": [], "announced": []},
        {"has_init": False, "initcall": None, "announced": []},
        {"before": None},
        {"after": None},
        {"scanned": False},
        {"load": None},
        {"used": ["ftrace"]},
        {"used": ["ftrace"], "in_use": [Check("ftrace-graph", held=False)]},
    ],
    ids=lambda change: next(iter(change)),
)
def test_one_proof_less_is_invalid(without: dict[str, Any]) -> None:
    verdict = judge(clean(**without))
    assert verdict.word is Word.INVALID
    assert "no proof" in verdict.reason


def test_empty_evidence_is_invalid() -> None:
    assert judge(Evidence("x")).word is Word.INVALID


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"obstacles": ["the feature is not live"]}, Word.INVALID),
        ({"initcall": None}, Word.INERT),
        ({"announced": failed("init")}, Word.INERT),
        ({"announced": failed("exit")}, Word.INERT),
        ({"unload": Command("rmmod x", 1, "Device or resource busy", 0.1), "gone": False}, Word.INERT),
        ({"load": Command("insmod x.ko", 1, "invalid module format", 0.1), "initcall": None}, Word.REFUSED),
        ({"load": Command("insmod x.ko", 1, "No such device", 0.1), "initcall": InitCall("i", -19)}, Word.REFUSED),
        ({"reports": {Phase.EXERCISE: [report()]}}, Word.SPLAT),
        ({"reports": {Phase.INTEGRITY: [report(kind="slub")]}}, Word.SPLAT),
        ({"after": Counters(4096 | 1 << 9, 1, 0)}, Word.SPLAT),
        ({"after": Counters(4096, 0, 1)}, Word.SPLAT),
        ({"checks": failed("heap")}, Word.CORRUPTED),
        ({"integrity": failed("slabs")}, Word.CORRUPTED),
        ({"gone": False}, Word.CORRUPTED),
        ({"loss": GuestLoss(Loss.HUNG, Phase.LOAD, "silent")}, Word.HUNG),
        ({"loss": GuestLoss(Loss.DIED, Phase.UNLOAD, "panicked")}, Word.DIED),
    ],
)
def test_each_word_has_its_evidence(changes: dict[str, Any], word: Word) -> None:
    assert judge(clean(**changes)).word is word


def test_what_went_wrong_first_is_the_verdict_and_the_rest_is_told() -> None:
    verdict = judge(clean(initcall=None, reports={Phase.EXERCISE: [report()]}))
    assert verdict.word is Word.INERT
    assert "then SPLAT: BUG: it broke" in verdict.reason


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
    verdict = judge(with_warnings(WARNED, counted=1))
    assert verdict.word is Word.CLEAN
    assert "only the awaited report" in verdict.reason


def test_an_awaited_warning_that_does_not_come_is_a_failed_check() -> None:
    verdict = judge(replace(with_warnings(counted=0), after=Counters(4096, 0, 0)))
    assert verdict.word is Word.CORRUPTED
    assert "awaited warning" in verdict.reason


@pytest.mark.parametrize(
    "others",
    [[WARNED], [report(Severity.WARNING, "warning", "WARNING: at y.c:7 y_f")], [report(title="BUG: x.c:7 x_f+")]],
    ids=["again", "another", "fault"],
)
def test_only_one_report_is_awaited(others: list[Report]) -> None:
    assert judge(with_warnings(WARNED, *others, counted=2)).word is Word.SPLAT


def test_warnings_are_counted_beyond_the_awaited_one() -> None:
    verdict = judge(with_warnings(WARNED, counted=2))
    assert verdict.word is Word.SPLAT
    assert "warn count 0 -> 2" in verdict.reason


def test_a_panic_is_a_death_and_not_only_a_splat() -> None:
    panic = report(Severity.FOLLOW_UP, "panic", "Kernel panic - not syncing: the end")
    loss = GuestLoss(Loss.DIED, Phase.LOAD, "panicked")
    verdict = judge(clean(loss=loss, reports={Phase.LOAD: [panic]}))
    assert verdict.word is Word.DIED
    assert "the end" in verdict.reason


def test_a_panic_that_the_guest_survived_is_still_reported() -> None:
    panic = report(Severity.FOLLOW_UP, "panic", "Kernel panic - not syncing: the end")
    assert judge(clean(reports={Phase.EXERCISE: [panic]})).word is Word.SPLAT


def test_a_refusal_gives_the_kernels_own_words() -> None:
    words = report(Severity.REFUSAL, "module-load", "x: version magic '1' should be '2'")
    verdict = judge(
        clean(load=Command("insmod", 1, "invalid format", 0.1), initcall=None, reports={Phase.LOAD: [words, words]})
    )
    assert verdict.word is Word.REFUSED
    assert verdict.reason.count("version magic") == 1


def test_a_module_without_an_exit_need_not_be_unloaded() -> None:
    stays = clean(has_exit=False, unload=Command("rmmod x", 1, "busy", 0.1), gone=False, announced=[])
    assert judge(stays).word is Word.CLEAN


def test_the_blame_is_in_the_reason() -> None:
    assert "blamed on x, x_f() (faulting instruction)" in judge(clean(reports={Phase.LOAD: [report()]})).reason


def test_a_library_that_cannot_be_unloaded_is_not_clean() -> None:
    """The kernel unloads a module with neither init nor exit: what keeps it is damage."""
    stuck: dict[str, Any] = {"unload": Command("rmmod x", 1, "busy", 0.1), "gone": False}
    library = clean(has_init=False, has_exit=False, initcall=None, announced=[])
    assert judge(library).word is Word.CLEAN
    assert judge(replace(library, **stuck)).reason == "it could not be unloaded: busy"


def test_damage_that_was_only_counted_is_not_hidden_by_a_refusal() -> None:
    refused = {Phase.EXERCISE: [report(Severity.REFUSAL, "module-load", "other: Unknown symbol foo (err -2)")]}
    assert judge(clean(reports=refused)).word is Word.CLEAN
    assert judge(clean(reports=refused, after=Counters(4096, 1, 0))).word is Word.SPLAT
