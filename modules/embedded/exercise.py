# SPDX-License-Identifier: Apache-2.0
"""The exercise of the embedded module: structures with a lock inside, on the heap, static and on the stack."""

from harness import Bench

ANNOUNCES = {"init": "embedded: init", "exit": "embedded: exit"}
TOUCHES = [
    "struct mutex",
    "struct rw_semaphore",
    "struct completion",
    "wait_queue_head_t",
    "struct semaphore",
    "struct xarray",
]

KINDS = (
    "mutex", "wait_queue", "completion", "semaphore", "rwsem", "ratelimit", "xarray", "ida", "idr", "atomic_notifier",
    "blocking_notifier",
)  # fmt: skip
HEAP = [f"{kind}.{step}" for kind in (*KINDS, "wait_list", "swait") for step in ("init", "use", "canary")]
STATIC = [f"static_{kind}.{step}" for kind in KINDS for step in ("use", "canary")]
STACK = [f"stack_completion.{step}" for step in ("use", "canary", "canary_before")]
KSET = ["kobject.add", "kset.walk", "kset.find", "kobject.canary", "kobject.released", "kset.empty"]


def exercise(bench: Bench) -> None:
    bench.module_checks("run", "heap", HEAP)
    bench.module_checks("run", "static", STATIC)
    bench.module_checks("run", "stack", STACK)
    bench.module_checks("run", "kset", KSET)
