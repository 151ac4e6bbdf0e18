# SPDX-License-Identifier: Apache-2.0
"""The results of a sweep, a line of JSON for each module, written as they come.

A sweep that was interrupted goes on where it stopped. A line that was being written when the machine went down is
ignored, and its module is judged again. So is a module about which nothing was proven.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from filelock import FileLock

from harness.detect.verdict import Verdict
from harness.support.folders import write_file
from harness.support.run_plan import note_plan

VERDICTS, PREDICTIONS = "verdicts", "predictions"
_BLOCK = 1 << 16  # bytes


class SweepRows:
    """The rows in a run folder, each a list about one module. Several processes may add rows at once."""

    def __init__(self, run: Path, name: str = VERDICTS) -> None:
        """name: VERDICTS or PREDICTIONS."""
        self.path = run / f"{name}.jsonl"
        self._started = self.path.with_suffix(".started")
        self._lock = FileLock(self.path.with_suffix(".lock"))

    def start(self, place: str) -> None:
        """Note that a process begins with a module, so that it is known which one it may have died of."""
        with self._lock, self._started.open("a") as file:
            file.write(f"{place}\n")

    def take_unfinished(self) -> set[str]:
        """The places of the modules that were begun and have no rows. Deletes the note of what was begun."""
        if not self._started.exists():
            return set()
        started = set(self._started.read_text().splitlines())
        self._started.unlink()
        return started - self.done()

    def add(self, rows: Iterable[dict[str, Any]]) -> None:
        """Add the rows of one module, all or none. Raises OSError, as on a full disk."""
        line = (json.dumps(list(rows), separators=(",", ":")) + "\n").encode()
        with self._lock, self.path.open("ab+", buffering=0) as file:
            before = _drop_cut_line(file)  # of a process that was killed
            try:
                while line:
                    line = line[file.write(line) :]
            except OSError:
                file.truncate(before)
                raise

    def read(self) -> Iterator[list[dict[str, Any]]]:
        """The rows of each module so far."""
        for line in self._lines():
            yield json.loads(line)

    def _lines(self) -> Iterator[str]:
        if not self.path.exists():
            return
        with self.path.open() as file:
            yield from (line for line in file if line.endswith("\n"))

    def count(self) -> int:
        """The number of modules that have been judged."""
        try:
            return self.path.read_bytes().count(b"\n")
        except FileNotFoundError:
            return 0

    def done(self) -> set[str]:
        """The places of the modules that have been judged."""
        return {rows[0]["place"] for rows in self.read()}

    def proven(self) -> set[str]:
        """The places of the modules that were judged, and about which something was proven."""
        return {rows[0]["place"] for rows in self.read() if not prove_nothing(rows)}

    def drop_unproven(self) -> None:
        """Drop the rows of modules about which nothing was proven, so that they are judged again. Raises OSError."""
        with self._lock:
            lines = list(self._lines())
            kept = [line for line in lines if not prove_nothing(json.loads(line))]
            if len(kept) < len(lines):
                write_file(self.path, "".join(kept))


def _drop_cut_line(file: IO[bytes]) -> int:
    """Drop an unfinished last line of a file. Returns the size of the file in bytes, and leaves the position there."""
    size = end = file.seek(0, os.SEEK_END)
    while end:
        begin = max(0, end - _BLOCK)
        file.seek(begin)
        if (found := file.read(end - begin).rfind(b"\n")) >= 0:
            end = begin + found + 1
            break
        end = begin
    if end < size:
        file.truncate(end)
    return file.seek(end)


def prove_nothing(rows: Iterable[Mapping[str, Any]]) -> bool:
    """Whether a module is INVALID on one of the kernels."""
    return any(row.get("verdict") == Verdict.INVALID for row in rows)


def begin_rows(run: Path, plan: dict[str, Any]) -> None:
    """Begin a sweep in its run folder, or go on with one. plan: what it depends on.

    Raises ModcompatError if the folder has another sweep.
    """
    note_plan(run, plan, "a sweep")
    SweepRows(run).drop_unproven()
