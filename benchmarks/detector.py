# SPDX-License-Identifier: Apache-2.0
"""Measure how well and how fast reports are found: python benchmarks/detector.py FOLDER

FOLDER contains positives.jsonl and negatives.jsonl, with one object per line. Positives have a `log` and the `type`,
`title` and `alt` of its first report; negatives have a `log` without a report. Types and titles are those of the
public corpora of kernel fuzzing.
"""

import json
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from harness.detect.kernel_report import Report
from harness.detect.scan import Scanner, scan

# Our kind of report -> types in the labels that agree with it. "" is a label without a type.
TYPES: dict[str, set[str]] = {
    "access": {"DoS", "NULL-POINTER-DEREFERENCE", "MEMORY_SAFETY_BUG", ""},
    "atomic-sleep": {"ATOMIC_SLEEP", "LOCKDEP", ""},
    "bad-page": {"MEMORY_SAFETY_BUG", ""},
    "bug": {"BUG", "DoS", ""},
    "dma-api": {"WARNING"},
    "fortify": {"BUG", "WARNING", "MEMORY_SAFETY_BUG"},
    "hung-task": {"HANG"},
    "irq": {"WARNING", "DoS", ""},
    "kasan": {"KASAN-*"},
    "kcsan": {"KCSAN-*"},
    "kfence": {"KFENCE-*"},
    "kmemleak": {"LEAK"},
    "kmsan": {"KMSAN-*"},
    "kobject": {"WARNING", ""},
    "list": {"MEMORY_SAFETY_BUG", "BUG", "WARNING"},
    "lock": {"LOCKDEP", "WARNING", ""},
    "lockdep": {"LOCKDEP", "WARNING", ""},
    "lockup": {"HANG", ""},
    "module-init": {"WARNING", ""},
    "netdev": {"DoS"},
    "odebug": {"WARNING"},
    "oom": {"DoS", ""},
    "oops": {"DoS", ""},
    "panic": {"DoS"},
    "rcu-stall": {"HANG"},
    "rcu-usage": {"LOCKDEP", "WARNING", ""},
    "reboot": {"REBOOT"},
    "refcount": {"REFCOUNT_WARNING"},
    "slub": {"MEMORY_SAFETY_BUG", "WARNING", ""},
    "stack": {"DoS", "MEMORY_SAFETY_BUG", ""},
    "ubsan": {"UBSAN"},
    "unclaimed": {""},
    "vfs": {"DoS", ""},
    "warning": {"WARNING"},
}
_SIZE = 64_000_000  # bytes of log to measure throughput with
# A clean log
BOOT = b"".join(
    b"[%5d.%06d][ T%4d] usb 1-%d: new high-speed USB device number %d using xhci_hcd\n"
    % (n // 50, n * 19973 % 10**6, n % 5000, n % 9, n % 99)
    for n in range(20_000)
)


def agrees(kind: str, label: str) -> bool:
    """Whether one of our kinds agrees with the type in a label."""
    return any(
        label == kind_of or (kind_of.endswith("*") and label.startswith(kind_of[:-1]))
        for kind_of in TYPES.get(kind, ())
    )


def measure(folder: Path) -> None:
    positives, negatives = _read(folder / "positives.jsonl"), _read(folder / "negatives.jsonl")
    found = [(case, scan(case["log"].encode())) for case in positives]
    reported = [(case, reports[0]) for case, reports in found if reports]
    kinds = sum(agrees(report.kind, case["type"]) for case, report in reported)
    titles = sum(report.title in (case["title"], *case["alt"]) for case, report in reported)
    alarms = [(case["id"], report.headline) for case in negatives for report in scan(case["log"].encode())]
    total = len(positives)
    for case, reports in found:
        if not reports:
            print(f"no report: {case['id']} ({case['title']})")
    for case, report in reported:
        _differs(case, report)
    for name, headline in alarms:
        print(f"false alarm: {name}: {headline}")
    print(f"a report found      {len(reported)} of {total} ({len(reported) / total:.1%})")
    print(f"kind agrees         {kinds} of {total} ({kinds / total:.1%})")
    print(f"title agrees        {titles} of {total} ({titles / total:.1%})")
    print(f"false alarms        {len(alarms)} in {len(negatives)} logs")
    full = b"".join(case["log"].encode() + b"\n" for case in positives)
    print(f"clean log           {_speed(BOOT):.0f} MB/s")
    print(f"log full of reports {_speed(full):.1f} MB/s")


def _differs(case: dict[str, Any], report: Report) -> None:
    if not agrees(report.kind, case["type"]):
        print(f"kind: {case['id']}: {report.kind} for {case['type'] or 'no type'} ({case['title']})")
    if report.title not in (case["title"], *case["alt"]):
        print(f"title: {case['id']}: {report.title!r} for {case['title']!r}")


def _read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def _chunks(log: bytes) -> Iterable[bytes]:
    repeated = log * (1_000_000 // len(log) + 1)
    return (repeated for _ in range(_SIZE // 4 // len(repeated) + 1))


def _speed(log: bytes) -> float:
    """Megabytes per second, with the log repeated."""
    scanner, size, started = Scanner(), 0, time.process_time()
    for chunk in _chunks(log):
        scanner.feed(chunk)
        size += len(chunk)
    scanner.finish()
    return size / (time.process_time() - started) / 1e6


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    measure(Path(sys.argv[1]))
