# SPDX-License-Identifier: Apache-2.0
"""lttng-ring-buffer-client-mmap-discard: ten events are written to its buffers and found there."""

from harness import Bench


def exercise(bench: Bench) -> None:
    if not bench.wait_for("/proc/lttng"):
        return
    for text in ("first trial", "second trial"):
        bench.expect(f"traces the {text}", f"drive lttng '{text}'", "10")
