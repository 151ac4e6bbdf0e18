# SPDX-License-Identifier: Apache-2.0
"""The guest driver with real QEMU: every way to lose a guest is recognised and survived."""

import os
import re
import signal
import time
from dataclasses import replace
from pathlib import Path

import pexpect
import psutil
import pytest

from harness.guest.boards import BOARDS, Channel
from harness.guest.failure import Fate, GuestFailure
from harness.guest.guest import TAG, Guest
from harness.guest.snapshot import empty_state, find_snapshot
from harness.support import digest
from harness.support.cache.store import Store
from harness.support.errors import ModcompatError
from tests.system.conftest import SCALE, TIMING, Bench


def lose(guest: Guest, command: str, seconds: float | None = None) -> GuestFailure:
    with pytest.raises(GuestFailure) as caught:
        guest.run(command, seconds)
    return caught.value


def test_commands_come_back_with_output_and_status(guest: Guest) -> None:
    output = guest.run("echo one; echo two >&2; exit 7")
    assert (output.text, output.status) == ("one\ntwo", 7)
    assert guest.run("nproc").text == "2"


@pytest.mark.parametrize(
    "command",
    [
        "echo one  two >/tmp/file",
        "echo 'one  two' >/tmp/file",
        "echo >/tmp/file",
        "echo one",
        "echo -n one >/tmp/file",
        "echo 'one >two' >/tmp/file",
        "cat /proc/version >/tmp/file",
        "cat /nowhere >/tmp/file",
        "echo one >/nowhere/file",
        "echo one >/proc/version",
        "echo nonsense >/proc/sys/kernel/panic",
    ],
)
def test_the_agent_writes_files_as_the_shell_does(guest: Guest, command: str) -> None:
    results = []
    for shell in ("", ":; "):
        guest.run("rm -f /tmp/file; echo old, and longer than what is written now >/tmp/file")
        output = guest.run(shell + command)
        results.append((output.status, output.text, guest.run("cat /tmp/file").raw))
    assert results[0] == results[1]


def test_time_passes_in_a_guest_that_sleeps(guest: Guest) -> None:
    output = guest.run("sleep 1")
    assert output.status == 0
    assert output.seconds >= 0.9


def test_a_paused_guest_takes_no_cpu_time_and_does_not_notice(guest: Guest) -> None:
    """Unless it is paused, an idle guest takes 3 % of a CPU from kernel builds on the same machine."""
    qemu = psutil.Process(guest.qemu.process.pid)
    uptime = float(guest.run("cut -d' ' -f1 /proc/uptime").text)
    guest.pause()
    time.sleep(0.2)  # let QEMU finish its pending work
    used = []
    for _ in range(3):  # on a busy machine, that takes longer
        before = qemu.cpu_times()
        time.sleep(4)
        after = qemu.cpu_times()
        used.append(after.user + after.system - before.user - before.system)
        if used[-1] <= 0.02:
            break
    assert min(used) <= 0.02
    assert float(guest.run("cut -d' ' -f1 /proc/uptime").text) - uptime < 3
    guest.mark("it goes on")
    guest.pause()
    guest.make_pristine()
    assert guest.origin == "restored"
    assert guest.run("echo again").text == "again"


def test_a_guest_that_was_lost_stays_lost_until_it_is_restored(guest: Guest) -> None:
    """A late answer does not bring the guest back."""
    failure = lose(guest, "sleep 4", 1.0)
    time.sleep(4)
    assert lose(guest, "echo again") is failure
    guest.make_pristine()
    assert guest.run("echo again").text == "again"


@pytest.mark.parametrize(
    "trick", ["/ # ", "~ $ ", "ready", r"\0361234567812345678 0\036", "Kernel panic - not syncing"]
)
def test_output_is_not_mistaken_for_the_end_of_a_reply(guest: Guest, trick: str) -> None:
    output = guest.run(f"printf '{trick}\\n'; echo behind; false")
    assert output.status == 1
    assert output.raw.endswith(b"behind\n")


def test_a_megabyte_of_output_comes_through(guest: Guest) -> None:
    assert len(guest.run("head -c 1000000 /dev/zero | tr '\\0' x", 60 * SCALE).raw) == 1_000_000


def test_output_that_is_read_late_comes_through(guest: Guest, monkeypatch: pytest.MonkeyPatch) -> None:
    """QEMU drops what a virtio console prints while the channel is full."""
    shell = guest._shell
    assert shell is not None
    expect = shell._expect

    def late(pattern: re.Pattern[bytes], seconds: float) -> re.Match[bytes]:
        time.sleep(2 * SCALE)
        return expect(pattern, seconds)

    monkeypatch.setattr(shell, "_expect", late)
    assert len(guest.run("head -c 250000 /dev/zero | tr '\\0' x", 60 * SCALE).raw) == 250_000


def test_a_restored_guest_knows_nothing_of_what_was_done_to_it(guest: Guest) -> None:
    guest.run("echo dirt >/tmp/dirt; insmod /modules/locks.ko")
    guest.restore()
    assert guest.run("ls /tmp").text == ""
    assert guest.run("cat /proc/modules").text == ""


def test_ten_restores_give_the_same_memory_bit_for_bit(bench: Bench, guest: Guest) -> None:
    """Memory and registers are compared while the CPUs are stopped, because running clocks would differ."""
    digests = set()
    image = bench.folder / "memory"
    for _ in range(10):
        guest.run("insmod /modules/locks.ko; head -c 300000 /bin/busybox >/tmp/dirt")
        control = guest.qemu.qmp
        control.command("stop")
        control.run_job("snapshot-load", tag=TAG, vmstate="state", devices=["state"])
        control.command("dump-guest-memory", paging=False, protocol=f"file:{image}")
        digests.add(digest.of_file(image))
        control.command("cont")
        assert guest.run("ls /tmp").text == ""
    image.unlink()
    assert len(digests) == 1


def test_a_panic_is_told_with_its_words(guest: Guest) -> None:
    failure = lose(guest, "echo c >/proc/sysrq-trigger")
    assert failure.fate is Fate.PANICKED
    assert "Kernel panic - not syncing: sysrq triggered crash" in failure.detail
    assert "panic" in failure.console_tail
    guest.restore()
    assert guest.run("echo well").text == "well"


def test_a_reset_is_told_from_a_panic(guest: Guest) -> None:
    assert lose(guest, "reboot -f; sleep 60").fate is Fate.RESET
    guest.restore()


def test_an_oops_leaves_a_guest_that_answers(guest: Guest) -> None:
    start = guest.console.size
    assert guest.run("insmod /modules/init_oops.ko").status != 0
    guest.mark("after the oops")
    assert b"init_oops_init" in guest.console.read(start)


def test_a_cpu_that_spins_with_interrupts_off_is_found_from_outside(bench: Bench, guest: Guest) -> None:
    guest.symbols = guest.symbols.expecting("init_spins", bench.board.arch)
    failure = lose(guest, "insmod /modules/init_spins.ko", 3 * SCALE)
    assert failure.fate is Fate.SILENT
    assert len(failure.backtraces) == 2
    (spinning,) = [trace for trace in failure.backtraces if "[init_spins]" in trace.splitlines()[0]]
    assert "do_one_initcall" in spinning
    guest.restore()
    assert guest.run("echo well").text == "well"


def test_a_killed_qemu_is_told_from_a_dead_guest(guest: Guest) -> None:
    os.kill(guest.qemu.process.pid, signal.SIGKILL)
    failure = lose(guest, "echo gone")
    assert failure.fate is Fate.QEMU_DIED
    assert "signal 9" in failure.detail
    guest.restore()
    assert guest.run("echo well").text == "well"


def test_a_qemu_that_was_killed_between_two_commands_is_replaced(guest: Guest) -> None:
    guest.qemu.process.kill()
    guest.restore()
    assert guest.run("echo well").text == "well"


def test_a_stopped_qemu_is_a_silent_guest(guest: Guest) -> None:
    guest.qemu.qmp.command("stop")
    assert lose(guest, "echo silence", 1 * SCALE).fate is Fate.SILENT


def test_a_command_that_was_never_read_does_not_reach_the_restored_guest(guest: Guest) -> None:
    guest.qemu.qmp.command("stop")
    lose(guest, "touch /tmp/late", 0.5 * SCALE)
    guest.restore()
    guest.run("sleep 0.2")
    assert guest.run("ls /tmp").text == ""


def test_a_killed_agent_is_told_and_replaced(guest: Guest) -> None:
    assert lose(guest, "kill -9 $PPID; sleep 60").fate is Fate.AGENT_DIED
    guest.restore()
    assert guest.run("echo well").text == "well"


def test_garbage_and_ten_megabytes_on_the_console_harm_nothing(bench: Bench, guest: Guest) -> None:
    """User space writes directly to the console's UART, past the kernel's log."""
    tty = bench.board.console.split(",")[0]
    start = guest.console.size
    guest.run(f"stty raw -F /dev/{tty}; head -c 300000 /dev/urandom >/dev/{tty}; echo >/dev/{tty}", 120 * SCALE)
    guest.run(f"head -c 10000000 /dev/zero | tr '\\0' x >/dev/{tty}; echo >/dev/{tty}", 300 * SCALE)
    end = guest.mark("after the flood")
    assert end - start > 10_000_000
    assert guest.run("echo well").text == "well"


def test_one_uart_for_everything_is_enough(bench: Bench) -> None:
    machine = replace(bench.guest.machine, board=replace(bench.board, channel=Channel.SHARED))
    snapshot = find_snapshot(machine, Store(), TIMING)
    assert snapshot.obstacle == ""
    guest = Guest(
        machine,
        folder=bench.folder,
        console=bench.folder / "shared.log",
        state=empty_state(bench.folder),
        timing=TIMING,
    )
    try:
        guest.boot()
        for number in range(20):
            output = guest.run(f"echo 'kernel speaks {number}' >/dev/kmsg; echo {number}; exit {number}")
            assert output.status == number
        guest.mark("all said")
        assert b"kernel speaks 19" in guest.console.read()
    finally:
        guest.close()


def test_the_command_by_hand_gives_a_shell_on_the_terminal(bench: Bench, tmp_path: Path) -> None:
    terminal = pexpect.spawn(
        "sh", ["-c", bench.guest.machine.by_hand()], cwd=str(tmp_path), timeout=60 * SCALE, encoding="utf-8"
    )
    try:
        terminal.expect("# ")
        terminal.sendline("echo $((6*7)); ls /modules")
        terminal.expect("42\\s")
        terminal.expect("locks.ko")
        terminal.sendline("reboot -f")
        terminal.expect(pexpect.EOF)
    finally:
        terminal.close(force=True)
    assert b"Linux version" in (tmp_path / "console-by-hand.log").read_bytes()


def unsaveable(bench: Bench) -> Guest:
    """A guest on q35 with a device that QEMU cannot save."""
    board = replace(bench.board, options=("-device", "nvme,serial=1"))
    machine = replace(bench.guest.machine, board=board)
    store = Store(bench.folder / "cache")
    snapshot = find_snapshot(machine, store, TIMING)
    folder = bench.folder / "unsaveable"
    folder.mkdir(exist_ok=True)
    guest = Guest(machine, folder=folder, console=folder / "console.log", state=empty_state(folder), timing=TIMING)
    guest.obstacle = snapshot.obstacle
    return guest


def test_a_guest_that_cannot_be_restored_is_rebooted_and_says_so(bench: Bench) -> None:
    if bench.board.name != "q35":
        pytest.skip("nvme is a PCI device, and only q35 has PCI without further options")
    guest = unsaveable(bench)
    try:
        guest.make_pristine()
        guest.run("touch /tmp/dirt")
        guest.make_pristine()
        assert guest.run("ls /tmp").text == ""
        assert guest.origin.startswith("rebooted, for lack of a snapshot")
        assert "nvme" in guest.origin
    finally:
        guest.close()


def test_a_qemu_that_does_not_start_is_explained(bench: Bench, tmp_path: Path) -> None:
    machine = replace(bench.guest.machine, board=replace(BOARDS["x86_64-q35"], name="no-such-machine"))
    guest = Guest(machine, folder=tmp_path, console=tmp_path / "log", state=empty_state(tmp_path), timing=TIMING)
    with pytest.raises(ModcompatError) as caught:
        guest.boot()
    assert "exit status" in caught.value.problem
    assert "no-such-machine" in caught.value.details


def test_a_kernel_that_does_not_boot_is_explained(bench: Bench, tmp_path: Path) -> None:
    garbage = tmp_path / "image"
    garbage.write_bytes(os.urandom(1 << 20))
    machine = replace(bench.guest.machine, kernel=garbage)
    with pytest.raises(ModcompatError) as caught:
        find_snapshot(machine, Store(tmp_path / "cache"), replace(TIMING, boot=3 * SCALE))
    assert "did not" in caught.value.problem
    assert not list((tmp_path / "cache" / "snapshot").glob("*"))
