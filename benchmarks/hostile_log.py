# SPDX-License-Identifier: Apache-2.0
"""Check that scan time is linear in logs that consist only of beginnings of reports: python -m benchmarks.hostile_log

Prints a line for each log. The exit status is 1 if a log of eight times the size takes more than twenty times as long.
"""

import sys
import time

from harness.detect.scan import scan

UNITS = (
    b"BUG: ", b"[ 1.000000] ", b"WARNING: ", b"\r", b"[", b" at: ", b"\x1b[", b"f+0x1/0x2 ",
    b"Call Trace:\n f+0x1/0x2\n", b"BUG: KASAN: \n", b"app: WARNING: x\n", b"[ 1.000000] x\nBUG: x\n",
    b"a-1 BUG: x\n", b"a-b.c-d.e-f BUG: Call Trace:\n", b"[(<[(< BUG: x\n", b'{"a": "BUG: x"}\n', b"- - - - BUG: x\n",
)  # fmt: skip
_SIZES = (100_000, 800_000)  # bytes
_MOST = 20  # times as long
_LEAST = 0.05  # seconds; shorter times are not precise enough


def seconds(log: bytes) -> float:
    started = time.process_time()
    scan(log)
    return time.process_time() - started


def main() -> None:
    """Time each log in two sizes."""
    slow = False
    for unit in UNITS:
        seconds(unit * (10_000 // len(unit)))
        short, long = (seconds(unit * (size // len(unit))) for size in _SIZES)
        is_slow = long >= _MOST * max(short, _LEAST)
        slow |= is_slow
        print(f"{unit!s:32} {short:.3f} s, {long:.3f} s{'  SLOW' * is_slow}")
    sys.exit(1 if slow else 0)


if __name__ == "__main__":
    main()
