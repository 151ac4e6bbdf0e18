# SPDX-License-Identifier: Apache-2.0
"""Files that hold several logs, and consoles on which programs print the kernel's lines back."""

import pytest

from harness.detect.scan import scan, scan_stream

# As die_kernel_fault() of arch/arm64/mm/fault.c prints it
FAULT = """Unable to handle kernel NULL pointer dereference at virtual address 0000000000000010
Mem abort info:
  ESR = 0x0000000096000004
Internal error: Oops: 0000000096000004 [#1] SMP
Modules linked in: vendor(O)
CPU: 0 PID: 77 Comm: vendord Tainted: G           O       6.12.0 #1
pc : vendor_run+0x10/0x20 [vendor]
Call trace:
 vendor_run+0x10/0x20 [vendor]
 do_one_initcall+0x5a/0x220
---[ end trace 0000000000000000 ]---
""".splitlines()
WORK = [f"usb 1-1: new high-speed USB device number {number} using xhci_hcd" for number in range(60)]


def stamped(lines: list[str], start: float = 5.0) -> list[str]:
    return [f"[{start + number / 100:12.6f}] {line}" for number, line in enumerate(lines)]


def relayed(lines: list[str]) -> list[str]:
    return [f"Sep  1 08:00:00 board kernel: {line}" for line in lines]


def wall(lines: list[str]) -> list[str]:
    return [f"\nMessage from syslogd@board at Sep  1 08:00:00 ...\n kernel:{line}" for line in lines]


CASES: dict[str, tuple[list[str], int]] = {
    "dmesg of this boot, then the journal of the last": (stamped(WORK) + relayed(FAULT), 1),
    "the same with some lines of the program between": ([*stamped(WORK), "$ journalctl -k", *relayed(FAULT)], 1),
    "the journal of the last boot, then dmesg of this one": (relayed(FAULT) + stamped(WORK), 1),
    "the journal in another form": (stamped(WORK) + [f"Sep 01 08:00:00.5 b kernel: {line}" for line in FAULT], 1),
    "a kernel without stamps, and a daemon with one": ([*WORK, "[    9.100000] daemon: ready", *FAULT], 1),
    "the same at its beginning": (["[    9.100000] daemon: ready", *WORK[:5], *FAULT], 1),
    "dmesg of this boot, then a console without stamps": (stamped(WORK) + WORK + FAULT, 1),
    "a program prints a report back": (stamped(WORK[:30]) + FAULT + stamped(WORK[30:], 9), 0),
    "a program prints one line back": (stamped(WORK[:30]) + relayed(FAULT[:1]) + stamped(WORK[30:], 9), 0),
    "syslogd prints on the console what the kernel printed": (
        stamped(WORK) + stamped(FAULT, 7) + relayed(stamped(FAULT, 7)), 1,
    ),
    "syslogd prints on all terminals": (
        stamped(WORK) + stamped(FAULT[:3], 7) + wall(stamped(FAULT[3:4], 7)) + stamped(FAULT[3:], 7.03), 1,
    ),
    "only what syslogd prints on all terminals": (wall(stamped(FAULT)), 1),
    "a program with a prefix prints back what the kernel printed": (
        stamped(WORK) + stamped(FAULT, 7) + [f"crashd[12]: {line}" for line in FAULT], 1,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("lines", "count"), CASES.values(), ids=CASES)
def test_a_line_without_stamp_counts_where_others_have_none(lines: list[str], count: int) -> None:
    log = "\n".join(lines).encode()
    found = scan(log)
    assert [(report.kind, report.module, report.torn_because) for report in found] == [("access", "vendor", "")] * count
    for size in (1, 50, 5000):
        assert list(scan_stream(log[start : start + size] for start in range(0, len(log), size))) == found
