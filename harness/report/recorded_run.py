# SPDX-License-Identifier: Apache-2.0
"""A run folder, read back: all that a report is made of."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from harness.detect.verdict import Word
from harness.report.schema import filled, load, named
from harness.support.errors import ModcompatError
from harness.support.inputs import content_of

MATRIX = "matrix.json"
_LARGEST = 512 << 20  # bytes of a console log
_T = TypeVar("_T")


@dataclass(frozen=True)
class RecordedCell:
    """A cell of a run. row: of matrix.json. path: its folder, which need not be there.

    linked: whether reports are for the run folder, where links to its files lead somewhere.
    """

    row: dict[str, Any]
    path: Path
    linked: bool = True

    @property
    def has_evidence(self) -> bool:
        return (self.path / "evidence.json").is_file()

    @cached_property
    def evidence(self) -> dict[str, Any]:
        """What evidence.json says, with empty values for what it leaves out. Raises ModcompatError."""
        known = load(self.path / "evidence.json", "evidence")["evidence"] if self.has_evidence else {}
        return filled(known, named("evidence")["$defs"]["evidence"])

    @cached_property
    def log(self) -> bytes:
        """The kernel log of the cell."""
        return _read(self.path / "console.log")

    @property
    def files(self) -> list[str]:
        """Names of its files that people look at, and that a report can link."""
        if not self.linked:
            return []
        known = ("console.log", "boot.log", "transcript.txt", "evidence.json", "qemu.sh")
        return [name for name in known if (self.path / name).is_file()]

    @property
    def reports(self) -> list[dict[str, Any]]:
        """What the kernel reported, in the order of the log."""
        found = [report for reports in self.evidence["reports"].values() for report in reports]
        return sorted(found, key=lambda report: int(report["start"]))

    @property
    def blamed(self) -> dict[str, Any] | None:
        """The first report that blames a module, or else the first that names a function."""
        reports = [filled(report, named("evidence")["$defs"]["report"]) for report in self.reports]
        by_module = (report for report in reports if report["module"])
        by_function = (report for report in reports if report["culprit"] or report["function"])
        return next(by_module, next(by_function, None))

    @property
    def prediction(self) -> dict[str, Any] | None:
        """What was said of it before it ran: verdict, reason, and whether it agrees with what came."""
        said = self.row["prediction"] or self.evidence["prediction"]
        return {"agrees": said["verdict"] == self.verdict} | said if said else None

    @property
    def is_otherwise(self) -> bool:
        """Whether it came otherwise than it was predicted."""
        said = self.prediction
        return said is not None and said["agrees"] is False

    @property
    def verdict(self) -> Word:
        return Word(self.row["verdict"])

    @property
    def allowed(self) -> str:
        """How long and why the user's manifest allows what was found; "" where it does not."""
        found = self.row["allowed"]
        return f"allowed until {found['expires']}: {found['reason']}" if found else ""

    @property
    def is_expected(self) -> bool:
        """Whether the verdict is no news: CLEAN where nothing else was measured, or what was, or what is allowed."""
        return bool(self.allowed) or self.verdict in (self.row["expected"] or [Word.CLEAN])

    @property
    def place(self) -> str:
        """Its board."""
        return f"{self.row['arch']} {self.row['board']}"


@dataclass(frozen=True)
class Run:
    """A run. facts: matrix.json."""

    folder: Path
    facts: dict[str, Any]
    cells: list[RecordedCell]

    @property
    def elsewhere(self) -> "Run":
        """The run for reports that are not for its folder: nothing in it is linked."""
        return replace(self, cells=[replace(cell, linked=False) for cell in self.cells])

    @property
    def shown(self) -> list[RecordedCell]:
        """Each module on each kernel once: production is the control of several features. What broke is kept."""
        return once(self.cells, lambda cell: cell.row)


def once(cells: Iterable[_T], row_of: Callable[[_T], dict[str, Any]]) -> list[_T]:
    """Each module on each kernel once: production is the control of several features. What broke is kept.

    row_of: the row of matrix.json of a cell.
    """
    seen: dict[tuple[str, ...], _T] = {}
    for cell in cells:
        row = row_of(cell)
        key = (row["arch"], row["board"], row["variant"], row["module"])
        if key not in seen or row_of(seen[key])["verdict"] == Word.CLEAN:
            seen[key] = cell
    return list(seen.values())


def read_run(path: Path) -> Run:
    """Read a run folder, or its matrix.json. Raises ModcompatError for what is neither."""
    file = path / MATRIX if path.is_dir() else path
    facts = load(file, "matrix")
    folder = file.parent
    ids = Counter(row["id"] for row in facts["cells"])
    if twice := [name for name, count in ids.items() if count > 1]:
        raise ModcompatError(f"{file} is not the {MATRIX} of a run: it has two cells {twice[0]!r}")
    for row in facts["cells"]:
        if ".." in row["folder"].split("/") or not row["folder"].isprintable():
            raise ModcompatError(f"{file} is not the {MATRIX} of a run: {row['folder']!a} is no folder in it")
    schema = named("matrix")
    rows = [filled(row, schema["$defs"]["cell"]) for row in facts["cells"]]
    return Run(folder, filled(facts, schema), [RecordedCell(row, folder / row["folder"]) for row in rows])


def totals(cells: Iterable[RecordedCell]) -> list[tuple[Word, int]]:
    """How many cells have each verdict, in the order of the words."""
    counts = Counter(cell.verdict for cell in cells)
    return [(word, counts[word]) for word in Word if counts[word]]


def _read(file: Path) -> bytes:
    try:
        return content_of(file, _LARGEST)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise ModcompatError(f"cannot read {file}: {error.strerror}") from None
