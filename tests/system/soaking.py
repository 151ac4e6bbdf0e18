# SPDX-License-Identifier: Apache-2.0
"""Cells in a row in one process, with its guests going on: each must be what it was the first time.

Every cell is a line of a file, with which an interrupted soak goes on.
"""

import json
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from unittest.mock import patch

import psutil

from harness.detect.verdict import Verdict
from harness.guest.boards import Board
from harness.guest.guest import Guest
from harness.kernel.features import FEATURES
from harness.lab.execution.lab import CellResult, Lab
from harness.lab.execution.run_folder import write_cell
from harness.lab.plan.cells import Cell, Flavour
from harness.lab.plan.expected_verdicts import measured_verdicts
from harness.lab.plan.settings import Settings
from harness.lab.plan.vendor_modules import VendorModule
from tests.system.conftest import TIMING
from tests.system.processes import guests_of

# What the process may have grown by between the end of the first round and the end of the soak
MOST_MORE_FILES = 12  # of one guest that was being replaced: its process, its channels and its logs
MOST_MORE_BYTES = 64 << 20
# What a kernel does that a module has damaged
_DAMAGE = (Verdict.SPLAT, Verdict.CORRUPTED, Verdict.HUNG, Verdict.DIED)
_KERNELS = (("spinlock", Flavour.PRODUCTION), ("spinlock", Flavour.STOCK), ("all", Flavour.ISOLATED))


@dataclass(frozen=True)
class Line:
    """A cell that ran."""

    number: int
    cell: str
    verdict: str
    kind: str  # of its reason: verdict, phase and blamed module of each step
    reason: str
    expected: list[str]
    seconds: float


@dataclass(frozen=True)
class Load:
    """What this process uses of the machine, and its guests."""

    files: int
    rss: int
    guests: int
    guests_rss: int


@dataclass
class Soak:
    """The cells of a soak, and what it took."""

    lines: list[Line]
    seconds: float
    restores: int
    loads: list[Load]  # at the end of each round of this process
    ran: int  # in this process

    def differences(self) -> list[str]:
        """Each cell that was not as the first time or as it was recorded, with both sides."""
        first: dict[str, Line] = {}
        found = []
        for line in self.lines:
            if line.verdict not in line.expected:
                found.append(f"{_shown(line)}\n  recorded: {' or '.join(line.expected)}")
                continue
            before = first.setdefault(line.cell, line)
            if len(line.expected) == 1 and until_damage(line.kind) != until_damage(before.kind):
                found.append(f"{_shown(line)}\n  first: {before.verdict} ({before.kind}): {before.reason}")
        return found

    def growth(self) -> list[str]:
        """What grew by more than it may."""
        if len(self.loads) < 2:
            return []
        start, end = self.loads[0], self.loads[-1]
        found = []
        if end.files - start.files > MOST_MORE_FILES:
            found.append(f"open files: {start.files} after the first round, {end.files} at the end")
        if end.rss - start.rss > MOST_MORE_BYTES:
            found.append(f"memory: {start.rss >> 20} MB after the first round, {end.rss >> 20} MB at the end")
        return found

    def summary(self) -> str:
        start, end = (self.loads[0], self.loads[-1]) if self.loads else (_load(), _load())
        return (
            f"{len(self.lines)} cells ({self.ran} in this process), {self.seconds:.0f} s, {self.restores} restores; "
            f"open files {start.files} and {end.files}, memory {start.rss >> 20} and {end.rss >> 20} MB, "
            f"guests {start.guests} and {end.guests} with {start.guests_rss >> 20} and {end.guests_rss >> 20} MB"
        )


def cells_of(board: Board, modules: Sequence[VendorModule]) -> list[Cell]:
    """The modules on production, stock and isolated kernels, which the system tests use as well."""
    return [Cell(board, FEATURES[name], flavour, module) for name, flavour in _KERNELS for module in modules]


def soak(
    cells: Sequence[Cell], modules: Sequence[VendorModule], folder: Path, *, until: Callable[[int, float], bool]
) -> Soak:
    """Run cells, in another order each round, until a function of their number and of the seconds says so.

    folder: for the lines, with those of an earlier soak, and for the evidence of what differs.
    """
    with Lab(Settings(timing=TIMING), list(modules), predicts=False) as lab, counted_restores() as restores:
        found = run(cells, lab.run, folder, until=until, forget=lab.forget)
        found.restores = len(restores)
    return found


def run(
    cells: Sequence[Cell],
    judge: Callable[[Cell], CellResult],
    folder: Path,
    *,
    until: Callable[[int, float], bool],
    forget: Callable[[], None],
) -> Soak:
    """soak(), with a function that runs a cell. forget: called before each round, so that controls run again."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"soak-{cells[0].board.id}.jsonl"
    found, began = Soak(read(file), 0.0, 0, [], 0), time.monotonic()
    with file.open("a", buffering=1) as sink:
        while not until(len(found.lines), time.monotonic() - began):
            if len(found.lines) % len(cells) == 0 or not found.ran:
                forget()
            cell = _order(cells, len(found.lines) // len(cells))[len(found.lines) % len(cells)]
            line = _run(cell, len(found.lines) + 1, judge, folder, found)
            sink.write(json.dumps(asdict(line)) + "\n")
            found.ran += 1
            if found.ran % len(cells) == 0:
                found.loads.append(_load())
                print(f"{cells[0].board.id}: {len(found.lines)} cells, {found.loads[-1]}", flush=True)
    found.seconds = time.monotonic() - began
    if found.loads:
        found.loads.append(_load())
    return found


def read(file: Path) -> list[Line]:
    """The lines of an earlier soak. A last line that was cut off is removed."""
    if not file.exists():
        return []
    content = file.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    os.truncate(file, len(whole))
    return [Line(**json.loads(line)) for line in whole.splitlines()]


def kind_of(result: CellResult) -> str:
    """What a reason says without its words: addresses and times in it are others each time."""
    return "; ".join(
        f"{step.verdict} in {step.phase or 'none'}" + (f", blamed on {step.blamed}" if step.blamed else "")
        for step in result.judgement.steps
    )


def until_damage(kind: str) -> list[str]:
    """The steps that do not depend on chance: all of them, unless the kernel took the module for another structure.

    If it found no init (INERT), it may have damaged anything. What follows the first damage that shows is chance.
    """
    steps = kind.split("; ")
    if not steps[0].startswith(Verdict.INERT):
        return steps
    damaged = next((number for number, step in enumerate(steps, 1) if step.startswith(_DAMAGE)), len(steps))
    return steps[:damaged]


@contextmanager
def counted_restores() -> Iterator[list[Guest]]:
    """Note the guest of each restore."""
    seen: list[Guest] = []
    restore = Guest.restore

    def counted(guest: Guest) -> None:
        seen.append(guest)
        restore(guest)

    with patch.object(Guest, "restore", counted):
        yield seen


def _run(cell: Cell, number: int, judge: Callable[[Cell], CellResult], folder: Path, found: Soak) -> Line:
    result = judge(cell)
    expected = [str(word) for word in measured_verdicts(cell)] or [str(Verdict.CLEAN)]
    line = Line(
        number, cell.id, str(result.verdict), kind_of(result), result.reason, expected, round(result.whole_seconds, 2)
    )
    known = len(found.differences())
    found.lines.append(line)
    if len(found.differences()) > known:
        write_cell(result, folder / f"differs-{number}")
    return line


def _order(cells: Sequence[Cell], turn: int) -> list[Cell]:
    """The cells of a round: production first, so that each of its cells runs instead of being a control already."""
    mixed = random.Random(turn).sample(list(cells), len(cells))
    return sorted(mixed, key=lambda cell: not cell.is_control)


def _load() -> Load:
    process = psutil.Process()
    guests = guests_of(process.pid)
    sizes = [guest.memory_info().rss for guest in guests]
    return Load(process.num_fds(), process.memory_info().rss, len(guests), sum(sizes))


def _shown(line: Line) -> str:
    return f"cell {line.number}, {line.cell}:\n  now: {line.verdict} ({line.kind}): {line.reason}"
