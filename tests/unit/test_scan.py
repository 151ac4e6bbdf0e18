"""Finding reports: golden cases of real logs, and what must not be mistaken for a report."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.detect.initcalls import InitCall, find_initcall
from harness.detect.lines import split
from harness.detect.scan import scan

CASES = Path(__file__).parent / "golden" / "console"
FIELDS = ("kind", "title", "function", "module", "culprit", "rule", "first_line", "last_line")


@pytest.mark.parametrize("case", sorted(CASES.iterdir()), ids=lambda case: case.name)
def test_golden(case: Path) -> None:
    """To add a case: a folder with a real log, `console.log`, and the reports in it, `reports.json`."""
    found = [
        {field: getattr(report, field) for field in FIELDS} for report in scan((case / "console.log").read_bytes())
    ]
    assert found == json.loads((case / "reports.json").read_text())


BUG = "BUG: spinlock bad magic on CPU#1, sh/45"


@pytest.mark.parametrize(
    "prefix",
    [
        "",
        "[    1.5] ",
        "[    1.539628][   T45] ",
        "[    1.539628][    C1] ",
        "<3>[    1.5] ",
        "\x1b[1;31m",
        "[   T45] ",
    ],
)
def test_a_report_is_found_behind_any_prefix(prefix: str) -> None:
    assert [report.title for report in scan(f"{prefix}{BUG}\r\n".encode())] == [BUG]


@pytest.mark.parametrize(
    "line",
    [
        "Kernel command line: oops=panic panic_on_warn=1",
        "modcompat: BUG: not the kernel's words",
        "vendor: check heap.plain FAILED got 0x1 want 0x0",
        "ata1: BUGfix applied",
        "systemd[1]: Started Kernel Oops reporter.",
        "usb 1-1: no warning: here",
    ],
)
def test_words_in_passing_are_no_report(line: str) -> None:
    assert scan(f"[    1.0][    T1] {line}\n".encode()) == []


def test_two_cpus_that_speak_at_once_are_kept_apart() -> None:
    log = (
        "[ 1.0][ T1] WARNING: CPU: 0 PID: 1 at drivers/a.c:5 first_function+0x1/0x2 [one]\n"
        "[ 1.0][ T2] WARNING: CPU: 1 PID: 2 at drivers/b.c:6 second_function+0x1/0x2 [two]\n"
        "[ 1.0][ T1] Modules linked in: one two\n"
        "[ 1.0][ T2] Modules linked in: one two\n"
    )
    assert [report.module for report in scan(log.encode())] == ["one", "two"]


def test_positions_are_bytes_of_the_log() -> None:
    log = "gr\u00fcn\n".encode() + b"\xff\xfe\n" + BUG.encode()
    (report,) = scan(log)
    assert log[report.start :].startswith(b"BUG")
    assert report.first_line == 3


@given(st.binary(max_size=2000))
def test_any_bytes_can_be_scanned(log: bytes) -> None:
    scan(log)
    assert sum(line.end - line.start for line in split(log)) + log.count(b"\n") == len(log)


@given(
    st.lists(
        st.sampled_from([BUG, "Call Trace:", " f+0x1/0x2 [m]", "---[ end trace 0 ]---", "x", "RIP: 0010:"]), max_size=40
    )
)
def test_any_order_of_report_lines_can_be_scanned(lines: list[str]) -> None:
    reports = scan("\n".join(lines).encode())
    assert all(report.first_line <= report.last_line for report in reports)
    assert (BUG in lines) == any(report.title == BUG for report in reports)


def test_an_init_that_was_called_is_told_by_the_kernel() -> None:
    log = (
        b"[ 1.5][ T40] calling  other_init+0x0/0x1000 [other] @ 39\n"
        b"[ 1.5][ T40] calling  x_init+0x0/0x1000 [x] @ 40\n"
        b"[ 1.5][ T40] initcall x_init+0x0/0x1000 [x] returned -19 after 10000 usecs\n"
    )
    assert find_initcall(log, "x") == InitCall("x_init", -19)
    assert find_initcall(log, "other") == InitCall("other_init", None)
    assert find_initcall(log, "absent") is None
