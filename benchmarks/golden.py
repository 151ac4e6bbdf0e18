# SPDX-License-Identifier: Apache-2.0
"""Capture golden cases from console logs of our own runs: python benchmarks/golden.py [--most N] NAME=LOG ...

Each log becomes a folder in tests/unit/golden/console with two files: `console.log`, the part of the log that its
reports need, and `reports.json`, the reports that the detector finds in it. Read the latter before you commit it,
because the tests expect it from then on. NAME=DIR captures every *.log in a folder as NAME-<file>. A log is skipped if
N cases (3 by default) on its architecture have the same kind and title. `--again` writes the reports of all cases again
after a change of the detector; read the difference.
"""

import argparse
import json
import re
from collections import Counter
from pathlib import Path

from harness.detect.kernel_report import Report
from harness.detect.scan import scan

_GOLDEN = Path(__file__).resolve().parent.parent / "tests/unit/golden"
CASES = _GOLDEN / "console"
# Logs that were written after the kernel's source, of what its own kernels cannot be made to print
PRINTED = _GOLDEN / "printed"
FIELDS = (
    "kind", "title", "headline", "function", "module", "culprit", "rule", "first_line", "last_line", "torn_because",
)  # fmt: skip
_BEFORE, _AFTER = 6, 12  # lines of context
_LONGEST = 400  # lines in a case
_BUILD_FOLDER = re.compile(rb"/[^\s:]*\.partial/scratch/")  # in a module's file names: its folder in a cache
_DUMP = re.compile(rb"(?:Redzone|Object|Padding) +[0-9a-f]{8,16}: ")
_DUMPED = 4  # lines of a memory dump that are kept


def printed(report: Report) -> dict[str, object]:
    """The facts about a report in a case of PRINTED."""
    task = report.task
    facts = {"suspects": list(report.suspects), "symbols": report.symbols}
    return golden(report) | facts | {"task": f"{task.comm}/{task.pid} on CPU {task.cpu}"}


def again() -> None:
    """Write reports.json of every case again."""
    for case in [*CASES.iterdir(), *PRINTED.iterdir()]:
        facts = golden if case.parent == CASES else printed
        reports = [facts(report) for report in scan((case / "console.log").read_bytes())]
        (case / "reports.json").write_text(json.dumps(reports, indent=1) + "\n")


def golden(report: Report) -> dict[str, object]:
    facts = {field: getattr(report, field) for field in FIELDS}
    children = [child.headline for child in report.children]
    return {**facts, "severity": report.severity.value, "torn": report.torn, "children": children}


def trim(log: bytes) -> bytes:
    """The lines of reports with some context, without most of their memory dumps."""
    reports = scan(log)
    lines = log.split(b"\n")
    wanted: set[int] = set()
    for report in reports:
        wanted |= set(range(report.first_line - 1 - _BEFORE, report.last_line + _AFTER))
    kept: list[bytes] = []
    dumped = 0
    for number, line in enumerate(lines):
        dumped = dumped + 1 if _DUMP.search(line) else 0
        if number in wanted and dumped <= _DUMPED and len(kept) < _LONGEST:
            kept.append(_BUILD_FOLDER.sub(b"", line))
    return b"\n".join(kept) + b"\n"


def capture(name: str, log: bytes, seen: Counter[tuple[str, str, str]], most: int) -> bool:
    """Make a case from a log unless `most` similar ones exist. `seen` counts (architecture, kind, title)."""
    log = trim(log)
    reports = scan(log)
    arch = name.split("-", maxsplit=1)[0]
    form = re.sub(r" in \S+$", "", reports[0].title) if reports else ""
    key = (arch, reports[0].kind, form) if reports else (arch, "", "")
    if not reports or seen[key] >= most or (CASES / name).exists():
        return False
    seen[key] += 1
    (CASES / name).mkdir()
    (CASES / name / "console.log").write_bytes(log)
    (CASES / name / "reports.json").write_text(json.dumps([golden(report) for report in reports], indent=1) + "\n")
    return True


def _logs(name: str, path: Path) -> list[tuple[str, Path]]:
    if path.is_dir():
        return [(f"{name}-{log.stem}", log) for log in sorted(path.glob("*.log"))]
    return [(name, path)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--most", type=int, default=3)
    parser.add_argument("--again", action="store_true", help="write the reports of the existing cases again")
    parser.add_argument("logs", nargs="*", metavar="NAME=LOG")
    options = parser.parse_args()
    if options.again:
        again()
    seen: Counter[tuple[str, str, str]] = Counter()
    for word in options.logs:
        name, _, path = word.partition("=")
        for case, log in _logs(name, Path(path)):
            if capture(case, log.read_bytes(), seen, options.most):
                print(case)


if __name__ == "__main__":
    main()
