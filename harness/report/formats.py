# SPDX-License-Identifier: Apache-2.0
"""The reports that are made of a run folder, by name. Each depends on the content of the folder only."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.report.html import html
from harness.report.junit import junit
from harness.report.ktap import ktap
from harness.report.markdown import markdown
from harness.report.recorded_run import Run, read_run
from harness.support.errors import ModcompatError


def with_evidence(run: Run) -> str:
    """matrix.json with the evidence in every cell, for programs that read one file only."""
    cells = [cell.row | {"evidence": cell.evidence} for cell in run.cells]
    return json.dumps(run.facts | {"cells": cells}, indent=1) + "\n"


@dataclass(frozen=True)
class Format:
    """A format of reports."""

    make: Callable[[Run], str]
    # name in the run folder; "" if it is made on request only
    file: str = ""


FORMATS: dict[str, Format] = {
    "html": Format(html, "report.html"),
    "junit": Format(junit, "junit.xml"),
    "ktap": Format(ktap, "results.ktap"),
    "markdown": Format(markdown, "summary.md"),
    "json": Format(with_evidence),
}


def write_reports(folder: Path) -> list[Path]:
    """Make every report of a run folder again, in the folder. Raises ModcompatError."""
    run = read_run(folder)
    return [write(run.folder / form.file, form.make(run)) for form in FORMATS.values() if form.file]


def write(path: Path, text: str) -> Path:
    """Write a report. Raises ModcompatError."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ModcompatError(f"cannot write {path}: {error.strerror}") from None
    return path
