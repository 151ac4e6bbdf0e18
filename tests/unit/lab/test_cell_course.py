# SPDX-License-Identifier: Apache-2.0
"""The course of a whole cell: what each step of it finds becomes evidence, and what follows from that."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from harness.abi.elf.module_file import ModuleFacts, Section
from harness.detect.evidence import Evidence
from harness.detect.verdict import Verdict, judge
from harness.guest.failure import Fate, GuestFailure
from harness.kernel.features import FEATURES
from harness.lab.execution.cell import run_cell
from harness.lab.execution.cell_phases import Subject
from harness.lab.execution.feature_proof import FeatureExerciser
from harness.lab.plan.vendor_modules import Companion
from tests.unit.lab.fake_guest import Answer, FakeGuest

LISTED = "x 4096 0 - Live 0xffffffffa0000000\n"
CALLED = (
    "[    1.5] calling  x_init+0x0/0x10 [x] @ 41\n[    1.5] initcall x_init+0x0/0x10 [x] returned 0 after 3 usecs\n"
)
CODE = (Section(".text", 4096, "AX"),)


class Guest(FakeGuest):
    """A guest in which nothing fails unless the test says so."""

    def __init__(self, folder: Path, answers: Mapping[str, Answer], lists: list[str]) -> None:
        left = iter(lists)
        super().__init__(
            folder,
            {
                "agent alive": "well well 2", "agent state": "2 0 0 0", "agent validate": "7",
                "cat /proc/modules": lambda: next(left, ""), **answers,
            },
        )  # fmt: skip

    def run(self, command: str, seconds: float | None = None, *, inside: bool = False) -> Any:
        if command.startswith("insmod modules/x.ko"):
            self.print(CALLED)
        return super().run(command, seconds, inside=inside)


def course(
    folder: Path,
    answers: Mapping[str, Answer] | None = None,
    *,
    lists: list[str] | None = None,
    facts: ModuleFacts | None = None,
    feature: str = "",
    config: Mapping[str, str] | None = None,
    before: tuple[Companion, ...] = (),
    guest: type[Guest] = Guest,
) -> tuple[Evidence, Guest]:
    """A cell from its pristine state to its end. lists: /proc/modules after the load, after the unload, at the end."""
    made = guest(folder, answers or {}, [LISTED, "", ""] if lists is None else lists)
    evidence = run_cell(
        made, Subject(facts or ModuleFacts("x"), "modules/x.ko", "", None, before),
        FeatureExerciser(FEATURES[feature] if feature else None),
        title="x", feature_proof="it is live", config={"SLUB_DEBUG": "y"} | dict(config or {}),
    )  # fmt: skip
    return evidence, made


def test_a_cell_in_which_nothing_fails_is_clean(tmp_path: Path) -> None:
    evidence, _ = course(tmp_path)
    assert judge(evidence).reason.startswith("init and exit ran, no checks")
    assert judge(evidence).verdict is Verdict.CLEAN


def test_what_a_feature_in_use_saw_is_evidence(tmp_path: Path) -> None:
    answers: dict[str, Answer] = {
        "perf/live start": "", "perf/live loaded x": "live perf-module ok 3 events\n",
        "perf/live stop x": "live perf-samples FAILED none\n",
    }  # fmt: skip
    evidence, _ = course(tmp_path, answers, feature="perf")
    assert evidence.features_in_use == ["perf"]
    assert [(check.name, check.held) for check in evidence.feature_checks] == [
        ("perf-module", True), ("perf-samples", False),
    ]  # fmt: skip
    assert judge(evidence).verdict is Verdict.INVALID


def test_a_feature_that_cannot_be_used_ends_the_cell_before_the_load(tmp_path: Path) -> None:
    evidence, guest = course(tmp_path, {"perf/live start": ("no events", 1)}, feature="perf")
    assert evidence.blockers == ["perf could not be used: no events"]
    assert not [command for command in guest.commands if command.startswith("insmod")]


def test_a_guest_that_is_lost_before_the_cell_says_nothing_about_the_module(tmp_path: Path) -> None:
    class Lost(Guest):
        def make_pristine(self) -> None:
            raise GuestFailure(Fate.PANICKED, "restore", 1.0, "the end")

    evidence, _ = course(tmp_path, guest=Lost)
    assert evidence.loss is None
    assert evidence.blockers == ["the pristine guest did not answer: panicked. the end"]


def test_a_refused_module_is_not_exercised_and_not_unloaded(tmp_path: Path) -> None:
    evidence, guest = course(tmp_path, {"insmod modules/x.ko": ("invalid module format", 1)}, lists=["", ""])
    assert (evidence.unload, evidence.exercise_ended) == (None, False)
    assert not [command for command in guest.commands if command.startswith("rmmod")]
    assert evidence.integrity, "memory is checked all the same"
    assert judge(evidence).verdict is Verdict.REFUSED


def test_what_the_modules_file_has_decides_what_has_to_run(tmp_path: Path) -> None:
    evidence, _ = course(tmp_path, facts=ModuleFacts("x", has_init=False, has_exit=False, problem="it is odd"))
    assert (evidence.has_init, evidence.has_exit, evidence.file_problem) == (False, False, "it is odd")


@pytest.mark.parametrize("patching", [{}, {"JUMP_LABEL": "y"}], ids=["plain", "jump labels"])
def test_code_that_the_kernel_patches_is_not_compared(patching: dict[str, str], tmp_path: Path) -> None:
    evidence, _ = course(tmp_path, config=patching)
    assert any("patched by jump labels" in caveat for caveat in evidence.caveats) == bool(patching)


def test_a_guest_with_one_cpu_proves_nothing(tmp_path: Path) -> None:
    evidence, _ = course(tmp_path, {"agent state": "1 0 0 0"})
    assert evidence.blockers == ["the guest has 1 CPUs, not 2"]


def test_kmemleak_has_to_be_on_in_the_running_kernel(tmp_path: Path) -> None:
    config = {"DEBUG_KMEMLEAK": "y"}
    off, _ = course(tmp_path, {"echo clear": ("Operation not permitted", 1)}, config=config)
    assert off.blockers[0] == "kmemleak is off in the running kernel: Operation not permitted"
    (tmp_path / "leaks").mkdir()
    leaks, _ = course(
        tmp_path / "leaks",
        {"echo scan": "unreferenced object 0xffff888 (size 64):\n"},
        config=config,
    )
    assert [check.held for check in leaks.integrity if "kmemleak" in check.name] == [False]
    assert judge(leaks).verdict is Verdict.CORRUPTED


def test_a_module_that_stays_listed_was_not_removed(tmp_path: Path) -> None:
    evidence, _ = course(tmp_path, lists=[LISTED, LISTED, LISTED])
    assert (evidence.unload is not None and evidence.unload.status, evidence.removed) == (0, False)
    assert judge(evidence).verdict is Verdict.CORRUPTED


def test_a_module_that_is_not_listed_after_its_load_proves_nothing(tmp_path: Path) -> None:
    evidence, _ = course(tmp_path, lists=["other 4096 0 - Live 0xffffffffa0000000\n", "", ""])
    assert evidence.blockers == ["the load succeeded, but /proc/modules has no x, only other"]


def test_a_module_that_is_needed_has_to_be_used_as_before(tmp_path: Path) -> None:
    bus, used = "bus 4096 0 - Live 0xffffffffa0100000\n", "bus 4096 1 - Live 0xffffffffa0100000\n"
    for name, at_end, held in (("free", bus, True), ("held", used, False)):
        (tmp_path / name).mkdir()
        lists = ["", bus, LISTED + bus, bus, at_end]
        evidence, _ = course(tmp_path / name, {"usleep": at_end}, lists=lists, before=(Companion("modules/bus.ko"),))
        assert [check.held for check in evidence.integrity if "used as before" in check.name] == [held]


def test_memory_that_changes_while_the_module_is_loaded_is_damage(tmp_path: Path) -> None:
    class Damaged(Guest):
        reads = 0

        def read_memory(self, address: int, size: int, cpu: int) -> bytes:
            self.reads += 1
            return bytes([self.reads > 1]) * size

    evidence, guest = course(tmp_path, facts=ModuleFacts("x", sections=CODE), guest=Damaged)
    assert isinstance(guest, Damaged)
    assert guest.reads == 2, "after the load, and before the unload"
    assert not evidence.integrity[0].held
    assert judge(evidence).verdict is Verdict.CORRUPTED


def test_memory_that_should_have_been_compared_and_was_not_proves_nothing(tmp_path: Path) -> None:
    unlisted = "x 4096 0 - Live 0x0000000000000000\n"
    evidence, _ = course(tmp_path, facts=ModuleFacts("x", sections=CODE), lists=[unlisted, "", ""])
    assert evidence.blockers == ["/proc/modules has no address for the module: its memory was not compared"]
