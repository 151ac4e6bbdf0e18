# SPDX-License-Identifier: Apache-2.0
"""The exercise of the tail module: page faults that must not be handled, timer slack, sleeping."""

from harness import Bench

ANNOUNCES = {"init": "tail: init", "exit": "tail: exit"}
TOUCHES = ["struct task_struct.pagefault_disabled", "struct task_struct.timer_slack_ns"]

FAULT = [
    f"fault.{what}"
    for what in (
        "disabled", "nested", "kmap_atomic", "enabled", "content", "write_disabled", "write_enabled", "written",
    )
]  # fmt: skip
SLEEP = ["hrtimeout.result", "hrtimeout.time", "hrtimer_range.result", "hrtimer_range.time", "schedule.left"]
SLEEP += ["schedule.running", "state.woken", "state.running"]


def exercise(bench: Bench) -> None:
    bench.module_checks("run", "count", ["count.idle", "count.nested", "count.back"])
    bench.module_checks("run", "fault", FAULT)
    bench.module_checks("run", "kmap", ["kmap.disabled", "kmap.content", "kmap.enabled"])
    bench.module_checks("run", "sleep", SLEEP)
    bench.module_checks("run", "stack", ["stack.local", "stack.static", "stack.end", "stack.users"])
    # The module must read the same slack as /proc/self shows, also after a write to /proc/self.
    shown = "read -r ours </sys/module/tail/parameters/timer_slack; read -r theirs </proc/self/timerslack_ns"
    bench.expect("slack.read", f'{shown}; [ "$ours" = "$theirs" ] && echo same || echo "$ours, not $theirs"', "same")
    bench.expect("slack.set", f"echo 60000 >/proc/self/timerslack_ns; {shown}; echo $ours", "60000")
