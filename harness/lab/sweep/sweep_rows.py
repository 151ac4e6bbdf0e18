# SPDX-License-Identifier: Apache-2.0
"""The results of a sweep, a line of JSON for each module, written as they come.

A sweep that was interrupted goes on where it stopped. A line that was being written when the machine went down is
ignored, and its module is judged again.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock

from harness.support.run_plan import note_plan

VERDICTS, PREDICTIONS = "verdicts", "predictions"


class SweepRows:
    """The rows in a run folder, each a list about one module. Several processes may add rows at once."""

    def __init__(self, run: Path, name: str = VERDICTS) -> None:
        """name: VERDICTS or PREDICTIONS."""
        self.path = run / f"{name}.jsonl"
        self._started = self.path.with_suffix(".started")
        self._lock = FileLock(self.path.with_suffix(".lock"))

    def begin(self, plan: dict[str, Any]) -> None:
        """Note what the sweep depends on, and drop a line that was cut off.

        Raises ModcompatError if the folder has rows of another sweep.
        """
        note_plan(self.path.parent, plan, "a sweep")
        if self.path.exists():
            with self.path.open("rb+") as file:
                content = file.read()
                if content and not content.endswith(b"\n"):
                    file.truncate(content.rfind(b"\n") + 1)

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
        with self._lock, self.path.open("ab", buffering=0) as file:
            before = file.tell()
            try:
                while line:
                    line = line[file.write(line) :]
            except OSError:
                file.truncate(before)
                raise

    def read(self) -> Iterator[list[dict[str, Any]]]:
        """The rows of each module so far."""
        if not self.path.exists():
            return
        with self.path.open() as file:
            for line in file:
                if line.endswith("\n"):
                    yield json.loads(line)

    def count(self) -> int:
        """The number of modules that have been judged."""
        try:
            return self.path.read_bytes().count(b"\n")
        except FileNotFoundError:
            return 0

    def done(self) -> set[str]:
        """The places of the modules that have been judged."""
        return {rows[0]["place"] for rows in self.read()}


def begin_rows(run: Path, plan: dict[str, Any]) -> None:
    """Begin the predictions and the verdicts of a sweep, or go on with them. Raises as SweepRows.begin()."""
    for name in (PREDICTIONS, VERDICTS):
        SweepRows(run, name).begin(plan)
