# SPDX-License-Identifier: Apache-2.0
"""Measure how well and how fast reports are found: python benchmarks/detector.py FOLDER [--quiet]

FOLDER contains labelled logs in one of these forms, or both:

- files *.jsonl, with one object per line. It has a `log`, and the labels of the first report in it, as far as they are
  known: `title` (and `alt`, other titles that are right too), `type` or `kind`, `frame` (the function), `corrupted`
  (the report is torn), `module` (the one to blame), `year`. A log without title, type and kind contains no report.
- folders with `console.log` and `reports.json`, as benchmarks/golden.py writes them

A type is a name of the public corpora of kernel fuzzing, a kind is one of ours. Without a year, the version of the
kernel in the log tells it. Each log that disagrees with its label is printed, except with --quiet.
"""

import argparse
import json
import re
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.detect.kernel_report import Report
from harness.detect.scan import Scanner, scan

MEASURES = ("found", "kind", "title", "function", "blame", "torn")
# Our kind of report -> types in the labels that agree with it. "" is a label without a type.
TYPES: dict[str, set[str]] = {
    "access": {"DoS", "NULL-POINTER-DEREFERENCE", "MEMORY_SAFETY_BUG", ""},
    "asked-for": {"REBOOT", ""},
    "atomic-sleep": {"ATOMIC_SLEEP", "LOCKDEP", ""},
    "bad-page": {"MEMORY_SAFETY_BUG", ""},
    "bug": {"BUG", "DoS", ""},
    "dma-api": {"WARNING"},
    "fortify": {"BUG", "WARNING", "MEMORY_SAFETY_BUG"},
    "ftrace": {"WARNING", ""},
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
    "module-load": {""},
    "module-tool": {""},
    "msr": {"WARNING", ""},
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
    "workqueue": {"WARNING", "HANG", ""},
}
_SIZE = 64_000_000  # bytes of log to measure throughput with
# A clean log
BOOT = b"".join(
    b"[%5d.%06d][ T%4d] usb 1-%d: new high-speed USB device number %d using xhci_hcd\n"
    % (n // 50, n * 19973 % 10**6, n % 5000, n % 9, n % 99)
    for n in range(20_000)
)
# The first kernel of each year: https://www.kernel.org/category/releases.html, and the dates of its tags
_FIRST_OF_YEAR = {
    (4, 4): 2016, (4, 10): 2017, (4, 15): 2018, (5, 0): 2019, (5, 5): 2020, (5, 11): 2021, (5, 16): 2022, (6, 2): 2023,
    (6, 7): 2024, (6, 13): 2025, (6, 19): 2026,
}  # fmt: skip
_VERSION = re.compile(
    r"(?:Linux version |(?:Not t|T)ainted(?:: [A-Z ]+?)? +|^)(\d+)\.(\d+)\.\d+\S*(?: #| \()", re.MULTILINE
)
_IN = re.compile(r" in ([A-Za-z_]\w*)(?:/usb_submit_urb)?$")


@dataclass(frozen=True)
class Case:
    """A log with its labels."""

    name: str
    log: bytes
    label: Mapping[str, Any]

    @property
    def has_report(self) -> bool:
        return any(self.label.get(name) for name in ("title", "type", "kind"))

    @property
    def year(self) -> str:
        return str(self.label.get("year") or year_of(self.log))

    @property
    def functions(self) -> set[str]:
        """The functions in the labels, one of which is right; empty if they have none."""
        titles = (self.label.get("title", ""), *self.label.get("alt", ()))
        named = {found[1] for title in titles if (found := _IN.search(title))}
        return {*named, self.label.get("frame", "")} - {"", "corrupted"}


def year_of(log: bytes) -> str:
    """The year of the kernel's release, "unknown" if the log does not name its version."""
    found = _VERSION.search(log.decode("latin-1"))
    if not found:
        return "unknown"
    version = int(found[1]), int(found[2])
    return str(max((year for first, year in _FIRST_OF_YEAR.items() if first <= version), default="before 2016"))


def agrees(kind: str, label: str) -> bool:
    """Whether one of our kinds agrees with the type in a label."""
    return any(
        label == kind_of or (kind_of.endswith("*") and label.startswith(kind_of[:-1]))
        for kind_of in TYPES.get(kind, ())
    )


def judge(case: Case, report: Report | None) -> dict[str, tuple[bool, str]]:
    """For each measure that the labels allow: whether the report agrees, and the difference in words."""
    found = {"found": (report is not None, "no report")}
    label = case.label
    if report is None:
        return found
    if label.get("kind"):
        found["kind"] = report.kind == label["kind"], f"{report.kind} for {label['kind']}"
    elif "type" in label:
        found["kind"] = agrees(report.kind, label["type"]), f"{report.kind} for {label['type'] or 'no type'}"
    if label.get("title"):
        right = report.title in (label["title"], *label.get("alt", ()))
        found["title"] = right, f"{report.title!r} for {label['title']!r}"
    if case.functions:
        wanted = " or ".join(sorted(case.functions))
        found["function"] = report.function in case.functions, f"{report.function or 'none'} for {wanted}"
    if label.get("module"):
        found["blame"] = report.module == label["module"], f"{report.module or 'no module'} for {label['module']}"
    if "corrupted" in label:
        found["torn"] = report.torn == label["corrupted"], f"{report.torn_because or 'whole'}"
    return found


def cases(folder: Path) -> Iterator[Case]:
    """The labelled logs in a folder."""
    for file in sorted(folder.glob("*.jsonl")):
        for number, line in enumerate(file.read_text().splitlines(), 1):
            entry = json.loads(line)
            yield Case(str(entry.get("id", f"{file.name}:{number}")), entry["log"].encode(), entry)
    for reports in sorted(folder.glob("*/reports.json")):
        first: dict[str, Any] = next(iter(json.loads(reports.read_text())), {})
        wanted = {name: first[name] for name in ("kind", "title", "function", "module") if name in first}
        label = wanted | {"frame": wanted.pop("function", ""), "corrupted": first.get("torn", False)}
        yield Case(reports.parent.name, (reports.parent / "console.log").read_bytes(), label if first else {})


def measure(folder: Path, *, quiet: bool) -> None:
    """Print what agrees, in total and by year, the false alarms, and the throughput."""
    every = list(cases(folder))
    results: dict[str, list[dict[str, tuple[bool, str]]]] = defaultdict(list)
    alarms = 0
    for case in every:
        reports = scan(case.log)
        if not case.has_report:
            alarms += len(reports)
            _print_unless(quiet, (f"false alarm: {case.name}: {report.headline}" for report in reports))
            continue
        judged = judge(case, next(iter(reports), None))
        _print_unless(quiet, (f"{name}: {case.name}: {words}" for name, (right, words) in judged.items() if not right))
        results[case.year].append(judged)
    print(f"{'year':12}{'logs':>6}" + "".join(f"{name:>18}" for name in MEASURES))
    for year, judged_logs in [*sorted(results.items()), ("all", [log for logs in results.values() for log in logs])]:
        print(f"{year:12}{len(judged_logs):6}" + "".join(_share(judged_logs, name) for name in MEASURES))
    print(f"false alarms        {alarms} in {sum(not case.has_report for case in every)} logs without a report")
    full = b"".join(case.log + b"\n" for case in every if case.has_report)
    print(f"clean log           {_speed(BOOT):.0f} MB/s")
    print(f"log full of reports {_speed(full):.1f} MB/s")


def _print_unless(quiet: bool, lines: Iterable[str]) -> None:  # noqa: FBT001
    for line in lines if not quiet else ():
        print(line)


def _share(judged: list[dict[str, tuple[bool, str]]], name: str) -> str:
    """How many logs of those whose labels have this measure agree."""
    known = [log[name][0] for log in judged if name in log]
    return f"{f'{sum(known)}/{len(known)} {sum(known) / len(known):6.1%}' if known else '-':>18}"


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quiet", action="store_true")
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    measure(options.folder, quiet=options.quiet)


if __name__ == "__main__":
    main()
