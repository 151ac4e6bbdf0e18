# SPDX-License-Identifier: Apache-2.0
"""The sources of a log whose lines have a prefix that is not the kernel's own, as far as they are known."""

import re
from collections.abc import Collection

from harness.detect.learned_prefix import Announces, LearnedPrefix
from harness.detect.lines import LONGEST_LINE, Message, messages, messages_behind, plain_text
from harness.detect.prefix_study import study
from harness.detect.surroundings import Following, Past

_MAX_PREFIXES = 16
_MAX_REFUSED = 64  # forms of lines that are remembered
_REFUSED_FOR = 40  # lines; a study has seen at least these
_PAST = 48  # lines that a study sees
_NUMBER = re.compile(rb"\d+")
_FORM_BYTES = 160  # of a line


class Sources:
    """Learns the prefixes of a log, and reads its lines behind them."""

    def __init__(self, announces: Announces) -> None:
        self._announces = announces
        self._prefixes: list[LearnedPrefix] = []  # the latest in front
        self._open: set[str] = set()  # sources with an open report
        self._refused: dict[bytes, int] = {}  # form of a line -> line up to which another study would find nothing

    @property
    def are_known(self) -> bool:
        """Whether a prefix was learned."""
        return bool(self._prefixes)

    @property
    def are_open(self) -> bool:
        """Whether a report behind a learned prefix is open."""
        return bool(self._open)

    def note_open(self, speakers: Collection[str]) -> None:
        """Note the sources whose reports are open."""
        self._open = {prefix.source for prefix in self._prefixes if prefix.source in speakers}

    def is_stamped(self, source: str) -> bool | None:
        """Whether a source has the kernel's stamp behind its prefix; None if its prefix was not learned."""
        return next((prefix.stamped for prefix in self._prefixes if prefix.source == source), None)

    def read(self, number: int, start: int, raw: bytes, *, may_announce: bool) -> list[Message]:
        """The messages in a line.

        A prefix counts if it is that of an open report, or if a report begins behind it.
        """
        if not self._prefixes or not (may_announce or self._open):
            return messages(number, start, raw)
        text = plain_text(raw)
        for index, prefix in enumerate(self._prefixes):
            is_open = prefix.source in self._open
            if not (is_open or may_announce):
                continue
            found = messages_behind(prefix, number, start, text)
            if found and (is_open or any(self._announces(message.text, 0) for message in found)):
                if may_announce:
                    self._prefixes.insert(0, self._prefixes.pop(index))
                return found
        return messages(number, start, raw)

    def learn(self, number: int, raw: bytes, past: Past, following: Following, *, may_stand_alone: bool) -> bool:
        """Learn the prefix of a line that may be one of a report; returns whether the lines that follow suffice."""
        form = _NUMBER.sub(b"0", raw[:_FORM_BYTES])
        if len(raw) >= LONGEST_LINE or number < self._refused.get(form, 0):
            return True
        finding = study(
            plain_text(raw), past.lines()[-_PAST:], following.lines, is_end=following.is_complete,
            may_stand_alone=may_stand_alone, announces=self._announces,
        )  # fmt: skip
        if finding.prefix:
            source = finding.prefix.source
            others = [prefix for prefix in self._prefixes if prefix.source != source]
            self._prefixes = [finding.prefix, *others[: _MAX_PREFIXES - 1]]
        elif finding.is_final:
            if len(self._refused) >= _MAX_REFUSED:
                self._refused.clear()
            self._refused[form] = number + _REFUSED_FOR
        return finding.is_final
