# SPDX-License-Identifier: Apache-2.0
"""benchmarks/detector.py: labels in both forms, and what agrees with them."""

import json
import os
from pathlib import Path

import pytest

from benchmarks.detector import TYPES, Case, cases, judge, measure, year_of
from harness.detect.kinds import KINDS
from harness.detect.scan import scan

LOG = (
    "[   12.5] BUG: kernel NULL pointer dereference, address: 0000000000000008\n"
    "[   12.5] Oops: 0000 [#1] SMP\n"
    "[   12.5] CPU: 0 UID: 0 PID: 42 Comm: sh Tainted: G           O       6.12.1-vendor #1\n"
    "[   12.5] RIP: 0010:vendor_run+0x1/0x2 [vendor]\n"
    "[   12.5] Call Trace:\n[   12.5]  vfs_read+0x1/0x2\n"
)
TITLE = "BUG: unable to handle kernel NULL pointer dereference in vendor_run"
CORPUS = os.environ.get("MODCOMPAT_LABELLED_LOGS", "")  # a folder of labelled logs


def judged(**label: object) -> dict[str, bool]:
    found = judge(Case("x", LOG.encode(), label), next(iter(scan(LOG.encode())), None))
    return {name: right for name, (right, _) in found.items()}


def test_each_label_is_one_measure() -> None:
    assert judged(title=TITLE) == {"found": True, "title": True, "function": True}
    assert judged(title="oops", alt=[TITLE]) == {"found": True, "title": True, "function": True}
    assert judged(kind="access", module="vendor", corrupted=False) == {
        "found": True, "kind": True, "blame": True, "torn": True,
    }  # fmt: skip
    assert judged(type="NULL-POINTER-DEREFERENCE", frame="vendor_run") == {
        "found": True,
        "kind": True,
        "function": True,
    }


def test_what_disagrees_is_seen() -> None:
    assert judged(title="BUG: x in other", type="LEAK", module="other", corrupted=True) == {
        "found": True, "title": False, "kind": False, "function": False, "blame": False, "torn": False,
    }  # fmt: skip
    assert not judge(Case("x", b"", {"title": TITLE}), None)["found"][0]


@pytest.mark.parametrize(
    ("log", "year"),
    [
        (LOG, "2024"),
        ("[    0.0] Linux version 5.10.223 (a@b) (gcc) #1 SMP", "2020"),
        ("CPU: 0 PID: 1 Comm: sh Not tainted 4.3.0 #1", "before 2016"),
        ("CPU: 0 PID: 1 Comm: sh Not tainted 7.3.4 #1", "2026"),
        ("nothing", "unknown"),
    ],
)
def test_the_version_of_the_kernel_tells_the_year(log: str, year: str) -> None:
    assert year_of(log.encode()) == year


def test_labels_come_in_lines_and_in_folders(tmp_path: Path) -> None:
    (tmp_path / "logs.jsonl").write_text(json.dumps({"id": "one", "log": LOG, "title": TITLE, "year": 2031}) + "\n")
    (tmp_path / "case").mkdir()
    (tmp_path / "case/console.log").write_text(LOG)
    (tmp_path / "case/reports.json").write_text(json.dumps([{"title": TITLE, "function": "vendor_run", "torn": False}]))
    (tmp_path / "clean").mkdir()
    (tmp_path / "clean/console.log").write_text("quiet\n")
    (tmp_path / "clean/reports.json").write_text("[]")
    one, case, clean = cases(tmp_path)
    assert (one.name, one.year, one.functions, one.has_report) == ("one", "2031", {"vendor_run"}, True)
    assert (case.name, case.year, case.label["corrupted"], case.has_report) == ("case", "2024", False, True)
    assert (clean.name, clean.has_report) == ("clean", False)


def test_it_prints_every_measure_by_year(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [{"id": "a", "log": LOG, "title": TITLE}, {"id": "b", "log": LOG, "title": "other", "year": 2031}]
    (tmp_path / "logs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    measure(tmp_path, quiet=False)
    printed = capsys.readouterr().out.splitlines()
    assert f"title: b: {TITLE!r} for 'other'" in printed
    years = {words[0]: words[1:] for line in printed if (words := line.split()) and words[0] in ("2024", "2031", "all")}
    assert years["2024"] == ["1", "1/1", "100.0%", "-", "1/1", "100.0%", "1/1", "100.0%", "-", "-"]
    assert years["2031"] == ["1", "1/1", "100.0%", "-", "0/1", "0.0%", "-", "-", "-"]
    assert years["all"][:2] == ["2", "2/2"]


@pytest.mark.skipif(not CORPUS, reason="MODCOMPAT_LABELLED_LOGS does not name a folder of labelled logs")
def test_labelled_logs_of_other_people() -> None:
    reports = [(case, scan(case.log)) for case in cases(Path(CORPUS))]
    assert [case.name for case, found in reports if case.has_report != bool(found)] == []
    results = [judge(case, found[0]) for case, found in reports if found]
    for name, least in (("kind", 1.0), ("title", 0.9)):
        known = [result[name][0] for result in results if name in result]
        assert sum(known) >= least * len(known), name


def test_every_kind_has_types_that_agree_with_it() -> None:
    assert set(TYPES) == {kind.name for kind in KINDS}
