# SPDX-License-Identifier: Apache-2.0
"""uinput: a program makes a keyboard, and its key presses reach the input layer."""

from harness import Bench


def exercise(bench: Bench) -> None:
    if not bench.wait_for("/dev/uinput"):
        return
    bench.expect("carries a hundred events", "drive uinput", "100")
    bench.expect("does it again", "drive uinput", "100")
    bench.expect("leaves no device behind", "ls /sys/class/input | wc -l", "0")
