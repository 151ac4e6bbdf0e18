# SPDX-License-Identifier: Apache-2.0
"""The kernels that can be had from one source tree and architecture."""

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
    """Preemption models (kernel/Kconfig.preempt). They inline different lock functions, so they break differently."""

    NONE = "none"
    FULL = "preempt"


# Symbols of the models (kernel/Kconfig.preempt, PREEMPT_LAZY since 6.13), and what a kernel that has one is called.
_MODELS = {
    "PREEMPT_RT": "rt", "PREEMPT": str(Preemption.FULL), "PREEMPT_LAZY": "lazy", "PREEMPT_VOLUNTARY": "voluntary",
}  # fmt: skip


def preemption_in(config: Mapping[str, str]) -> str:
    """The preemption model of a configuration, which of a user's can be one that there is no variant of."""
    return next((model for symbol, model in _MODELS.items() if config.get(symbol) == "y"), str(Preemption.NONE))


def preemption_of(vermagic: str) -> Preemption:
    """The model of the kernel that a module was built for (include/linux/vermagic.h)."""
    return Preemption.FULL if "preempt" in vermagic.split() else Preemption.NONE


@dataclass(frozen=True)
class Variant:
    """A production kernel, or one with a feature on top of it.

    bare: without the detectors that production has on, for features that are such a detector. isolated: with
    the isolation series applied and switched on. selftest: with the kernel's own tests, which are no feature.
    """

    feature: Feature | None = None
    preemption: Preemption = Preemption.NONE
    bare: bool = False
    isolated: bool = False
    selftest: bool = False

    @property
    def name(self) -> str:
        """As the command line takes it: production, production-bare, stock-ftrace, stock-ftrace-preempt."""
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
    def on_users_config(self) -> "Variant":
        """The same on a configuration of the user's, where there are no detectors of ours to leave out."""
        return replace(self, bare=False)

    @property
    def boot(self) -> str:
        """Parameters of the kernel's own."""
        words = (self.feature.boot if self.feature else "", "kunit.enable=1" if self.selftest else "")
        return " ".join(word for word in words if word)

    def fragments(self, arch: Architecture) -> tuple[Path, ...]:
        """Kconfig fragments, the later ones override."""
        return (
            KCONFIG / "common.config",
            KCONFIG / "arch" / f"{arch.name}.config",
            *([KCONFIG / "preempt.config"] if self.preemption is Preemption.FULL else []),
            *([KCONFIG / "bare.config"] if self.bare else []),
            *self.feature_fragments(),
        )

    def feature_fragments(self) -> tuple[Path, ...]:
        """The fragments that come on top of production."""
        return (
            *([self.feature.fragment] if self.feature else []),
            *([KCONFIG / "isolation.config"] if self.isolated else []),
            *([KCONFIG / "selftest.config"] if self.selftest else []),
        )


PRODUCTION = Variant()

# The symbols of the isolation series: its own, and what they make of each feature.
ISOLATION = re.compile(r"MODULE_ABI_\w+|(?:MODULES_TREE_NODES|DEBUG_SPINLOCK|DEBUG_MUTEXES|DEBUG_RWSEMS)_OUTSIDE")


def variant_of(feature: Feature, preemption: Preemption = Preemption.NONE, *, isolated: bool = False) -> Variant:
    """The stock kernel of a feature, or the isolated one."""
    return Variant(feature, preemption, bare=feature.is_detector, isolated=isolated)


def variant_named(name: str) -> Variant:
    """The kernel that a person names. Raises ModcompatError with the known names."""
    known = {variant.name: variant for variant in _every()}
    if name not in known:
        shown = [name for name in known if not name.endswith("-preempt")]
        raise ModcompatError(
            f"there is no kernel {name}", next_step=f"one of {', '.join(shown)}; or one of these with -preempt"
        )
    return known[name]


def variant_names() -> list[str]:
    """The names of all kernels."""
    return [variant.name for variant in _every()]


def _every() -> list[Variant]:
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
