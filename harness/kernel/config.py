"""Kernel configurations: fragments merged by the kernel's own Kconfig, then checked.

Two checks, because Kconfig drops and adds options without a word: every requested symbol must have got its
value, and a feature's kernel may differ from production in nothing but the feature and its allow list.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from harness import process
from harness.architectures import Architecture
from harness.errors import ModcompatError
from harness.kernel.source import KernelSource
from harness.kernel.toolchain import toolchain
from harness.paths import KCONFIG
from harness.store import Store
from harness.variants import ISOLATION, PRODUCTION, Variant

_SET = re.compile(r"^CONFIG_(\w+)=(.*)$")
_UNSET = re.compile(r"^# CONFIG_(\w+) is not set$")


@dataclass(frozen=True)
class KernelSpec:
    """One kernel to be had. versions: with MODVERSIONS, as its production kernel has it too."""

    arch: Architecture
    source: KernelSource
    variant: Variant = PRODUCTION
    versions: bool = False

    @property
    def label(self) -> str:
        return f"{self.arch.name}-{self.variant.name}{'-modversions' if self.versions else ''}"

    @property
    def title(self) -> str:
        versions = " with MODVERSIONS" if self.versions else ""
        return f"{self.arch.name} {self.variant.name} kernel {self.source.label}{versions}"

    @property
    def production(self) -> "KernelSpec":
        """The kernel that it is compared with."""
        return replace(self, source=self.source.original or self.source, variant=self.variant.production)

    @property
    def fragments(self) -> tuple[Path, ...]:
        return (
            *self.variant.fragments(self.arch),
            *([KCONFIG / "modversions.config"] if self.versions else []),
            *([KCONFIG / "isolation-modversions.config"] if self.takes_versions else []),
        )

    @property
    def takes_versions(self) -> bool:
        """Whether its symbols get the versions that they have in production: of the isolation series."""
        return self.versions and self.variant.isolated


def parse(text: str) -> dict[str, str]:
    """Symbols of a .config or a fragment, without CONFIG_; a symbol that is not set has the value "n"."""
    symbols = {}
    for line in text.splitlines():
        if found := _SET.match(line):
            symbols[found[1]] = found[2]
        elif found := _UNSET.match(line):
            symbols[found[1]] = "n"
    return symbols


def unmet(requested: Mapping[str, str], got: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Requested symbols that have another value: symbol -> (requested, got)."""
    return {name: (value, got.get(name, "n")) for name, value in requested.items() if got.get(name, "n") != value}


def differences(one: Mapping[str, str], other: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Symbols with different values: symbol -> (one's, other's); absent counts as "n"."""
    return unmet({name: one.get(name, "n") for name in sorted({*one, *other})}, other)


def gate(production: Mapping[str, str], featured: Mapping[str, str], variant: Variant) -> None:
    """Raise ModcompatError when a feature's kernel differs in more than the feature explains."""
    feature = variant.feature
    if feature is None or variant.selftest:
        return
    allowed = {*feature.symbols, *feature.follows}
    stray = {
        name: values
        for name, values in differences(production, featured).items()
        if name not in allowed and not (variant.isolated and ISOLATION.fullmatch(name))
    }
    if stray:
        raise ModcompatError(
            f"feature {feature.name} changes more than itself: {', '.join(stray)}",
            details=_table(stray, "production", feature.name),
            next_step="what breaks could not be blamed on the feature: set these symbols alike in "
            "images/kconfig, or add them to the feature's `follows` in harness/features.py with the reason",
        )


def resolve(spec: KernelSpec, store: Store) -> str:
    """The .config of a kernel, checked. Cached. Raises ModcompatError that names the symbols at fault."""
    config = _merge(spec, store)
    if spec.variant != spec.variant.production:
        gate(parse(_merge(spec.production, store)), parse(config), spec.variant)
    return config


def distinct(spec: KernelSpec, store: Store) -> KernelSpec:
    """The kernel itself, or its production kernel where the feature changes nothing (it is always on)."""
    if differences(parse(resolve(spec, store)), parse(resolve(spec.production, store))):
        return spec
    return spec.production


def _merge(spec: KernelSpec, store: Store) -> str:
    inputs = {
        "source": spec.source.identity,
        "fragments": [path.read_text() for path in spec.fragments],
        "toolchain": toolchain(spec.arch),
    }

    def build(folder: Path) -> None:
        requested = _requested(spec.fragments)
        # As scripts/kconfig/merge_config.sh -n does it, which writes into the source tree, though.
        merged = folder / "requested.config"
        merged.write_text("".join(_line(*entry) for entry in requested.items()))
        process.run(
            ["make", "-C", spec.source.tree(), f"O={folder}", f"KCONFIG_ALLCONFIG={merged}", "allnoconfig"],
            env={"ARCH": spec.arch.kernel, "CROSS_COMPILE": spec.arch.cross_compile},
            log=folder / "merge.log",
            what=f"merging the configuration of the {spec.title}",
        )
        got = parse((folder / ".config").read_text())
        missed = unmet(requested, got)
        if missed:
            raise ModcompatError(
                f"Kconfig dropped or changed what was requested for the {spec.title}: {', '.join(missed)}",
                details=_table(missed, "requested", "got"),
                next_step="a dependency is missing, or the symbol has another name in this kernel",
            )
        for leftover in folder.iterdir():
            if leftover.name not in (".config", "merge.log"):
                process.output(["rm", "-rf", leftover])

    return (store.get_or_build("config", spec.label, inputs, build) / ".config").read_text()


def _requested(fragments: Iterable[Path]) -> dict[str, str]:
    requested: dict[str, str] = {}
    for fragment in fragments:
        requested |= parse(fragment.read_text())
    return requested


def _line(name: str, value: str) -> str:
    return f"# CONFIG_{name} is not set\n" if value == "n" else f"CONFIG_{name}={value}\n"


def _table(rows: Mapping[str, tuple[str, str]], left: str, right: str) -> str:
    return "\n".join(f"CONFIG_{name}: {left} {one}, {right} {other}" for name, (one, other) in rows.items())
