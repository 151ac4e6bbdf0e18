# SPDX-License-Identifier: Apache-2.0
"""junit.xml: a test case for each cell, in the dialect that Jenkins, GitLab and GitHub's reporters read.

There is no standard; the elements are those of the Jenkins xUnit plugin's schema (junit-10.xsd). Files are attached
by `[[ATTACHMENT|path]]` lines, which Jenkins and GitLab understand; paths are relative to junit.xml.
"""

from itertools import groupby
from xml.etree import ElementTree as ET

from harness.detect.verdict import PASSES, Verdict
from harness.report.plain_text import render_cell, reproduce_command, transcript
from harness.report.recorded_run import RecordedCell, Run
from harness.support.text import one_line


def junit(run: Run) -> str:
    """The XML document of a run, with a suite for each board."""
    top = ET.Element("testsuites", name="modcompat")
    for place, group in groupby(sorted(run.cells, key=_suite), key=_suite):
        cells = list(group)
        suite = ET.SubElement(
            top, "testsuite", name=place, hostname=place, timestamp=one_line(f"{run.facts['date']}T00:00:00")
        )
        _properties(suite, {"kernel": run.facts["kernel"], "date": run.facts["date"], "command": run.facts["command"]})
        for cell in cells:
            _case(suite, cell, run.facts["command"])
        _count(suite, cells)
    _count(top, run.cells)
    ET.indent(top, " ")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(top, encoding="unicode")}\n'


def _case(suite: ET.Element, cell: RecordedCell, command: str) -> None:
    row = cell.row
    case = ET.SubElement(
        suite,
        "testcase",
        classname=one_line(f"{row['arch']}.{row['board']}.{row['feature']}"),
        name=one_line(f"{row['module']} on {row['variant']}"),
        time=f"{row['seconds']:.3f}",
    )
    facts = {name: row[name] for name in ("verdict", "reason", "kernel", "id")}
    _properties(case, facts | {"again": reproduce_command(cell, command)})
    reason = one_line(f"{row['verdict']}: {row['reason']}")
    kind = _outcome(cell)
    if kind == "skipped":
        why = "allowed" if cell.allowed else "expected"
        ET.SubElement(case, "skipped", type=why, message=one_line(f"{cell.allowed or 'measured before'}: {reason}"))
    elif kind:
        expected = " or ".join(row["expected"])
        wanted = f" (measured before: {expected})" if expected else ""
        ET.SubElement(case, kind, type=row["verdict"], message=reason + wanted).text = render_cell(cell)
    attached = [f"[[ATTACHMENT|{one_line(row['folder'])}/{name}]]" for name in cell.files]
    # Tools show no text of a skipped case, so all of it is here.
    words = [render_cell(cell)] if kind == "skipped" else []
    ET.SubElement(case, "system-out").text = "\n".join([*words, transcript(cell), *attached])


def _outcome(cell: RecordedCell) -> str:
    """failure, error (INVALID), skipped (a breakage that is allowed or was measured before), or "" for a pass."""
    if cell.is_expected:
        return "" if cell.verdict in PASSES else "skipped"
    return "error" if cell.verdict is Verdict.INVALID else "failure"


def _count(element: ET.Element, cells: list[RecordedCell]) -> None:
    outcomes = [_outcome(cell) for cell in cells]
    element.set("tests", str(len(cells)))
    names = {"failures": "failure", "errors": "error", "skipped": "skipped"}
    for name, outcome in names.items():
        if name != "skipped" or element.tag == "testsuite":
            element.set(name, str(outcomes.count(outcome)))
    element.set("time", f"{sum(cell.row['seconds'] for cell in cells):.3f}")


def _properties(parent: ET.Element, facts: dict[str, str]) -> None:
    properties = ET.SubElement(parent, "properties")
    for name, value in facts.items():
        ET.SubElement(properties, "property", name=name, value=one_line(value))


def _suite(cell: RecordedCell) -> str:
    return one_line(f"{cell.row['arch']}.{cell.row['board']}")
