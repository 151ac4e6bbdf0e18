# SPDX-License-Identifier: Apache-2.0
"""The exercise of the locks module: every variant of every operation, and contention between two CPUs."""

from harness import Bench

ANNOUNCES = {"init": "locks: init", "exit": "locks: exit"}
TOUCHES = ["spinlock_t", "rwlock_t"]

SPIN = ("plain", "irq", "irqsave", "bh", "trylock")
RW = ("read", "write", "read_irq", "write_irq", "read_irqsave", "write_irqsave", "read_bh", "write_bh", "trylock")
VARIANTS = [
    *(f"{place}_spinlock.{variant}" for place in ("heap", "static") for variant in SPIN),
    *(f"{place}_rwlock.{variant}" for place in ("heap", "static") for variant in RW),
]
CONTENTION = [f"contention.{what}" for what in ("first", "second", "count", "canary")]


def exercise(bench: Bench) -> None:
    bench.module_checks("run", "variants", VARIANTS)
    bench.module_checks("run", "contention", CONTENTION)
