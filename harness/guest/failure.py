# SPDX-License-Identifier: Apache-2.0
"""The ways in which a guest stops answering, with the last lines of its console."""

from dataclasses import dataclass, field
from enum import Enum

from harness.support.errors import GuestLostError


class Fate(Enum):
    """The state of a guest after a command, answered or not."""

    ALIVE = "alive"
    PANICKED = "panicked"
    RESET = "reset"
    POWERED_OFF = "powered off"
    QEMU_DIED = "QEMU died"
    SILENT = "silent"
    AGENT_DIED = "command agent died"


@dataclass
class GuestFailure(GuestLostError):  # noqa: N818 - the field's own term
    """The guest did not answer a command."""

    fate: Fate
    command: str
    waited: float  # seconds
    detail: str = ""
    console_tail: str = ""
    backtraces: list[str] = field(default_factory=list)  # one text per CPU of a silent guest

    @property
    def headline(self) -> str:
        """The failure in one line."""
        text = f"guest {self.fate.value} during `{self.command}` ({self.waited:.1f} s)"
        return f"{text}; {self.detail}" if self.detail else text

    def __str__(self) -> str:
        lines = [self.headline]
        for trace in self.backtraces:
            lines += ["", trace]
        if self.console_tail:
            lines += ["", "last lines of the console:", self.console_tail]
        return "\n".join(lines)
