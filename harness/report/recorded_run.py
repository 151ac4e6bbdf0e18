# SPDX-License-Identifier: Apache-2.0
"""Read a run folder, from which all reports are made."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from harness.detect.verdict import PASSES, Verdict
from harness.report.schema import load, schema_named, with_defaults
from harness.support.errors import ModcompatError
from harness.support.inputs import content_of

MATRIX = "matrix.json"
_MAX_LOG_BYTES = 512 << 20
_T = TypeVar("_T")


@dataclass(frozen=True)
class RecordedCell:
    """A cell of a run."""

    # its row of matrix.json
    row: dict[str, Any]
    # its folder, which may be missing
    path: Path
    # reports link to its files; False for reports outside of the run folder
    linked: bool = True

    @property
    def has_evidence(self) -> bool:
        return (self.path / "evidence.json").is_file()

    @cached_property
    def evidence(self) -> dict[str, Any]:
        """The content of evidence.json, with empty values for missing fields. Raises ModcompatError."""
        known = load(self.path / "evidence.json", "evidence")["evidence"] if self.has_evidence else {}
        return with_defaults(known, schema_named("evidence")["$defs"]["evidence"])

    @cached_property
    def machine(self) -> dict[str, Any] | None:
        """The machine that the guest ran on; None if none did, or in runs of earlier versions."""
        known = load(self.path / "evidence.json", "evidence") if self.has_evidence else {}
        return known.get("machine")

    @cached_property
    def log(self) -> bytes:
        """The kernel log of the cell."""
        return _read(self.path / "console.log")

    @property
    def files(self) -> list[str]:
        """Names of the files that a report links to."""
        if not self.linked:
            return []
        known = ("console.log", "boot.log", "transcript.txt", "evidence.json", "qemu.sh")
        return [name for name in known if (self.path / name).is_file()]

    @property
    def reports(self) -> list[dict[str, Any]]:
        """The reports of the kernel, in the order of the log."""
        found = [report for reports in self.evidence["reports"].values() for report in reports]
        return sorted(found, key=lambda report: int(report["start"]))

    @property
    def blamed(self) -> dict[str, Any] | None:
        """The first report that blames a module, or else the first that names a function; None without one."""
        reports = [with_defaults(report, schema_named("evidence")["$defs"]["report"]) for report in self.reports]
        by_module = (report for report in reports if report["module"])
        by_function = (report for report in reports if report["culprit"] or report["function"])
        return next(by_module, next(by_function, None))

    @property
    def prediction(self) -> dict[str, Any] | None:
        """The prediction made before it ran: verdict, reason, and whether it agrees with the verdict of the run."""
        recorded = self.row["prediction"] or self.evidence["prediction"]
        return {"agrees": recorded["verdict"] == self.verdict} | recorded if recorded else None

    @property
    def is_mispredicted(self) -> bool:
        """Whether the verdict differs from the predicted one."""
        return self.prediction is not None and self.prediction["agrees"] is False

    @property
    def early_reports(self) -> list[dict[str, Any]]:
        """Reports of the kernel before the module was loaded, which make the cell INVALID."""
        return list(self.evidence["early_reports"])

    @property
    def verdict(self) -> Verdict:
        return Verdict(self.row["verdict"])

    @property
    def allowed(self) -> str:
        """Until when and why the user's manifest allows the finding; "" if it does not."""
        found = self.row["allowed"]
        return f"allowed until {found['expires']}: {found['reason']}" if found else ""

    @property
    def is_expected(self) -> bool:
        """Whether the verdict is allowed, or was measured before, or passes if nothing was measured."""
        return bool(self.allowed) or self.verdict in (self.row["expected"] or PASSES)

    @property
    def place(self) -> str:
        """Its board."""
        return f"{self.row['arch']} {self.row['board']}"


@dataclass(frozen=True)
class Run:
    """A run."""

    folder: Path
    # the content of matrix.json
    facts: dict[str, Any]
    cells: list[RecordedCell]

    @property
    def elsewhere(self) -> "Run":
        """The run for reports outside of its folder, which link none of its files."""
        return replace(self, cells=[replace(cell, linked=False) for cell in self.cells])

    @property
    def shown(self) -> list[RecordedCell]:
        """Each module on each kernel once: production is the control of several features. Broken cells are kept."""
        return unique_cells(self.cells, lambda cell: cell.row)


def unique_cells(cells: Iterable[_T], row_of: Callable[[_T], dict[str, Any]]) -> list[_T]:
    """Each module on each kernel once: production is the control of several features. Broken cells are kept.

    That is, where the controls of features differ, there is one of each kind, and none that is CLEAN. row_of: gives the
    row of matrix.json of a cell.
    """
    places: dict[tuple[str, ...], dict[tuple[Any, ...], _T]] = {}
    for cell in cells:
        row = row_of(cell)
        place = places.setdefault((row["arch"], row["board"], row["variant"], row["module"]), {})
        place.setdefault((row["verdict"], tuple(row.get("expected") or ()), bool(row.get("allowed"))), cell)
    unique = []
    for place in places.values():
        broken = [cell for cell in place.values() if row_of(cell)["verdict"] != Verdict.CLEAN]
        unique += broken or [next(iter(place.values()))]
    return unique


def read_run(path: Path) -> Run:
    """Read a run folder, or its matrix.json. Raises ModcompatError for anything else."""
    file = path / MATRIX if path.is_dir() else path
    facts = load(file, "matrix")
    folder = file.parent
    ids = Counter(row["id"] for row in facts["cells"])
    if twice := [name for name, count in ids.items() if count > 1]:
        raise ModcompatError(f"{file} is not the {MATRIX} of a run: it has two cells {twice[0]!r}")
    for row in facts["cells"]:
        if ".." in row["folder"].split("/") or not row["folder"].isprintable():
            raise ModcompatError(f"{file} is not the {MATRIX} of a run: {row['folder']!a} is not a folder in it")
    schema = schema_named("matrix")
    rows = [with_defaults(row, schema["$defs"]["cell"]) for row in facts["cells"]]
    return Run(folder, with_defaults(facts, schema), [RecordedCell(row, folder / row["folder"]) for row in rows])


def totals(cells: Iterable[RecordedCell]) -> list[tuple[Verdict, int]]:
    """How many cells have each verdict, in the order of Verdict."""
    counts = Counter(cell.verdict for cell in cells)
    return [(word, counts[word]) for word in Verdict if counts[word]]


def _read(file: Path) -> bytes:
    try:
        return content_of(file, _MAX_LOG_BYTES)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise ModcompatError(f"cannot read {file}: {error.strerror}") from None
