"""The exercise of the tail module: page faults that must not be served, timer slack, sleeping."""

from harness.exercise import Bench

ANNOUNCES = {"init": "tail: init", "exit": "tail: exit"}
TOUCHES = ["struct task_struct.pagefault_disabled", "struct task_struct.timer_slack_ns"]

DEVICE = "/dev/modcompat_tail"
# Request of the ioctl -> how many of 64 bytes it must leave.
COPIES = {
    "disabled": ("0x7401", "64"),
    "nested": ("0x7402", "64"),
    "kmap_atomic": ("0x7403", "64"),
    "enabled": ("0x7404", "0"),
    "written": ("0x7405", "0"),
}
SLEEP = ["hrtimeout.result", "hrtimeout.time", "hrtimer_range.result", "hrtimer_range.time", "schedule.left"]
SLEEP += ["schedule.running", "state.woken", "state.running"]


def exercise(bench: Bench) -> None:
    bench.module_checks("run", "count", ["count.idle", "count.nested", "count.back"])
    for name, (request, left) in COPIES.items():
        bench.expect(f"fault.{name}", f"ioctl {DEVICE} {request} fresh", left)
    bench.module_checks("run", "kmap", ["kmap.disabled", "kmap.content", "kmap.enabled"])
    bench.module_checks("run", "sleep", SLEEP)
    bench.module_checks("run", "stack", ["stack.local", "stack.static", "stack.end", "stack.users"])
    # As the kernel shows the slack of the same process, and after the kernel has set it.
    shown = "read -r ours </sys/module/tail/parameters/timer_slack; read -r theirs </proc/self/timerslack_ns"
    bench.expect("slack.read", f'{shown}; [ "$ours" = "$theirs" ] && echo same || echo "$ours, not $theirs"', "same")
    bench.expect("slack.set", f"echo 60000 >/proc/self/timerslack_ns; {shown}; echo $ours", "60000")
