"""Errors a user can act on: what happened, the facts, and the next step to take."""


class ModcompatError(Exception):
    """Something the user can mend. Printed without a traceback.

    problem: one line that says what happened. details: facts (a command, the last lines of a log).
    next_step: what to do about it.
    """

    def __init__(self, problem: str, *, details: str = "", next_step: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.details = details.strip("\n")
        self.next_step = next_step

    def __str__(self) -> str:
        parts = [self.problem]
        if self.details:
            parts.append("\n".join(f"  | {line}" for line in self.details.splitlines()))
        if self.next_step:
            parts.append(f"  next: {self.next_step}")
        return "\n".join(parts)
