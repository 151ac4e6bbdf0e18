# SPDX-License-Identifier: Apache-2.0
"""The log of a cell: its phases, its faults, and its two copies, on the console and in the kernel's buffer."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.detect.evidence import Phase
from harness.lab.execution.cell_log import CellLog, StopCell
from tests.unit.lab.fake_guest import FakeGuest

BUG = "[    2.000000] BUG: spinlock already unlocked on CPU#0, sh/52\n[    2.000000]  lock: 0xc0ffee\n"


@pytest.fixture
def guest(tmp_path: Path) -> FakeGuest:
    return FakeGuest(tmp_path)


@pytest.fixture
def shared(tmp_path: Path) -> FakeGuest:
    """A guest whose kernel log and commands share a UART."""
    return FakeGuest(tmp_path, shared_uart=True)


def begun(guest: FakeGuest) -> CellLog:
    """A log whose cell is in its first phase."""
    log = CellLog(guest)
    log.begin("x")
    log.enter(Phase.LOAD)
    return log


def test_a_report_belongs_to_the_phase_in_which_it_was_printed(guest: FakeGuest) -> None:
    log = begun(guest)
    log.enter(Phase.UNLOAD)
    guest.print(BUG)
    log.end("x")
    found = log.scan()
    assert list(found.reports) == [Phase.UNLOAD]
    assert found.is_whole


def test_what_is_printed_before_the_load_is_not_the_modules(guest: FakeGuest) -> None:
    log = CellLog(guest)
    log.begin("x")
    guest.print(BUG)
    assert not log.has_started
    log.enter(Phase.LOAD)
    assert log.has_started
    found = log.scan()
    assert not found.reports
    assert [report.words for report in found.early] == ["BUG: spinlock already unlocked on CPU#0, sh/52"]


def test_what_is_printed_before_the_cell_is_not_looked_at(guest: FakeGuest) -> None:
    guest.print(BUG)
    found = begun(guest).scan()
    assert (found.reports, found.early) == ({}, [])


def test_a_log_without_a_begin_mark_has_no_reports(guest: FakeGuest) -> None:
    guest.print(BUG)
    found = CellLog(guest).scan()
    assert (found.reports, found.early, found.is_whole) == ({}, [], False)


def test_a_log_without_its_end_is_not_whole(guest: FakeGuest) -> None:
    assert not begun(guest).scan().is_whole


def test_a_log_that_lost_messages_is_not_whole(guest: FakeGuest) -> None:
    log = begun(guest)
    guest.print("** 5000 printk messages dropped **\n")
    log.end("x")
    found = log.scan()
    assert found.dropped == "** 5000 printk messages dropped **"
    assert not found.is_whole


def test_a_report_is_found_in_the_console_log_by_its_first_byte(guest: FakeGuest) -> None:
    """HTML reports highlight these lines. The cell's log begins with the begin mark, which the scan skips."""
    guest.print("[    0.500000] of the cell before\n")
    guest.make_pristine()
    log = begun(guest)
    guest.print(BUG)
    log.end("x")
    (report,) = log.scan().reports[Phase.LOAD]
    cell = guest.console.read(guest.log_start)
    assert cell[report.start :].startswith(BUG.encode()[:20])
    assert cell.decode().splitlines()[report.first_line - 1] == BUG.splitlines()[0]


def test_a_fault_stops_the_cell_once_a_phase_has_begun(guest: FakeGuest) -> None:
    log = CellLog(guest)
    log.begin("x")
    guest.print(BUG)
    log.stop_on_fault()  # no effect before the load
    log.enter(Phase.LOAD)
    log.stop_on_fault()
    guest.print(BUG)
    with pytest.raises(StopCell, match="stopped in the load, after: BUG: spinlock already unlocked") as stop:
        log.enter(Phase.EXERCISE)
    assert stop.value.blocker is None
    assert log.phase is Phase.LOAD


def test_a_warning_does_not_stop_the_cell(guest: FakeGuest) -> None:
    log = begun(guest)
    guest.print("[    2.000000] WARNING: CPU: 0 PID: 52 at kernel/x.c:7 f+0x1/0x2\n")
    log.enter(Phase.EXERCISE)
    assert log.phase is Phase.EXERCISE


def test_a_phase_has_the_text_from_its_beginning_on(guest: FakeGuest) -> None:
    log = begun(guest)
    guest.print("[    2.000000] x: hello\n")
    log.enter(Phase.UNLOAD)
    guest.print("[    3.000000] x: goodbye\n")
    found = log.scan()
    assert "hello" in found.since(Phase.LOAD)
    assert "hello" not in found.since(Phase.UNLOAD)
    assert "goodbye" in found.since(Phase.UNLOAD)


def test_an_exercise_reads_everything_that_was_printed_since_the_guest_was_pristine(guest: FakeGuest) -> None:
    guest.print("of the cell before\n")
    guest.make_pristine()
    log = begun(guest)
    guest.print("x: hello\n")
    assert "x: hello" in log.text()
    assert "of the cell before" not in log.text()
    assert log.printed().endswith("modcompat: exercise\n")
    assert guest.commands == []  # the console is complete


@pytest.mark.parametrize("phase", [Phase.LOAD, Phase.UNLOAD])
def test_on_a_shared_uart_the_kernels_own_buffer_tells(phase: Phase, tmp_path: Path) -> None:
    """If a command's answer tears a report on the console, the buffer has it whole; the console has the rest."""

    def torn() -> str:
        one_uart.print_to_console("BUG: spin[   2]lock\n")
        return one_uart.buffer

    one_uart = FakeGuest(tmp_path, {"dmesg": torn}, shared_uart=True)
    one_uart.print("boot\n" + BUG)
    log = begun(one_uart)
    one_uart.buffer += BUG if phase is Phase.LOAD else ""
    log.text()
    log.enter(Phase.UNLOAD)
    one_uart.print(BUG if phase is Phase.UNLOAD else "")
    log.end("x")
    found = log.scan()
    assert list(found.reports) == [phase]
    assert len(found.reports[phase]) == 1
    assert not found.early


def test_an_echo_of_the_buffer_is_no_new_fault(shared: FakeGuest) -> None:
    """The buffer holds a report from before the cell, and dmesg prints it to the console again."""
    shared.print(BUG)
    log = begun(shared)
    assert BUG in log.text()
    log.enter(Phase.EXERCISE)
    assert log.phase is Phase.EXERCISE


@pytest.mark.parametrize(("last", "is_whole"), [("b\n", True), ("c\n", False)])
def test_a_buffer_that_fills_while_it_is_read_may_lack_parts(last: str, is_whole: bool, tmp_path: Path) -> None:  # noqa: FBT001
    """On a shared UART, a message printed during dmesg may be whole in neither copy of the log."""
    guest = FakeGuest(tmp_path, {"dmesg | tail -n 1": last, "dmesg": "a\nb\n"}, shared_uart=True)
    problem = CellLog(guest).read_buffer()
    assert (problem is None) is is_whole
    assert guest.commands.count("dmesg") == (1 if is_whole else 3)


def test_a_console_of_its_own_needs_no_buffer(guest: FakeGuest) -> None:
    assert CellLog(guest).read_buffer() is None
    assert guest.commands == []


def test_a_full_disk_stops_the_cell(guest: FakeGuest, monkeypatch: pytest.MonkeyPatch) -> None:
    log = begun(guest)
    assert log.lack_of_space() is None
    monkeypatch.setattr("harness.lab.execution.cell_log.shutil.disk_usage", lambda _: SimpleNamespace(free=0))
    assert "no space is left on the disk" in (log.lack_of_space() or "")
    with pytest.raises(StopCell, match="for lack of space") as stop:
        log.enter(Phase.EXERCISE)
    assert "no space is left on the disk" in (stop.value.blocker or "")
    with pytest.raises(StopCell, match="for lack of space"):
        log.end("x")
