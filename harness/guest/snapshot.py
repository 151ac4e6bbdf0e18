# SPDX-License-Identifier: Apache-2.0
"""Snapshots of guests right after boot, kept in the cache across runs."""

import json
import re
import shutil
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.guest.failure import GuestFailure
from harness.guest.guest import TAG, Guest, Timing, copy_state
from harness.guest.machine import Machine
from harness.guest.qmp import QmpLostError, QmpRefusedError
from harness.guest.saved_state import SavedState, UnknownStateError
from harness.support import process
from harness.support.cache.store import FREE_SOME, Store
from harness.support.errors import ModcompatError

# QEMU's errors for a machine that it can never save (migration/savevm.c, block/snapshot.c, and the migration blockers
# of devices and accelerators). Any other error may be temporary: a disk may be full, or fail.
_PERMANENT_ERROR = re.compile(
    "migratable|does not support (snapshots|migration)|migration (is )?disabled|state blocked",
    re.IGNORECASE,
)
# of mm/oom_kill.c, and of kernel/fork.c and others when there is nobody to kill
_NO_MEMORY = re.compile("System is deadlocked on memory|Out of memory", re.IGNORECASE)
_MB = 1_000_000
_MOST_SAVES = 5
_IDLE_SECONDS = 0.1  # in which a guest that has nothing to do becomes idle


@dataclass(frozen=True)
class Snapshot:
    """A saved guest."""

    state: Path | None  # the qcow2 image that contains it, None if it cannot be saved
    boot_log: Path
    obstacle: str = ""  # why it cannot be saved, "" if it was
    keeps_code: bool = False  # restores of it keep what QEMU has translated


def find_snapshot(machine: Machine, store: Store, timing: Timing) -> Snapshot:
    """The snapshot of a machine, from an earlier run or made now by booting it.

    Raises ModcompatError if the guest does not boot, or if its state cannot be saved this time.
    """
    inputs = machine.identity()

    def build(folder: Path) -> None:
        obstacle, keeps_code = "", False
        state = empty_state(folder)
        with store.scratch() as scratch:
            guest = Guest(machine, folder=scratch, console=folder / "boot.log", state=state, timing=timing)
            try:
                guest.boot()
                if machine.board.arch.quirks.loses_timers:
                    obstacle = f"QEMU does not support snapshots of {machine.board.arch.name}: it loses their timers"
                else:
                    keeps_code = _save(guest, state)
            except QmpRefusedError as error:
                obstacle = str(error)
                if not _PERMANENT_ERROR.search(obstacle):
                    raise _unsaved(machine, folder, obstacle) from None
            except QmpLostError as error:
                raise ModcompatError(
                    f"{machine.board.id} booted, but QEMU did not save its state: {error}",
                    next_step="if the disk or the machine is slow, use --timeout-scale",
                ) from None
            except GuestFailure as failure:
                raise ModcompatError(
                    f"{machine.board.id} did not boot: {failure.fate.value} after {failure.waited:.0f} s",
                    details=f"{failure.detail}\n{failure.console_tail}",
                    next_step=f"{_remedy(failure, machine.board.memory)}; by hand: {machine.by_hand()}",
                ) from failure
            finally:
                guest.close()
            keeps_code = keeps_code and _works_with_kept_code(machine, state, scratch, timing)
        if obstacle:
            state.unlink()
        (folder / "snapshot.json").write_text(json.dumps({"obstacle": obstacle, "keeps_code": keeps_code}))

    known = store.get("snapshot", machine.board.id, inputs)
    if known and (obstacle := _obstacle(known)) and not _PERMANENT_ERROR.search(obstacle):  # from an older version
        store.forget(known)
    folder = store.get_or_build("snapshot", machine.board.id, inputs, build)
    facts = _facts(folder)
    obstacle = facts["obstacle"]
    state = None if obstacle else folder / "state.qcow2"
    return Snapshot(state, folder / "boot.log", obstacle, facts.get("keeps_code", False))


def _save(guest: Guest, state: Path) -> bool:
    """Save the state of a guest. Returns whether its restores can keep translated code.

    They can if it was saved while the CPUs were idle, which takes an attempt or two, and if no module is loaded yet.
    Raises QmpRefusedError, QmpLostError, GuestFailure.
    """
    may_keep = guest.machine.keeper is not None and not guest.run("cat /proc/modules").text
    for attempt in range(_MOST_SAVES if may_keep else 1):
        if attempt:
            time.sleep(_IDLE_SECONDS)
            guest.qemu.qmp.run_job("snapshot-delete", tag=TAG, devices=["state"])
        guest.qemu.qmp.run_job("snapshot-save", tag=TAG, vmstate="state", devices=["state"])
        try:
            if may_keep and SavedState(state).can_leave_out_cpus:
                return True
        except UnknownStateError:  # of another version of QEMU
            break
    return False


def _works_with_kept_code(machine: Machine, state: Path, folder: Path, timing: Timing) -> bool:
    """Whether a guest works that keeps translated code, when it is restored twice. folder: for files of the guest."""
    try:
        guest = Guest(
            machine, folder=folder, console=folder / "console.log", state=copy_state(state, folder), timing=timing,
            keeps_code=True,
        )  # fmt: skip
        with closing(guest):
            for _ in range(3):
                guest.restore()
                guest.run("agent alive")
            return True
    except (QmpRefusedError, GuestFailure, ModcompatError, OSError):
        return False  # for instance because QEMU does not start without a kernel, or because the disk is full


def _remedy(failure: GuestFailure, mib: int) -> str:
    """What may help a guest that does not boot. mib: its memory."""
    if _NO_MEMORY.search(f"{failure.detail}\n{failure.console_tail}"):
        return f"it ran out of memory: give it more than its {mib} MiB with --guest-memory"
    return "if the machine is slow, use --timeout-scale"


def _obstacle(folder: Path) -> str:
    return str(_facts(folder)["obstacle"])


def _facts(folder: Path) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((folder / "snapshot.json").read_text())
    return facts


def _unsaved(machine: Machine, folder: Path, why: str) -> ModcompatError:
    """The error for a state that was not saved. It reports the free space if the guest's memory might not fit."""
    free = shutil.disk_usage(folder).free
    problem = f"{machine.board.id} booted, but QEMU could not save its state: {why}"
    if free >= machine.board.memory << 20:
        return ModcompatError(problem, next_step=f"try again; QEMU writes the state to {folder.parent}")
    return ModcompatError(f"{problem}; {free / _MB:.0f} MB are free in {folder.parent}", next_step=FREE_SOME)


def empty_state(folder: Path) -> Path:
    """A new qcow2 image for snapshots."""
    state = folder / "state.qcow2"
    process.output(["qemu-img", "create", "-q", "-f", "qcow2", state, "1M"])
    return state
