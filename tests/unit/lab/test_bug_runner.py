# SPDX-License-Identifier: Apache-2.0
"""The catalogue of deliberate bugs: its entries, their measurements, and the page made from these."""

import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.guest.boards import BOARDS, Board
from harness.guest.failure import Fate, GuestFailure
from harness.kernel.variants import Variant
from harness.lab.plan.settings import Settings
from harness.lab.validation import bug_runner, records
from harness.lab.validation.bug_runner import passed, run_catalogue, unexplained
from harness.lab.validation.bugs import BUGS, FOLDER, ISOLATED, Bug, Where
from harness.report.isolation_page import PAGE, bugs_section, isolation_page
from harness.support.errors import ModcompatError

BUG = BUGS[0]
AROUND = {"kernel": "6.1.1", "compiler": "GCC 12", "board": "arm-virt"}
REPORTED = {"bug": BUG.id, "feature": BUG.feature, "what": BUG.what} | {str(where): "BUG: words" for where in Where}


def committed(bug: Bug) -> bool:
    """Whether there is code for a bug."""
    source = (FOLDER / f"{bug.source}.c").read_text()
    watched = re.search(rf"^(?:.* \| )?{bug.name}(?: \| .*)?\)$", (FOLDER / "watch").read_text(), re.MULTILINE)
    return f'{{ "{bug.name}",' in source if bug.report else bool(watched)


def test_there_is_code_for_every_bug() -> None:
    assert [bug.id for bug in BUGS if not committed(bug)] == []
    assert len({bug.id for bug in BUGS}) == len(BUGS)


def test_there_is_an_entry_for_every_bug_in_the_code() -> None:
    coded = {
        f"{source.stem}/{name}"
        for source in FOLDER.glob("*.c")
        for name in re.findall(r'\{ "(.+)", \w+ \}', source.read_text())
    }
    assert coded == {bug.id for bug in BUGS if bug.report}


def test_the_stock_kernel_reports_every_bug() -> None:
    assert [bug.id for bug in BUGS if Where.STOCK in bug.given_up] == []


@pytest.mark.parametrize(
    ("source", "stock", "isolated"),
    [
        ("spinlocks", "stock-all", "isolated-all"),
        ("mutexes", "stock-mutexes", "isolated-mutexes"),
        ("memory", "stock-debug-set-preempt", "isolated-debug-set-preempt"),
        ("objects", "stock-debug-set-preempt", "isolated-debug-set-preempt"),
        ("sleeping", "stock-debug-set-preempt", "isolated-debug-set-preempt"),
    ],
    ids=range(5),  # names of kernels would be chosen by -k
)
def test_bugs_are_committed_on_kernels_that_have_several_features_where_possible(
    source: str, stock: str, isolated: str
) -> None:
    assert {bug.variant(Where.STOCK).name for bug in BUGS if bug.source == source} == {stock}
    assert {bug.variant(where).name for bug in BUGS if bug.source == source for where in ISOLATED} == {isolated}


def test_the_bugs_of_one_kernel_are_committed_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever their order. A kernel costs a boot, or even a build."""
    booted: list[str] = []

    class Idle:
        files: Mapping[str, Path] = {}

        def guest(self, board: Board, variant: Variant) -> None:
            """No guest: nobody uses it."""

    @contextmanager
    def prepared(board: Board, variant: Variant, settings: Settings) -> Iterator[Idle]:
        booted.append(variant.name)
        yield Idle()

    monkeypatch.setattr(bug_runner, "prepared", prepared)
    monkeypatch.setattr(bug_runner, "commit", lambda _, bug, where, __: f"{bug.id} on {where}")
    chosen = [next(bug for bug in BUGS if bug.feature == name) for name in ("kasan", "slub", "objects", "perf")]
    rows, failures = run_catalogue(BOARDS["x86_64-q35"], Settings(), chosen)
    assert sorted(booted) == [
        "isolated-all", "isolated-debug-set-preempt", "stock-all", "stock-debug-set-preempt",
    ]  # fmt: skip
    assert failures == []
    assert [row["bug"] for row in rows] == [bug.id for bug in chosen]
    assert all(row[where] == f"{row['bug']} on {where}" for row in rows for where in Where)


@pytest.mark.parametrize("arch", list(records.load("bugs")))
def test_what_was_measured_is_reported_or_given_up_with_a_reason(arch: str) -> None:
    measured = records.load("bugs")[arch]
    assert unexplained(measured["bugs"], arch) == []
    assert [row for row in measured["mixed"] if not passed(row)] == []
    assert len(measured["mixed"]) == 4


@pytest.mark.parametrize("arch", list(records.load("bugs")))
def test_what_was_measured_names_no_file_of_a_machine(arch: str) -> None:
    words = [row[where] for row in records.load("bugs")[arch]["bugs"] for where in Where]
    assert [line for line in words if re.search(r"(?:^|\s)/", line)] == []


def test_what_was_measured_later_takes_the_place_of_what_is_known() -> None:
    other, gone = REPORTED | {"bug": BUGS[1].id}, REPORTED | {"bug": "gone"}
    later = REPORTED | {Where.STOCK: "BUG: others"}
    known = AROUND | {"date": "2026-01-02", "bugs": [other, REPORTED, gone], "mixed": ["pairs"]}
    now = records.with_bugs(known, AROUND | {"date": "2026-01-03", "bugs": [later], "mixed": []})
    assert now == known | {"date": "2026-01-02 to 2026-01-03", "bugs": [later, other]}


def test_a_record_is_of_one_kernel_and_compiler() -> None:
    records.require_comparable(AROUND, AROUND | {"date": "2026-01-03"})
    with pytest.raises(ModcompatError, match="another kernel and compiler"):
        records.require_comparable(AROUND, AROUND | {"kernel": "6.12.1", "compiler": "GCC 14"})


@pytest.mark.parametrize(
    "failure", [ModcompatError("insmod failed"), GuestFailure(Fate.SILENT, "insmod", 20.0)], ids=["error", "hung"]
)
def test_a_bug_that_cannot_be_committed_does_not_lose_the_others(
    failure: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail_one(_guest: object, bug: Bug, where: Where, _files: object) -> str:
        if bug is BUGS[0]:
            raise failure
        return f"{bug.id} on {where}"

    @contextmanager
    def prepared(*_: object) -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(files={}, guest=lambda *_: None)

    monkeypatch.setattr(bug_runner, "prepared", prepared)
    monkeypatch.setattr(bug_runner, "commit", fail_one)
    rows, failures = run_catalogue(BOARDS["x86_64-q35"], Settings(), BUGS[:2])
    assert [row["bug"] for row in rows] == [BUGS[1].id]
    assert failures == [f"{BUGS[0].id}, {where}: {failure}" for where in Where]


def test_a_kernel_that_cannot_be_built_does_not_lose_the_bugs_on_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def prepared(_board: Board, variant: Variant, _settings: Settings) -> AbstractContextManager[SimpleNamespace]:
        if variant.name == "isolated-all":
            raise ModcompatError("make failed")
        return nullcontext(SimpleNamespace(files={}, guest=lambda *_: None))

    monkeypatch.setattr(bug_runner, "prepared", prepared)
    monkeypatch.setattr(bug_runner, "commit", lambda *_: "BUG")
    chosen = [next(bug for bug in BUGS if bug.feature == name) for name in ("kasan", "slub")]
    rows, failures = run_catalogue(BOARDS["x86_64-q35"], Settings(), chosen)
    assert [row["bug"] for row in rows] == [chosen[0].id]
    assert failures == ["all bugs on isolated-all: make failed"]


def test_a_measurement_of_which_a_part_was_made_again_has_two_dates() -> None:
    assert records.period("2026-01-02", "2026-01-02") == "2026-01-02"
    assert records.period("2026-01-02", "2026-02-03") == "2026-01-02 to 2026-02-03"
    assert records.period("2026-01-02 to 2026-02-03", "2026-03-04") == "2026-01-02 to 2026-03-04"


def test_what_is_missing_or_too_much_is_named() -> None:
    assert unexplained([REPORTED], "arm") == []
    assert unexplained([REPORTED | {Where.REBUILT: ""}], "arm") == [f"{BUG.id}, isolated, rebuilt: not reported"]
    inlined = next(bug for bug in BUGS if Where.VENDOR in bug.given_up and Where.REBUILT not in bug.given_up)
    assert len(unexplained([REPORTED | {"bug": inlined.id}], "arm")) == 1


def test_shared_locks_that_fail_or_cause_a_report_are_not_well() -> None:
    assert passed({"said": "2 rounds: ok", "reports": []})
    assert not passed({"said": "2 rounds: FAILED", "reports": []})
    assert not passed({"said": "2 rounds: ok", "reports": ["BUG"]})
    assert not passed({"said": "", "reports": []})


def test_the_page_is_what_the_measurements_make() -> None:
    """The tables of the page are never edited by hand."""
    assert PAGE.read_text() == isolation_page(PAGE.read_text())


def test_a_page_without_a_place_for_a_table_is_a_mistake() -> None:
    with pytest.raises(ValueError, match=r"bugs\.json"):
        isolation_page("# A page\n")


def test_the_table_tells_what_is_not_reported_and_why() -> None:
    run = {"kernel": "6.1", "compiler": "gcc 12", "date": "2026-01-02", "mixed": []}
    lost = next(bug for bug in BUGS if Where.REBUILT in bug.given_up)
    rows = [REPORTED | {Where.REBUILT: ""}, REPORTED | {"bug": lost.id, Where.REBUILT: ""}]
    page = bugs_section({"arm": run | {"bugs": rows}})
    assert "| BUG: words | NO | yes | yes |" in page
    number = re.search(r"\| BUG: words \| no \((\d+)\) \| yes \| yes \|", page)
    assert number is not None
    assert f"\n{number[1]}. {lost.given_up[Where.REBUILT]}\n" in page
