# SPDX-License-Identifier: Apache-2.0
"""Reports of a sweep, made from its sweep.json: a summary for a terminal, and a page for a browser."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from harness.detect.verdict import PASSES, Verdict
from harness.report.schema import load
from harness.report.template import TEMPLATES, content_hash, html_templates
from harness.support.text import and_more, visible

PRODUCTION = "production"
PAGE = "sweep.html"
_FOLDER_DEPTH = 2  # of a module's place: kernel/drivers
_MAX_SHOWN = 40  # differences in the summary


@dataclass(frozen=True)
class Sweep:
    """The results of a sweep."""

    facts: Mapping[str, Any]

    @property
    def modules(self) -> Sequence[Mapping[str, Any]]:
        found: Sequence[Mapping[str, Any]] = self.facts["modules"]
        return found

    @property
    def kernels(self) -> list[str]:
        """The names of the debug kernels."""
        return [kernel["name"] for kernel in self.facts["kernels"]]

    def cells(self, kernel: str) -> list[Mapping[str, Any]]:
        """The cells of a kernel."""
        return [module["cells"][kernel] for module in self.modules if kernel in module["cells"]]

    def verdicts(self, kernel: str) -> Counter[str]:
        """How many modules have each verdict on a kernel."""
        return Counter(cell["verdict"] for cell in self.cells(kernel))

    def folders(self, kernel: str) -> dict[str, Counter[str]]:
        """The verdicts by folder: kernel/drivers, kernel/fs ..."""
        found: dict[str, Counter[str]] = {}
        for module in self.modules:
            if kernel in module["cells"]:
                folder = "/".join(module["place"].split("/")[:-1][:_FOLDER_DEPTH])
                found.setdefault(folder, Counter())[module["cells"][kernel]["verdict"]] += 1
        return dict(sorted(found.items()))

    def findings(self) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
        """The cells that do not pass: kernel, place of the module, cell."""
        for module in self.modules:
            for kernel in self.kernels:
                cell = module["cells"].get(kernel)
                if cell and cell["verdict"] not in PASSES:
                    yield kernel, module["place"], cell


def read_sweep(file: Path) -> Sweep:
    """The results in a sweep.json. Raises ModcompatError if it is none."""
    return Sweep(load(file, "sweep"))


def exit_status(sweep: Sweep) -> int:
    """0 if every module passes on every debug kernel, 1 if one does not, 2 if a cell proves nothing."""
    found = [Verdict(cell["verdict"]) for _, _, cell in sweep.findings()]
    return 2 if Verdict.INVALID in found else 1 if found else 0


def summary(sweep: Sweep) -> Iterator[str]:
    """Lines for a terminal: verdicts by kernel and folder, and every difference up to a limit."""
    production = sweep.facts["production"]
    yield f"production: {production['name']}, {production['release']} ({production['arch']}), on {sweep.facts['board']}"
    yield f"  {counted(sweep.verdicts(PRODUCTION))}"
    for kernel in sweep.facts["kernels"]:
        options = ", ".join(f"{name}={value}" for name, value in kernel["options"].items())
        verdicts = sweep.verdicts(kernel["name"])
        passed = sum(verdicts[verdict] for verdict in PASSES)
        yield f"{kernel['name']}: {kernel['source']}, with {options or 'nothing that production lacks'}"
        yield f"  {passed:,} of {verdicts.total():,} modules behave as on production: {counted(verdicts)}"
        predicted = [cell["prediction"] for cell in sweep.cells(kernel["name"]) if cell["prediction"]]
        agreed = sum(bool(each["agrees"]) for each in predicted)
        yield f"  {agreed:,} of {len(predicted):,} predictions agree"
        for folder, counts in sweep.folders(kernel["name"]).items():
            yield f"    {folder:28} {counts.total():5}  {counted(counts)}"
    findings = list(sweep.findings())
    for kernel, place, cell in findings[:_MAX_SHOWN]:
        yield visible(f"{cell['verdict']} {place} on {kernel}: {cell['reason']}")
    if more := and_more(len(findings) - _MAX_SHOWN, "findings"):
        yield f"{more}, in {PAGE} and in sweep.json"


def page(sweep: Sweep) -> str:
    """A page that stays usable with ten thousand rows: its script searches, filters and sorts them."""
    style = (TEMPLATES / "report.css").read_text() + (TEMPLATES / "sweep.css").read_text()
    script = (TEMPLATES / "sweep.js").read_text()
    # `<` cannot end the element that contains the data
    data = json.dumps(list(_page_rows(sweep)), separators=(",", ":")).replace("<", "\\u003c")
    return (
        html_templates()
        .get_template("sweep.html.j2")
        .render(
            sweep=sweep,
            facts=sweep.facts,
            production=PRODUCTION,
            counts=counted,
            passes=[str(verdict) for verdict in PASSES],
            verdicts=[str(verdict) for verdict in Verdict if any(sweep.verdicts(k)[verdict] for k in _all(sweep))],
            style=Markup(style),
            script=Markup(script),
            data=Markup(data),
            style_hash=content_hash(style),
            script_hash=content_hash(script),
        )
    )


def _all(sweep: Sweep) -> list[str]:
    return [PRODUCTION, *sweep.kernels]


def _page_rows(sweep: Sweep) -> Iterator[list[Any]]:
    """The rows of the page: place, name, then verdict, reason, seconds and folder for each kernel."""
    for module in sweep.modules:
        row: list[Any] = [visible(module["place"]), visible(module["name"])]
        for kernel in _all(sweep):
            cell = module["cells"].get(kernel)
            row.append([cell["verdict"], visible(cell["reason"]), cell["seconds"], cell["folder"]] if cell else None)
        yield row


def counted(verdicts: Mapping[str, int]) -> str:
    """`3,900 CLEAN, 120 SAME`, in the order of the verdicts."""
    return ", ".join(f"{verdicts[verdict]:,} {verdict}" for verdict in Verdict if verdicts.get(verdict))
