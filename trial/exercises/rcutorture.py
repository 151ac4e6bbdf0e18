# SPDX-License-Identifier: Apache-2.0
"""rcutorture: readers and writers of RCU against each other, and the module's own judgement of it."""

from harness.lab.plan.exercise import Bench

# Without pauses (stutter): a writer that pauses makes no progress, which the module tells with a call trace.
PARAMETERS = (
    "nreaders=3 nfakewriters=2 stutter=0 stat_interval=2 verbose=0 fwd_progress=0 read_exit_burst=0 test_boost=0"
)
ANNOUNCES = {"init": "Start of test", "exit": "End of test: SUCCESS"}


def exercise(bench: Bench) -> None:
    bench.run("sleep 8")
    log = bench.log()
    bench.check("tells its statistics", log.count("Reader Pipe: ") >= 2)
    bench.check("no reader saw what was freed", "!!! Reader Pipe" not in log)
