"""Snapshots: a guest right after boot, kept in the cache across runs."""

import json
from dataclasses import dataclass
from pathlib import Path

from harness import process
from harness.errors import ModcompatError
from harness.guest.failure import GuestFailure
from harness.guest.guest import TAG, Guest, Timing
from harness.guest.machine import Machine
from harness.guest.qmp import QmpLostError, QmpRefusedError
from harness.store import Store


@dataclass(frozen=True)
class Snapshot:
    """A saved guest. state: qcow2 image that holds it, or None where saving is impossible (`obstacle`)."""

    state: Path | None
    boot_log: Path
    obstacle: str = ""


def find_snapshot(machine: Machine, store: Store, timing: Timing) -> Snapshot:
    """The snapshot of a machine: kept from an earlier run, or made by booting it now.

    Raises ModcompatError when the guest does not boot.
    """

    def build(folder: Path) -> None:
        obstacle = ""
        state = empty_state(folder)
        with store.scratch() as scratch:
            guest = Guest(machine, folder=scratch, console=folder / "boot.log", state=state, timing=timing)
            try:
                guest.boot()
                guest.qemu.qmp.run_job("snapshot-save", tag=TAG, vmstate="state", devices=["state"])
            except QmpRefusedError as error:
                obstacle = str(error)
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

    folder = store.get_or_build("snapshot", machine.board.id, machine.identity(), build)
    obstacle = json.loads((folder / "snapshot.json").read_text())["obstacle"]
    return Snapshot(None if obstacle else folder / "state.qcow2", folder / "boot.log", obstacle)


def empty_state(folder: Path) -> Path:
    """A new qcow2 image for snapshots."""
    state = folder / "state.qcow2"
    process.output(["qemu-img", "create", "-q", "-f", "qcow2", state, "1M"])
    return state
