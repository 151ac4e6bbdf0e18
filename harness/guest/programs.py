# SPDX-License-Identifier: Apache-2.0
"""What an exercise does beside single commands: files to and from the guest, and programs in its background.

All of it goes through the command channel, one line of shell after the other: it needs nothing of the guest but
busybox.
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

_CHUNK = 1800  # bytes of a file in one line of shell: a terminal's line holds 4095 characters
_POLL = 0.1  # seconds between two looks at what a program printed
_numbers = itertools.count(1)


class GuestError(Exception):
    """The guest did not do what an exercise asked for, beside what the module has to answer for."""


def put(run: Run, content: bytes, path: str) -> None:
    """Write a file in the guest. Raises GuestError when it cannot be written."""
    target = shlex.quote(path)
    _well(run(f"mkdir -p {shlex.quote(path.rpartition('/')[0] or '/')} && : >{target}", None))
    for start in range(0, len(content), _CHUNK):
        encoded = base64.b64encode(content[start : start + _CHUNK]).decode()
        _well(run(f"echo {encoded} | base64 -d >>{target}", None))


def get(run: Run, path: str) -> bytes:
    """The content of a file in the guest. Raises GuestError when it cannot be read."""
    output = _well(run(f"base64 <{shlex.quote(path)}", None))
    try:
        return base64.b64decode(output.raw)
    except binascii.Error as error:
        raise GuestError(f"{path} did not come over whole: {error}") from None


def wait_for(run: Run, path: str, seconds: float) -> bool:
    """Wait for a path in the guest to be there; False when it does not come."""
    deadline = time.monotonic() + seconds
    while run(f"[ -e {shlex.quote(path)} ]", None).status:
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL)
    return True


class Program:
    """A program in the guest's background: a load, or one to talk with."""

    def __init__(self, run: Run, command: str, scale: float = 1.0) -> None:
        """Start it, in a session of its own, so that it ends with everything that it started.

        scale: multiplies the seconds of expect() and stop().
        """
        self._scale = scale
        self.command = command
        self._run = run
        self._name = f"/tmp/program{next(_numbers)}"
        self._seen = 0  # characters of what it printed
        inner = shlex.quote(f"{command}; echo $? >{self._name}.status")
        started = run(
            f"mkfifo {self._name}.in; setsid sh -c {inner} <>{self._name}.in >{self._name}.out 2>&1 & echo $!", None
        )
        self._process = started.text.strip()
        if not self._process.isdigit():
            raise GuestError(f"`{command}` could not be started: {started.text[:120]}")

    @property
    def printed(self) -> str:
        """All that it printed so far, the ends of lines included."""
        raw = self._run(f"cat {self._name}.out", None).raw
        return raw.decode(errors="backslashreplace").replace("\r\n", "\n")

    @property
    def status(self) -> int | None:
        """Its exit status, None while it runs."""
        text = self._run(f"cat {self._name}.status 2>/dev/null", None).text.strip()
        return int(text) if text.isdigit() else None

    def send(self, text: str) -> None:
        """Have it read a text, as if it was typed; a line ends with a newline."""
        encoded = base64.b64encode(text.encode()).decode()
        _well(self._run(f"echo {encoded} | base64 -d >{self._name}.in", None))

    def expect(self, pattern: str, seconds: float = 10.0) -> re.Match[str] | None:
        """Wait until it prints what a regular expression matches, behind what was matched before; None: it did not."""
        deadline = time.monotonic() + seconds * self._scale
        while True:
            ended = self.status is not None
            if found := re.compile(pattern).search(self.printed, self._seen):
                self._seen = found.end()
                return found
            if ended or time.monotonic() >= deadline:
                return None
            time.sleep(_POLL)

    def stop(self, seconds: float = 10.0) -> str:
        """End it, if it has not ended, and wait for that; returns what it printed. Raises GuestError when it stays."""
        self._run(f"kill -- -{self._process} 2>/dev/null", None)
        deadline = time.monotonic() + seconds * self._scale
        while self._run(f"[ -d /proc/{self._process} ]", None).status == 0:
            if time.monotonic() >= deadline:
                raise GuestError(f"`{self.command}` does not end")
            time.sleep(_POLL)
        return self.printed


def _well(output: Output) -> Output:
    if output.status:
        raise GuestError(f"`{output.command[:60]}` ended with {output.status}: {output.text[:120]}")
    return output
