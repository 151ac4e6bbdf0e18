# SPDX-License-Identifier: Apache-2.0
"""A part of a driver that is built in, and one in a module of production, agree about what their headers share.

The kernels of this project have no NVMe, no MMC and no sound, but the headers can be compiled for any kernel.
"""

from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from harness.guest.boards import BOARDS
from harness.kernel.features import FEATURES
from harness.kernel.module_build import build_modules
from harness.kernel.variants import Preemption, Variant, variant_of
from harness.lab.execution.guest_pool import Guests
from harness.lab.execution.kernel_pool import Kernels
from harness.lab.plan.settings import Settings
from tests.nightly.test_needed import without

BOARD = BOARDS["x86_64-q35"]
SOURCES = Path(__file__).parent / "private"
DISTRO = variant_of(FEATURES["distro"], Preemption.FULL, isolated=True)
CONTROLS = "ALSA-control-Put-up-with-controls-that-do-not-skip-ch"


def sizes(variant: Variant, settings: Settings) -> dict[str, int]:
    """Structure -> size in bytes, as a module that is built for a kernel knows it."""
    kernels = Kernels(settings)
    file = build_modules(SOURCES, kernels.kernel(BOARD, variant), kernels.store)["private"]
    prefix = "size_of_"
    with file.open("rb") as stream:
        table = ELFFile(stream).get_section_by_name(".symtab")
        assert isinstance(table, SymbolTableSection)
        return {
            symbol.name.removeprefix(prefix): symbol["st_size"]
            for symbol in table.iter_symbols()
            if symbol.name.startswith(prefix)
        }


@pytest.mark.parametrize(
    ("patch", "different"),
    [
        (None, set()),
        ("nvme-Do-without-what-FAULT_INJECTION_DEBUG_FS-adds-t", {"nvme_ctrl"}),
        ("mmc-dw_mmc-Do-without-what-FAULT_INJECTION-adds-to-s", {"dw_mci"}),
    ],
)
def test_structures_have_the_size_of_production(patch: str | None, different: set[str]) -> None:
    settings = without(patch, DISTRO) if patch else Settings()
    before, after = sizes(DISTRO.production, Settings()), sizes(DISTRO, settings)
    assert set(before) == {"dw_mci", "nvme_ctrl"}
    assert {name for name in before if before[name] != after[name]} == different


@pytest.mark.parametrize("has_patch", [True, False])
def test_controls_are_not_checked_beside_a_module_that_does_not_mark_them(has_patch: bool) -> None:  # noqa: FBT001
    settings = Settings() if has_patch else without(CONTROLS, DISTRO)
    kernels = Kernels(settings)
    rebuilt, vendor = (
        build_modules(SOURCES, kernels.kernel(BOARD, variant), kernels.store) for variant in (DISTRO, DISTRO.production)
    )
    files = {"rebuilt/controls.ko": rebuilt["controls"], "vendor/private.ko": vendor["private"]}
    with Guests(kernels, files=files) as guests:
        guest = guests.guest(BOARD, DISTRO)
        guest.make_pristine()
        assert guest.run("insmod /rebuilt/controls.ko").status  # no module is without the flag yet
        assert guest.run("insmod /vendor/private.ko").status == 0
        assert (guest.run("insmod /rebuilt/controls.ko").status == 0) is has_patch
