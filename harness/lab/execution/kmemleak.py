# SPDX-License-Identifier: Apache-2.0
"""Memory leaks that kmemleak finds at the end of a cell, on kernels that have it.

The console only has their number. The list (Documentation/dev-tools/kmemleak.rst) has the backtrace of each allocation.
By then the module is unloaded, so its frames are bare addresses.
"""

import re
from bisect import bisect_right
from dataclasses import replace

from harness.detect.kernel_report import Report

CLEAR_COMMAND = "echo clear >/sys/kernel/debug/kmemleak"
# A scan passes over objects younger than 5 s, and over those whose checksum it has never seen (mm/kmemleak.c:
# MSECS_MIN_AGE, update_checksum()), so only the second scan reports them. An object that is freed during the scan (the
# struct pid of the first sleep itself, which is old enough by then) waits for RCU and looks leaked: hence the second
# sleep.
SCAN_COMMAND = "k=/sys/kernel/debug/kmemleak; usleep 5200000; usleep 500000; echo scan >$k && echo scan >$k && cat $k"
SCAN_SECONDS = 25.0  # longest wait for SCAN_COMMAND: a scan goes through all memory
_BARE_ADDRESS = re.compile(r"(?<=\] )0x([0-9a-f]{8,16})$", re.MULTILINE)
_SYMBOL = re.compile(r"^([0-9a-f]+) [tT] (\S+)\s+(\[\S+\])$", re.MULTILINE)
_MAX_FUNCTION_BYTES = 1 << 16


def symbolize(leaks: str, symbols: str) -> str:
    """Name the bare addresses in kmemleak's list. symbols: lines of /proc/kallsyms, read while they were valid."""
    known = sorted((int(address, 16), name, module) for address, name, module in _SYMBOL.findall(symbols))
    starts = [address for address, _, _ in known]

    def named(bare: re.Match[str]) -> str:
        address = int(bare[1], 16)
        place = bisect_right(starts, address) - 1
        if place < 0 or address - starts[place] >= _MAX_FUNCTION_BYTES:
            return bare[0]
        start, name, module = known[place]
        end = starts[place + 1] if place + 1 < len(starts) else address + 1
        return f"{name}+0x{address - start:x}/0x{end - start:x} {module}"

    return _BARE_ADDRESS.sub(named, leaks)


def merge_details(counted: Report, leaks: list[Report]) -> Report:
    """Add details to the report of the console, which only counts leaks: those of the first leak of a module."""
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
