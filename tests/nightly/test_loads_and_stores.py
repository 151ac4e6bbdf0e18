# SPDX-License-Identifier: Apache-2.0
"""On kernels with KASAN, QEMU sees the bad loads and stores of a module that was built without it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.abi.elf.module_file import read_module
from harness.detect.scan import scan
from harness.detect.verdict import Verdict
from harness.guest.boards import BOARDS, Board
from harness.guest.guest import Timing
from harness.kernel.features import FEATURES
from harness.kernel.module_build import build_modules
from harness.kernel.variants import Preemption
from harness.lab.execution.access_checks import AccessMonitor
from harness.lab.execution.guest_pool import Guests
from harness.lab.execution.kernel_pool import Kernels
from harness.lab.execution.lab import Lab
from harness.lab.plan.cells import Cell, Flavour
from harness.lab.plan.settings import Settings
from harness.lab.plan.vendor_modules import VendorModule, shipped
from harness.lab.validation.bug_runner import commit, prepared
from harness.lab.validation.bugs import BUGS, FOLDER, Where
from tests.system.conftest import GUESTS, SCALE

SETTINGS = Settings(timing=Timing().scaled(SCALE))
FEATURE = FEATURES["debug-set"]
# Bugs of the module's own code, on memory that has red zones or was freed
OWN = (
    "store-behind", "load-behind", "store-behind-in-loop", "load-across-end", "store-freed", "load-freed",
    "load-freed-pages", "store-behind-vmalloc",
)  # fmt: skip


@pytest.fixture(scope="module", params=GUESTS)
def board(request: pytest.FixtureRequest) -> Board:
    return BOARDS[request.param]


@pytest.fixture(scope="module")
def guests(board: Board) -> Iterator[Guests]:
    (bug,) = (bug for bug in BUGS if bug.id == "memory/store-behind")
    with prepared(board, bug.variant(Where.VENDOR), SETTINGS) as guests:
        yield guests


@pytest.mark.parametrize("name", OWN)
def test_a_bug_of_the_modules_own_code_is_found_where_it_is(guests: Guests, board: Board, name: str) -> None:
    (bug,) = (bug for bug in BUGS if bug.id == f"memory/{name}")
    guest = guests.guest(board, bug.variant(Where.VENDOR))
    assert commit(guest, bug, Where.VENDOR, guests.files)
    log = guest.console.read(guest.log_start)
    seen = next(report for report in scan(log) if "Seen by QEMU" in report.text)
    assert (seen.kind, seen.module, seen.culprit) == ("kasan", "memory", name.replace("-", "_"))
    assert seen.access.what == ("Write" if name.startswith("store") else "Read")
    if name not in ("load-freed-pages", "store-behind-vmalloc"):
        assert "Allocated by task" in seen.text


def test_memory_whose_shadow_is_gone_is_not_described(board: Board) -> None:
    """KASAN would read a shadow that is not there, and take the guest with it."""
    (bug,) = (bug for bug in BUGS if bug.id == "memory/store-behind-vmalloc")
    variant, kernels = bug.variant(Where.VENDOR), Kernels(SETTINGS)
    production = kernels.kernel(board, variant.production)
    file = build_modules(Path(__file__).parent / "gone", production, kernels.store)["gone"]
    with Guests(kernels, files={"gone.ko": file}) as guests:
        guest = guests.guest(board, variant)
        guest.make_pristine()
        accesses = AccessMonitor(guest, read_module(file), file)
        accesses.begin()
        accesses.loading()
        guest.run("insmod /gone.ko")
        accesses.publish("insmod /gone.ko")
        assert guest.run("cat /proc/sys/kernel/tainted").text.strip() == "4096", "out of tree; 128 would be an oops"
        reports = [(report.kind, report.module) for report in scan(guest.console.read(guest.log_start))]
    assert reports == [("kasan", "gone")]


def test_a_cell_has_the_report_as_evidence_and_a_good_module_has_none(board: Board) -> None:
    kernels = Kernels(SETTINGS)
    good = next(module for module in shipped() if module.name == "slab")
    cell = Cell(board, FEATURE, Flavour.ISOLATED, good, Preemption.FULL)
    production = kernels.kernel(board, cell.variant.production)
    file = build_modules(FOLDER, production, kernels.store)["memory"]
    bad = VendorModule("memory", file=file, parameters="bug=store-behind-in-loop")
    with Lab(SETTINGS, [good, bad]) as lab:
        clean = lab.run(cell)
        splat = lab.run(Cell(board, FEATURE, Flavour.ISOLATED, bad, Preemption.FULL))
        control = lab.control_of(splat.cell)
    assert clean.verdict is Verdict.CLEAN
    assert any("loads and stores of the module checked" in check.name for check in clean.evidence.integrity)
    assert control is not None
    assert control.verdict is Verdict.CLEAN
    assert splat.verdict is Verdict.SPLAT
    assert [(report.kind, report.module, report.culprit) for report in splat.evidence.all_reports()] == [
        ("kasan", "memory", "store_behind_in_loop")
    ]
