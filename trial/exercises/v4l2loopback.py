# SPDX-License-Identifier: Apache-2.0
"""v4l2loopback: frames that one program writes to a video device are read by another."""

from harness import Bench

PARAMETERS = "devices=2 card_label=trial,other"


def exercise(bench: Bench) -> None:
    if not bench.wait_for("/dev/video0"):
        return
    bench.expect("names itself", "cat /sys/class/video4linux/video0/name", "trial")
    bench.expect("carries ten frames", "drive video /dev/video0", "10")
    bench.expect("carries them on the other device", "drive video /dev/video1", "10")
