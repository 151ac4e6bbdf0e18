# SPDX-License-Identifier: Apache-2.0
"""Regions of a log in which the kernel's lines have one form: with its stamp, relayed by a program, or plain.

A file may hold several logs one after the other, and a console has what other programs print back. A line without the
kernel's stamp counts if the lines around it are like it, and not if the lines around it have the stamp.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from enum import Enum

from harness.detect.kernel_words import OTHER_LINE, REPORT_LINE
from harness.detect.lines import Message, messages
from harness.detect.surroundings import Following, Past

_NEAR = 32  # lines of the kernel that make up a region
_MAX_AHEAD = 48  # lines that are looked at
_MIN_PLAIN = 8  # such lines without stamp
_MIN_RELAYED = 4  # relayed lines in a row
_MANY = 4  # times as many
_ECHOES = 24  # lines, when one of them is an echo


class LineForm(Enum):
    """The form of a kernel's line."""

    STAMPED = "with the kernel's stamp"
    RELAYED = "with the stamp of a program that relays logs"
    PLAIN = "without any"


def form(raw: bytes) -> LineForm | None:
    """The form of a line; None if it is not a line of the kernel."""
    last = messages(0, 0, raw)[-1]
    if last.stamped or last.relayed:
        return LineForm.RELAYED if last.relayed else LineForm.STAMPED
    return LineForm.PLAIN if REPORT_LINE.match(last.text) or OTHER_LINE.match(last.text) else None


class Region:
    """The forms of the latest lines of the kernel."""

    def __init__(self) -> None:
        self._forms: deque[LineForm] = deque(maxlen=_NEAR)
        self._read_to = 0  # byte of the log up to which lines were added
        self._echo_until = dict.fromkeys(LineForm, 0)  # line up to which lines of a form are echoes

    def is_echo(self, message: Message, raw: bytes, past: Past, following: Following) -> bool | None:
        """Whether a line without the kernel's stamp comes from another program. None: more lines have to be seen.

        raw: the line. past, following: the lines around it.
        """
        wanted = LineForm.RELAYED if message.relayed else LineForm.PLAIN
        if message.number < self._echo_until[wanted]:
            return True
        lines = past.lines(message.start - self._read_to)
        self._forms.extend(found for line in lines if (found := form(line)))
        self._read_to = message.start
        is_like_others = self._is_like_others(wanted, [raw, *following.lines[:_MAX_AHEAD]])
        if not following.is_complete and not (is_like_others and wanted is LineForm.RELAYED):
            return None
        if not is_like_others:
            self._echo_until[wanted] = message.number + _ECHOES
        return not is_like_others

    def _is_like_others(self, wanted: LineForm, ahead: Sequence[bytes]) -> bool:
        forms = [found for raw in ahead if (found := form(raw))][:_NEAR]
        if wanted is LineForm.RELAYED:
            return _run(reversed(self._forms), wanted) + _run(forms, wanted) >= _MIN_RELAYED
        around = [*self._forms, *forms]
        plain, stamped = around.count(LineForm.PLAIN), around.count(LineForm.STAMPED)
        return plain >= _MIN_PLAIN and plain >= _MANY * stamped


def _run(forms: Iterable[LineForm], wanted: LineForm) -> int:
    """How many forms in a row are the wanted one."""
    count = 0
    for one in forms:
        if one is not wanted:
            break
        count += 1
    return count
