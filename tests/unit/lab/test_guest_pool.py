# SPDX-License-Identifier: Apache-2.0
"""Guests that are kept: one that does not start is not started again, and all of them are ended."""

import os
from pathlib import Path
from unittest.mock import Mock

import pytest

from harness.guest.boards import BOARDS, Channel
from harness.guest.failure import GuestFailure
from harness.guest.guest import Guest, Timing
from harness.guest.qemu import Qemu
from harness.kernel.features import FEATURES
from harness.kernel.variants import PRODUCTION, variant_of
from harness.lab.execution import guest_pool as module
from harness.lab.execution.guest_pool import Equipment, Guests, Place
from harness.lab.execution.kernel_pool import Kernels
from harness.lab.plan.settings import Settings
from harness.lab.plan.vendor_modules import VendorModule
from harness.support.cache.store import Store
from harness.support.errors import ModcompatError
from harness.support.time_limit import DeadlineError

BOARD = BOARDS["x86_64-q35"]
STOCK = variant_of(FEATURES["spinlock"])


@pytest.fixture
def guests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Guests:
    """Guests that need no kernel."""
    monkeypatch.setattr(Guests, "equip", lambda *_: Equipment(Mock(), Mock(), {}, {}, {}))
    return Guests(Kernels(Settings(), Store(tmp_path / "cache")))


def place(guest: Guest) -> Place:
    return Place(guest, Mock(), Mock(), Path(), {}, "", {}, {}, {}, (), takes_modules=True)


def test_a_guest_that_does_not_boot_is_booted_once(guests: Guests, monkeypatch: pytest.MonkeyPatch) -> None:
    boot = Mock(side_effect=ModcompatError("it did not boot"))
    monkeypatch.setattr(module, "find_snapshot", boot)
    for variant, boots in ((STOCK, 1), (STOCK, 1), (PRODUCTION, 2), (STOCK, 2)):
        with pytest.raises(ModcompatError, match="it did not boot"):
            guests.guest(BOARD, variant)
        assert boot.call_count == boots


@pytest.mark.parametrize(("size", "memory"), [(0, 128), (10 << 20, 148), ((10 << 20) + 1, 149)])
def test_a_guest_has_room_for_what_the_user_brings(
    size: int, memory: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    firmware = tmp_path / "firmware"
    firmware.touch()
    os.truncate(firmware, size)
    kernels = Mock(settings=Settings(accelerator="tcg"), store=Store(tmp_path / "cache"))
    kernels.prebuilt.return_value = None
    monkeypatch.setattr(Channel, "lacks", lambda *_: [])
    monkeypatch.setattr(module, "in_order", lambda *_: ({}, {}))
    monkeypatch.setattr(module, "build_tools", lambda *_: {})
    monkeypatch.setattr(module, "build_initramfs", lambda *_: tmp_path)
    vendor = VendorModule("vendor", file=tmp_path / "vendor.ko", firmware=(("fw.bin", firmware),))
    with Guests(kernels, [vendor]) as guests:
        assert guests.equip(BOARD, PRODUCTION).machine.board.memory == memory


def test_a_guest_whose_answer_was_not_awaited_is_not_asked_again(tmp_path: Path) -> None:
    """The answer may come later, and would be taken for that of another command."""
    log = tmp_path / "log"
    log.touch()
    guest = Guest(Mock(userland=False), folder=tmp_path, console=log, state=tmp_path / "state", timing=Timing())
    guest._qemu, guest._shell = Mock(exit_status=None), Mock(**{"run.side_effect": DeadlineError})
    assert guest.is_idle
    with pytest.raises(DeadlineError):
        guest.run("sleep 1000")
    assert not guest.is_idle
    with pytest.raises(GuestFailure, match="its reply was not awaited"):
        guest.run("true")


def test_qemu_that_does_not_start_has_the_last_word(tmp_path: Path) -> None:
    says = ["sh", "-c", "echo 'qemu: initrd is too large' >&2; exit 1"]
    machine = Mock(shared_uart=False, **{"options.return_value": says, "serial.return_value": []})
    with pytest.raises(ModcompatError, match=r"^sh did not start \(exit status 1\): qemu: initrd is too large\n"):
        Qemu(machine, folder=tmp_path, console=tmp_path / "log", state=tmp_path / "state", paused=False, timeout=60.0)


def test_a_guest_that_cannot_be_ended_keeps_no_other_from_it(guests: Guests, monkeypatch: pytest.MonkeyPatch) -> None:
    started = [Mock(**{"close.side_effect": effect}) for effect in (None, OSError("stuck"), None)]
    monkeypatch.setattr(guests, "_furnish", Mock(side_effect=map(place, started)))
    for board in ("x86_64-q35", "arm-virt", "arm64-virt"):
        guests.guest(BOARDS[board], PRODUCTION)
    with pytest.raises(OSError, match="stuck"):
        guests.close()
    assert [guest.close.call_count for guest in started] == [1, 1, 1]
    assert not guests.scratch.exists()


def test_a_guest_that_is_lost_as_it_starts_is_ended(guests: Guests, monkeypatch: pytest.MonkeyPatch) -> None:
    guest = Mock(**{"make_pristine.side_effect": ModcompatError("QEMU did not start")})
    monkeypatch.setattr(module, "find_snapshot", lambda *_: Mock(state=None))
    monkeypatch.setattr(module, "empty_state", lambda folder: folder)
    monkeypatch.setattr(module, "Guest", lambda *_, **__: guest)
    monkeypatch.setattr(module, "read_symbols", lambda _: None)
    with pytest.raises(ModcompatError, match="QEMU did not start"):
        guests.guest(BOARD, PRODUCTION)
    assert guest.close.called
