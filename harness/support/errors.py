# SPDX-License-Identifier: Apache-2.0
"""Errors a user can act on: what happened, the facts, and the next step to take."""

from pathlib import Path

from harness.support.text import one_line, visible


class ModcompatError(Exception):
    """Something the user can mend. Printed without a traceback.

    problem: one line that says what happened. details: facts (a command, the last lines of a log).
    next_step: what to do about it. Names and texts of any origin may be in them: what steers a terminal is made
    visible, and the problem and the next step are one line each. log: where more is told, which is the next step then.
    """

    def __init__(self, problem: str, *, details: str = "", next_step: str = "", log: Path | None = None) -> None:
        self.problem = one_line(problem)
        self.details = visible(details.strip("\n"))
        self.log = log
        self._next_step = one_line(next_step)
        super().__init__(self.problem)

    @property
    def next_step(self) -> str:
        return self._next_step or (one_line(f"the whole log is {self.log}") if self.log else "")

    def __str__(self) -> str:
        parts = [self.problem]
        if self.details:
            parts.append("\n".join(f"  | {line}" for line in self.details.splitlines()))
        if self.next_step:
            parts.append(f"  next: {self.next_step}")
        return "\n".join(parts)
