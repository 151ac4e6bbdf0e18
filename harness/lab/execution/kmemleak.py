# SPDX-License-Identifier: Apache-2.0
"""Memory that was forgotten, as kmemleak finds it: on kernels that have it, at the end of a cell.

The console only counts; the list (Documentation/dev-tools/kmemleak.rst) says who allocated. By then the module is
gone, and its part of a backtrace is bare addresses.
"""

import re
from bisect import bisect_right
from dataclasses import replace

from harness.detect.kernel_report import Report

FORGET = "echo clear >/sys/kernel/debug/kmemleak"
# A scan passes over objects younger than 5 s, and over those whose checksum it has never seen (mm/kmemleak.c:
# MSECS_MIN_AGE, update_checksum()): the second one tells. What ends while it looks (the struct pid of the first sleep
# itself, which is old enough by then) is in RCU's hands for a moment, and looks forgotten: hence the second sleep.
LOOK = "k=/sys/kernel/debug/kmemleak; usleep 5200000; usleep 500000; echo scan >$k && echo scan >$k && cat $k"
LOOK_TIME = 25.0  # seconds that it may take: a scan goes through all memory
_BARE = re.compile(r"(?<=\] )0x([0-9a-f]{8,16})$", re.MULTILINE)
_SYMBOL = re.compile(r"^([0-9a-f]+) [tT] (\S+)\s+(\[\S+\])$", re.MULTILINE)
_LARGEST = 1 << 16  # bytes of a function


def with_names(leaks: str, symbols: str) -> str:
    """kmemleak's list, with names for bare addresses. symbols: lines of /proc/kallsyms while they were valid."""
    known = sorted((int(address, 16), name, module) for address, name, module in _SYMBOL.findall(symbols))
    starts = [address for address, _, _ in known]

    def named(bare: re.Match[str]) -> str:
        address = int(bare[1], 16)
        place = bisect_right(starts, address) - 1
        if place < 0 or address - starts[place] >= _LARGEST:
            return bare[0]
        start, name, module = known[place]
        end = starts[place + 1] if place + 1 < len(starts) else address + 1
        return f"{name}+0x{address - start:x}/0x{end - start:x} {module}"

    return _BARE.sub(named, leaks)


def told_by(counted: Report, leaks: list[Report]) -> Report:
    """The report of the console, which only counts leaks, with what the list says of the first one of a module."""
    first = next((leak for leak in leaks if leak.module), leaks[0])
    return replace(
        counted,
        title=first.title,
        function=first.function,
        module=first.module,
        culprit=first.culprit,
        culprit_offset=first.culprit_offset,
        rule=first.rule,
        traces=first.traces,
    )
