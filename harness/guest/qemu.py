# SPDX-License-Identifier: Apache-2.0
"""A QEMU process, controlled over QMP. It never outlives the harness."""

import contextlib
import ctypes
import functools
import os
import signal
import socket
import subprocess
from pathlib import Path
from textwrap import shorten

from harness.guest.accesses import AccessLog
from harness.guest.kept_code import KeptCode
from harness.guest.machine import Machine
from harness.guest.mailbox import Mailbox
from harness.guest.qmp import Event, Qmp, QmpLostError
from harness.support import process
from harness.support.errors import ModcompatError

_MAX_COMPLAINT_CHARS = 300  # of QEMU's output in the error if it does not start
# Output of commands that the host may be late to read. What does not fit is lost on boards with a virtio console: QEMU
# drops it (flush_buf() of hw/char/virtio-console.c). The kernel gives what net.core.wmem_max allows (socket(7)).
_CHANNEL_BYTES = 8 << 20
_IO_URING_SETUP = 425  # io_uring_setup(2), the same number on every architecture since Linux 5.1


class Qemu:
    """A running QEMU."""

    def __init__(
        self,
        machine: Machine,
        *,
        folder: Path,
        console: Path,
        state: Path,
        paused: bool,
        timeout: float,
        keeps_code: bool = False,
    ) -> None:
        """folder: private, for QEMU's messages. console: file for the kernel log. state: qcow2 image for snapshots.

        keeps_code: whether the state that will be restored makes QEMU keep translated code. timeout: seconds within
        which QEMU must answer. Raises ModcompatError, with exit status, command and output, if QEMU does not start.
        """
        self.machine = machine
        # QEMU's own messages
        self.stderr = folder / "qemu.log"
        # our end of the command channel, and QEMU's
        self.channel, channel = socket.socketpair()
        channel.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _CHANNEL_BYTES)
        control, qmp = socket.socketpair()
        log = f"path={_escaped(console)}"
        over_socket = ["socket", f"fd={channel.fileno()}"]
        if machine.shared_uart:
            over_socket += [f"logfile={_escaped(console)}", "logappend=on"]
        image = f"file.aio={_aio()},file.filename={_escaped(state)}"
        # files for the guest; None if the machine has no such device
        self.mailbox = Mailbox(folder / "mailbox", machine.mailbox) if machine.mailbox else None
        if self.mailbox:
            self.mailbox.make()
        # what is found about the accesses of modules; None if they are not checked
        self.accesses = AccessLog(folder / "accesses") if machine.accesses else None
        memory, check = -1, []
        if machine.accesses and self.accesses:
            self.accesses.make()
            memory = os.memfd_create("guest")
            os.truncate(memory, machine.board.memory << 20)
            check = machine.accesses.options(f"/proc/self/fd/{memory}", machine.board.memory, self.accesses.path)
        # None if a restore must not rely on translated code
        self.keeper = KeptCode(machine.keeper, timeout) if machine.keeper and keeps_code else None
        self.command = [
            *machine.options(boots=not self.keeper),
            *machine.serial(["file", log, "append=on"], over_socket),
            "-chardev", f"socket,id=qmp,fd={qmp.fileno()}", "-mon", "chardev=qmp,mode=control",
            "-blockdev", f"driver=qcow2,node-name=state,file.driver=file,{image}",
            *(self.mailbox.options() if self.mailbox else []),
            *check,
            *(self.keeper.options() if self.keeper else []),
            *(["-S"] if paused else []),
        ]  # fmt: skip
        try:
            with self.stderr.open("wb") as complaints:
                self.process = subprocess.Popen(
                    process.dies_with_us(self.command),
                    stdin=subprocess.DEVNULL,
                    stdout=complaints,
                    stderr=complaints,
                    pass_fds=(
                        channel.fileno(),
                        qmp.fileno(),
                        *([memory] if check else []),
                        *([self.keeper.theirs.fileno()] if self.keeper else []),
                    ),
                    start_new_session=True,  # Ctrl-C must not reach QEMU; close() ends it
                )
        except BaseException:
            control.close()
            self._release()
            raise
        finally:
            channel.close()
            qmp.close()
            if self.keeper:
                self.keeper.theirs.close()
            if check:
                os.close(memory)
        try:
            self.qmp = Qmp(control, timeout=timeout)
        except BaseException as error:
            self._end()
            self._release()
            control.close()
            if isinstance(error, QmpLostError):
                raise self._launch_error() from None
            raise

    @property
    def exit_status(self) -> int | None:
        """None while QEMU is running. A negative number is the signal that ended it."""
        return self.process.poll()

    def stop_reason(self) -> str | None:
        """The reason why QEMU stopped the guest (guest-reset, guest-panic, guest-shutdown ...); None if it did not."""
        for event in reversed(self.qmp.events):
            if event["event"] == "SHUTDOWN":
                return str(event["data"]["reason"])
        return None

    def events(self) -> list[Event]:
        return list(self.qmp.events)

    def complaints(self) -> str:
        return self.stderr.read_text(errors="backslashreplace").strip()

    def dump_memory(self, core: Path) -> None:
        """Write the guest's memory and registers to an ELF core file, which crash(8) opens with its vmlinux.

        Raises QmpRefusedError, QmpLostError.
        """
        self.qmp.command("dump-guest-memory", paging=False, protocol=f"file:{core}")

    def close(self) -> None:
        """End the process. Does nothing if it has already ended."""
        self._end()
        self._release()
        self.qmp.close()

    def _release(self) -> None:
        self.channel.close()
        if self.keeper:
            self.keeper.close()

    def _end(self) -> None:
        if self.process.poll() is None:  # otherwise the number may be that of another process
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def _launch_error(self) -> ModcompatError:
        complaints = self.complaints()
        return ModcompatError(
            f"{self.command[0]} did not start (exit status {self.process.returncode}): "
            + shorten(complaints or "it printed nothing", _MAX_COMPLAINT_CHARS, placeholder=" ..."),
            details=f"{' '.join(self.command)}\n{complaints}",
            next_step="`modcompat doctor` checks the installation",
        )


@functools.cache
def _aio() -> str:
    """The way in which QEMU reads images. io_uring restores about four times as fast, but a host may forbid it."""
    libc = ctypes.CDLL(None, use_errno=True)
    ring = libc.syscall(_IO_URING_SETUP, 1, ctypes.create_string_buffer(120))  # struct io_uring_params
    if ring < 0:
        return "threads"
    os.close(ring)
    return "io_uring"


def _escaped(path: Path) -> str:
    """A path for a QEMU option, in which a comma is written twice."""
    return str(path).replace(",", ",,")
