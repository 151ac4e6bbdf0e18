# SPDX-License-Identifier: Apache-2.0
"""Kernel configurations: fragments merged by the kernel's own Kconfig, then checked.

Two checks, because Kconfig drops and adds options without a word: every requested symbol must have got its
value, and a feature's kernel may differ from production in nothing but the feature and its allow list.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from harness.kernel import user_config
from harness.kernel.arch import Architecture
from harness.kernel.kconfig import all_no, differences, in_fragments, keep_config, parse, require, table, unmet
from harness.kernel.source import KernelSource, version_of
from harness.kernel.toolchain import toolchain
from harness.kernel.user_config import UsersConfig
from harness.kernel.variants import ISOLATION, PRODUCTION, Variant
from harness.support.cache.store import Store
from harness.support.errors import ModcompatError
from harness.support.paths import KCONFIG

__all__ = ["KernelSpec", "differences", "distinct", "gate", "parse", "resolve", "unmet"]


@dataclass(frozen=True)
class KernelSpec:
    """One kernel to be had.

    versions: with MODVERSIONS, as its production kernel has it too. users: the user's production configuration,
    in place of ours.
    """

    arch: Architecture
    source: KernelSource
    variant: Variant = PRODUCTION
    versions: bool = False
    users: UsersConfig | None = None

    @property
    def label(self) -> str:
        users = "-users" if self.users else ""
        return f"{self.arch.name}-{self.variant.name}{users}{'-modversions' if self.versions else ''}"

    @property
    def title(self) -> str:
        versions = " with MODVERSIONS" if self.versions else ""
        users = f" on {self.users.path.name}" if self.users else ""
        return f"{self.arch.name} {self.variant.name} kernel {self.source.label}{users}{versions}"

    @property
    def production(self) -> "KernelSpec":
        """The kernel that it is compared with."""
        return replace(self, source=self.source.original or self.source, variant=self.variant.production)

    @property
    def fragments(self) -> tuple[Path, ...]:
        """What makes its configuration: all of it, or what comes on top of the user's."""
        if self.users:
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
        """Whether its symbols get the versions that they have in production: of the isolation series."""
        return self.versions and self.variant.isolated


def gate(
    production: Mapping[str, str], featured: Mapping[str, str], variant: Variant, tolerated: Collection[str] = ()
) -> None:
    """Raise ModcompatError when a feature's kernel differs in more than the feature explains.

    tolerated: symbols that the user lets differ.
    """
    feature = variant.feature
    if feature is None or variant.selftest:
        return
    allowed = {*feature.symbols, *feature.follows, *tolerated}
    stray = {
        name: values
        for name, values in differences(production, featured).items()
        if name not in allowed and not (variant.isolated and ISOLATION.fullmatch(name))
    }
    if stray:
        raise ModcompatError(
            f"feature {feature.name} changes more than itself: {', '.join(stray)}",
            details=table(stray, "production", feature.name),
            next_step="what breaks could not be blamed on the feature: set these symbols alike in production's "
            "configuration, let them differ by name (--allow-config-change SYMBOL), or add them to the feature's "
            "`follows` in harness/kernel/features.py with the reason",
        )


def resolve(spec: KernelSpec, store: Store) -> str:
    """The .config of a kernel, checked. Cached. Raises ModcompatError that names the symbols at fault."""
    config = _merge(spec, store)
    if spec.variant != spec.variant.production:
        tolerated = spec.users.tolerated if spec.users else ()
        gate(parse(_merge(spec.production, store)), parse(config), spec.variant, tolerated)
    return config


def distinct(spec: KernelSpec, store: Store) -> KernelSpec:
    """The kernel itself, or its production kernel where the feature changes nothing (it is always on).

    Where the user's production has the feature, there is nothing to isolate either.
    """
    stock = replace(spec, source=spec.production.source, variant=replace(spec.variant, isolated=False))
    compared = stock if spec.users else spec
    if differences(parse(resolve(compared, store)), parse(resolve(spec.production, store))):
        return spec
    return spec.production


def _merge(spec: KernelSpec, store: Store) -> str:
    if spec.users:
        return _on_users(spec, spec.users, store)
    inputs = {
        "source": spec.source.identity,
        "fragments": [path.read_text() for path in spec.fragments],
        "toolchain": toolchain(spec.arch),
    }

    def build(folder: Path) -> None:
        requested = in_fragments(spec.fragments)
        got = all_no(spec.source.tree(), spec.arch, requested, folder, f"merging the configuration of the {spec.title}")
        require(requested, got, spec.title)
        keep_config(folder)

    return (store.get_or_build("config", spec.label, inputs, build) / ".config").read_text()


def _on_users(spec: KernelSpec, users: UsersConfig, store: Store) -> str:
    """Production as the user has it, or a feature on top of that: what neither mentions is off."""
    original = spec.production.source
    production = user_config.production(users, original, store)
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
        require(requested, got, spec.title)
        keep_config(folder)

    return (store.get_or_build("config", spec.label, inputs, build) / ".config").read_text()
