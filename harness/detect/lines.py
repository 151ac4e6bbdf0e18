"""Kernel log lines: the message apart from what printk and the line put around it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

# <6>[    1.234567][  T123] message, each part optional; kernel/printk/printk.c, print_prefix()
_PREFIX = re.compile(r"^(?:<\d+>)?(?:\[ *(\d+\.\d+)\] ?)?(?:\[ *([TC]\d+)\] ?)?")
_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")


@dataclass(frozen=True)
class Line:
    """One line. start, end: bytes in the log. time: seconds since boot. caller: T<pid> or C<cpu>."""

    number: int
    start: int
    end: int
    time: float | None
    caller: str
    text: str


def split(log: bytes) -> Iterator[Line]:
    """The lines of a log, undecodable bytes as \\xNN, control sequences and prefixes taken off."""
    position = 0
    for number, raw in enumerate(log.split(b"\n"), 1):
        decoded = _ANSI.sub("", raw.decode(errors="backslashreplace")).strip("\r")
        prefix = _PREFIX.match(decoded)
        assert prefix is not None  # every part is optional
        time = float(prefix[1]) if prefix[1] else None
        yield Line(number, position, position + len(raw), time, prefix[2] or "", decoded[prefix.end() :])
        position += len(raw) + 1
