# SPDX-License-Identifier: Apache-2.0
"""The kernels that can be built from one source tree for one architecture."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from harness.kernel.arch import Architecture
from harness.kernel.features import FEATURES, Feature
from harness.support.errors import ModcompatError
from harness.support.paths import KCONFIG


class Preemption(StrEnum):
    """Preemption models (kernel/Kconfig.preempt). Modules inline other lock functions, so they break differently."""

    NONE = "none"
    FULL = "preempt"


# Symbols of the models (kernel/Kconfig.preempt, PREEMPT_LAZY since 6.13), and their names.
_MODELS = {
    "PREEMPT_RT": "rt", "PREEMPT": str(Preemption.FULL), "PREEMPT_LAZY": "lazy", "PREEMPT_VOLUNTARY": "voluntary",
}  # fmt: skip


def preemption_in(config: Mapping[str, str]) -> str:
    """The preemption model of a configuration. A user-supplied one may have a model without a variant."""
    return next((model for symbol, model in _MODELS.items() if config.get(symbol) == "y"), str(Preemption.NONE))


def preemption_of(vermagic: str) -> Preemption:
    """The preemption model of the kernel that a module was built for (include/linux/vermagic.h)."""
    return Preemption.FULL if "preempt" in vermagic.split() else Preemption.NONE


@dataclass(frozen=True)
class Variant:
    """A production kernel, or one with a feature on top of it."""

    feature: Feature | None = None
    preemption: Preemption = Preemption.NONE
    bare: bool = False  # without production's detectors, for features that are one of them
    isolated: bool = False  # with the isolation series applied and switched on
    selftest: bool = False  # with the kernel's own tests, which are not a feature

    @property
    def name(self) -> str:
        """The name on the command line: production, production-bare, stock-ftrace, stock-ftrace-preempt."""
        words = ["isolated" if self.isolated else "stock", self.feature.name] if self.feature else ["production"]
        words += ["bare"] if self.bare and not self.feature else []
        words += [str(self.preemption)] if self.preemption is not Preemption.NONE else []
        words += ["selftest"] if self.selftest else []
        return "-".join(words)

    @property
    def production(self) -> "Variant":
        """The kernel that it is compared with, and that its modules are built for."""
        return replace(self, feature=None, isolated=False, selftest=False)

    @property
    def on_user_config(self) -> "Variant":
        """The same on a user-supplied configuration, from which no detectors are left out."""
        return replace(self, bare=False)

    @property
    def boot(self) -> str:
        """Further parameters for the kernel's command line."""
        words = (self.feature.boot if self.feature else "", "kunit.enable=1" if self.selftest else "")
        return " ".join(word for word in words if word)

    def fragments(self, arch: Architecture) -> tuple[Path, ...]:
        """Kconfig fragments. Later ones override earlier ones."""
        return (
            KCONFIG / "common.config",
            KCONFIG / "arch" / f"{arch.name}.config",
            *([KCONFIG / "preempt.config"] if self.preemption is Preemption.FULL else []),
            *([KCONFIG / "bare.config"] if self.bare else []),
            *self.feature_fragments(),
        )

    def feature_fragments(self) -> tuple[Path, ...]:
        """The fragments on top of production's."""
        return (
            *([self.feature.fragment] if self.feature else []),
            *([KCONFIG / "isolation.config"] if self.isolated else []),
            *([KCONFIG / "selftest" / self.feature.fragment.name] if self.feature and self.selftest else []),
        )


PRODUCTION = Variant()

# The symbols of the isolation series: its own, and those that they derive from each feature.
ISOLATION = re.compile(
    r"MODULE_ABI_\w+|(?:MODULES_TREE_NODES|DEBUG_SPINLOCK|DEBUG_MUTEXES|DEBUG_RWSEMS|LOCKDEP)_OUTSIDE"
)


def variant_of(feature: Feature, preemption: Preemption = Preemption.NONE, *, isolated: bool = False) -> Variant:
    """The stock or the isolated kernel of a feature."""
    return Variant(feature, preemption, bare=feature.is_detector, isolated=isolated)


def variant_named(name: str) -> Variant:
    """The kernel with a name. Raises ModcompatError with the known names if there is none."""
    known = {variant.name: variant for variant in _all_variants()}
    if name not in known:
        shown = [name for name in known if not name.endswith("-preempt")]
        raise ModcompatError(
            f"there is no kernel {name}", next_step=f"known are {', '.join(shown)}, and each of them with -preempt"
        )
    return known[name]


def variant_names() -> list[str]:
    """The names of all kernels."""
    return [variant.name for variant in _all_variants()]


def _all_variants() -> list[Variant]:
    return [
        variant
        for preemption in Preemption
        for variant in (
            Variant(preemption=preemption),
            Variant(preemption=preemption, bare=True),
            *(variant_of(feature, preemption) for feature in FEATURES.values()),
            *(variant_of(feature, preemption, isolated=True) for feature in FEATURES.values() if feature.isolation),
        )
    ]
