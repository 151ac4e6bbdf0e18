# SPDX-License-Identifier: Apache-2.0
"""Replace the parts of a kernel's words that differ from run to run, so that two runs can be compared."""

import re
from collections.abc import Iterable

# (regular expression, replacement), applied in this order
_RUN_DEPENDENT = (
    (r"\b(?:0x)?[0-9a-f]{8,16}\b", "ADDRESS"),
    (r"\bPID: \d+", "PID: N"),
    (r"\bCPU(: |#)\d", r"CPU\1N"),
)


def generalize(words: str, further: Iterable[tuple[str, str]] = ()) -> str:
    """The words without addresses, process and CPU numbers. further: replacements that follow."""
    for pattern, replacement in (*_RUN_DEPENDENT, *further):
        words = re.sub(pattern, replacement, words)
    return words
