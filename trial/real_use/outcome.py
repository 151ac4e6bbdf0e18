# SPDX-License-Identifier: Apache-2.0
"""The outcome of a use on one kernel, and what differs between two kernels."""

import re
from dataclasses import dataclass

from harness.detect.scan import scan

# Use, word of a report -> why the debug kernel reports it although the module is right
EXPECTED = {
    ("gfs2", "backing-dev.h"): (
        "inode_to_wb() asks for locks of the inode's own mapping, and gfs2 has another one for its metadata; 6.1 lacks "
        "the change that ended that, gfs2: replace sd_aspace with sd_inode"
    ),
}
_WORD = re.compile(r"^real use: (modules|locks|status) ([^\r\n]*)", re.MULTILINE)
_CANNOT = re.compile(r"^real use: cannot ([^\r\n]*)", re.MULTILINE)


@dataclass(frozen=True)
class Outcome:
    """What a use did on one kernel."""

    status: str  # of the function; or why there is none
    modules: frozenset[str]  # that were loaded
    locks: str  # 1 if lockdep is on, "" if the kernel has none
    refused: frozenset[str]  # optional commands that failed
    reports: frozenset[str]  # titles


def outcome(name: str, printed: str, log: bytes, lost: str) -> Outcome:
    """What a use did, from what its guest printed and the kernel's log of it.

    lost: why the use did not come to its end, "" if it did.
    """
    words = dict(_WORD.findall(printed))
    _, begins, messages = log.partition(f"real use: {name} begins".encode())
    if not begins or (not lost and f"real use: {name} ended".encode() not in messages):
        lost = lost or "the kernel's log is incomplete"
    reports = frozenset(
        report.title
        for report in scan(messages)
        if not any(name == where and word in report.text for where, word in EXPECTED)
    )
    return Outcome(
        lost or words.get("status", "none"),
        frozenset(words.get("modules", "").split()),
        words.get("locks", "").strip(),
        frozenset(_CANNOT.findall(printed)),
        reports,
    )


def proves_nothing(production: Outcome) -> str:
    """Why a use on production is nothing to compare with; "" if it is."""
    if production.status != "0":
        return f"status {production.status} on production"
    return "" if production.modules else "no module was loaded on production"


def difference(production: Outcome, debug: Outcome) -> str:
    """What a use did on the debug kernel and not on production, or why it proves nothing. "" if nothing."""
    wrong = [*filter(None, [proves_nothing(production)])]
    if debug.status != production.status:
        wrong.append(f"status {debug.status}, on production {production.status}")
    if odd := debug.modules ^ production.modules:
        wrong.append(f"only one kernel loaded {', '.join(sorted(odd))}")
    if odd := debug.refused ^ production.refused:
        wrong.append(f"only one kernel refused {', '.join(sorted(odd))}")
    if debug.locks != "1":
        wrong.append("lockdep is off")
    return "; ".join([*wrong, *sorted(debug.reports - production.reports)])
