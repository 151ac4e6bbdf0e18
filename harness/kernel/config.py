# SPDX-License-Identifier: Apache-2.0
"""Kernel configurations: fragments merged by the kernel's own Kconfig, then checked.

There are two checks, because Kconfig drops and adds options silently: every requested symbol must have its value, and
a feature's kernel may differ from production only in the feature's symbols and its allow list.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from harness.kernel import user_config
from harness.kernel.arch import Architecture
from harness.kernel.features import Isolation
from harness.kernel.kconfig import all_no, differences, in_fragments, keep_config, parse, require, table
from harness.kernel.source import KernelSource, version_of
from harness.kernel.toolchain import toolchain
from harness.kernel.user_config import UserConfig
from harness.kernel.variants import ISOLATION, PRODUCTION, Variant
from harness.support.cache.store import Store
from harness.support.errors import ModcompatError
from harness.support.paths import KCONFIG


@dataclass(frozen=True)
class KernelSpec:
    """Everything that determines one kernel."""

    arch: Architecture
    source: KernelSource
    variant: Variant = PRODUCTION
    versions: bool = False  # it and its production kernel have MODVERSIONS
    user_config: UserConfig | None = None  # user-supplied production configuration, used instead of the fragments

    @property
    def label(self) -> str:
        user = "-users" if self.user_config else ""
        return f"{self.arch.name}-{self.variant.name}{user}{'-modversions' if self.versions else ''}"

    @property
    def title(self) -> str:
        versions = " with MODVERSIONS" if self.versions else ""
        user = f" on {self.user_config.path.name}" if self.user_config else ""
        return f"{self.arch.name} {self.variant.name} kernel {self.source.label}{user}{versions}"

    @property
    def production(self) -> "KernelSpec":
        """The kernel that it is compared with."""
        return replace(self, source=self.source.original or self.source, variant=self.variant.production)

    @property
    def fragments(self) -> tuple[Path, ...]:
        """The Kconfig fragments of its configuration, or those on top of a user-supplied one."""
        if self.user_config:
            return (
                *self.variant.feature_fragments(),
                *([KCONFIG / "isolation-modversions.config"] if self.takes_versions else []),
            )
        return (
            *self.variant.fragments(self.arch),
            *([KCONFIG / "modversions.config"] if self.versions else []),
            *([KCONFIG / "isolation-modversions.config"] if self.takes_versions else []),
        )

    @property
    def takes_versions(self) -> bool:
        """Whether its exports get production's symbol versions, which requires the isolation series."""
        return self.versions and self.variant.isolated


def gate(
    production: Mapping[str, str], featured: Mapping[str, str], variant: Variant, tolerated: Collection[str] = ()
) -> None:
    """Raise ModcompatError if a feature's kernel differs from production in more than the feature explains.

    tolerated: further symbols that the user allows to differ.
    """
    feature = variant.feature
    if feature is None or variant.selftest:
        return
    allowed = {*feature.symbols, *feature.where_possible, *feature.follows, *tolerated}
    stray = {
        name: values
        for name, values in differences(production, featured).items()
        if name not in allowed and not (variant.isolated and ISOLATION.fullmatch(name))
    }
    if (
        stray
        and variant.isolated
        and feature.isolation is Isolation.KEPT_WITH_PREEMPTION
        and not _counts_preemption(production)
    ):
        raise ModcompatError(
            f"isolated kernels with {feature.name} refuse the modules of a production kernel that does not count "
            "preemption (PREEMPT or PREEMPT_DYNAMIC)",
            details=table(stray, "production", feature.name),
            next_step="docs/reference/features.md has the features that need no PREEMPT; modcompat's own production "
            "kernels have it with --preemption preempt",
        )
    if stray:
        raise ModcompatError(
            f"feature {feature.name} changes more than itself: {', '.join(stray)}",
            details=table(stray, "production", feature.name),
            next_step="with these changes a breakage could not be blamed on the feature. Set these symbols to the same "
            "values in production's configuration, allow the changes (--allow-config-change SYMBOL), or add the "
            "symbols to the feature's `follows` in harness/kernel/features.py with the reason",
        )


def _counts_preemption(config: Mapping[str, str]) -> bool:
    """Whether a kernel counts preemption in any case, and not only with a debug feature."""
    return any(config.get(name) == "y" for name in ("PREEMPT_COUNT", "PREEMPTION"))


def resolve(spec: KernelSpec, store: Store) -> str:
    """The .config of a kernel, checked. Cached. Raises ModcompatError with the symbols at fault."""
    config = _merge(spec, store)
    if spec.variant != spec.variant.production:
        tolerated = spec.user_config.tolerated if spec.user_config else ()
        gate(parse(_merge(spec.production, store)), parse(config), spec.variant, tolerated)
    return config


def distinct(spec: KernelSpec, store: Store) -> KernelSpec:
    """The kernel itself, or its production kernel if the feature changes nothing, because it is always on.

    If a user-supplied production configuration has the feature, there is nothing to isolate either.
    """
    stock = replace(spec, source=spec.production.source, variant=replace(spec.variant, isolated=False))
    compared = stock if spec.user_config else spec
    if differences(parse(resolve(compared, store)), parse(resolve(spec.production, store))):
        return spec
    return spec.production


def _merge(spec: KernelSpec, store: Store) -> str:
    if spec.user_config:
        return _on_user_config(spec, spec.user_config, store)
    inputs = {
        "source": spec.source.identity,
        "fragments": [path.read_text() for path in spec.fragments],
        "toolchain": toolchain(spec.arch),
    }

    def build(folder: Path) -> None:
        requested = in_fragments(spec.fragments)
        got = all_no(spec.source.tree(), spec.arch, requested, folder, f"merging the configuration of the {spec.title}")
        require(_indispensable(requested, spec.variant), got, spec.title)
        keep_config(folder)

    return (store.get_or_build("config", spec.label, inputs, build) / ".config").read_text()


def _indispensable(requested: Mapping[str, str], variant: Variant) -> dict[str, str]:
    """The requested symbols without those that a kernel may lack."""
    spared = variant.feature.where_possible if variant.feature else ()
    return {name: value for name, value in requested.items() if name not in spared}


def _on_user_config(spec: KernelSpec, config: UserConfig, store: Store) -> str:
    """The user-supplied production configuration, or a feature on top of it; other symbols are off."""
    original = spec.production.source
    production = user_config.production(config, original, store)
    if spec.variant == spec.variant.production:
        return production
    before = parse(production)
    requested = in_fragments(spec.fragments)
    if spec.variant.isolated:
        requested |= user_config.production_has(before, spec.arch, version_of(original))
    inputs = {
        "source": spec.source.identity,
        "production": production,
        "requested": requested,
        "toolchain": toolchain(spec.arch),
    }

    def build(folder: Path) -> None:
        what = f"merging the configuration of the {spec.title}"
        got = all_no(spec.source.tree(), spec.arch, before | requested, folder, what)
        require(_indispensable(requested, spec.variant), got, spec.title)
        keep_config(folder)

    return (store.get_or_build("config", spec.label, inputs, build) / ".config").read_text()
