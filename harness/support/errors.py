# SPDX-License-Identifier: Apache-2.0
"""Errors that a user can act on: what happened, the facts, and the next step to take."""

from pathlib import Path

from harness.support.text import one_line, visible


class ModcompatError(Exception):
    """An error that the user can correct. It is printed without a traceback.

    Names and texts of any origin may be part of it. Control characters are made visible, and the problem and the next
    step are joined into one line each.
    """

    def __init__(self, problem: str, *, details: str = "", next_step: str = "", log: Path | None = None) -> None:
        """Create the error.

        problem: what happened, in one line.
        details: facts, for example a command and the last lines of its output.
        next_step: how to correct it.
        log: a file with the whole output; reading it is the next step unless there is another.
        """
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


class ProgramFailedError(ModcompatError):
    """A program ended by itself, with an exit status that is a failure: its input may be the reason."""


class GuestLostError(Exception):
    """A guest or its QEMU stopped answering: the base of the errors that harness.guest raises for it."""
