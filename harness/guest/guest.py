# SPDX-License-Identifier: Apache-2.0
"""A guest that is booted or restored, runs commands, is watched, and returns to its pristine state."""

import contextlib
import re
import shlex
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from harness.guest.accesses import AccessLog
from harness.guest.backtrace import Symbols, backtraces, read_memory
from harness.guest.console import ConsoleLog
from harness.guest.failure import Fate, GuestFailure
from harness.guest.machine import Machine
from harness.guest.qemu import Qemu
from harness.guest.qmp import QmpLostError, QmpRefusedError
from harness.guest.saved_state import SavedState, UnknownStateError
from harness.guest.shell import AgentRestartedError, ChannelClosedError, NoReplyError, Output, Shell

T = TypeVar("T")

TAG = "pristine"
RESTORED = "restored"  # the origin of a guest from a snapshot
_BANNER = b"Linux version"  # the kernel's first line, linux_banner in init/version.c
_EXIT_POLL_SECONDS = 0.5  # between two checks whether QEMU still runs
_PANIC = b"Kernel panic - not syncing"
_PHYSICAL = re.compile(r"gpa: 0x([0-9a-f]+)")  # the answer to gva2gpa, monitor/misc.c of QEMU 7.2
_PANIC_GRACE_SECONDS = 3.0  # for a panicked kernel to reset
_MOST_STALE = 2  # restores in a row whose code is compared with that of the former guest, if it always differs
_TRY_AGAIN = 8
_FAULT_GRACE_SECONDS = 2.5  # for an answer from a kernel that has reported a fault meanwhile
_REASONS = {"guest-reset": Fate.RESET, "guest-shutdown": Fate.POWERED_OFF, "guest-panic": Fate.PANICKED}


@dataclass(frozen=True)
class Timing:
    """Time limits in seconds, on a machine of ordinary speed."""

    boot: float = 60.0  # until the agent answers
    command: float = 15.0  # for a reply
    late: float = 8.0  # for reports that arrive after a timeout
    qemu: float = 30.0  # for QEMU itself, including snapshots
    scale: float = 1.0  # the factor of scaled()

    def scaled(self, scale: float) -> "Timing":
        """The same limits for a machine that is slower by a factor."""
        return Timing(self.boot * scale, self.command * scale, self.late * scale, self.qemu * scale, scale)


class Guest:
    """One guest at a time, in one QEMU after the other."""

    def __init__(
        self, machine: Machine, *, folder: Path, console: Path, state: Path, timing: Timing, keeps_code: bool = False
    ) -> None:
        """folder: private scratch space. console: file for the kernel log. state: a private qcow2 image.

        keeps_code: whether the snapshot in it makes QEMU keep translated code.
        """
        self.machine = machine
        self.timing = timing
        self.console = ConsoleLog(console)
        self.symbols = Symbols((), 0)
        # how it reached its current state: "booted", "restored" ...
        self.origin = ""
        # position in the console log at which the current state begins
        self.log_start = 0
        # memory of the restored guest, by address and size: read once, because every restore brings back the same
        self.restored_memory: dict[tuple[int, int], bytes] = {}
        # why there is no snapshot to restore; "" if there is one
        self.obstacle = ""
        # whether console text reports a fault of the kernel; after one, the wait for an answer is short
        self.is_fault: Callable[[bytes], bool] = lambda _: False
        self._folder = folder
        self._state = state
        # whether the last restore kept translated code
        self.kept_code = False
        self._saved: SavedState | None = None
        if keeps_code:
            with contextlib.suppress(UnknownStateError):  # it is damaged, which QEMU will report
                self._saved = SavedState(state)
        self._stale = 0  # restores in a row after which translated code was not the guest's, or would not have been
        self._is_new = True  # whether nothing has run in this QEMU
        self._qemu: Qemu | None = None
        self._shell: Shell | None = None
        self._failure: GuestFailure | None = None
        self._panic_scan = 0
        self._is_paused = False
        self._page_table: int | None = None  # physical address of the kernel's own

    @property
    def is_idle(self) -> bool:
        """Whether the guest is running and waits for a command."""
        return self._qemu is not None and not self._failure and self._qemu.exit_status is None

    @property
    def qemu(self) -> Qemu:
        if self._qemu is None:
            raise RuntimeError("the guest is not running")
        return self._qemu

    def make_pristine(self) -> None:
        """Bring the guest to its state right after boot, by a restore, or by a reboot if that is impossible.

        Raises GuestFailure, ModcompatError.
        """
        if not self.obstacle:
            try:
                self.restore()
            except QmpRefusedError as error:
                self.obstacle = str(error)
            else:
                return
        self.boot()
        self.origin = f"rebooted, for lack of a snapshot: {self.obstacle}"

    def boot(self) -> None:
        """Boot the guest. Raises GuestFailure, ModcompatError."""
        for _ in range(self.machine.board.arch.quirks.boot_attempts):
            self._launch(paused=False)
            if self._kernel_starts():
                break
        self.origin = "booted"
        self._attempt("boot", lambda shell: shell.wait_ready(self.timing.boot))

    def restore(self) -> None:
        """Restore the state right after boot, from the snapshot in the state image.

        If the channel is idle, the running QEMU is reused. After a failure a new QEMU is started, so that nothing of
        the failed guest, and no command that it never read, reaches the restored one. Raises QmpRefusedError if QEMU
        cannot restore it, GuestFailure if the restored guest does not answer.
        """
        if not self.is_idle or self.qemu.stop_reason() or (self._saved and not self.qemu.keeper):
            self._launch(paused=True)
        try:
            self._load()
        except (QmpLostError, _StaleCodeError):  # QEMU was killed since the last command, or cannot be used any more
            self._launch(paused=True)
            try:
                self._load()
            except QmpLostError as error:
                self._failure = GuestFailure(Fate.QEMU_DIED, "snapshot-load", self.timing.qemu, str(error), "")
                raise self._failure from None
        self.origin = RESTORED
        self._attempt("a sign of life", lambda shell: shell.ping(self.timing.command))

    def run(self, command: str, seconds: float | None = None, *, inside: bool = False) -> Output:
        """Run one line of shell in the guest.

        seconds: time limit on an ordinary machine, by default the timing's. inside: run it in the user-supplied root
        file system, if there is one. Raises GuestFailure if the guest stopped answering, also for every further
        command until restore() or close().
        """
        longest = seconds * self.timing.scale if seconds else self.timing.command
        inside = inside and self.machine.userland
        return self._attempt(command, lambda shell: shell.run(command, longest, inside=inside))

    def post(self, files: Mapping[str, bytes]) -> None:
        """Put files into the running guest, which must have a mailbox: path below / -> content.

        Raises GuestFailure, also if the guest cannot read them, and ModcompatError if they do not fit.
        """
        assert self.qemu.mailbox is not None
        self.qemu.mailbox.post(files)
        received = self.run("agent receive /")
        if received.status:
            self._failure = GuestFailure(
                Fate.SILENT, "receive /", received.seconds, f"it did not take its modules: {received.text}",
                self.console.tail(start=self.log_start),
            )  # fmt: skip
            raise self._failure

    def mark(self, text: str) -> int:
        """Write a line into the kernel log and wait for it. Returns the position after it in the log.

        Everything that the kernel printed earlier is in the log before that position. Raises GuestFailure if the line
        does not arrive.
        """
        line = f"modcompat: {text}"
        start = self.console.size
        self.run(f"agent log {shlex.quote(line)}")
        if not self.console.wait_for(line.encode(), start, self.timing.command):
            self._failure = GuestFailure(
                Fate.SILENT, f"mark {text}", self.timing.command,
                "the kernel log does not reach the console", self.console.tail(start=self.log_start),
            )  # fmt: skip
            raise self._failure
        return start + self.console.read(start).index(line.encode()) + len(line)

    def access_log(self) -> AccessLog | None:
        """The log of the check of modules' loads and stores, which does not begin yet.

        None if the machine has no such check, or if QEMU does not tell where the kernel's page table is.
        """
        log, check = self.qemu.accesses, self.machine.accesses
        if log is None or check is None:
            return None
        log.stop()
        if self._page_table is None:
            try:
                self._page_table = self._physical(check.shadow.page_table)
            except (QmpLostError, QmpRefusedError):
                return None
        log.page_table = self._page_table
        return log

    def read_memory(self, address: int, size: int, cpu: int) -> bytes:
        """The kernel's memory as a CPU sees it now, read by QEMU without the guest's help. size: bytes.

        Raises QmpRefusedError, QmpLostError, and OSError if it cannot be written to a file.
        """
        return read_memory(self.qemu.qmp, address, size, cpu, self._folder / "memory")

    def pause(self) -> None:
        """Stop the CPUs of an idle guest, which would take 3 % of a host CPU. The next command resumes them.

        Time stands still in a paused guest, so nothing in it times out. Does nothing to a guest that was lost.
        """
        if self.is_idle and not self._is_paused and not self.qemu.stop_reason():
            with contextlib.suppress(QmpLostError, QmpRefusedError):  # the next command reports that
                self.qemu.qmp.command("stop")
                self._is_paused = True

    def close(self) -> None:
        """End the guest and its QEMU."""
        if self._qemu:
            self._qemu.close()
            self._qemu = None
            self._shell = None

    def _kernel_starts(self) -> bool:
        """Whether the kernel prints its banner in half the time of a boot, or a retry is pointless."""
        if self.machine.board.arch.quirks.boot_attempts == 1:
            return True
        deadline = time.monotonic() + self.timing.boot / 2
        while self.qemu.exit_status is None and time.monotonic() < deadline:
            if self.console.wait_for(_BANNER, self.log_start, _EXIT_POLL_SECONDS):
                return True
        return self.qemu.exit_status is not None

    def _load(self) -> None:
        """Load the state, and keep the code that QEMU has translated if that is the restored guest's.

        Raises _StaleCodeError if it is not, because the kernel patched itself, or because a program was replaced: then
        this QEMU cannot go on. A second load would end it on some boards (pflash_post_load() of
        hw/block/pflash_cfi01.c, QEMU 7.2, relies on a guest that runs in between). Raises QmpRefusedError,
        QmpLostError. After any error, nothing is known of the guest, and the next restore starts a new QEMU.
        """
        started = time.monotonic()
        try:
            # QEMU resumes a guest that was running, which would run code before it is compared.
            self.qemu.qmp.command("stop")
            self.log_start = self.console.size
            self.qemu.qmp.forget_events()
            self.kept_code = self._tries_to_keep_code()
            if self._saved:
                self._change(self._saved.leave_out_cpus if self.kept_code else self._saved.put_cpus_back)
            self.qemu.qmp.run_job("snapshot-load", tag=TAG, vmstate="state", devices=["state"])
            if self.kept_code:
                self._require_valid_code()
            self.qemu.qmp.command("cont")
        except BaseException as error:
            waited = time.monotonic() - started
            self._failure = GuestFailure(Fate.SILENT, "snapshot-load", waited, f"it did not end: {error}", "")
            raise
        self._is_new = False
        self._is_paused = False

    def _tries_to_keep_code(self) -> bool:
        """Whether to load the state so that translated code is kept.

        Where that fails often, only some restores try; those that do not are counted here.
        """
        if not self._saved or not self.qemu.keeper or self._is_new:
            return False
        if self._stale <= _MOST_STALE or self._stale % _TRY_AGAIN == 0:
            return True
        self._stale += 1
        return False

    def _require_valid_code(self) -> None:
        """Raise _StaleCodeError if QEMU has translated code that is not the restored guest's."""
        assert self.qemu.keeper is not None
        try:
            is_valid = self.qemu.keeper.is_valid(self.symbols.module_area(self.machine.board.arch))
        except OSError as error:
            raise QmpLostError(f"the plugin that keeps code: {error}") from None
        self._stale = 0 if is_valid else self._stale + 1
        if not is_valid:
            raise _StaleCodeError

    def _change(self, change: Callable[[], None]) -> None:
        try:
            change()
        except OSError as error:
            raise QmpRefusedError(f"cannot write to {self._state}: {error.strerror}") from None

    def _physical(self, address: int) -> int:
        """The physical address of a part of the kernel. Raises QmpRefusedError, QmpLostError."""
        deadline = time.monotonic() + self.timing.command
        while True:
            found = _PHYSICAL.search(self.qemu.qmp.monitor(f"gva2gpa {address:#x}"))
            if found:
                return int(found[1], 16)
            if time.monotonic() > deadline:
                raise QmpRefusedError(f"gva2gpa: {address:#x} is not mapped")
            time.sleep(_EXIT_POLL_SECONDS / 10)  # the CPU runs a program, which may see little of the kernel

    def _launch(self, *, paused: bool) -> None:
        self.close()
        self._failure = None
        self._is_paused = False
        self._is_new = paused
        self.log_start = self.console.size
        self._qemu = Qemu(
            self.machine, folder=self._folder, console=self.console.path, state=self._state, paused=paused,
            keeps_code=paused and self._saved is not None, timeout=self.timing.qemu,
        )  # fmt: skip
        self._shell = Shell(self._qemu.channel, self._watch, shared=self.machine.shared_uart)

    def _attempt(self, command: str, work: Callable[[Shell], T]) -> T:
        assert self._shell is not None
        if self._failure:
            raise self._failure
        self._resume()
        started = time.monotonic()
        self._panic_scan = self.console.size
        try:
            return work(self._shell)
        except (NoReplyError, ChannelClosedError, AgentRestartedError, _GuestGone) as error:
            self._failure = self._diagnose(error, command, time.monotonic() - started)
            raise self._failure from None
        except BaseException:  # an interrupt or a time limit: a late reply must not answer the next command
            self._failure = GuestFailure(Fate.SILENT, command, time.monotonic() - started, "its reply was not awaited")
            raise

    def _resume(self) -> None:
        """Resume a paused guest. If QEMU is gone, the command that follows finds that out."""
        if self._is_paused:
            self._is_paused = False
            with contextlib.suppress(QmpLostError, QmpRefusedError):
                self.qemu.qmp.command("cont")

    def _watch(self) -> float | None:
        """Check that the guest still runs, while waiting for a reply. Returns a limit for the remaining seconds."""
        if self.qemu.exit_status is not None or self.qemu.stop_reason():
            raise _GuestGone
        # A panicked kernel that cannot reset its board just stops. Any program can print the words of a panic, so they
        # prove nothing and only shorten the wait.
        start = max(self.log_start, self._panic_scan - len(_PANIC))
        fresh = self.console.read(start)
        self._panic_scan = start + len(fresh)
        if _PANIC in fresh:
            return _PANIC_GRACE_SECONDS * self.timing.scale
        return _FAULT_GRACE_SECONDS * self.timing.scale if self.is_fault(fresh) else None

    def _diagnose(self, error: Exception, command: str, waited: float) -> GuestFailure:
        """The failure of a guest that did not answer, from QEMU's state and the console."""
        traces: list[str] = []
        detail = ""
        if isinstance(error, ChannelClosedError):
            self._await_exit()
        status, reason = self.qemu.exit_status, self.qemu.stop_reason()
        log = self.console.read(self.log_start)
        panicked = _PANIC in log
        if status is not None and reason is None:
            fate = Fate.QEMU_DIED
            how = f"signal {-status}" if status < 0 else f"exit status {status}"
            detail = f"QEMU ended with {how}: {self.qemu.complaints() or 'it printed nothing'}"
        elif reason is not None:
            fate = _REASONS.get(reason, Fate.QEMU_DIED)
            detail = f"QEMU stopped the guest: {reason}"
            if fate is Fate.RESET and panicked:
                fate, detail = Fate.PANICKED, _panic_line(log)
        elif panicked:
            fate, detail = Fate.PANICKED, f"{_panic_line(log)} (and the board was not reset)"
        elif isinstance(error, AgentRestartedError):
            fate = Fate.AGENT_DIED
        else:
            fate = Fate.SILENT
            detail = f"its command channel is closed: {error}" if isinstance(error, ChannelClosedError) else ""
            # Faults are reported late, because watchdogs take seconds.
            self.console.settle(quiet=1.5 * self.timing.scale, longest=self.timing.late)
            traces = self._backtraces()
        return GuestFailure(fate, command, waited, detail, self.console.tail(start=self.log_start), traces)

    def _backtraces(self) -> list[str]:
        try:
            return backtraces(self.qemu.qmp, self.machine.board.arch, self.symbols, self._folder)
        except (QmpRefusedError, QmpLostError) as error:
            return [f"no backtraces: {error}"]

    def _await_exit(self) -> None:
        deadline = time.monotonic() + 2.0
        while self.qemu.exit_status is None and time.monotonic() < deadline:
            time.sleep(0.02)


def _panic_line(log: bytes) -> str:
    start = log.index(_PANIC)
    return log[start:].split(b"\n", 1)[0].decode(errors="backslashreplace").strip()


class _StaleCodeError(Exception):
    """QEMU has translated code that is not in the memory of the restored guest."""


class _GuestGone(Exception):  # noqa: N818
    """The guest or its QEMU is no longer running."""


def copy_state(snapshot: Path, folder: Path) -> Path:
    """A private copy of a snapshot's image, because loading a snapshot writes to its image."""
    target = folder / "state.qcow2"
    shutil.copyfile(snapshot, target)
    return target
