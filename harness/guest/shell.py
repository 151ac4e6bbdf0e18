# SPDX-License-Identifier: Apache-2.0
"""The command channel: requests to the guest's agent, driven by pexpect.

Each request carries a fresh token, and its reply ends with that token and the exit status between two
record separators. So no prompt is needed, no output can be mistaken for the end of a reply, and the size
and content of the output do not matter. The protocol is in images/guest/agent.
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
_READ = 1 << 16  # bytes taken in at a time
_MARK = 64  # more bytes than a mark has
_SLICE = 0.05  # seconds between two looks at whether the guest is still there
_REPEAT = 2.0  # seconds after which a shared UART is asked to repeat the closing mark


@dataclass(frozen=True)
class Output:
    """What a command left. status: its exit status. raw: what it printed. seconds: how long it took."""

    command: str
    status: int
    raw: bytes
    seconds: float

    @property
    def text(self) -> str:
        """The output as text; undecodable bytes as \\xNN."""
        return self.raw.decode(errors="backslashreplace").replace("\r\n", "\n").strip("\n")


class ChannelClosedError(Exception):
    """The other end of the channel is gone."""


class AgentRestartedError(Exception):
    """The agent announced itself anew: what served the command was killed."""


class NoReplyError(Exception):
    """No reply within the time."""


class Shell:
    """Runs commands in the guest, one at a time."""

    def __init__(self, channel: socket.socket, watch: Callable[[], float | None], *, shared: bool) -> None:
        """watch: called while waiting; raises to stop the wait, or returns how many seconds more are worth it.

        shared: the kernel log is on the same line.
        """
        self._spawn = SocketSpawn(channel, maxread=_READ, use_poll=True)
        self._watch = watch
        self._shared = shared

    def wait_ready(self, seconds: float) -> None:
        """Wait for the agent's announcement after boot."""
        self._expect(_READY, seconds)

    def ping(self, seconds: float) -> None:
        """Wait for a sign of life: the closing mark of the command before. Costs the guest next to nothing."""
        self._send(b"again\n")
        self._expect(_ANY_MARK, seconds)

    def run(self, command: str, seconds: float, *, inside: bool = False) -> Output:
        """Run one line of shell; its output, standard error included, and its exit status.

        inside: in the user's root file system.
        Raises NoReplyError, ChannelClosedError, AgentRestartedError, and what `watch` raises.
        """
        if "\n" in command:
            raise ValueError("a command is one line")
        token = secrets.token_hex(8)
        started = time.monotonic()
        where = "userland " if inside else ""
        self._send(f"{token} {where}{command}\n".encode())
        end = re.compile(rb"\x1e(?:ready|" + token.encode() + rb" (\d+))\x1e")
        match = self._expect(end, seconds)
        if match[1] is None:
            raise AgentRestartedError
        before: Any = self._spawn.before
        # An "again" that was answered late has left the closing mark of the command before; one that a shared UART
        # tore, perhaps before the snapshot was taken, that of a command which nobody gave. The reply is behind these.
        printed = _ANY_MARK.split(bytes(before or b""))[-1]
        return Output(command, int(match[1]), printed, time.monotonic() - started)

    def _send(self, request: bytes) -> None:
        try:
            self._spawn.send(request)
        except OSError as error:
            raise ChannelClosedError(str(error)) from None

    def _expect(self, pattern: re.Pattern[bytes], seconds: float) -> re.Match[bytes]:
        deadline = time.monotonic() + seconds
        repeat_at = time.monotonic() + _REPEAT
        # The stubs of pexpect know only str; here everything is bytes.
        wanted: Any = [pattern, pexpect.TIMEOUT, pexpect.EOF]
        while True:
            try:
                # The window slides over each read in full; before it only the length of a mark counts.
                found = self._spawn.expect_list(wanted, timeout=_SLICE, searchwindowsize=_READ + _MARK)
            except BlockingIOError:  # pexpect asked for no wait at all: its time was up to the last digit
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
                repeat_at = now + _REPEAT
                self._send(b"again\n")
