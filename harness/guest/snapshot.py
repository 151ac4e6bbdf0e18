# SPDX-License-Identifier: Apache-2.0
"""Snapshots: a guest right after boot, kept in the cache across runs."""

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from harness.guest.failure import GuestFailure
from harness.guest.guest import TAG, Guest, Timing
from harness.guest.machine import Machine
from harness.guest.qmp import QmpLostError, QmpRefusedError
from harness.support import process
from harness.support.cache.store import FREE_SOME, Store
from harness.support.errors import ModcompatError

# What QEMU says of a machine that it can never save (its migration/savevm.c, block/snapshot.c, and what its devices and
# accelerators block migration with). All else may be otherwise the next time: a disk may be full, or fail.
_LASTING = re.compile(
    "migratable|does not support (snapshots|migration)|migration (is )?disabled|state blocked",
    re.IGNORECASE,
)
_MB = 1_000_000


@dataclass(frozen=True)
class Snapshot:
    """A saved guest. state: qcow2 image that holds it, or None where saving is impossible (`obstacle`)."""

    state: Path | None
    boot_log: Path
    obstacle: str = ""


def find_snapshot(machine: Machine, store: Store, timing: Timing) -> Snapshot:
    """The snapshot of a machine: kept from an earlier run, or made by booting it now.

    Raises ModcompatError when the guest does not boot, and when its state cannot be saved this time.
    """
    inputs = machine.identity()

    def build(folder: Path) -> None:
        obstacle = ""
        state = empty_state(folder)
        with store.scratch() as scratch:
            guest = Guest(machine, folder=scratch, console=folder / "boot.log", state=state, timing=timing)
            try:
                guest.boot()
                if machine.board.arch.quirks.loses_timers:
                    obstacle = f"QEMU does not support snapshots of {machine.board.arch.name}: it loses their timers"
                else:
                    guest.qemu.qmp.run_job("snapshot-save", tag=TAG, vmstate="state", devices=["state"])
            except QmpRefusedError as error:
                obstacle = str(error)
                if not _LASTING.search(obstacle):
                    raise _unsaved(machine, folder, obstacle) from None
            except QmpLostError as error:
                raise ModcompatError(
                    f"{machine.board.id} booted, and QEMU did not save its state: {error}",
                    next_step="a slow disk or machine wants --timeout-scale",
                ) from None
            except GuestFailure as failure:
                raise ModcompatError(
                    f"{machine.board.id} did not boot: {failure.fate.value} after {failure.waited:.0f} s",
                    details=f"{failure.detail}\n{failure.console_tail}",
                    next_step="a slow machine wants --timeout-scale; by hand: " + machine.by_hand(),
                ) from failure
            finally:
                guest.close()
        if obstacle:
            state.unlink()
        (folder / "snapshot.json").write_text(json.dumps({"obstacle": obstacle}))

    known = store.get("snapshot", machine.board.id, inputs)
    if known and (obstacle := _obstacle(known)) and not _LASTING.search(obstacle):  # kept by an older version
        store.forget(known)
    folder = store.get_or_build("snapshot", machine.board.id, inputs, build)
    obstacle = _obstacle(folder)
    return Snapshot(None if obstacle else folder / "state.qcow2", folder / "boot.log", obstacle)


def _obstacle(folder: Path) -> str:
    return str(json.loads((folder / "snapshot.json").read_text())["obstacle"])


def _unsaved(machine: Machine, folder: Path, why: str) -> ModcompatError:
    """Of a disk that a guest's memory may not fit on, the room is told."""
    free = shutil.disk_usage(folder).free
    problem = f"{machine.board.id} booted, and QEMU could not save its state: {why}"
    if free >= machine.board.memory << 20:
        return ModcompatError(problem, next_step=f"try again; the state was to be written to {folder.parent}")
    return ModcompatError(f"{problem}; {free / _MB:.0f} MB are free in {folder.parent}", next_step=FREE_SOME)


def empty_state(folder: Path) -> Path:
    """A new qcow2 image for snapshots."""
    state = folder / "state.qcow2"
    process.output(["qemu-img", "create", "-q", "-f", "qcow2", state, "1M"])
    return state
