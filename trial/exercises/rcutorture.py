# SPDX-License-Identifier: Apache-2.0
"""rcutorture: RCU readers against writers, and the module judges the result itself."""

from harness import Bench

# stutter=0: a paused writer makes no progress, and the module would print a call trace.
PARAMETERS = (
    "nreaders=3 nfakewriters=2 stutter=0 stat_interval=2 verbose=0 fwd_progress=0 read_exit_burst=0 test_boost=0"
)
ANNOUNCES = {"init": "Start of test", "exit": "End of test: SUCCESS"}


def exercise(bench: Bench) -> None:
    bench.run("sleep 8")
    log = bench.log()
    bench.check("prints its statistics", log.count("Reader Pipe: ") >= 2)
    bench.check("no reader saw freed memory", "!!! Reader Pipe" not in log)
