# SPDX-License-Identifier: Apache-2.0
"""The command channel: requests to the guest's agent, driven by pexpect.

Each request carries a fresh token, and its reply ends with that token and the exit status between two record
separators. Therefore no prompt is needed, and no output can be mistaken for the end of a reply, whatever its size and
content. images/guest/agent implements the protocol, and some commands.
"""

import re
import secrets
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pexpect
from pexpect.socket_pexpect import SocketSpawn

_READY = re.compile(rb"\x1eready\x1e")
_ANY_MARK = re.compile(rb"\x1e[0-9a-z]* \d+\x1e")
_MARKS_IN_FRONT = re.compile(rb"\A(?:" + _ANY_MARK.pattern + rb")+")
_MAX_COMMAND_BYTES = 60_000  # the agent's line has 64 KB, with the token
_READ_BYTES = 1 << 16  # read at a time
_MAX_MARK_BYTES = 64  # longer than any mark
_POLL_SECONDS = 0.05  # between two checks that the guest is still there
_REPEAT_SECONDS = 2.0  # after which the agent is requested to repeat the closing mark on a shared UART


@dataclass(frozen=True)
class Output:
    """The result of a command.

    `status` is its exit status, `raw` its standard output and standard error as bytes, `seconds` the time that it took,
    `command` itself.
    """

    command: str
    status: int
    raw: bytes
    seconds: float

    @property
    def text(self) -> str:
        """The output as text. Undecodable bytes become \\xNN."""
        return self.raw.decode(errors="backslashreplace").replace("\r\n", "\n").strip("\n")


class ChannelClosedError(Exception):
    """The other end of the channel is gone."""


class AgentRestartedError(Exception):
    """The agent announced itself again, because the process that served the command was killed."""


class NoReplyError(Exception):
    """There was no reply within the time limit."""


class Shell:
    """Runs commands in the guest, one at a time."""

    def __init__(self, channel: socket.socket, watch: Callable[[], float | None], *, shared: bool) -> None:
        """watch: called while waiting; raises to stop the wait, or returns a limit for the remaining seconds.

        shared: the kernel log uses the same UART.
        """
        self._spawn = SocketSpawn(channel, maxread=_READ_BYTES, use_poll=True)
        self._watch = watch
        self._shared = shared

    def wait_ready(self, seconds: float) -> None:
        """Wait for the agent's announcement after boot. Raises the errors of run()."""
        self._expect(_READY, seconds)

    def ping(self, seconds: float) -> None:
        """Wait for a sign of life: the closing mark of the previous command, which costs the guest almost nothing."""
        self._send(b"again\n")
        self._expect(_ANY_MARK, seconds)

    def run(self, command: str, seconds: float, *, inside: bool = False) -> Output:
        """Run one line of shell.

        seconds: time limit. inside: run it in the user-supplied root file system. Raises NoReplyError,
        ChannelClosedError, AgentRestartedError, and the errors of `watch`.
        """
        if "\n" in command or "\0" in command or len(command.encode()) > _MAX_COMMAND_BYTES:
            raise ValueError(f"a command is one line of at most {_MAX_COMMAND_BYTES} bytes")
        token = secrets.token_hex(8)
        started = time.monotonic()
        where = "userland " if inside else ""
        self._send(f"{token} {where}{command}\n".encode())
        end = re.compile(rb"\x1e(?:ready|" + token.encode() + rb" (\d+))\x1e")
        match = self._expect(end, seconds)
        if match[1] is None:
            raise AgentRestartedError
        before: Any = self._spawn.before
        # A late answer to "again" is the closing mark of an earlier command. If a shared UART corrupted the request,
        # perhaps before the snapshot was taken, it is that of a command that was never sent. The reply follows these.
        marks = _ANY_MARK if self._shared else _MARKS_IN_FRONT
        printed = marks.split(bytes(before or b""))[-1]
        return Output(command, int(match[1]), printed, time.monotonic() - started)

    def _send(self, request: bytes) -> None:
        try:
            self._spawn.send(request)
        except OSError as error:
            raise ChannelClosedError(str(error)) from None

    def _expect(self, pattern: re.Pattern[bytes], seconds: float) -> re.Match[bytes]:
        deadline = time.monotonic() + seconds
        repeat_at = time.monotonic() + _REPEAT_SECONDS
        # The stubs of pexpect know only str; here everything is bytes.
        wanted: Any = [pattern, pexpect.TIMEOUT, pexpect.EOF]
        while True:
            try:
                # The window covers each read in full, and before it the length of a mark.
                window = _READ_BYTES + _MAX_MARK_BYTES
                found = self._spawn.expect_list(wanted, timeout=_POLL_SECONDS, searchwindowsize=window)
            except BlockingIOError:  # pexpect polled without waiting, because its timeout had just expired
                found = 1
            except OSError as error:
                raise ChannelClosedError(str(error)) from None
            if found == 0:
                match: Any = self._spawn.match
                assert isinstance(match, re.Match)
                return match
            more = self._watch()
            now = time.monotonic()
            if more is not None:
                deadline = min(deadline, now + more)
            if found == 2:
                raise ChannelClosedError("end of file")
            if now >= deadline:
                raise NoReplyError
            if self._shared and now >= repeat_at:
                repeat_at = now + _REPEAT_SECONDS
                self._send(b"again\n")
