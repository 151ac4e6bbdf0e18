# SPDX-License-Identifier: Apache-2.0
"""The lines around a line of a log, as many as decisions about it need, however the log arrives in pieces."""

from functools import cached_property

from harness.detect.lines import LONGEST_LINE

MAX_PAST = 8 << 10  # bytes before a line
MAX_FOLLOWING = 96  # lines behind it
_MAX_BYTES = 32 << 10  # in these lines


class Past:
    """The lines before a line."""

    def __init__(self, past: bytes, piece: bytes, start: int) -> None:
        """past: the bytes before the piece, MAX_PAST unless the log has fewer. start: of the line in the piece."""
        self._past, self._piece, self._start = past, piece, start

    def lines(self, count: int = MAX_PAST) -> list[bytes]:
        """The whole lines among the last `count` bytes."""
        data = (self._past + self._piece[max(0, self._start - MAX_PAST) : self._start])[-MAX_PAST:]
        if 0 < count < len(data):
            data = data[-count:]
        elif len(data) == MAX_PAST:  # the first is not whole
            data = data[data.find(b"\n") + 1 :]
        return data.split(b"\n")[:-1] if count > 0 else []


class Following:
    """The lines behind a line. A line that is too long to be read whole ends them."""

    def __init__(self, data: bytes, end: int, *, is_end: bool) -> None:
        """end: of the line in the data. is_end: no data will follow."""
        self._data, self._end, self._is_end = data, end, is_end

    @cached_property
    def _read(self) -> tuple[list[bytes], bool]:
        lines: list[bytes] = []
        position, data = self._end, self._data
        while position < len(data):
            stop = data.find(b"\n", position)
            line = data[position : stop if stop >= 0 else len(data)]
            if len(line) >= LONGEST_LINE or position >= self._end + _MAX_BYTES or len(lines) == MAX_FOLLOWING:
                return lines, True
            lines.append(line)
            position += len(line) + 1
        return lines, self._is_end

    @property
    def lines(self) -> list[bytes]:
        """Those that were read, at most MAX_FOLLOWING."""
        return self._read[0]

    @property
    def is_complete(self) -> bool:
        """Whether further ones would not be read."""
        return self._read[1]
