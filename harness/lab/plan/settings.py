# SPDX-License-Identifier: Apache-2.0
"""The settings of a run: its kernels, its guests, and what it keeps of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.guest.guest import Timing
from harness.guest.userland import Userland
from harness.kernel.prebuilt import Prebuilt
from harness.kernel.shipped import ShippedKernel
from harness.kernel.source import DEFAULT_PACKAGE
from harness.kernel.user_config import UserConfig
from harness.kernel.variants import PRODUCTION, Variant
from harness.support.errors import ModcompatError
from harness.support.inputs import symbols


@dataclass(frozen=True)
class Settings:
    """The settings of a run. harness/lab/plan/options.py has the options that set them."""

    source: str = DEFAULT_PACKAGE  # a kernel source tree, or a Debian package of one
    timing: Timing = field(default_factory=Timing)
    accelerator: str = "auto"  # auto, tcg or kvm
    shared_uart: bool = False
    ignores_versions: bool = False  # load modules on stock debug kernels by force
    versions: bool = False  # build every kernel with MODVERSIONS
    configs: Mapping[str, UserConfig] = field(default_factory=dict)  # architecture -> production configuration
    patches: tuple[Path, ...] = ()  # applied to a copy of the source, before any other
    memory: int = 0  # of a guest, in MiB; 0: the board's
    has_kasan: bool = False  # a kernel of the run has KASAN: all guests get the memory for it, to be comparable
    core_dump: bool = False  # keep the memory of each guest whose cell is not CLEAN
    prebuilt: Mapping[tuple[str, str], Prebuilt] = field(default_factory=dict)  # (architecture, name of the kernel)
    shipped: Mapping[str, ShippedKernel] = field(default_factory=dict)  # architecture -> production as it ships
    userlands: Mapping[str, Userland] = field(default_factory=dict)  # architecture -> root file system

    def forces(self, variant: Variant) -> bool:
        """Whether modules are loaded by force on a kernel. Isolated kernels take those of production as they are."""
        return self.ignores_versions and variant.feature is not None and not variant.isolated


def on_shipped(
    settings: Settings, kernels: Mapping[str, ShippedKernel], *, source: str, tolerated: Iterable[str]
) -> Settings:
    """The settings with production kernels that are used as they ship.

    kernels: by architecture. source: the kernel source that the user chose; "" for that of the kernels. tolerated:
    options that may differ between production and debug kernels. Raises ModcompatError if there is no single source for
    the debug kernels, or if production is given twice.
    """
    if not kernels:
        return settings
    if twice := sorted(set(kernels) & set(settings.configs)):
        raise ModcompatError(
            f"production of {', '.join(twice)} is given twice: as it ships, and as a configuration",
            next_step="leave out --config and the prebuilt production kernel",
        )
    sources = {source} if source else {kernel.source for kernel in kernels.values()}
    if len(sources) > 1:
        raise ModcompatError(
            f"the production kernels are of different sources: {', '.join(sorted(sources))}",
            next_step="judge them one by one",
        )
    if "" in sources:
        (first, *_) = (kernel.title for kernel in kernels.values())
        raise ModcompatError(
            f"debug kernels are built from the source of production, and {first} does not name it",
            next_step="give --kernel-source the tree that it was built from",
        )
    changes = frozenset(symbols(tolerated))
    configs = {arch: replace(kernel.config, tolerated=changes) for arch, kernel in kernels.items()}
    ours = {(arch, PRODUCTION.name): kernel.prebuilt() for arch, kernel in kernels.items()}
    return replace(
        settings, source=sources.pop(), shipped=kernels, configs={**settings.configs, **configs},
        prebuilt={**settings.prebuilt, **ours},
    )  # fmt: skip
