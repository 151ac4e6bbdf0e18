# SPDX-License-Identifier: Apache-2.0
"""Regions of a log in which the kernel's lines have one form: with its stamp, relayed by a program, or plain.

A file may hold several logs one after the other, and a console has what other programs print back. A line without the
kernel's stamp counts if the lines around it are like it, and not if the lines around it have the stamp.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from enum import Enum

from harness.detect.kernel_words import OTHER_LINE, REPORT_LINE
from harness.detect.lines import messages

NEAR = 32  # lines of the kernel that make up a region
_MAX_AHEAD = 48  # lines that are looked at
_MIN_PLAIN = 8  # such lines without stamp
_MIN_RELAYED = 4  # relayed lines in a row
_MANY = 4  # times as many


class Form(Enum):
    """The form of a kernel's line."""

    STAMPED = "with the kernel's stamp"
    RELAYED = "with the stamp of a program that relays logs"
    PLAIN = "without any"


def form(raw: bytes) -> Form | None:
    """The form of a line; None if it is not a line of the kernel."""
    last = messages(0, 0, raw)[-1]
    if last.stamped or last.relayed:
        return Form.RELAYED if last.relayed else Form.STAMPED
    return Form.PLAIN if REPORT_LINE.match(last.text) or OTHER_LINE.match(last.text) else None


class Region:
    """The forms of the latest lines of the kernel."""

    def __init__(self) -> None:
        self._forms: deque[Form] = deque(maxlen=NEAR)
        self.read_to = 0  # byte of the log up to which lines were added

    def add(self, lines: Iterable[bytes], end: int) -> None:
        """Add the lines before a byte of the log."""
        self._forms.extend(found for raw in lines if (found := form(raw)))
        self.read_to = end

    def accepts(self, wanted: Form, following: Sequence[bytes]) -> bool:
        """Whether a line of a form is the kernel's. following: this line and those after it."""
        forms = [found for raw in following[:_MAX_AHEAD] if (found := form(raw))][:NEAR]
        if wanted is Form.RELAYED:
            return _run(reversed(self._forms), wanted) + _run(forms, wanted) >= _MIN_RELAYED
        around = [*self._forms, *forms]
        plain, stamped = around.count(Form.PLAIN), around.count(Form.STAMPED)
        return plain >= _MIN_PLAIN and plain >= _MANY * stamped


def _run(forms: Iterable[Form], wanted: Form) -> int:
    """How many forms in a row are the wanted one."""
    count = 0
    for one in forms:
        if one is not wanted:
            break
        count += 1
    return count
