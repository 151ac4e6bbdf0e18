# SPDX-License-Identifier: Apache-2.0
"""The exercise of the deferred module: it waits for timers, work, tasklets, threads and RCU callbacks."""

from harness import Bench

ANNOUNCES = {"init": "deferred: init", "exit": "deferred: exit"}
TOUCHES = ["struct completion", "struct timer_list", "struct work_struct", "struct kthread_worker"]

GROUPS = {
    "timer": ("idle", "tick0", "tick1", "tick2", "pending", "deleted", "runs", "canary"),
    "hrtimer": ("tick0", "tick1", "tick2", "time", "idle", "runs", "canary"),
    "work": ("queued", "awaited", "idle", "runs", "canary"),
    "delayed": ("awaited", "pending", "flushed", "cancelled", "runs", "canary"),
    "queue": ("create", "order", "canary"),
    "tasklet": ("awaited", "disabled", "enabled", "idle", "runs", "canary"),
    "cross": ("single", "runs"),
    "thread": ("started", "park", "parked", "stays", "unparked", "stopped", "canary"),
    "rcu": ("awaited", "runs", "canary"),
    "srcu": ("init", "waits", "awaited", "canary_of_domain", "runs", "canary"),
}


def exercise(bench: Bench) -> None:
    for group, checks in GROUPS.items():
        bench.module_checks("run", group, [f"{group}.{check}" for check in checks])
