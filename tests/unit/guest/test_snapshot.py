# SPDX-License-Identifier: Apache-2.0
"""Snapshots: a machine's refusal to be saved is remembered; a disk's failure is not."""

import json
import shutil
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from harness.guest import snapshot
from harness.guest.boards import BOARDS
from harness.guest.failure import Fate, GuestFailure
from harness.guest.guest import Timing
from harness.guest.machine import Machine
from harness.guest.qmp import QmpRefusedError
from harness.guest.snapshot import Snapshot, find_snapshot
from harness.support.cache.store import Store
from harness.support.errors import ModcompatError


class Guest:
    """A guest that boots (`boots` counts how often) and whose QEMU answers snapshot-save with `refusal`, if any."""

    refusal = ""
    boots = 0

    def __init__(self, machine: Machine, *, console: Path, **_: Any) -> None:
        self._console = console
        self.machine = machine

    @property
    def qemu(self) -> "Guest":
        return self

    @property
    def qmp(self) -> "Guest":
        return self

    def boot(self) -> None:
        Guest.boots += 1
        self._console.write_text("Linux version 6.1")

    def run_job(self, name: str, **_: Any) -> None:
        if Guest.refusal:
            raise QmpRefusedError(f"{name}: {Guest.refusal}")

    def close(self) -> None:
        pass


def empty_state(folder: Path) -> Path:
    (folder / "state.qcow2").touch()
    return folder / "state.qcow2"


MACHINE = Machine(BOARDS["x86_64-q35"], Path("image"), Path("initramfs"))


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(snapshot, "Guest", Guest)
    monkeypatch.setattr(snapshot, "empty_state", empty_state)
    monkeypatch.setattr("harness.guest.machine.qemu_version", lambda _: "QEMU 7.2")
    monkeypatch.setattr(Guest, "boots", 0)
    return Store(tmp_path / "cache")


def find(store: Store, monkeypatch: pytest.MonkeyPatch, refusal: str = "") -> Snapshot:
    monkeypatch.setattr(Guest, "refusal", refusal)
    return find_snapshot(MACHINE, Store(store.root), Timing())


@pytest.mark.parametrize(
    "refusal",
    [
        "State blocked by non-migratable device '0000:00:03.0/nvme'",
        "State blocked by non-migratable CPU device (invtsc flag)",
        "Device 'pflash1' is writable but does not support snapshots",
        "Migration disabled: TPM emulator does not support migration",
        "Migration is disabled when VirtFS export path '/' is mounted in the guest using mount_tag 'a'",
    ],
)
def test_a_machine_that_cannot_be_saved_is_not_asked_again(
    store: Store, monkeypatch: pytest.MonkeyPatch, refusal: str
) -> None:
    for _ in range(2):
        found = find(store, monkeypatch, refusal)
        assert (found.state, found.obstacle) == (None, f"snapshot-save: {refusal}")
    assert Guest.boots == 1


def test_a_guest_that_would_lose_its_timers_is_not_saved(store: Store) -> None:
    machine = Machine(BOARDS["riscv64-virt"], Path("image"), Path("initramfs"))
    for _ in range(2):
        found = find_snapshot(machine, Store(store.root), Timing())
        assert found.state is None
        assert "it loses their timers" in found.obstacle
    assert Guest.boots == 1


@pytest.mark.parametrize(
    ("console", "remedy"),
    [
        (
            "[ 3.3] Kernel panic - not syncing: System is deadlocked on memory",
            "more than its 128 MiB with --guest-memory",
        ),
        ("[ 9.1] VFS: Cannot open root device", "if the machine is slow, use --timeout-scale"),
    ],
)
def test_a_guest_without_memory_is_told_from_one_that_needs_time(
    store: Store, monkeypatch: pytest.MonkeyPatch, console: str, remedy: str
) -> None:
    failure = GuestFailure(Fate.PANICKED, "boot", 9.0, console_tail=console)
    monkeypatch.setattr(Guest, "boot", Mock(side_effect=failure))
    with pytest.raises(ModcompatError, match="did not boot") as caught:
        find(store, monkeypatch)
    assert remedy in caught.value.next_step


def test_a_failed_write_is_not_remembered(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModcompatError, match=r"could not save its state: .*Input/output error\n"):
        find(store, monkeypatch, "Input/output error")
    assert find(store, monkeypatch).state


def test_a_full_disk_is_told_with_what_is_free(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")._replace(free=3_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(ModcompatError, match=f"3 MB are free in {store.root}") as caught:
        find(store, monkeypatch, "Input/output error")
    assert "cache prune" in caught.value.next_step


def test_a_failed_write_that_was_remembered_is_forgotten(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def build(folder: Path) -> None:
        (folder / "boot.log").touch()
        (folder / "snapshot.json").write_text(json.dumps({"obstacle": "snapshot-save: Input/output error"}))

    store.get_or_build("snapshot", MACHINE.board.id, MACHINE.identity(), build)
    assert find(store, monkeypatch).state
