# SPDX-License-Identifier: Apache-2.0
"""The reports made from a run folder: from a real one, and from one full of hostile text."""

import json
import re
import shlex
import shutil
import tempfile
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import jsonschema
import pytest
from _pytest.mark.expression import Expression
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.detect.verdict import Verdict
from harness.report.excerpt import excerpt
from harness.report.formats import FORMATS, write_reports
from harness.report.html import html
from harness.report.junit import junit
from harness.report.ktap import ktap
from harness.report.markdown import inline, markdown
from harness.report.plain_text import reproduce_command
from harness.report.recorded_run import RecordedCell, Run, read_run, totals
from harness.report.schema import load, schema_named
from harness.support.errors import ModcompatError
from harness.support.text import decoded, one_line, visible

GOLDEN = Path(__file__).parents[1] / "golden/run"
HOSTILE = (
    "<script>window.name='ran'</script><img src=x onerror=alert(1)> '\" onclick=x javascript:x ]]> &lt; "
    "| `x` **b** @somebody #12 \x1b[31m \x00 \r \u202e \ud800 \ufffe\nsecond line"
)


def golden() -> Run:
    return read_run(GOLDEN)


ALLOWED = {"reason": "known since March", "expires": "2027-03-31"}


def cell_of(run: Run, module: str, variant: str) -> RecordedCell:
    return next(cell for cell in run.cells if (cell.row["module"], cell.row["variant"]) == (module, variant))


def changed_run(place: Path, **row: object) -> Run:
    """The golden run with its first cell changed."""
    shutil.copytree(GOLDEN, place)
    facts = json.loads((place / "matrix.json").read_text())
    facts["cells"][0] |= row
    (place / "matrix.json").write_text(json.dumps(facts))
    return read_run(place)


def foreign_run(folder: Path, text: str, raw: bytes = b"", word: str = "SPLAT") -> Run:
    """A run of one cell, with `text` in place of every string."""
    row = dict.fromkeys(("id", "board", "arch", "feature", "flavour", "preemption", "variant", "module"), text)
    row |= dict.fromkeys(("reason", "kernel", "origin"), text) | {"verdict": word, "folder": "cells/x"}
    cell = row | {"because": [text, text], "seconds": 1.5, "expected": []}
    command = {"command": text, "status": 1, "output": text, "seconds": 0.1}
    check = {"name": text, "held": False, "detail": text}
    report = dict.fromkeys(("kind", "title", "module", "culprit", "rule", "text"), text)
    place = {"name": text, "type": text, "before": [0, 4], "after": [8, 4]}
    evidence = {
        "obstacles": [text], "feature_proof": text, "in_use": [check], "load": command, "checks": [check],
        "initcall": {"function": text, "returned": -1}, "announced": [check], "stopped": text, "commands": [command],
        "reports": {"exercise": [report | {"first_line": 1, "last_line": 2, "start": 0}]},
        "loss": {"what": text, "backtraces": [text]}, "weak": [text], "integrity": [check],
        "layouts": [{"name": text, "before": 8, "after": 16, "focus": [text], "members": [place]}],
        "prediction": {"verdict": text, "reason": text, "agrees": False},
    }  # fmt: skip
    facts = {
        "schema": 1, "date": text, "kernel": text, "compilers": {text: text}, "qemu": {text: text}, "command": text,
        "assumptions": [text], "cells": [cell],
    }  # fmt: skip
    (folder / "cells/x").mkdir(parents=True)
    (folder / "matrix.json").write_text(json.dumps(facts))
    (folder / "cells/x/evidence.json").write_text(json.dumps({"evidence": evidence}))
    (folder / "cells/x/console.log").write_bytes(raw or text.encode(errors="surrogatepass"))
    return read_run(folder)


class Page(HTMLParser):
    """Elements and attributes of a page, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


KNOWN = set(Page(html(golden())).elements) | {"b"}


def assert_harmless(page: Page) -> None:
    assert set(page.elements) <= KNOWN, "nothing but the template makes elements"
    names = {name for name, _ in page.attributes}
    assert not [name for name in names if name.startswith("on") or name in ("style", "src", "srcdoc", "action")]
    assert all(value.startswith(("#", "./cells/")) for name, value in page.attributes if name == "href")


def test_the_page_has_the_matrix_and_each_cell() -> None:
    page = Page(html(golden()))
    assert_harmless(page)
    assert "script" not in page.elements
    assert {"table", "svg", "details"} <= set(page.elements)
    cells = golden().shown
    assert [value for name, value in page.attributes if name == "id" and value.startswith("cell-")] == [
        f"cell-{number}" for number in range(1, len(cells) + 1)
    ]
    assert {f"#cell-{number}" for number in range(1, len(cells) + 1)} <= {value for _, value in page.attributes}
    for words in ("4 kernels", "gcc (Debian 12.2.0", "QEMU emulator", "run_sleep()", "As measured before"):
        assert words in page.text


def test_the_page_allows_its_own_style_and_nothing_else() -> None:
    text = html(golden())
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy
    assert policy[1].startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy[1]
    assert not re.search(r'(?:src|href)="(?:https?:)?//', text)


def test_the_report_is_marked_in_the_console() -> None:
    lines = excerpt(cell_of(golden(), "tail", "stock-spinlock"))
    marked = [line.text for line in lines if line.hit]
    assert "BUG: spinlock bad magic" in marked[0]
    assert marked[-1].endswith("</TASK>")
    assert not lines[0].hit
    assert lines[0].text in decoded(cell_of(golden(), "tail", "stock-spinlock").log).split("\n")[lines[0].number - 1]


def test_without_a_report_what_the_verdict_quotes_is_marked() -> None:
    wrong = [line.text for line in excerpt(cell_of(golden(), "tail", "stock-ftrace")) if line.hit]
    assert all("FAILED" in line for line in wrong)
    assert len(wrong) == 5
    refused = [line.text for line in excerpt(cell_of(golden(), "tail", "stock-kprobes")) if line.hit]
    assert "Skipping invalid relocation target" in refused[0]


def evidence_of(cell: RecordedCell, **changes: object) -> RecordedCell:
    """The cell with changed evidence, which is written to its folder."""
    path = cell.path / "evidence.json"
    facts = json.loads(path.read_text())
    facts["evidence"] |= changes
    path.write_text(json.dumps(facts))
    return RecordedCell(cell.row, cell.path)


def test_a_report_before_the_load_is_marked(tmp_path: Path) -> None:
    cell = cell_of(changed_run(tmp_path / "run"), "tail", "stock-spinlock")
    early = cell.reports[0] | {"start": 0, "first_line": 1, "last_line": 1}
    marked = [line.number for line in excerpt(evidence_of(cell, early_reports=[early])) if line.hit]
    assert marked == [1]


def test_the_output_of_a_failed_load_is_marked(tmp_path: Path) -> None:
    """On a shared UART, the console has the output. The text of the verdict's reason is not marked."""
    cell = cell_of(changed_run(tmp_path / "run"), "tail", "stock-kprobes")
    line = "insmod: can't insert 'modules/tail.ko': invalid module format"
    (cell.path / "console.log").write_text(f"insmod\n{line}\n{cell.row['reason']}\n")
    load = {"command": "insmod x", "status": 1, "output": line, "seconds": 0.1}
    changed = evidence_of(cell, load=load, reports={}, checks=[])
    assert [line.number for line in excerpt(changed) if line.hit] == [2]


OLD_NAMES = {
    "obstacles": "blockers", "weak": "caveats", "works": "liveness_checks", "in_use": "feature_checks",
    "used": "features_in_use", "listed": "loaded", "gone": "removed",
}  # fmt: skip


def test_evidence_of_an_older_version_has_its_present_names(tmp_path: Path) -> None:
    values = {old: [] if old in ("works", "in_use") else [old] for old in OLD_NAMES} | {"exercise": ""}
    file = tmp_path / "evidence.json"
    file.write_text(json.dumps({"evidence": values}))
    found = load(file, "evidence")
    assert found["schema"] == 2
    assert found["evidence"] == {OLD_NAMES.get(old, old): value for old, value in values.items()}
    file.write_text(json.dumps({"schema": 2, "evidence": {"blockers": ["x"], "exercise": None}}))
    assert load(file, "evidence")["evidence"] == {"blockers": ["x"], "exercise": None}
    file.write_text(json.dumps({"schema": 3, "evidence": {}}))
    with pytest.raises(ModcompatError, match="schema 3, which a later modcompat wrote; this one reads schema 2"):
        load(file, "evidence")


def test_a_prediction_stands_beside_what_was_observed(tmp_path: Path) -> None:
    said = {"verdict": "INERT", "reason": "struct module.init moved"}
    run = changed_run(tmp_path / "run", prediction=said)
    page = Page(html(run))
    assert "Predicted, and not observed" in page.text
    assert "struct module.init moved" in page.text


def test_what_was_not_as_predicted_is_counted_marked_and_listed(tmp_path: Path) -> None:
    run = changed_run(tmp_path / "run", prediction={"verdict": "INERT", "reason": "init moved", "agrees": False})
    text = html(run)
    assert '<a href="#mispredicted">1 was not as predicted</a>' in text
    assert '<b title="predicted: INERT">≠</b>' in text
    _, _, listed = text.partition('id="mispredicted"')
    assert "<strong>files</strong> on production" in listed
    assert "predicted <strong>INERT</strong>: init moved" in listed
    assert "observed <strong>CLEAN</strong>: init and exit ran" in listed
    summary = markdown(run)
    assert "1 was not as predicted." in summary
    assert "| files on production, x86\\_64 q35 | INERT | CLEAN | init moved |" in summary


def test_a_prediction_that_came_true_or_was_not_judged_is_not_marked(tmp_path: Path) -> None:
    for agrees in (True, None):
        run = changed_run(tmp_path / str(agrees), prediction={"verdict": "CLEAN", "reason": "", "agrees": agrees})
        assert "predicted</a>" not in html(run)
        assert "mispredicted" not in html(run)
        assert "not as predicted" not in markdown(run)


def test_each_kernel_has_one_line_in_whatever_order_cells_are(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(GOLDEN, tmp_path / "run"))
    facts = json.loads((folder / "matrix.json").read_text())
    facts["cells"].sort(key=lambda row: row["module"])
    (folder / "matrix.json").write_text(json.dumps(facts))
    _, _, listed = markdown(read_run(folder)).partition("| board | kernel | verdicts |")
    kernels = [line.split("|")[1:3] for line in listed.splitlines() if line.startswith("| ")]
    assert len(kernels) == len({tuple(kernel) for kernel in kernels}) > 1


def test_what_was_assumed_stands_behind_the_matrix(tmp_path: Path) -> None:
    run = read_run(Path(shutil.copytree(GOLDEN, tmp_path / "run")))
    assert "assumed" not in html(run)
    assert "assumed" not in markdown(run)
    run.facts["assumptions"] = ["kernels are built from <here>"]
    text = html(run)
    assert text.index('id="matrix"') < text.index("<li>kernels are built from &lt;here&gt;</li>")
    assert "| assumed |\n|---|\n| kernels are built from &lt;here&gt; |" in markdown(run)


REPORT = {"kind": "x", "title": "x", "text": "x", "rule": "r", "first_line": 1, "last_line": 2, "start": 0}


@pytest.mark.parametrize(
    ("reports", "told"),
    [
        ([{"module": "tail", "culprit": "run", "function": "f"}], "Blamed: run() of tail, by the rule “r”."),
        ([{"module": "tail", "culprit": ""}], "Blamed: tail, by the rule “r”."),
        ([{"module": "", "culprit": "", "function": "f"}], "It happened in f(); no module is blamed."),
        ([{"module": "", "culprit": "g"}, {"module": "tail", "culprit": "run"}], "Blamed: run() of tail"),
    ],
    ids=["function-of-a-module", "module", "function", "a-later-report"],
)
def test_the_function_is_told_with_and_without_a_module(
    reports: list[dict[str, str]], told: str, tmp_path: Path
) -> None:
    run = changed_run(tmp_path / "run")
    place = run.cells[0].path / "evidence.json"
    facts = json.loads(place.read_text())
    facts["evidence"]["reports"] = {"exercise": [REPORT | report for report in reports]}
    place.write_text(json.dumps(facts))
    assert told in Page(html(run)).text


def test_a_cell_is_run_again_by_what_chooses_it() -> None:
    cell = cell_of(golden(), "tail", "stock-spinlock")
    assert reproduce_command(cell, "modcompat check --timeout-scale 3.0") == (
        "modcompat check --timeout-scale 3.0 --feature spinlock --flavour stock --board x86_64-q35 "
        "-k tail-module-on-stock-kernel-with-spinlock-on-x86_64-q35"
    )


@pytest.mark.parametrize("name", ["tail", "a b", "tom and not jerry", "x'; touch $HOME `y`", "-n", "v(1)=2", "é-x"])
def test_the_command_takes_any_name_and_finds_its_test(name: str, tmp_path: Path) -> None:
    ident = f"{name}-module-on-stock-kernel-with-kasan-on-arm-virt"
    words = shlex.split(reproduce_command(changed_run(tmp_path / "run", id=ident).cells[0], "pytest"))
    chosen, expression = words[:-2], words[-1]
    assert chosen == ["pytest", "--feature", "spinlock", "--flavour", "production", "--board", "x86_64-q35"]
    assert words[-2] == "-k"
    assert not expression.startswith("-")
    assert is_found(ident, expression)
    assert not is_found(f"{ident[:-1]}x", expression)


def is_found(ident: str, expression: str) -> bool:
    """Whether pytest's `-k` selects the test with this id."""

    def is_in_its_name(word: str, /, **_: object) -> bool:
        return word in f"test_survives[{ident}]"

    return Expression.compile(expression).evaluate(is_in_its_name)


def test_junit_has_a_case_for_each_cell() -> None:
    top = ET.fromstring(junit(golden()))
    cases = top.findall("testsuite/testcase")
    assert len(cases) == len(golden().cells) == int(top.attrib["tests"])
    kinds = {
        (case.attrib["name"], child.tag) for case in cases for child in case if child.tag in ("skipped", "failure")
    }
    assert kinds == {
        (f"{cell.row['module']} on {cell.row['variant']}", "skipped") for cell in golden().cells if cell.row["expected"]
    }
    case = next(case for case in cases if case.attrib["name"] == "tail on stock-spinlock")
    assert case.attrib["classname"] == "x86_64.q35.spinlock"
    properties = {entry.attrib["name"]: entry.attrib["value"] for entry in case.iter("property")}
    assert properties["verdict"] == "INERT"
    assert properties["again"].endswith(f"-k {properties['id']}")
    output = case.findtext("system-out") or ""
    assert "BUG: spinlock bad magic" in output
    assert f"[[ATTACHMENT|cells/{properties['id']}/console.log]]" in output


# junit-10.xsd of the Jenkins xUnit plugin: element -> required attributes, permitted elements.
JUNIT = {
    "testsuites": ({"name", "tests", "failures", "errors", "time"}, {"testsuite"}),
    "testsuite": ({"name", "tests", "failures", "errors", "skipped", "time", "timestamp", "hostname"},
                  {"properties", "testcase"}),
    "testcase": ({"name", "classname", "time"}, {"properties", "skipped", "error", "failure", "system-out"}),
    "properties": (set(), {"property"}),
    "property": ({"name", "value"}, set()),
    "skipped": ({"type", "message"}, set()), "error": ({"type", "message"}, set()),
    "failure": ({"type", "message"}, set()), "system-out": (set(), set()),
}  # fmt: skip


def assert_is_junit(text: str) -> ET.Element:
    top = ET.fromstring(text)
    for element in top.iter():
        attributes, children = JUNIT[element.tag]
        assert attributes == set(element.attrib), element.tag
        assert {child.tag for child in element} <= children
    for suite in (top, *top):
        cases = list(suite.iter("testcase"))
        assert suite.attrib["tests"] == str(len(cases))
        for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            if name in suite.attrib:
                assert suite.attrib[name] == str(len([case for case in cases if case.find(tag) is not None]))
    return top


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        ({"verdict": "SPLAT"}, "failure"),
        ({"verdict": "INVALID"}, "error"),
        ({"verdict": "CLEAN", "expected": ["INERT"]}, "failure"),
        ({"verdict": "HUNG", "expected": ["SPLAT", "HUNG"]}, "skipped"),
        ({"verdict": "HUNG", "allowed": ALLOWED}, "skipped"),
    ],
    ids=lambda value: "-".join(str(each).lower() for each in value.values()) if isinstance(value, dict) else value,
)
def test_only_what_was_measured_or_is_allowed_is_no_failure(tmp_path: Path, row: dict[str, object], kind: str) -> None:
    run = changed_run(tmp_path / "run", **row)
    case = next(assert_is_junit(junit(run)).iter("testcase"))
    assert case.find(kind) is not None
    result = next(line for line in parse_ktap(ktap(run)) if line["path"].endswith("files"))
    assert result["ok"] is (kind == "skipped")


KTAP_RESULT = re.compile(r"(ok|not ok) (\d+)(?: ([^#]*?))?(?: # (?:(SKIP|TODO|XFAIL|TIMEOUT|ERROR)\b ?)?(.*))?")


def parse_ktap(text: str) -> list[dict[str, Any]]:
    """All results, parsed by the rules of Documentation/dev-tools/ktap.rst."""
    lines = text.split("\n")
    assert lines.pop() == ""
    found: list[dict[str, Any]] = []
    rest = _parse_level(lines, 0, "", found)
    assert rest == len(lines)
    return found


def _parse_level(lines: list[str], at: int, indent: str, found: list[dict[str, Any]]) -> int:
    assert lines[at] == f"{indent}KTAP version 1"
    at += 1
    if lines[at].startswith(f"{indent}# Subtest: "):
        at += 1
    plan = re.fullmatch(r"1\.\.(\d+)", lines[at].removeprefix(indent))
    assert plan
    at += 1
    for number in range(1, int(plan[1]) + 1):
        inner: list[dict[str, Any]] = []
        while lines[at].startswith((f"{indent}#", f"{indent}  KTAP")):
            at = _parse_level(lines, at, f"{indent}  ", inner) if lines[at].endswith("KTAP version 1") else at + 1
        result = KTAP_RESULT.fullmatch(lines[at].removeprefix(indent))
        assert result, lines[at]
        assert int(result[2]) == number
        facts = {"ok": result[1] == "ok", "path": result[3] or "", "directive": result[4], "data": result[5]}
        assert not inner or facts["ok"] == all(each["ok"] for each in inner), "a parent fails with its subtests"
        found += [{**each, "path": f"{facts['path']}/{each['path']}"} for each in inner] or [facts]
        at += 1
    return at


def test_ktap_nests_modules_in_kernels_in_boards() -> None:
    results = parse_ktap(ktap(golden()))
    assert len(results) == len(golden().cells)
    broken = {result["path"]: result for result in results if result["directive"]}
    assert broken["x86_64 q35/spinlock stock-spinlock/tail"]["directive"] == "XFAIL"
    assert broken["x86_64 q35/spinlock stock-spinlock/tail"]["ok"]


def test_the_summary_says_what_is_news(tmp_path: Path) -> None:
    assert "all as measured before" in markdown(golden())
    run = changed_run(tmp_path / "run", verdict="SPLAT", reason="a | b <i> @all #1")
    text = markdown(run)
    assert "**1 not as measured before" in text
    assert "| files | production | x86\\_64 q35 | SPLAT | a \\| b &lt;i&gt; @\u200ball #\u200b1 |" in text


def test_what_the_manifest_allows_stands_in_every_report(tmp_path: Path) -> None:
    run = changed_run(tmp_path / "run", verdict="SPLAT", allowed=ALLOWED)
    assert "**" not in markdown(run)
    for name in ("html", "junit", "ktap", "markdown"):
        text = FORMATS[name].make(run)
        assert "2027-03-31" in text
        assert "known since March" in text
    text = html(run)
    line = "files on production, x86_64 q35</a>: SPLAT, allowed until 2027-03-31: known since March"
    assert text.index('id="matrix"') < text.index(line), "the matrix is the first thing seen"

    hostile = changed_run(tmp_path / "hostile", verdict="SPLAT", allowed=dict.fromkeys(ALLOWED, HOSTILE))
    assert_harmless(Page(html(hostile)))
    assert_is_junit(junit(hostile))
    assert len(parse_ktap(ktap(hostile))) == len(run.cells)


def test_reports_are_functions_of_the_run_folder(tmp_path: Path) -> None:
    """Reports made again, or from a copy of the folder, are the same."""
    folders = [Path(shutil.copytree(GOLDEN, tmp_path / name)) for name in ("one", "two")]
    made = [[path.read_bytes() for path in write_reports(folder)] for folder in folders]
    assert made[0] == made[1] == [path.read_bytes() for path in write_reports(folders[0])]


def test_a_matrix_without_evidence_has_reports_too(tmp_path: Path) -> None:
    (tmp_path / "matrix.json").write_text((GOLDEN / "matrix.json").read_text())
    run = read_run(tmp_path / "matrix.json")
    assert all(form.make(run) for form in FORMATS.values())
    assert "Every kernel" in markdown(run)


def test_a_run_without_cells_has_reports_too(tmp_path: Path) -> None:
    facts = json.loads((GOLDEN / "matrix.json").read_text()) | {"cells": []}
    (tmp_path / "matrix.json").write_text(json.dumps(facts))
    run = read_run(tmp_path)
    assert all(form.make(run) for form in FORMATS.values())
    assert parse_ktap(ktap(run)) == []


@pytest.mark.parametrize("number", [0, 1])
def test_of_two_controls_the_broken_one_is_shown(tmp_path: Path, number: int) -> None:
    run = changed_run(tmp_path / "run", verdict="INVALID", id="x")
    twin = RecordedCell(golden().cells[0].row, tmp_path)
    cells = [run.cells[0], twin] if number else [twin, run.cells[0]]
    assert [cell.verdict for cell in Run(tmp_path, run.facts, cells).shown] == [Verdict.INVALID]


@pytest.mark.parametrize("order", [1, -1])
def test_controls_that_are_broken_in_two_ways_are_both_shown(tmp_path: Path, order: int) -> None:
    """The control of one feature got lost, for instance, and the SPLAT of the other one was measured before."""
    run = changed_run(tmp_path / "run", verdict="INVALID", id="x")
    known = changed_run(tmp_path / "known", verdict="SPLAT", id="y", expected=["SPLAT"])
    both = replace(run, cells=[run.cells[0], known.cells[0]][::order])
    assert {cell.verdict for cell in both.shown} == {Verdict.INVALID, Verdict.SPLAT}
    assert "1 INVALID" in markdown(both)
    assert "1 SPLAT" in markdown(both)
    assert html(both).count('href="#cell-') >= 2


def test_cells_without_a_verdict_are_named() -> None:
    run = golden()
    assert "not judged" not in markdown(run)
    assert "not judged" in markdown(replace(run, facts=run.facts | {"missing": ["a-module-on-a-kernel"]}))


def test_production_is_shown_once() -> None:
    run = golden()
    assert len(run.shown) == len(run.cells) - 1, "it is the control of two features"
    assert dict(totals(run.shown))[Verdict.CLEAN] == 3
    places = [cell.row["variant"] for cell in run.shown]
    assert places.index("production") < places.index("stock-spinlock"), "where it came first"


# Schemas


def test_the_files_of_a_run_are_what_their_schemas_say() -> None:
    matrix = json.loads((GOLDEN / "matrix.json").read_text())
    jsonschema.validate(matrix, schema_named("matrix"))
    for cell in matrix["cells"]:
        jsonschema.validate(
            json.loads((GOLDEN / cell["folder"] / "evidence.json").read_text()), schema_named("evidence")
        )
    whole = json.loads(FORMATS["json"].make(golden()))
    jsonschema.validate(whole, schema_named("matrix"))
    assert whole["cells"][0]["evidence"]["checks"]


def test_the_schemas_are_schemas() -> None:
    for name in ("matrix", "evidence", "sweep"):
        jsonschema.Draft202012Validator.check_schema(schema_named(name))


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[]", 'type must be "object"'),
        (b"{}", "in the file, 'schema' is a required property"),
        (b'{"schema": 2}', "a later modcompat wrote"),
        (b'{"schema": true, "date": "", "kernel": "", "compilers": {}, "cells": []}', "const must be 1"),
        (
            b'{"schema": 1, "date": "", "kernel": "", "compilers": {}, "cells": [7]}',
            'cells[0] is 7, but its type must be "object"',
        ),
        (b'{"schema": 1, "date": "", "kernel": NaN, "compilers": {}, "cells": []}', "NaN"),
    ],
    ids=["empty", "bytes", "deep", "list", "nothing", "later", "true", "cell", "nan"],
)
def test_what_is_no_matrix_is_refused_in_one_line(tmp_path: Path, content: bytes, complaint: str) -> None:
    (tmp_path / "matrix.json").write_bytes(content)
    with pytest.raises(ModcompatError) as caught:
        read_run(tmp_path)
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("folder", ["/etc", "cells/../../x", "..", "a//b", ""])
def test_a_cell_cannot_lead_out_of_the_run(tmp_path: Path, folder: str) -> None:
    with pytest.raises(ModcompatError):
        changed_run(tmp_path / "run", folder=folder)


# Foreign text


@settings(max_examples=60)
@given(
    st.text(max_size=40).map(lambda text: text + HOSTILE) | st.text(st.characters(), max_size=80),
    st.binary(max_size=80),
)
def test_foreign_text_is_text_in_every_report(text: str, raw: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        run = foreign_run(Path(folder), text, raw)
        page = Page(html(run))
        assert_harmless(page)
        assert one_line(text) in " ".join(page.text.split())
        assert_is_junit(junit(run))
        assert len(parse_ktap(ktap(run))) == 1
        assert_one_row_each(markdown(run))
        for form in FORMATS.values():
            form.make(run).encode()  # encoded as when it is written


def assert_one_row_each(text: str) -> None:
    rows = [line for line in text.split("\n") if line.startswith("| ")]
    columns = [len(re.findall(r"(?<!\\)(?:\\\\)*\|", row)) for row in rows]
    assert columns == [6, 6, 5, 5, 2, 2, 4, 4]
    assert set(re.findall(r"<\w+", text)) == {"<details", "<summary"}


@given(st.text())
def test_a_markdown_cell_is_one_line_that_mentions_nobody(text: str) -> None:
    cell = inline(text)
    assert "\n" not in cell
    assert not re.search(r"[<>]|[@#]\w|://\w", cell)


@given(st.binary())
def test_what_is_shown_of_a_console_cannot_steer_anything(raw: bytes) -> None:
    text = decoded(raw)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", text)
    assert text.count("\n") == raw.count(b"\n"), "lines stay lines"


def test_hidden_characters_are_signs() -> None:
    assert visible("\x1b[31mred\x00 \u202eabc\ud800") == "␛[31mred␀ ⟨U+202E⟩abc⟨U+D800⟩"
    assert decoded(b"a\xff\r\nb\rc\n") == "a\\xff\nb␍c\n"


def test_a_hostile_line_is_shown_as_it_is(tmp_path: Path) -> None:
    text = html(foreign_run(tmp_path, HOSTILE))
    assert "&lt;script&gt;window.name=" in text
    assert "<script" not in text
    assert "⟨U+202E⟩" in text
