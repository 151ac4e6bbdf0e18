# SPDX-License-Identifier: Apache-2.0
"""Restores keep the code that QEMU has translated, and never one that is not the restored guest's."""

import pytest

from harness.guest.boards import BOARDS
from harness.guest.guest import Guest
from harness.guest.kept_code import KeptCode
from harness.kernel.features import FEATURES
from harness.kernel.variants import Variant
from harness.lab.execution.guest_pool import Guests
from harness.lab.execution.kernel_pool import Kernels
from harness.lab.plan.settings import Settings
from tests.system.conftest import TIMING

# The kernel patches the function that it traces, and leaves that to the restore.
_TRACE = (
    "mount -t tracefs tracefs /sys/kernel/tracing && cd /sys/kernel/tracing && echo vfs_open >set_ftrace_filter "
    "&& echo function >current_tracer && cat /proc/version >/dev/null && grep -c vfs_open trace"
)


def keeps_code(guest: Guest) -> bool:
    """Whether a restore keeps translated code after a module was loaded and unloaded."""
    guest.run("insmod modules/locks.ko && rmmod locks")
    guest.run("agent alive")
    guest.restore()
    return guest.kept_code


def test_restores_keep_code(guest: Guest) -> None:
    process = guest.qemu.process.pid
    assert [keeps_code(guest) for _ in range(4)] == [True] * 4
    assert guest.qemu.process.pid == process


def test_a_program_that_was_replaced_is_the_old_one_again(guest: Guest) -> None:
    """Another program is written over it, in the same memory."""
    before = guest.run("/tools/ioctl").text
    guest.restore()
    guest.run("dd if=/tools/latency of=/tools/ioctl conv=notrunc")
    assert guest.run("/tools/ioctl").text != before
    guest.restore()
    assert not guest.kept_code
    assert guest.run("/tools/ioctl").text == before
    assert keeps_code(guest)


def test_a_kernel_that_patched_itself_is_the_old_one_again() -> None:
    board = BOARDS["x86_64-q35"]
    with Guests(Kernels(Settings(timing=TIMING)), []) as guests:
        guest = guests.guest(board, Variant(feature=FEATURES["ftrace"]))
        kept = []
        for _ in range(12):
            traced = guest.run(_TRACE)
            assert traced.status == 0
            assert int(traced.text) > 0
            guest.restore()
            kept.append(guest.kept_code)
            assert guest.run("cat /proc/version").status == 0
        assert not any(kept)
        assert [keeps_code(guest) for _ in range(9)][-1]


def test_both_cpus_of_a_restored_guest_wake_up(guest: Guest) -> None:
    """They were idle, and their timers are not lost with the part of the state that is left out."""
    for _ in range(5):
        guest.restore()
        for cpu in (1, 2):
            assert guest.run(f"taskset {cpu} usleep 50000", 5.0).status == 0


def test_a_guest_does_not_run_before_its_code_is_compared(guest: Guest) -> None:
    guest.run("true")
    guest.restore()
    assert [event["event"] for event in guest.qemu.events() if event["event"] == "RESUME"] == ["RESUME"]


def test_an_interrupted_restore_is_followed_by_one_in_a_new_qemu(guest: Guest, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> bool:
        raise KeyboardInterrupt

    process = guest.qemu.process.pid
    with monkeypatch.context() as patched:
        patched.setattr(KeptCode, "is_valid", interrupt)
        with pytest.raises(KeyboardInterrupt):
            guest.restore()
    assert not guest.is_idle
    guest.restore()
    assert guest.qemu.process.pid != process
    assert guest.run("agent alive").status == 0
