# SPDX-License-Identifier: Apache-2.0
"""A report whose end has not been seen: which of the lines that come are part of it."""

import re

from harness.detect.kernel_report import Head
from harness.detect.kinds import FunctionSource, Priority, Severity
from harness.detect.lines import Message

# A line of a report's body: registers, dumps, traces and their headings.
_BODY = re.compile(
    r"""
    \s | CPU:[ ] | CPU\# | \#PF:[ ] | PGD[ ] | P4D[ ] | Oops | Hardware[ ]name:[ ] | Workqueue:[ ]
    | [A-Z][A-Z0-9_]{1,7}:[ ] | Code:[ ] | Call[ ][Tt]race | Backtrace | Modules[ ]linked[ ]in | ---\[ | PC[ ]is[ ]at
    | LR[ ]is[ ]at | pgd[ ]=[ ] | [a-z][a-z0-9]{0,4}[ ]*:[ ] | Flags:[ ] | Control:[ ] | Register[ ] | Process[ ]
    | Stack: | Exception[ ]stack | pstate:[ ] | Mem[ ]abort | Data[ ]abort | \[[0-9a-f]+\][ ] | \[< | \(\[< | 8<---
    | -+$ | -+\[ | ===== | \*\*\* | Internal[ ]error | INFO:[ ](?:Freed|Alloc|Slab|Object|0x) | Object[ ] | Redzone
    | Padding[ ] | Bytes?[ ] | Slab[ ] | FIX[ ] | Freed[ ] | Allocated[ ] | Disabling[ ]lock | Tainted:[ ] | page[: _]
    | raw:[ ] | flags:[ ] | head: | memcg: | Read[ ] | Write[ ] | The[ ]buggy[ ] | Memory[ ]state | Last[ ]
    | Second[ ]to[ ] | Pointer[ ]tag | kfence- | Corrupted[ ] | Invalid[ ] | Out-of- | Use-after | Uninit[ ]
    | Local[ ] | Kernel[ ]Offset | SMP | Sending[ ]NMI | NMI[ ]backtrace | rcu | irq[ ]event | hardirqs | softirqs
    | stack[ ]backtrace | other[ ]info | which[ ]lock | but[ ] | the[ ]existing | ->[ ] | and[ ]this | is[ ]trying
    | locks?[ ]held | \d+[ ]locks?[ ]held | no[ ]locks | \d+[ ]lock | Possible | existing | stack | other
    | inconsistent | the[ ](?:shortest|first|second|dependencies) | \{
    | .*[ ](?:is[ ]trying[ ]to|takes:|just[ ]changed|is[ ]freeing|is[ ]exiting|is[ ]leaving)
    | .*[ ](?:at:[ ]|Not[ ]tainted|Tainted:[ ])
    | turning[ ]off | you[ ]did[ ]not | the[ ]code[ ]is | maybe[ ]you | \.?/?\S+\.[ch]:\d+ | rcu_ | task: | task[ ]
    | Kernel[ ]panic | Rebooting | Dumping[ ]ftrace | value | shift | signed | index | load[ ]of | member
    | Insufficient | Task[ ]stack | IRQ[ ]stack | Overflow[ ]stack | ESR | FAR | NIP | LR[ ]\[ | GPR | unreferenced
    | comm[ ] | hex[ ]dump | backtrace | pgtable | user[ ] | swapper | Unloaded | note:[ ] | BUG:[ ] | \(detected
    | All[ ]QSes | Showing | Mapped[ ]at | handlers | Kernel[ ]memory | CFI | usercopy | \"echo | preempt_count
    | Preemption | last[ ]function | workqueue | pending | in-flight | pwq | pool | Trap | EC | \\x | [0-9a-f]{4}[ :]
    | Tasks[ ]blocked | read[ ]to | write[ ]to | Reported[ ]by | \$ | > | \#
    """,
    re.VERBOSE,
)
_GAP = 5  # lines of something else that a report may contain
_PATIENCE = 20  # the same, while its stack trace is still to come, or a panic after its end
_NEAR = 4  # messages within which lines announce one report together
_EARLY = 12  # messages within which a line of it may still announce it
_LONGEST = 1500  # messages of one report
_END = re.compile(r"---\[ end (?:trace|Kernel panic)")
_DETAIL = re.compile(r"CPU: \d+ |Modules linked in|Call [Tt]race|Hardware name|\s?RIP: |\s*[bB]acktrace\b")
_OTHER_CPUS = re.compile(r"Sending NMI|NMI backtrace")


class Growing:
    """An open report: its messages, and the lines among them that announce it."""

    __slots__ = (
        "_detailed", "_ended", "_near", "adopts", "closed", "damage", "first", "heads", "last", "last_line", "number",
        "panic", "panicked", "texts",
    )  # fmt: skip

    def __init__(self, first: Message, head: Head | None) -> None:
        self.first = first
        self.texts = [first.text]
        self.heads = [head] if head else []
        self.number = first.number  # of the line that came last
        self.last = 0  # which message is the last that certainly belongs to it
        self.last_line = first.number  # of that message
        self.panic = 0  # which message announces a panic
        self.panicked: Message | None = None  # that message
        self.closed = False
        self.adopts = False  # other CPUs add their stacks to it
        self.damage = ""
        self._near = 0  # messages since a line announced it
        self._detailed = False  # it has come to its registers or its stack
        self._ended = False

    @property
    def expects(self) -> bool:
        """Whether its stack trace is still to come."""
        return not self._detailed and any(head.wording.where is not FunctionSource.NOWHERE for head in self.heads)

    def take(self, message: Message, head: Head | None, *, opening: bool) -> bool:
        """Add a message, if it is part of this report. head: what it could announce. opening: "cut here"."""
        if head is None and not opening:
            return self.extend(message.text, message.number, broken=message.broken)
        self._near += 1
        if len(self.texts) > _LONGEST:
            return False
        if head:
            if not self._is_joined_by(head):
                return False
            self._announce(message, head)
        else:  # "cut here" may stand between a text and the BUG that it explains
            if not self.heads or self._detailed or self._near > _NEAR or self._has_form():
                return False
            self._add(message.text, message.number)
        self._note(message.text)
        return True

    def extend(self, text: str, number: int, *, broken: bool = False) -> bool:
        """The same for a message that announces nothing."""
        self._near += 1
        texts = self.texts
        count = len(texts)
        if count > _LONGEST:
            return False
        if not self._ended and (text.startswith(" ") or _BODY.match(text)):
            self.last = count
            self.last_line = number
            if broken:
                self.damage = self.damage or "a line of it is broken"
        elif count - 1 - self.last >= (_PATIENCE if self.expects or self._ended else _GAP):
            return False
        texts.append(text)
        self.number = number
        if not self._detailed or "NMI" in text or "---[" in text:
            self._note(text)
        return True

    def _note(self, text: str) -> None:
        """What a line says of those that follow."""
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
        early = self._near <= _EARLY or not self._detailed
        self._add(message.text, message.number)
        if head.kind.severity is Severity.FOLLOW_UP and self.heads:
            if not self.panic:
                self.panic, self.panicked = self.last, message
            self._ended = False
        elif early and head.kind.name != "unclaimed":
            self.heads.append(head)
            self._near = 0

    def _has_form(self) -> bool:
        return any(head.is_form for head in self.heads)

    def _is_joined_by(self, head: Head) -> bool:
        """Whether a line that could announce a report of its own is part of this one: the first rule that applies."""
        best = max(self.heads, key=lambda head: head.rank, default=None)
        if best is None:
            return True  # only "cut here" came before
        kind, priority, highest = head.kind, head.wording.priority, best.wording.priority
        near = self._near <= _NEAR and not self._detailed
        is_trace = kind.name == "unclaimed"
        rules = (
            (best.kind.is_silent or kind.is_silent, is_trace),
            (kind.severity is Severity.FOLLOW_UP or is_trace, True),
            (best.kind.severity is Severity.REFUSAL, False),
            (self._ended, False),
            (kind.continues, self._near <= _EARLY or best.kind.severity is Severity.FAULT),
            (priority is Priority.HINT, highest is not Priority.FORM or near),
            (not near, False),
            (highest is Priority.HINT, True),
            (best.kind.is_plain and kind.is_plain, False),
            (head.is_form, not self._has_form() and best.kind.name not in ("lock", "lockdep")),
            # arm prints the text of a warning behind its headline
            (True, self._near <= 2 and self._has_form() and priority is Priority.NAME),
        )
        return next(answer for applies, answer in rules if applies)
