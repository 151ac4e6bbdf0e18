# SPDX-License-Identifier: Apache-2.0
"""The settings of a run: its kernels, its guests, and what it keeps of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness.guest.guest import Timing
from harness.guest.userland import Userland
from harness.kernel.prebuilt import Prebuilt
from harness.kernel.source import DEFAULT_PACKAGE
from harness.kernel.user_config import UserConfig


@dataclass(frozen=True)
class Settings:
    """The settings of a run. harness/lab/plan/options.py has the options that set them."""

    source: str = DEFAULT_PACKAGE  # a kernel source tree, or a Debian package of one
    timing: Timing = field(default_factory=Timing)
    accelerator: str = "auto"  # auto, tcg or kvm
    shared_uart: bool = False
    versions: bool = False  # build every kernel with MODVERSIONS
    configs: Mapping[str, UserConfig] = field(default_factory=dict)  # architecture -> production configuration
    patches: tuple[Path, ...] = ()  # applied to a copy of the source, before any other
    memory: int = 0  # of a guest, in MiB; 0: the board's
    core_dump: bool = False  # keep the memory of each guest whose cell is not CLEAN
    prebuilt: Mapping[tuple[str, str], Prebuilt] = field(default_factory=dict)  # (architecture, name of the kernel)
    userlands: Mapping[str, Userland] = field(default_factory=dict)  # architecture -> root file system
