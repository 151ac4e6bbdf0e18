# SPDX-License-Identifier: Apache-2.0
"""What a run may choose: of its kernels, its guests, and what is kept of them."""

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
    """What a run may choose. source: as `--kernel-source` takes it. accelerator: auto, tcg or kvm.

    versions: every kernel has MODVERSIONS. configs: architecture -> production configuration of the user's, in place
    of ours. patches: for the source, before anything else. memory: MiB of a guest, 0 for the board's.
    core_dump: of each guest whose cell is not CLEAN. prebuilt: kernels of the user's, by architecture and name.
    userlands: root file systems of the user's, by architecture.
    """

    source: str = DEFAULT_PACKAGE
    timing: Timing = field(default_factory=Timing)
    accelerator: str = "auto"
    shared_uart: bool = False
    versions: bool = False
    configs: Mapping[str, UserConfig] = field(default_factory=dict)
    patches: tuple[Path, ...] = ()
    memory: int = 0
    core_dump: bool = False
    prebuilt: Mapping[tuple[str, str], Prebuilt] = field(default_factory=dict)
    userlands: Mapping[str, Userland] = field(default_factory=dict)
