# SPDX-License-Identifier: Apache-2.0
"""Modules that do what is right are not told wrong for what they do not tell a debug option."""

import re
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from harness.guest.boards import BOARDS, Board
from harness.guest.failure import GuestFailure
from harness.kernel.features import FEATURES
from harness.kernel.module_build import build_modules
from harness.kernel.source import DEFAULT_PACKAGE
from harness.kernel.variants import Preemption, Variant, variant_of
from harness.lab.execution.guest_pool import Guests
from harness.lab.execution.kernel_pool import Kernels
from harness.lab.plan.settings import Settings
from harness.lab.plan.vendor_modules import VendorModule
from tests.nightly.test_needed import without

BOARD = BOARDS["x86_64-q35"]
SOURCES = Path(__file__).parent / "correct"
DEBUG_SET, DISTRO = (variant_of(FEATURES[it], Preemption.FULL, isolated=True) for it in ("debug-set", "distro"))
STOCK_RELEASE, RELEASE = (variant_of(FEATURES["kobject-release"], isolated=it) for it in (False, True))
LEAKS = variant_of(FEATURES["kmemleak"], isolated=True)
# A scan passes over objects younger than 5 s, and over those whose checksum it has never seen (mm/kmemleak.c)
SCAN = "k=/sys/kernel/debug/kmemleak; sleep 6; echo scan >$k; echo scan >$k; grep -m 1 'size 8192' $k >/dev/kmsg; true"
PROBE = (
    "mount -t tracefs tracefs /sys/kernel/tracing && echo 'r mutex_lock' >/sys/kernel/tracing/kprobe_events && "
    "echo 1 >/sys/kernel/tracing/events/kprobes/enable"
)
HITS = "cat /sys/kernel/tracing/kprobe_profile >/dev/kmsg"
ALL_DELAYS = 44  # seconds: at most four for each object (lib/kobject.c, kobject_release())


def log_of(
    module: str,
    variant: Variant,
    built_for: Variant,
    settings: Settings,
    *,
    board: Board = BOARD,
    parameters: str = "",
    before: str = "true",
    meanwhile: str = "true",
    seconds: int = 0,
) -> str:
    """What the kernel prints when the module is loaded and unloaded, and for some seconds after that.

    parameters: of the module. before, meanwhile: commands to run before it is loaded, and while it is.
    """
    kernels = Kernels(settings)
    files = build_modules(SOURCES, kernels.kernel(board, built_for), kernels.store)
    with Guests(kernels, [VendorModule(module, file=files[module])]) as guests:
        guest = guests.guest(board, variant)
        guest.make_pristine()
        begin = guest.log_start
        with suppress(GuestFailure):  # the report of a kernel that stops is on the console
            guest.run(
                f"{before} && insmod /modules/{module}.ko {parameters} && {meanwhile} && rmmod {module} && "
                f"sleep {seconds} && echo it is gone >/dev/kmsg",
                seconds + 40.0,
            )
        return guest.console.read(begin).decode(errors="replace")


class Untold(NamedTuple):
    """What a module does not tell, and a kernel without the patch reports."""

    module: str
    report: str
    patch: str
    variant: Variant = DISTRO
    source: str = DEFAULT_PACKAGE
    meanwhile: str = "true"
    goes_on: bool = False  # the kernel does not stop when it reports it


UNTOLD = (
    Untold("mapped", "failed to check map error", "dma-debug-Do-not-rely-on-what-modules-do-not-tell"),
    # the last source of Debian in which special entries count
    Untold("entries", "kernel BUG at mm/page_table_check.c", "mm-page_table_check-Put-up-with-entries-that-modules",
           source="linux-source-6.1=6.1.187-1"),
    Untold("dropped", "cannot create duplicate filename", "kobject-Release-what-modules-drop-at-once", RELEASE),
    Untold("kept", "(size 8192)", "kmemleak-Do-not-rely-on-what-modules-do-not-tell", LEAKS,
           meanwhile=SCAN, goes_on=True),
)  # fmt: skip


@pytest.mark.parametrize("has_patch", [True, False])
@pytest.mark.parametrize("untold", UNTOLD, ids=[untold.module for untold in UNTOLD])
def test_a_module_that_does_not_tell_is_not_reported(untold: Untold, has_patch: bool) -> None:  # noqa: FBT001
    variant, source = untold.variant, untold.source
    settings = Settings(source=source) if has_patch else without(untold.patch, variant, source)
    log = log_of(untold.module, variant, variant.production, settings, meanwhile=untold.meanwhile)
    assert ("it is gone" in log) is (untold.goes_on or untold.report not in log), log
    assert (untold.report in log) is not has_patch


def test_a_module_is_seen_behind_a_probe() -> None:
    """On arm, a stack trace ends at the trampoline of a kretprobe."""
    board, variant = BOARDS["arm-virt"], DEBUG_SET
    log = log_of("waits", variant, variant.production, Settings(), board=board, before=PROBE, meanwhile=HITS)
    assert "it is gone" in log
    assert re.search(r"r_mutex_lock_0 +[1-9]", log)
    assert "do not call blocking ops" not in log
    # A module that was built with the option, and does not mean to sleep there
    log = log_of("waits", variant, variant, Settings(), board=board, parameters="is_meant=0", before=PROBE)
    assert "do not call blocking ops" in log


def test_static_objects_are_released_before_their_module_goes() -> None:
    """On the stock kernel they are released after it."""
    fault = "unable to handle page fault"
    assert fault in log_of("objects", STOCK_RELEASE, STOCK_RELEASE, Settings(), seconds=ALL_DELAYS)
    log = log_of("objects", RELEASE, RELEASE.production, Settings())
    assert "it is gone" in log
    assert fault not in log
