# SPDX-License-Identifier: Apache-2.0
"""DMA_API_DEBUG does not tell a driver of production wrong for what it has no way to tell."""

from pathlib import Path

import pytest

from harness.guest.boards import BOARDS
from harness.kernel.features import FEATURES
from harness.kernel.module_build import build_modules
from harness.kernel.variants import Preemption, variant_of
from harness.lab.execution.guest_pool import Guests
from harness.lab.execution.kernel_pool import Kernels
from harness.lab.plan.settings import Settings
from harness.lab.plan.vendor_modules import VendorModule
from tests.nightly.test_needed import without

BOARD = BOARDS["x86_64-q35"]
SOURCES = Path(__file__).parent / "mapped"
DISTRO = variant_of(FEATURES["distro"], Preemption.FULL, isolated=True)


def log_of(settings: Settings) -> str:
    """What the kernel prints when the module is loaded and unloaded."""
    kernels = Kernels(settings)
    files = build_modules(SOURCES, kernels.kernel(BOARD, DISTRO.production), kernels.store)
    guests = Guests(kernels, [VendorModule(name, file=file) for name, file in files.items()])
    try:
        guest = guests.guest(BOARD, DISTRO)
        guest.make_pristine()
        loaded = guest.run("insmod /modules/mapped.ko && rmmod mapped")
        assert not loaded.status, loaded.text
        return guest.run("dmesg").text
    finally:
        guests.close()


@pytest.mark.parametrize("has_patch", [True, False])
def test_a_mapping_that_was_checked_is_not_reported(has_patch: bool) -> None:  # noqa: FBT001
    settings = Settings() if has_patch else without("dma-debug-Do-not-rely-on-what-modules-do-not-tell", DISTRO)
    assert ("failed to check map error" in log_of(settings)) is not has_patch
