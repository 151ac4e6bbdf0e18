# SPDX-License-Identifier: Apache-2.0
"""test_rhashtable: the kernel's own test of its resizable hash table, which runs in the module's init."""

from harness import Bench

PARAMETERS = "parm_entries=2000 runs=1 tcount=3"
ANNOUNCES = {"init": "Running rhashtable test"}
# If the table is resized during the walk, the walk starts again and counts entries twice, on production, too
# (lib/test_rhashtable.c, test_bucket_stats()).
RESIZED, TWICE = "Info: encountered resize", "Test failed: Total count mismatch"


def exercise(bench: Bench) -> None:
    log = bench.log()
    bench.check("its threads ended well", "Started 3 threads, 0 failed, rhltable test returns 0" in log)
    bench.check("nothing failed", "Test failed" not in (log.replace(TWICE, "") if RESIZED in log else log))
