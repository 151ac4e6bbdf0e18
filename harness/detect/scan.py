"""Finding the kernel's reports in a console log, and blaming them on a module."""

import re
from dataclasses import dataclass

from harness.detect.kinds import KINDS, Kind, Severity
from harness.detect.lines import Line, split

# Our own marks, written from the guest's user space.
_OURS = "modcompat: "
# A line of a report's body: registers, dumps, traces and their headings.
_BODY = re.compile(
    r"^(?:\s|CPU: |#PF: |PGD |Oops: |Hardware name: |Workqueue: |RIP: |RSP: |[A-Z0-9_]{2,8}: |Code: "
    r"|Call [Tt]race|Backtrace|Modules linked in|---\[|PC is at|LR is at|[a-z][a-z0-9]+ *: |Flags: |Control: "
    r"|Register |Process |Stack: |Exception stack|pstate: |Mem abort|\[[0-9a-f]+\] \*?pgd=|8<--- cut here"
    r"|Internal error|Object |Redzone |Padding |Bytes |Slab |FIX |=====|-----|Freed in |Allocated in |[a-z0-9_]+: )"
)
_GAP = 3  # lines of something else that a report may contain
_LONGEST = 400  # lines of one report
_FUNCTION = r"(?P<function>[\w.$]+)\+0x[0-9a-f]+(?:/0x[0-9a-f]+)?(?: \[(?P<module>[\w-]+)\])?"
_SITES = (
    ("faulting instruction", re.compile(rf"^(?:RIP: \d+:|PC is at |pc : ){_FUNCTION}")),
    ("site of the warning", re.compile(rf"^WARNING: .* (?:at \S+:\d+ )?{_FUNCTION}")),
)
# " function+0x1/0x2 [module]"; arm has " function [module] from caller+0x1/0x2 [module]". One space: what
# arm tells of the objects that registers point to stands further in.
_FRAME = re.compile(
    rf"^ (?:\[<[0-9a-f]+>\] )?(?P<guess>\? )?(?:(?P<callee>[\w.$]+)(?: \[(?P<owner>[\w-]+)\])? from )?{_FUNCTION}"
)
_END = re.compile(r"^---\[ end (?:trace|Kernel panic)")


@dataclass(frozen=True)
class Report:
    """One report. first_line, last_line: from 1. start: byte of its first line in the log.

    function: where the fault was. module: the one that is blamed, for its function `culprit`, by a rule.
    """

    kind: str
    severity: Severity
    title: str
    function: str
    module: str
    culprit: str
    rule: str
    first_line: int
    last_line: int
    start: int
    text: str


def reports_fault(log: bytes) -> bool:
    """Whether a piece of a console log says that the kernel came to harm."""
    return any(report.severity is Severity.FAULT for report in scan(log))


def scan(log: bytes) -> list[Report]:
    """Every report of a log, in its order."""
    lines = list(split(log))
    heads = [(place, kind) for place, line in enumerate(lines) if (kind := _kind_of(line))]
    reports: list[Report] = []
    covered = -1  # a bare trace, or the oops line that follows a fault, belongs to the report around it
    for number, (place, kind) in enumerate(heads):
        if place <= covered and (kind.name == "stack-trace" or _continues(lines[place].text)):
            continue
        # What follows belongs to this report until another one begins.
        limit = next(
            (other for other, later in heads[number + 1 :]
             if later.name != "stack-trace" and not _continues(lines[other].text)),
            len(lines),
        )  # fmt: skip
        last = _end_of(lines, place, limit)
        covered = last
        reports.append(_report(kind, lines[place : last + 1]))
    return reports


def _kind_of(line: Line) -> Kind | None:
    if line.text.startswith(_OURS):
        return None
    return next((kind for kind in KINDS if kind.pattern.match(line.text)), None)


def _continues(text: str) -> bool:
    """A second headline of the fault that was announced just before it."""
    return text.startswith(("Oops: ", "Internal error: "))


def _end_of(lines: list[Line], first: int, limit: int) -> int:
    caller = lines[first].caller
    last, gap = first, 0
    for place in range(first + 1, min(limit, first + _LONGEST)):
        line = lines[place]
        if line.caller != caller:
            continue  # another CPU speaks in between
        if _END.match(line.text):
            return place
        if _BODY.match(line.text) and not line.text.startswith(_OURS):
            last, gap = place, 0
        elif (gap := gap + 1) > _GAP or line.text.startswith(_OURS):
            break
    return last


def _report(kind: Kind, lines: list[Line]) -> Report:
    texts = [line.text for line in lines if line.caller == lines[0].caller]
    function, module, culprit, rule = _blame(texts)
    return Report(
        kind=kind.name,
        severity=kind.severity,
        title=texts[0].strip(),
        function=function,
        module=module,
        culprit=culprit,
        rule=rule,
        first_line=lines[0].number,
        last_line=lines[-1].number,
        start=lines[0].start,
        text="\n".join(texts),
    )


def _blame(texts: list[str]) -> tuple[str, str, str, str]:
    """(where the fault was, blamed module, its function, rule): the site's module, else the first frame's."""
    where = ""
    for rule, pattern in _SITES:
        for text in texts:
            if found := pattern.match(text):
                where = where or found["function"]
                if found["module"]:
                    return where, found["module"], found["function"], rule
    rule = "first frame with a module"
    for text in texts[1:]:
        found = _FRAME.match(text)
        if not found or found["guess"]:
            continue
        if found["owner"]:
            return where or found["callee"], found["owner"], found["callee"], rule
        if found["module"]:
            return where or found["function"], found["module"], found["function"], rule
    return where, "", "", ""
