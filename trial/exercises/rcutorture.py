"""rcutorture: readers and writers of RCU against each other, and the module's own judgement of it."""

from harness.exercise import Bench

PARAMETERS = "nreaders=3 nfakewriters=2 stat_interval=2 verbose=0 fwd_progress=0 read_exit_burst=0 test_boost=0"
ANNOUNCES = {"init": "Start of test", "exit": "End of test: SUCCESS"}


def exercise(bench: Bench) -> None:
    bench.run("sleep 8")
    log = bench.log()
    bench.check("tells its statistics", log.count("Reader Pipe: ") >= 2, log[-200:])
    bench.check("no reader saw what was freed", "!!! Reader Pipe" not in log, log[-200:])
