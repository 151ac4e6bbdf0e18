# SPDX-License-Identifier: Apache-2.0
"""The kernel log of a guest: a file that QEMU writes, so that nothing is lost if nobody reads."""

import time
from pathlib import Path

_POLL_SECONDS = 0.01  # between two reads of the file


class ConsoleLog:
    """A growing log file, read by position."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return self.path.stat().st_size if self.path.exists() else 0

    def read(self, start: int = 0, end: int | None = None) -> bytes:
        """The bytes from one position to another (by default to the end)."""
        if not self.path.exists():
            return b""
        with self.path.open("rb") as stream:
            stream.seek(start)
            return stream.read() if end is None else stream.read(max(0, end - start))

    def tail(self, lines: int = 25, start: int = 0) -> str:
        """The last lines as text. Undecodable bytes become \\xNN."""
        begin = max(start, self.size - 400 * lines)
        text = self.read(begin).decode(errors="backslashreplace").replace("\r", "")
        return "\n".join(text.splitlines()[-lines:])

    def wait_for(self, text: bytes, start: int, seconds: float) -> bool:
        """Wait until a text appears after a position. Returns False if it does not within that time."""
        deadline = time.monotonic() + seconds
        while text not in self.read(start):
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_SECONDS)
        return True

    def settle(self, quiet: float, longest: float) -> None:
        """Wait until nothing has been written for `quiet` seconds, but at most `longest` seconds."""
        deadline = time.monotonic() + longest
        size, since = self.size, time.monotonic()
        while time.monotonic() < deadline and time.monotonic() - since < quiet:
            time.sleep(_POLL_SECONDS * 5)
            if self.size != size:
                size, since = self.size, time.monotonic()
