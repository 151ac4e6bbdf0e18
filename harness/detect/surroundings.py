# SPDX-License-Identifier: Apache-2.0
"""The lines around a line of a log, as many as decisions about it need, however the log arrives in pieces."""

from harness.detect.lines import LONGEST_LINE

MAX_PAST = 8 << 10  # bytes before a line
MAX_FOLLOWING = 96  # lines behind it
_MAX_BYTES = 32 << 10  # in these lines


class Past:
    """The lines before a line."""

    def __init__(self, past: bytes, piece: bytes, start: int) -> None:
        """past: the bytes before the piece, MAX_PAST unless the log has fewer. start: of the line in the piece."""
        self._bytes = (past + piece[max(0, start - MAX_PAST) : start])[-MAX_PAST:]

    def lines(self, count: int = MAX_PAST) -> list[bytes]:
        """The whole lines among the last `count` bytes."""
        data = self._bytes[-count:] if count > 0 else b""
        if len(data) == MAX_PAST:  # the first is not whole
            data = data[data.find(b"\n") + 1 :]
        return data.splitlines() if b"\r" not in data else [line for line in data.split(b"\n") if line]


class Following:
    """The lines behind a line. A line that is too long to be read whole ends them."""

    def __init__(self, data: bytes, end: int, *, is_end: bool) -> None:
        """end: of the line in the data. is_end: no data will follow."""
        self.lines: list[bytes] = []
        self.is_complete = is_end
        position, limit = end, end + _MAX_BYTES
        while position < len(data):
            stop = data.find(b"\n", position)
            line = data[position : stop if stop >= 0 else len(data)]
            if len(line) >= LONGEST_LINE or position >= limit or len(self.lines) == MAX_FOLLOWING:
                self.is_complete = True
                return
            self.lines.append(line)
            position += len(line) + 1
