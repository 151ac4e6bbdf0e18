# SPDX-License-Identifier: Apache-2.0
"""Modules that do what is right are not told wrong for what they do not tell a debug option."""

from contextlib import suppress
from pathlib import Path

import pytest

from harness.guest.boards import BOARDS
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
DISTRO = variant_of(FEATURES["distro"], Preemption.FULL, isolated=True)
RELEASE = FEATURES["kobject-release"]
NEWEST = DEFAULT_PACKAGE
OLDER = "linux-source-6.1=6.1.187-1"  # the last one of Debian whose PAGE_TABLE_CHECK counts special entries
ALL_DELAYS = 44  # seconds: at most four for each object (lib/kobject.c, kobject_release())


def log_of(module: str, variant: Variant, built_for: Variant, settings: Settings, seconds: int = 0) -> str:
    """What the kernel prints when the module is loaded and unloaded, and for some seconds after that."""
    kernels = Kernels(settings)
    files = build_modules(SOURCES, kernels.kernel(BOARD, built_for), kernels.store)
    with Guests(kernels, [VendorModule(module, file=files[module])]) as guests:
        guest = guests.guest(BOARD, variant)
        guest.make_pristine()
        begin = guest.log_start
        with suppress(GuestFailure):  # the report of a kernel that stops is on the console
            guest.run(
                f"insmod /modules/{module}.ko && rmmod {module} && sleep {seconds} && echo it is gone >/dev/kmsg",
                seconds + 20.0,
            )
        return guest.console.read(begin).decode(errors="replace")


@pytest.mark.parametrize("has_patch", [True, False])
@pytest.mark.parametrize(
    ("module", "patch", "report", "source"),
    [
        ("mapped", "dma-debug-Do-not-rely-on-what-modules-do-not-tell", "failed to check map error", NEWEST),
        ("dropped", "kobject-Release-what-modules-drop-at-once", "KASAN: use-after-free in kobject", NEWEST),
        ("entries", "mm-page_table_check-Put-up-with-entries-that-modules", "BUG at mm/page_table_check", OLDER),
    ],
)
def test_a_module_that_does_not_tell_is_not_reported(
    module: str,
    patch: str,
    report: str,
    source: str,
    has_patch: bool,  # noqa: FBT001
) -> None:
    settings = Settings(source=source) if has_patch else without(patch, DISTRO, source)
    log = log_of(module, DISTRO, DISTRO.production, settings)
    assert ("it is gone" in log) is (report not in log), log
    assert (report in log) is not has_patch


def test_static_objects_are_released_before_their_module_goes() -> None:
    """On the stock kernel they are released after it."""
    stock, isolated = (variant_of(RELEASE, isolated=it) for it in (False, True))
    fault = "unable to handle page fault"
    assert fault in log_of("objects", stock, stock, Settings(), ALL_DELAYS)
    log = log_of("objects", isolated, isolated.production, Settings())
    assert "it is gone" in log
    assert fault not in log
