# SPDX-License-Identifier: Apache-2.0
"""Restores keep the code that QEMU has translated, and never one that is not the restored guest's."""

from harness.guest.boards import BOARDS
from harness.guest.guest import Guest
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


def processes(guest: Guest, restores: int) -> set[int]:
    """The processes of QEMU that a guest ran in."""
    used = set()
    for _ in range(restores):
        guest.restore()
        used.add(guest.qemu.process.pid)
        guest.run("insmod modules/locks.ko && rmmod locks")
        guest.run("agent alive")
    return used


def test_cells_share_a_process(guest: Guest) -> None:
    guest.restore()
    assert guest.qemu.kept_code
    assert processes(guest, 4) == {guest.qemu.process.pid}


def test_a_program_that_was_replaced_is_the_old_one_again(guest: Guest) -> None:
    """Another program is written over it, in the same memory."""
    before = guest.run("/tools/ioctl").text
    guest.restore()
    used = guest.qemu.process.pid
    guest.run("dd if=/tools/latency of=/tools/ioctl conv=notrunc")
    assert guest.run("/tools/ioctl").text != before
    guest.restore()
    assert guest.qemu.process.pid != used
    assert guest.run("/tools/ioctl").text == before


def test_a_kernel_that_patched_itself_is_the_old_one_again() -> None:
    board = BOARDS["x86_64-q35"]
    with Guests(Kernels(Settings(timing=TIMING)), []) as guests:
        guest = guests.guest(board, Variant(feature=FEATURES["ftrace"]))
        assert processes(guest, 2) == {guest.qemu.process.pid}
        before = guest.qemu.process.pid
        traced = guest.run(_TRACE)
        assert traced.status == 0
        assert int(traced.text) > 0
        guest.restore()
        assert guest.qemu.process.pid != before
        assert guest.run("cat /proc/version").status == 0
        assert guest.run(_TRACE).status == 0
        assert processes(guest, 2) == {guest.qemu.process.pid}


def test_both_cpus_of_a_restored_guest_wake_up(guest: Guest) -> None:
    """They were idle, and their timers are not lost with the part of the state that is left out."""
    for _ in range(5):
        guest.restore()
        for cpu in (1, 2):
            assert guest.run(f"taskset {cpu} usleep 50000", 5.0).status == 0
