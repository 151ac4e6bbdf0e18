# SPDX-License-Identifier: Apache-2.0
"""How a guest can stop answering: each way told apart, each with the last lines of its console."""

from dataclasses import dataclass, field
from enum import Enum

from harness.support.errors import GuestLostError


class Fate(Enum):
    """What became of a guest."""

    ALIVE = "alive"
    PANICKED = "panicked"
    RESET = "reset"
    POWERED_OFF = "powered off"
    QEMU_DIED = "QEMU died"
    SILENT = "silent"
    AGENT_DIED = "command agent died"


@dataclass
class GuestFailure(GuestLostError):  # noqa: N818 - the field's word
    """The guest did not answer a command. waited: seconds. backtraces: of a silent guest's CPUs."""

    fate: Fate
    command: str
    waited: float
    detail: str = ""
    console_tail: str = ""
    backtraces: list[str] = field(default_factory=list)

    @property
    def headline(self) -> str:
        """One line."""
        text = f"guest {self.fate.value} during `{self.command}` ({self.waited:.1f} s)"
        return f"{text}; {self.detail}" if self.detail else text

    def __str__(self) -> str:
        lines = [self.headline]
        for trace in self.backtraces:
            lines += ["", trace]
        if self.console_tail:
            lines += ["", "last lines of the console:", self.console_tail]
        return "\n".join(lines)
