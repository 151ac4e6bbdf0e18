# SPDX-License-Identifier: Apache-2.0
"""lttng-tracer: the tracer's control file. Without a ring buffer client it makes sessions but no channels."""

from harness import Bench

SESSION, QUIESCENT, TRACEPOINTS = 0xF645, 0xF648, 0xF647  # lttng/abi.h


def exercise(bench: Bench) -> None:
    if not bench.wait_for("/proc/lttng"):
        return
    for name, request in (("makes a session", SESSION), ("lists tracepoints", TRACEPOINTS)):
        output = bench.run(f"ioctl /proc/lttng {request:#x}")
        bench.check(name, output.status == 0 and int(output.text) > 2, output.text)  # a file descriptor
    bench.expect("waits for its probes", f"ioctl /proc/lttng {QUIESCENT:#x}", "0")
