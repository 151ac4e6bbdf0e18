# SPDX-License-Identifier: Apache-2.0
"""File transfer to and from the guest, and programs in its background, for exercises.

Everything goes through the command channel, one line of shell after the other, and needs only busybox in the guest.
"""

import base64
import binascii
import itertools
import re
import shlex
import time
from collections.abc import Callable

from harness.guest.shell import Output

Run = Callable[[str, float | None], Output]

_CHUNK_BYTES = 1800  # of a file in one line of shell: a terminal's line holds 4095 characters
_POLL_SECONDS = 0.1  # between two reads of a program's output
_numbers = itertools.count(1)


class GuestError(Exception):
    """An exercise's request failed in the guest for a reason that is not the module's fault."""


def put(run: Run, content: bytes, path: str) -> None:
    """Write a file in the guest. Raises GuestError if it cannot be written."""
    target = shlex.quote(path)
    _succeeded(run(f"mkdir -p {shlex.quote(path.rpartition('/')[0] or '/')} && : >{target}", None))
    for start in range(0, len(content), _CHUNK_BYTES):
        encoded = base64.b64encode(content[start : start + _CHUNK_BYTES]).decode()
        _succeeded(run(f"echo {encoded} | base64 -d >>{target}", None))


def get(run: Run, path: str) -> bytes:
    """The content of a file in the guest. Raises GuestError if it cannot be read."""
    output = _succeeded(run(f"base64 <{shlex.quote(path)}", None))
    try:
        return base64.b64decode(output.raw)
    except binascii.Error as error:
        raise GuestError(f"{path} was not transferred completely: {error}") from None


def wait_for(run: Run, path: str, seconds: float) -> bool:
    """Wait until a path exists in the guest. Returns False if it does not within that time."""
    deadline = time.monotonic() + seconds
    while run(f"[ -e {shlex.quote(path)} ]", None).status:
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


class Program:
    """A program in the guest's background: a load generator, or one to interact with."""

    def __init__(self, run: Run, command: str, scale: float = 1.0) -> None:
        """Start it in its own session, so that stop() also ends everything that it started.

        scale: factor for the seconds of expect() and stop(). Raises GuestError if it cannot be started.
        """
        self._scale = scale
        self.command = command
        self._run = run
        self._name = f"/tmp/program{next(_numbers)}"
        self._seen = 0  # characters of its output that expect() has consumed
        inner = shlex.quote(f"{command}; echo $? >{self._name}.status")
        started = run(
            f"mkfifo {self._name}.in; setsid sh -c {inner} <>{self._name}.in >{self._name}.out 2>&1 & echo $!", None
        )
        self._process = started.text.strip()
        if not self._process.isdigit():
            raise GuestError(f"`{command}` could not be started: {started.text[:120]}")

    @property
    def printed(self) -> str:
        """Its whole output so far, including ends of lines."""
        raw = self._run(f"cat {self._name}.out", None).raw
        return raw.decode(errors="backslashreplace").replace("\r\n", "\n")

    @property
    def status(self) -> int | None:
        """Its exit status, None while it is running."""
        text = self._run(f"cat {self._name}.status 2>/dev/null", None).text.strip()
        return int(text) if text.isdigit() else None

    def send(self, text: str) -> None:
        """Send a text to its standard input. A line has to end with a newline."""
        encoded = base64.b64encode(text.encode()).decode()
        _succeeded(self._run(f"echo {encoded} | base64 -d >{self._name}.in", None))

    def expect(self, pattern: str, seconds: float = 10.0) -> re.Match[str] | None:
        """Wait until a regular expression matches its output behind the previous match; None if it does not."""
        deadline = time.monotonic() + seconds * self._scale
        while True:
            ended = self.status is not None
            if found := re.compile(pattern).search(self.printed, self._seen):
                self._seen = found.end()
                return found
            if ended or time.monotonic() >= deadline:
                return None
            time.sleep(_POLL_SECONDS)

    def stop(self, seconds: float = 10.0) -> str:
        """End it, and wait for its end. Returns its whole output. Raises GuestError if it does not end."""
        self._run(f"kill -- -{self._process} 2>/dev/null", None)
        deadline = time.monotonic() + seconds * self._scale
        while self._run(f"[ -d /proc/{self._process} ]", None).status == 0:
            if time.monotonic() >= deadline:
                raise GuestError(f"`{self.command}` does not end")
            time.sleep(_POLL_SECONDS)
        return self.printed


def _succeeded(output: Output) -> Output:
    if output.status:
        raise GuestError(f"`{output.command[:60]}` ended with {output.status}: {output.text[:120]}")
    return output
