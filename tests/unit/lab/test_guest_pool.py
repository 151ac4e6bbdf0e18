# SPDX-License-Identifier: Apache-2.0
"""The pool of guests: a failed start is not repeated, idle guests are paused, and every guest is ended."""

import lzma
import os
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from harness.guest.boards import BOARDS, Board, Channel
from harness.guest.failure import GuestFailure
from harness.guest.guest import Guest, Timing
from harness.guest.qemu import Qemu
from harness.guest.qmp import QmpLostError, QmpRefusedError
from harness.guest.snapshot import Snapshot
from harness.kernel.features import FEATURES
from harness.kernel.variants import PRODUCTION, Variant, variant_of
from harness.lab.execution import guest_pool as module
from harness.lab.execution.guest_pool import GuestImage, Guests, RunningGuest
from harness.lab.execution.kernel_pool import Kernels
from harness.lab.plan.settings import Settings
from harness.lab.plan.vendor_modules import Companion, VendorModule
from harness.support.cache.ownership import MANIFEST
from harness.support.cache.store import Store
from harness.support.errors import ModcompatError
from harness.support.time_limit import DeadlineError

BOARD = BOARDS["x86_64-q35"]
MACHINE = Mock(initramfs=Path())
STOCK = variant_of(FEATURES["spinlock"])


@pytest.fixture
def guests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Guests:
    """A pool whose guests need no kernel."""
    monkeypatch.setattr(Guests, "prepare", lambda *_: image_of(Mock(initramfs=Path())))
    return Guests(Kernels(Settings(), Store(tmp_path / "cache")))


def image_of(machine: Mock) -> GuestImage:
    return GuestImage(Mock(), machine, {}, {}, {})


def running(guest: Guest) -> RunningGuest:
    return RunningGuest(guest, image_of(Mock(initramfs=Path())), Snapshot(None, Path()), Path(), {}, "", ())


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
    (tmp_path / "vendor.ko").touch()
    kernels = Mock(settings=Settings(accelerator="tcg"), store=Store(tmp_path / "cache"))
    kernels.prebuilt.return_value = None
    monkeypatch.setattr(Channel, "lacks", lambda *_: [])
    monkeypatch.setattr(module, "load_order", lambda *_: ({}, {}))
    monkeypatch.setattr(module, "build_tools", lambda *_: {})
    monkeypatch.setattr(module, "build_initramfs", lambda *_: tmp_path)
    vendor = VendorModule("vendor", file=tmp_path / "vendor.ko", firmware=(("fw.bin", firmware),))
    with Guests(kernels, [vendor]) as guests:
        assert guests.prepare(BOARD, PRODUCTION).machine.board.memory == memory


@pytest.mark.parametrize(
    ("chosen", "config", "memory"),
    [
        ({}, {}, 512),
        ({}, {"KASAN": "y", "KASAN_GENERIC": "y"}, 1024),
        ({"has_kasan": True}, {}, 1024),  # memory that a driver finds must be the same on all kernels of a run
        ({"has_kasan": True, "memory": 700}, {"KASAN": "y", "KASAN_GENERIC": "y"}, 700),
    ],
)
def test_a_large_kernel_has_room_for_the_shadow_of_its_memory(
    chosen: dict[str, Any], config: dict[str, str], memory: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(accelerator="tcg", configs={"x86_64": Mock()}, **chosen)
    monkeypatch.setattr("harness.kernel.required_options.missing", lambda *_: [])
    monkeypatch.setattr("harness.kernel.required_options.unmet", lambda *_: [])
    monkeypatch.setattr(module, "channel_for", lambda *_: Channel.SHARED)
    with Guests(Mock(settings=settings, store=Store(tmp_path / "cache"))) as guests:
        assert guests._adapt_board(BOARD, Mock(config=config), None, 0).memory == memory


def test_a_guest_whose_answer_was_not_awaited_is_not_asked_again(tmp_path: Path) -> None:
    """The answer may still arrive, and would be taken for that of another command."""
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
    machine = Mock(
        shared_uart=False, mailbox=0, accesses=None, **{"options.return_value": says, "serial.return_value": []}
    )
    with pytest.raises(ModcompatError, match=r"^sh did not start \(exit status 1\): qemu: initrd is too large\n"):
        Qemu(machine, folder=tmp_path, console=tmp_path / "log", state=tmp_path / "state", paused=False, timeout=60.0)


def test_a_guest_that_cannot_be_ended_keeps_no_other_from_it(guests: Guests, monkeypatch: pytest.MonkeyPatch) -> None:
    started = [Mock(**{"close.side_effect": effect}) for effect in (None, OSError("stuck"), None)]
    monkeypatch.setattr(guests, "_start", Mock(side_effect=map(running, started)))
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


def test_a_guest_that_nobody_uses_is_paused(guests: Guests, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are paused before a guest starts, because building its kernel may take minutes."""
    names = ("x86_64-q35", "arm-virt", "arm64-virt")
    started = {name: Mock(name=name) for name in names}
    paused_first: list[list[str]] = []

    def start(board: Board, *_: object) -> RunningGuest:
        paused_first.append([name for name in names if started[name].pause.called])
        return running(started[board.id])

    monkeypatch.setattr(guests, "_start", start)
    for name in names:
        guests.guest(BOARDS[name], PRODUCTION)
    assert paused_first == [[], ["x86_64-q35"], ["x86_64-q35", "arm-virt"]]
    assert not started["arm64-virt"].pause.called
    guests.pause_all()
    assert started["arm64-virt"].pause.called


@pytest.mark.parametrize("same_machine", [True, False], ids=["posted", "inside"])
def test_other_modules_in_a_running_guest(
    *, same_machine: bool, guests: Guests, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A guest that the modules are posted to goes on; one that has them in its file system is started again."""
    started: list[RunningGuest] = []

    def prepare(*_: object) -> GuestImage:
        return image_of(MACHINE if same_machine else Mock(initramfs=Path()))

    def start(board: Board, variant: Variant, folder: Path) -> RunningGuest:
        folder.mkdir()
        image = guests.prepare(board, variant)
        started.append(RunningGuest(Mock(), image, Snapshot(None, Path()), folder, {}, "", (), guests._generation))
        return started[-1]

    monkeypatch.setattr(Guests, "prepare", prepare)
    monkeypatch.setattr(guests, "_start", start)
    before = guests.running(BOARD, PRODUCTION).image
    assert guests.running(BOARD, PRODUCTION).image is before
    guests.use([VendorModule("other")])
    assert guests.running(BOARD, PRODUCTION).image is not before
    assert len(started) == (1 if same_machine else 2)
    assert started[0].guest.close.called is not same_machine  # type: ignore[attr-defined]


def test_what_a_running_guest_needs_of_the_cache_is_in_use(guests: Guests, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process trims the cache when it has ended, and a sweep uses its guests for hours."""
    entries = [guests._store.get_or_build(kind, "q35", {}, lambda _: None) for kind in ("snapshot", "initramfs")]
    snapshot, initramfs = entries
    image = image_of(Mock(initramfs=initramfs / "initramfs.cpio"))
    started = RunningGuest(Mock(), image, Snapshot(None, snapshot / "boot.log"), Path(), {}, "", ())
    monkeypatch.setattr(guests, "_start", lambda *_: started)
    guests.running(BOARD, PRODUCTION)
    for entry in entries:
        os.utime(entry / MANIFEST, (0, 0))
    guests.running(BOARD, PRODUCTION)
    guests._store.trim("snapshot", keep=0, unused_for=3600)
    guests._store.trim("initramfs", keep=0, unused_for=3600)
    assert all(entry.is_dir() for entry in entries)


def test_a_damaged_file_keeps_no_other_module_from_its_guest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("good.ko", "needs.ko"):
        (tmp_path / name).touch()
    bad = tmp_path / "bad.ko.xz"
    bad.write_bytes(lzma.compress(bytes(1000))[:40])
    kernels = Mock(settings=Settings(accelerator="tcg"), store=Store(tmp_path / "cache"))
    kernels.prebuilt.return_value = None
    before = {"good": (), "needs": (Companion("modules/needed/bad.ko", is_required=True),)}
    monkeypatch.setattr(Channel, "lacks", lambda *_: [])
    monkeypatch.setattr(Guests, "_posts", lambda *_: True)
    monkeypatch.setattr(module, "load_order", lambda *_: (before, {"modules/needed/bad.ko": bad}))
    monkeypatch.setattr(module, "build_tools", lambda *_: {})
    monkeypatch.setattr(module, "build_initramfs", lambda *_: tmp_path)
    modules = [VendorModule(file.name.partition(".")[0], file=file) for file in (bad, *tmp_path.glob("*.ko"))]
    with Guests(kernels, modules) as guests:
        image = guests.prepare(BOARD, PRODUCTION)
    assert set(image.posted) == {"good"}
    assert {name: "xz data is damaged" in str(error) for name, error in image.damaged.items()} == {
        "bad": True, "needs": True,
    }  # fmt: skip


def idle(tmp_path: Path) -> tuple[Guest, list[str]]:
    """A guest that waits for a command, and the list of QMP commands that its QEMU receives."""
    log = tmp_path / "log"
    log.touch()
    seen: list[str] = []
    guest = Guest(Mock(userland=False), folder=tmp_path, console=log, state=tmp_path / "state", timing=Timing())

    def note(name: str, *_: object, **__: object) -> None:
        seen.append(name)

    qmp = Mock(**{"command.side_effect": note, "run_job.side_effect": note})
    guest._qemu = Mock(exit_status=None, qmp=qmp, **{"stop_reason.return_value": None})
    guest._shell = Mock(**{"run.side_effect": note})
    return guest, seen


def test_a_paused_guest_goes_on_before_its_next_command(tmp_path: Path) -> None:
    guest, seen = idle(tmp_path)
    guest.pause()
    guest.pause()
    guest.run("true")
    guest.run("false")
    assert seen == ["stop", "cont", "true", "false"]
    guest.pause()
    guest.run("true")
    assert seen[-3:] == ["stop", "cont", "true"]


def test_a_paused_guest_is_restored_in_place(tmp_path: Path) -> None:
    guest, seen = idle(tmp_path)
    guest.pause()
    guest.restore()
    guest.run("true")
    assert seen == ["stop", "stop", "snapshot-load", "cont", "true"]


def test_a_running_guest_stops_before_its_state_is_loaded(tmp_path: Path) -> None:
    guest, seen = idle(tmp_path)
    guest.restore()
    assert seen == ["stop", "snapshot-load", "cont"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, QmpRefusedError("no"), OSError])
def test_nothing_is_known_of_a_guest_whose_restore_did_not_end(tmp_path: Path, error: BaseException) -> None:
    guest, _ = idle(tmp_path)
    guest.qemu.qmp.run_job.side_effect = error  # type: ignore[attr-defined]
    with pytest.raises(BaseException):  # noqa: B017, PT011 - whichever it is
        guest.restore()
    assert not guest.is_idle


def test_a_guest_that_was_lost_is_not_paused(tmp_path: Path) -> None:
    guest, seen = idle(tmp_path)
    guest._qemu = Mock(exit_status=-9, qmp=Mock(**{"command.side_effect": seen.append}))
    guest.pause()
    guest._qemu = Mock(exit_status=None, **{"stop_reason.return_value": "guest-reset"})
    guest.pause()
    assert seen == []
    assert not guest._qemu.qmp.command.called


def test_a_qemu_that_is_gone_is_found_by_the_command_that_follows(tmp_path: Path) -> None:
    guest, seen = idle(tmp_path)
    guest.pause()
    guest.qemu.qmp.command.side_effect = QmpLostError("QEMU is gone")  # type: ignore[attr-defined]
    guest.run("true")
    assert seen == ["stop", "true"]
    guest.pause()
    guest.run("true")
    assert seen == ["stop", "true", "true"]
