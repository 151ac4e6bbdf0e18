# SPDX-License-Identifier: Apache-2.0
"""vpoll: a program sets the events of a file, and poll() returns them."""

from harness import Bench

ADD, DELETE, SET = 0x5E01, 0x5E02, 0x5E03  # _IO('^', 1) and so on
POLLIN, POLLPRI, POLLOUT = 1, 2, 4


def exercise(bench: Bench) -> None:
    if not bench.wait_for("/dev/vpoll"):
        return
    bench.expect("answers with its events", f"ioctl /dev/vpoll {SET:#x} {POLLIN | POLLPRI}", str(POLLIN | POLLPRI))
    bench.expect("poll() finds what was added", f"drive poll /dev/vpoll {ADD:#x} {POLLPRI}", "0x2")
    bench.expect("and several", f"drive poll /dev/vpoll {SET:#x} {POLLIN | POLLOUT}", "0x5")
    bench.expect("and nothing", f"drive poll /dev/vpoll {DELETE:#x} {POLLIN}", "0")
