# SPDX-License-Identifier: Apache-2.0
"""Modules with deliberate bugs: a kernel that can detect the bug reports it, and the module is blamed."""

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from harness.abi.elf.line_table import ModuleLines
from harness.detect.kernel_report import Report
from harness.detect.scan import scan
from harness.guest.boards import BOARDS
from harness.guest.failure import GuestFailure
from harness.guest.guest import Timing
from harness.kernel.module_build import build_modules
from harness.kernel.variants import PRODUCTION, Variant, variant_named
from harness.lab.execution.guest_pool import Guests
from harness.lab.execution.kernel_pool import Kernels
from harness.lab.execution.memory_checks import SLAB_VALIDATE_COMMAND
from harness.lab.execution.source_lines import add_source_lines
from harness.lab.plan.settings import Settings
from harness.lab.plan.vendor_modules import VendorModule
from tests.system.conftest import GUESTS, SCALE

GUILTY = Path(__file__).parent / "guilty"
AFTER = {  # commands after the load
    "timer_armed": "rmmod timer_armed; for n in $(seq 20); do usleep 50000; done",
    "wild_write": "echo 1 >/sys/module/victim/parameters/use",
}
# The blamed module is the guilty one, except for a corrupted list: its user notices, and the writer is unknown
ON_PRODUCTION = [
    ("use_after_free", "slub", "use_after_free"),
    ("overflow", "slub", "overflow"),
    ("double_free", "slub", "double_free"),
    ("recursion", "rcu-stall|lockup", "recursion"),
    ("timer_armed", "access", "timer_armed"),
    ("stack_overflow", "stack", "stack_overflow"),
    ("wild_write", "list", "victim"),
    ("wild_write constants=1", "access", "wild_write"),
]
ELSEWHERE = [
    ("use_after_free", "kasan", "use_after_free", "stock-kasan"),
    ("overflow", "kasan", "overflow", "stock-kasan"),
    ("double_free", "kasan", "double_free", "stock-kasan"),
    ("recursion", "lock", "recursion", "stock-spinlock"),
    ("recursion", "lockdep", "recursion", "stock-lockdep"),
    ("lost_unlock", "lockdep", "lost_unlock", "stock-lockdep"),
    ("atomic_sleep", "atomic-sleep", "atomic_sleep", "stock-atomic-sleep"),
]


class Court:
    """Guests with the guilty modules, which are built for the guest's kernel."""

    def __init__(self) -> None:
        self._places: dict[tuple[str, str], tuple[Guests, dict[str, Path]]] = {}

    def hear(self, board_name: str, variant: Variant, case: str) -> list[Report]:
        """The reports from the load of a module and the commands after it."""
        board = BOARDS[board_name]
        key = (board_name, variant.name)
        if key not in self._places:
            kernels = Kernels(Settings(timing=Timing(command=40.0).scaled(SCALE)))
            files = build_modules(GUILTY, kernels.kernel(board, variant), kernels.store)
            self._places[key] = Guests(kernels, [VendorModule(name, file=file) for name, file in files.items()]), files
        guests, files = self._places[key]
        guest = guests.guest(board, variant)
        guest.make_pristine()
        name, _, parameters = case.partition(" ")
        start = guest.mark(f"hear {case}")
        with suppress(GuestFailure):
            if name == "wild_write":
                guest.run("insmod /modules/victim.ko")
            guest.run(f"insmod /modules/{name}.ko {parameters}")
            guest.run(f"{AFTER.get(name, 'true')}; {SLAB_VALIDATE_COMMAND}")
            guest.mark("heard")
        guest.console.settle(quiet=0.3, longest=3.0)
        reports = scan(guest.console.read(start))
        add_source_lines(reports, {name: ModuleLines(file) for name, file in files.items()})
        return reports

    def close(self) -> None:
        for guests, _ in self._places.values():
            guests.close()


@pytest.fixture(scope="module")
def court() -> Iterator[Court]:
    court = Court()
    yield court
    court.close()


@pytest.mark.parametrize("board", GUESTS)
@pytest.mark.parametrize(("case", "kind", "culprit"), ON_PRODUCTION, ids=[case for case, *_ in ON_PRODUCTION])
def test_production_itself_finds_the_guilty(board: str, case: str, kind: str, culprit: str, court: Court) -> None:
    first = court.hear(board, PRODUCTION, case)[0]
    assert re.fullmatch(kind, first.kind)
    assert first.module == culprit


def names(row: tuple[str, str, str, str]) -> str:
    return f"{row[0]}-as-{row[1]}"


@pytest.mark.parametrize("row", ELSEWHERE, ids=lambda row: names(row).replace("spinlock", "lock"))
def test_a_debug_kernel_finds_what_it_is_for(row: tuple[str, str, str, str], court: Court) -> None:
    case, kind, culprit, variant = row
    found = [(report.kind, report.module) for report in court.hear("x86_64-q35", variant_named(variant), case)]
    assert (kind, culprit) in found


def test_a_report_has_the_line_of_the_source(court: Court) -> None:
    report = court.hear("x86_64-q35", PRODUCTION, "overflow")[0]
    line = next(
        n for n, text in enumerate((GUILTY / "overflow.c").read_text().splitlines(), 1) if "kfree(memory)" in text
    )
    assert report.place == f"overflow.c:{line}"
