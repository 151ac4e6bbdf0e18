# SPDX-License-Identifier: Apache-2.0
"""The exercise of the slab module: caches, size classes, helpers, pages."""

from harness import Bench

ANNOUNCES = {"init": "slab: init", "exit": "slab: exit"}
TOUCHES = ["mempool_t"]

CACHES = [
    *(f"cache.{what}" for what in ("create", "size", "constructed", "survives", "aligned", "shrink")),
    *("bulk.alloc", "bulk.constructed", "pair.zeroed", "pair.apart"),
]
SIZES = [
    *(f"size.{2**power}" for power in range(3, 14)),
    *(f"constant.{size}" for size in (8, 96, 192, 256, 1024)),
    "size.large",
]
HELPERS = [
    *("realloc.content", "realloc.shrunk", "zero.kzalloc", "array.kcalloc", "array.overflow"),
    *("copy.same", "copy.printed"),
]
PAGES = [
    *(f"pool.{what}" for what in ("full", "alloc", "full_again")),
    *(f"vmalloc.{what}" for what in ("zeroed", "written", "page", "either")),
    *(f"pages.{what}" for what in ("alloc", "zeroed", "of_address", "count", "order", "head", "taken")),
]


def exercise(bench: Bench) -> None:
    bench.module_checks("run", "caches", CACHES)
    bench.module_checks("run", "sizes", SIZES)
    bench.module_checks("run", "helpers", HELPERS)
    bench.module_checks("run", "pages", PAGES)
