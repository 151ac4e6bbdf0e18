# SPDX-License-Identifier: Apache-2.0
"""Proof that a feature is live, from its scripts, and that production lacks it."""

import pytest

from harness.detect.evidence import Check
from harness.guest.shell import Output
from harness.kernel.features import FEATURES
from harness.kernel.variants import PRODUCTION, Preemption, Variant, variant_named, variant_of
from harness.lab.execution.feature_proof import FeatureExerciser, lockdep_gave_up, prove_absent


class Guest:
    """A guest that gives every command the same answer."""

    def __init__(self, text: str, status: int = 0) -> None:
        self.output = Output("", status, text.encode(), 0.1)
        self.commands: list[str] = []

    def run(self, command: str, seconds: float | None = None) -> Output:
        self.commands.append(command)
        return self.output


def use(name: str) -> FeatureExerciser:
    return FeatureExerciser(FEATURES[name])


def test_what_a_script_saw_is_evidence() -> None:
    guest = Guest("live ftrace-graph ok 12 entries\r\nnoise\nlive ftrace-load FAILED 0 calls\n")
    checks = use("ftrace").stop(guest, "vendor")  # type: ignore[arg-type]
    assert checks == [
        Check("ftrace-graph", held=True, detail="12 entries"),
        Check("ftrace-load", held=False, detail="0 calls"),
    ]
    assert guest.commands == ["sh /proof/ftrace/live stop vendor"]


def test_a_script_that_says_nothing_is_a_failure() -> None:
    (check,) = use("perf").stop(Guest("sh: not found"), "vendor")  # type: ignore[arg-type]
    assert not check.held
    assert "not found" in check.detail


def test_a_script_that_failed_at_its_end_is_a_failure() -> None:
    guest = Guest("live perf-sampling ok 12 samples\nKilled\n", 137)
    checks = use("perf").stop(guest, "vendor")  # type: ignore[arg-type]
    assert [check.held for check in checks] == [True, False]


def test_a_script_that_failed_on_the_module_is_a_failure() -> None:
    (check,) = use("kprobes").loaded(Guest("write error: Invalid argument", 1), "vendor")  # type: ignore[arg-type]
    assert (check.held, check.detail) == (False, "write error: Invalid argument")
    assert use("kprobes").loaded(Guest(""), "vendor") == []  # type: ignore[arg-type]


def test_every_part_is_put_to_use() -> None:
    guest = Guest("")
    assert use("all").start(guest) is None  # type: ignore[arg-type]
    assert [command.split("/")[2] for command in guest.commands] == ["ftrace", "kprobes", "perf"]


def test_a_feature_that_cannot_be_put_to_use_says_why() -> None:
    problem = use("ftrace").start(Guest("no tracefs", 1))  # type: ignore[arg-type]
    assert problem
    assert "no tracefs" in problem
    assert FeatureExerciser(None).names == []


@pytest.mark.parametrize(
    ("name", "config", "blocker"),
    [
        ("spinlock", {}, ""),
        ("kprobes", {"FTRACE": "y"}, ""),
        ("perf", {"PERF_EVENTS": "y"}, ""),  # production on x86_64 always has it
        ("all", {"PERF_EVENTS": "y"}, ""),
        ("all", {"PERF_EVENTS": "y", "KPROBES": "y"}, "KPROBES"),
        ("ftrace", {"FTRACE": "y"}, "FTRACE"),
    ],
    ids=range(6),
)
def test_a_feature_is_absent_in_production_unless_it_is_always_on(
    name: str, config: dict[str, str], blocker: str
) -> None:
    proof = prove_absent(config, FEATURES[name])
    assert bool(proof.text) is not bool(blocker)
    assert bool(proof.blocker) is bool(blocker)
    assert blocker in (proof.blocker or "")


@pytest.mark.parametrize(
    ("variant", "name"),
    [
        (PRODUCTION, "production"),
        (Variant(bare=True), "production-bare"),
        (Variant(preemption=Preemption.FULL), "production-preempt"),
        (variant_of(FEATURES["slub"]), "stock-slub"),
        (variant_of(FEATURES["atomic-sleep"], Preemption.FULL), "stock-atomic-sleep-preempt"),
    ],
    ids=range(5),
)
def test_kernels_are_named(variant: Variant, name: str) -> None:
    assert variant.name == name
    assert variant_named(name) == variant


def test_detectors_are_compared_with_a_kernel_without_them() -> None:
    assert variant_of(FEATURES["slub"]).production.name == "production-bare"
    assert variant_of(FEATURES["ftrace"], Preemption.FULL).production.name == "production-preempt"


_STATISTICS = """ lock-classes:                          612 [max: 8192]
 direct dependencies:                  3722 [max: 32768]
 entries of locks:                    {entries} [max: 262143]
 debug_locks:                             {live}
"""


@pytest.mark.parametrize(
    ("entries", "live", "reasons"),
    [
        (100422, 1, []),
        (262143, 1, ["no room for more entries of locks: 262143"]),
        (100422, 0, ["lock debugging is off since an earlier report"]),
    ],
    ids=["works", "full", "off"],
)
def test_lockdep_says_why_it_gave_up(entries: int, live: int, reasons: list[str]) -> None:
    assert lockdep_gave_up(_STATISTICS.format(entries=entries, live=live)) == reasons
    assert lockdep_gave_up("") == []
