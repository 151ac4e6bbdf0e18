# SPDX-License-Identifier: Apache-2.0
"""Two runs print the same words except for addresses and numbers."""

import pytest

from harness.detect.generalize import generalize


@pytest.mark.parametrize(
    ("words", "same"),
    [
        ("fault for address: ffff888003c6e2c0", "fault for address: ADDRESS"),
        ("at 0xdeadbeef, 0x10", "at ADDRESS, 0x10"),
        ("WARNING: CPU: 1 PID: 1234 at x.c:7", "WARNING: CPU: N PID: N at x.c:7"),
        ("already unlocked on CPU#0, sh/52", "already unlocked on CPU#N, sh"),
    ],
)
def test_what_differs_from_run_to_run_is_replaced(words: str, same: str) -> None:
    assert generalize(words, [(r"\bsh/\d+", "sh")]) == same
