# SPDX-License-Identifier: Apache-2.0
"""The tables of docs/results/isolation.md, written from measurements. The text around them is written by hand."""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from harness.kernel.arch import ARCHITECTURES
from harness.lab.validation import records
from harness.lab.validation.bugs import BUGS, ISOLATED, Where
from harness.lab.validation.selftests import PLACES
from harness.report.template import text_templates
from harness.support.paths import PROJECT
from harness.support.text import join_some

PAGE = PROJECT / "docs/results/isolation.md"
_MOST_REPORTS = 3  # of a test that are shown
_BUILDS = {"rebuilt": "rebuilt", "production": "built for production"}
# The comparisons of harness.lab.validation.abi_comparison.compare_abi().
_COMPARED = ("structures", "inlined functions", "macros", "enumerators", "prototypes", "exported symbols")
_BEGIN, _END = "<!-- Generated from harness/lab/validation/{name}.json; do not edit. -->", "<!-- end of {name} -->"


def isolation_page(page: str) -> str:
    """The page, with its tables made again from the measurements. Raises ValueError if it lacks a table's markers."""
    for name, made in SECTIONS.items():
        begin, end = _BEGIN.format(name=name), _END.format(name=name)
        if begin not in page or end not in page:
            raise ValueError(f"{PAGE.name} lacks {begin} ... {end}")
        before, rest = page.split(begin, 1)
        page = f"{before}{begin}\n\n{made(records.load(name)).strip()}\n\n{end}{rest.split(end, 1)[1]}"
    return page


def bugs_section(measured: Mapping[str, Any]) -> str:
    """The catalogue of bugs: where each is reported. A table for each architecture."""
    known = {bug.id: bug for bug in BUGS}
    reasons = list(
        dict.fromkeys(reason for bug in BUGS for arch in ARCHITECTURES for reason in bug.lost_on(arch).values())
    )

    def shown(row: Mapping[str, Any], where: Where, arch: str) -> str:
        if row[where]:
            return "yes"
        reason = known[row["bug"]].lost_on(arch).get(where)
        return f"no ({reasons.index(reason) + 1})" if reason else "NO"

    return _rendered(
        "isolation_bugs.md.j2", measured=measured, isolated=ISOLATED, shown=shown, reasons=reasons, builds=_BUILDS
    )


def selftests_section(measured: Mapping[str, Any]) -> str:
    """The kernel's own tests: the results on the stock kernel, and whether the isolated kernel has the same."""

    def result(found: Mapping[str, Any]) -> str:
        counts = f"{found['passed']} passed, {found['failed']} failed"
        return ", ".join([counts, join_some(found["reports"], _MOST_REPORTS)]) if found["reports"] else counts

    def shown(row: Mapping[str, Any], where: Where) -> str:
        if where not in row:
            return "-"
        if row[where] == row[Where.STOCK]:
            return "the same"
        return result(row[where]) + (f": {row['lost']}" if row["lost"] else "")

    places = PLACES[1:]
    return _rendered("isolation_selftests.md.j2", measured=measured, places=places, shown=shown, result=result)


def costs_section(measured: Mapping[str, Any]) -> str:
    """The cost of operations on each kernel. A table for each architecture."""
    return _rendered("isolation_costs.md.j2", measured=measured)


def proof_table(checks: Sequence[Mapping[str, Any]], cells: Sequence[Mapping[str, Any]]) -> str:
    """The results of `isolate prove` as a Markdown table, a line for each isolated kernel.

    checks: AbiComparison.as_json_object() of each kernel. cells: rows of matrix.json.
    """
    columns = ["architecture", "kernel", *_COMPARED, "modules"]
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for found in checks:
        by_kind = {it["of"]: _compared(it) for it in found["comparisons"]}
        compared = [by_kind.get(kind, "not compared") for kind in _COMPARED]
        words = Counter(
            row["verdict"] for row in cells if (row["arch"], row["variant"]) == (found["arch"], found["kernel"])
        )
        modules = ", ".join(f"{count} {word}" for word, count in words.most_common()) or "none run"
        lines.append(f"| {' | '.join([found['arch'], found['kernel'], *compared, modules])} |")
    return "\n".join(lines)


def _compared(comparison: Mapping[str, Any]) -> str:
    different = len(comparison["differences"])
    return f"{comparison['compared']}, {f'{different} DIFFER' if different else 'the same'}"


def _rendered(template: str, **facts: object) -> str:
    return text_templates(cell=_cell, brief=_brief).get_template(template).render(**facts)


def _brief(words: str) -> str:
    """The kernel's words for a bug, without the CPU, the taint flags and the address."""
    return re.sub(r" on CPU#N.*| - CPU#N.*| \(Tainted[^)]*\)| ADDRESS$", "", words)


def _cell(text: str) -> str:
    return re.sub(r"([|*<\\])", r"\\\1", " ".join(text.split()))


SECTIONS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "bugs": bugs_section,
    "selftests": selftests_section,
    "costs": costs_section,
}
