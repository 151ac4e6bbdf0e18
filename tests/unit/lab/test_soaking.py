# SPDX-License-Identifier: Apache-2.0
"""tests/system/soaking.py, without guests: what it compares, what it leaves, and how it goes on."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harness.detect.evidence import Evidence, Phase
from harness.detect.verdict import Judgement, Step, Verdict
from harness.guest.boards import BOARDS
from harness.lab.execution.lab import CellResult
from harness.lab.plan.cells import Cell
from harness.lab.plan.vendor_modules import shipped
from tests.system import soaking
from tests.system.soaking import MOST_MORE_BYTES, MOST_MORE_FILES, Line, Load, Soak, cells_of, read, run, until_damage

CELLS = cells_of(BOARDS["x86_64-q35"], [module for module in shipped() if module.name == "locks"])
RECORDED = {"production": Verdict.CLEAN, "stock": Verdict.INERT, "isolated": Verdict.CLEAN}


def result(cell: Cell, verdict: Verdict | None = None, *, blamed: str | None = None, reason: str = "why") -> CellResult:
    step = Step(verdict or RECORDED[cell.flavour], reason, Phase.LOAD, blamed)
    return CellResult(cell, Judgement((step,)), Evidence("locks"), "6.1", "none", whole_seconds=0.5)


def soaked(folder: Path, judge: Callable[[Cell], CellResult], count: int) -> Soak:
    return run(CELLS, judge, folder, until=lambda ran, _: ran >= count, forget=lambda: None)


def test_cells_that_repeat_are_no_finding(tmp_path: Path) -> None:
    reasons = iter(range(100))
    found = soaked(tmp_path, lambda cell: result(cell, reason=f"at {next(reasons):x}"), 12)
    assert found.differences() == []
    assert [line.number for line in found.lines] == list(range(1, 13))
    orders = [[line.cell for line in found.lines[start : start + 3]] for start in range(0, 12, 3)]
    assert all(sorted(order) == sorted(cell.id for cell in CELLS) for order in orders)
    assert all("production" in order[0] for order in orders), "it is a control, too, and must run by itself"
    assert len({tuple(order) for order in orders}) > 1
    assert len(found.loads) == 5
    assert found.summary().startswith("12 cells (12 in this process), ")


def test_another_verdict_than_the_recorded_one_is_shown_with_both(tmp_path: Path) -> None:
    def judge(cell: Cell) -> CellResult:
        calls.append(cell)
        return result(cell, Verdict.SPLAT) if len(calls) == 7 else result(cell)

    calls: list[Cell] = []
    (difference,) = soaked(tmp_path, judge, 9).differences()
    assert difference.startswith(f"cell 7, {calls[6].id}:\n  now: SPLAT (SPLAT in load): why\n  recorded: ")
    assert (tmp_path / f"differs-7/cells/{calls[6].id}/evidence.json").is_file()
    assert not (tmp_path / "differs-8").exists()


def test_another_kind_of_reason_than_the_first_time_is_shown_with_both(tmp_path: Path) -> None:
    calls: list[Cell] = []

    def judge(cell: Cell) -> CellResult:
        calls.append(cell)
        return result(cell, blamed="other" if len(calls) == 5 else None)

    (difference,) = soaked(tmp_path, judge, 6).differences()
    word = RECORDED[calls[4].flavour]
    assert difference.endswith(
        f"now: {word} ({word} in load, blamed on other): why\n  first: {word} ({word} in load): why"
    )


@pytest.mark.parametrize(
    ("kind", "steps"),
    [
        ("CLEAN in none", 1),
        ("INERT in load; SPLAT in exercise", 2),
        ("INERT in load; SPLAT in exercise; HUNG in exercise", 2),
        ("INERT in load; CORRUPTED in unload, blamed on locks; SPLAT in unload", 2),
        ("INERT in load; REFUSED in load; INVALID in unload", 3),
        ("SPLAT in load; HUNG in exercise", 2),
        ("CORRUPTED in unload; SPLAT in unload", 2),
    ],
)
def test_what_a_damaged_kernel_does_later_is_not_compared(kind: str, steps: int) -> None:
    assert until_damage(kind) == kind.split("; ")[:steps]


def test_an_interrupted_soak_goes_on(tmp_path: Path) -> None:
    def judge(cell: Cell) -> CellResult:
        ran.append(cell)
        if len(ran) == 5:
            raise KeyboardInterrupt
        return result(cell)

    ran: list[Cell] = []
    with pytest.raises(KeyboardInterrupt):
        soaked(tmp_path, judge, 7)
    file = tmp_path / "soak-x86_64-q35.jsonl"
    with file.open("a") as lines:
        lines.write('{"number": 5, "cell": "lo')  # killed in the middle of a line
    found = soaked(tmp_path, judge, 7)
    assert [line.number for line in read(file)] == list(range(1, 8))
    assert (found.ran, len(found.lines), found.differences()) == (3, 7, [])
    again = soaked(tmp_path, judge, 7)
    assert (again.ran, len(again.lines), again.growth()) == (0, 7, [])


def test_a_finding_of_the_first_part_is_one_at_the_end(tmp_path: Path) -> None:
    soaked(tmp_path, lambda cell: result(cell, Verdict.HUNG), 1)
    assert len(soaked(tmp_path, result, 4).differences()) == 1


START = Load(files=30, rss=100 << 20, guests=4, guests_rss=400 << 20)


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (replace(START, files=30 + MOST_MORE_FILES, rss=START.rss + MOST_MORE_BYTES), []),
        (replace(START, files=31 + MOST_MORE_FILES), ["open files: 30 after the first round, 43 at the end"]),
        (replace(START, rss=START.rss + MOST_MORE_BYTES + (1 << 20)), ["memory: 100 MB"]),
    ],
    ids=["within", "files", "memory"],
)
def test_growth_has_a_bound(end: Load, words: list[str]) -> None:
    found = Soak([], 1.0, 1, [START, START, end], 90).growth()
    assert [line[: len(word)] for line, word in zip(found, words, strict=True)] == words


def test_a_cell_whose_damage_is_a_matter_of_chance_may_end_in_several_ways() -> None:
    lines = [Line(n, "c", word, word, "", ["HUNG", "DIED"], 1.0) for n, word in enumerate(["HUNG", "DIED", "SPLAT"], 1)]
    (difference,) = Soak(lines, 1.0, 1, [], 3).differences()
    assert difference.endswith("recorded: HUNG or DIED")


def test_files_that_stay_open_are_seen(tmp_path: Path) -> None:
    before = soaking._load()
    with (tmp_path / "file").open("w"):
        assert soaking._load().files == before.files + 1
