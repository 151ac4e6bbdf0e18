# SPDX-License-Identifier: Apache-2.0
"""locktorture: writers contend for a spinlock, and the module judges the result itself."""

from harness import Bench

PARAMETERS = "torture_type=spin_lock_irq nwriters_stress=3 stat_interval=2 verbose=0"
ANNOUNCES = {"init": "Start of test", "exit": "End of test: SUCCESS"}


def exercise(bench: Bench) -> None:
    bench.run("sleep 7")
    log = bench.log()
    bench.check("prints its statistics", log.count("Writes:  Total: ") >= 2)
    bench.check("locks were never held twice", "!!!" not in log)
