# SPDX-License-Identifier: Apache-2.0
"""A report whose end has not been seen yet: decides which of the following lines are part of it."""

import re

from harness.detect.body_lines import BODY_LINE
from harness.detect.kernel_report import Head
from harness.detect.kinds import FunctionSource, Priority, Severity
from harness.detect.lines import Message

# Numbers of messages
_MAX_GAP = 5  # of other messages in a report
_MAX_GAP_WHILE_EXPECTING = 20  # the same while its stack trace, or a panic after its end, is still to come
_MAX_BETWEEN_HEADS = 4  # lines that are this near to one another announce one report together
_MAX_BEFORE_LATE_HEAD = 12  # a line this far from the others may still announce the report
_MAX_MESSAGES = 1500  # in one report
_WITHOUT_TRACE = (FunctionSource.NOWHERE, FunctionSource.LINE)
_END = re.compile(r"---\[ end (?:trace|Kernel panic)")
_DETAIL = re.compile(r"CPU: \d+ |Modules linked in|Call [Tt]race|Hardware name|\s?RIP: |\s*[bB]acktrace\b")
_OTHER_CPUS = re.compile(r"Sending NMI|NMI backtrace")


class OpenReport:
    """The messages of an open report, and the lines among them that announce it."""

    __slots__ = (
        "_detailed", "_ended", "_has_trace", "_since_head", "adopts", "closed", "damage", "first", "heads", "last",
        "last_line", "number", "panic", "panicked", "texts",
    )  # fmt: skip

    def __init__(self, first: Message, head: Head | None) -> None:
        self.first = first
        self.texts = [first.text]
        self.heads = [head] if head else []
        self.number = first.number  # of the latest line
        self.last = 0  # index of the last message that certainly belongs to it
        self.last_line = first.number  # of that message
        self.panic = 0  # index of the message that announces a panic
        self.panicked: Message | None = None  # that message
        self.closed = False
        self.adopts = False  # other CPUs add their stacks to it
        self.damage = ""
        self._since_head = 0  # messages since a line announced it
        self._detailed = False  # its registers or its stack have begun
        self._has_trace = head is not None and head.is_trace
        self._ended = False

    @property
    def expects(self) -> bool:
        """Whether its stack trace is still to come."""
        return not self._detailed and any(head.wording.where not in _WITHOUT_TRACE for head in self.heads)

    def take(self, message: Message, head: Head | None, *, opening: bool) -> bool:
        """Add a message if it is part of this report; returns whether it is.

        head: the report that the message could announce. opening: it is a line like "cut here".
        """
        if head is None and not opening:
            return self.extend(message.text, message.number, broken=message.broken)
        self._since_head += 1
        if len(self.texts) > _MAX_MESSAGES:
            return False
        if head:
            if not self._is_joined_by(head):
                return False
            self._announce(message, head)
            self._has_trace |= head.is_trace
        else:  # "cut here" may be printed between a text and the BUG that it explains
            if self._detailed or self._has_form() or not self._awaits_form():
                return False
            self._add(message.text, message.number)
        self._note(message.text)
        return True

    def extend(self, text: str, number: int, *, broken: bool = False) -> bool:
        """Like take(), for a message that announces nothing."""
        self._since_head += 1
        texts = self.texts
        count = len(texts)
        if count > _MAX_MESSAGES:
            return False
        if not self._ended and (text.startswith(" ") or BODY_LINE.match(text)):
            self.last = count
            self.last_line = number
            if broken:
                self.damage = self.damage or "a line of it is broken"
        elif count - 1 - self.last >= (_MAX_GAP_WHILE_EXPECTING if self.expects or self._ended else _MAX_GAP):
            return False
        texts.append(text)
        self.number = number
        if not self._detailed or "NMI" in text or "---[" in text:
            self._note(text)
        return True

    def continue_line(self, text: str) -> None:
        """Add the rest of the latest message, which arrived in a line of its own."""
        self.texts[-1] += text

    def _note(self, text: str) -> None:
        """Note facts in a line that concern the lines after it."""
        if not self._detailed and _DETAIL.match(text):
            self._detailed = True
        if "NMI" in text and _OTHER_CPUS.search(text):
            self.adopts = True
        if _END.match(text):
            self._ended = True

    def _add(self, text: str, number: int) -> None:
        self.last = len(self.texts)
        self.last_line = self.number = number
        self.texts.append(text)

    def _announce(self, message: Message, head: Head) -> None:
        early = self._since_head <= _MAX_BEFORE_LATE_HEAD or not self._detailed
        self._add(message.text, message.number)
        if head.kind.severity is Severity.FOLLOW_UP and self.heads:
            if not self.panic:
                self.panic, self.panicked = self.last, message
            self._ended = False
        elif early and not head.is_trace:
            self.heads.append(head)
            self._since_head = 0

    def _is_refusal_of(self, module: str) -> bool:
        """Whether it is the refusal of this module, as far as its lines name one."""
        named = {head.module for head in self.heads} - {""}
        return not named or not module or module in named

    @property
    def is_refusal(self) -> bool:
        """Whether it is the refusal of a module."""
        return bool(self.heads) and all(head.kind.severity is Severity.REFUSAL for head in self.heads)

    def is_refusal_of_unnamed(self) -> bool:
        """Whether it is the refusal of a module that none of its lines names."""
        return self.is_refusal and not any(head.module for head in self.heads)

    def _has_panicked(self) -> bool:
        return self.panic > 0 or any(head.kind.severity is Severity.FOLLOW_UP for head in self.heads)

    def _has_form(self) -> bool:
        return any(head.is_form for head in self.heads)

    def _warns_later(self) -> bool:
        return any(head.wording.warns_later for head in self.heads)

    def _awaits_form(self) -> bool:
        """Whether a WARNING or a BUG() about the same event may still come."""
        if self._ends_in_warning():
            return True
        between = _MAX_BEFORE_LATE_HEAD if self._warns_later() else _MAX_BETWEEN_HEADS
        return (self.expects or self._warns_later()) and self._since_head <= between

    def _ends_in_warning(self) -> bool:
        return any(head.kind.ends_in_warning for head in self.heads)

    def _is_joined_by(self, head: Head) -> bool:
        """Whether a line that could announce another report is part of this one, by the first rule that applies."""
        best = max(self.heads, key=lambda head: head.rank, default=None)
        if best is None:
            return True  # only "cut here" came before
        kind, priority, highest = head.kind, head.wording.priority, best.wording.priority
        near = self._since_head <= _MAX_BETWEEN_HEADS and not self._detailed
        rules = (
            (best.kind.is_silent or kind.is_silent, head.is_trace and not self._has_trace),
            (kind.severity is Severity.FOLLOW_UP, True),
            # a trace behind the end of a report, or behind another trace that nothing announced, is one of its own; but
            # other CPUs print theirs after a panic
            (head.is_trace, self._has_panicked() or not (self._ended or (best.is_trace and self._has_trace))),
            (
                best.kind.severity is Severity.REFUSAL,
                kind.severity is Severity.REFUSAL and self._is_refusal_of(head.module),
            ),
            (head.wording.concludes and best.kind is kind and (self._detailed or kind.ends_in_warning), True),
            (self._ended, False),
            (self._warns_later() and head.is_form and not self._detailed, not self._has_form()),
            (head.wording.follows_fault and near, best.kind.name in ("access", "stack")),
            (kind.continues, self._since_head <= _MAX_BEFORE_LATE_HEAD or best.kind.severity is Severity.FAULT),
            (priority is Priority.HINT, highest is not Priority.FORM or near),
            (not near, False),
            (highest is Priority.HINT, True),
            (best.kind.is_plain and kind.is_plain, False),
            (head.is_form, not self._has_form() and best.kind.name not in ("lock", "lockdep")),
            # arm prints the text of a warning after its headline
            (True, self._since_head <= 2 and self._has_form() and priority is Priority.NAME),
        )
        return next(answer for applies, answer in rules if applies)
