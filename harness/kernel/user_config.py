# SPDX-License-Identifier: Apache-2.0
"""A user-supplied production configuration: read, checked, and if allowed, completed with options of the harness."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness.kernel import required_options
from harness.kernel.arch import Architecture
from harness.kernel.image import config_of, looks_like_image, unpacked
from harness.kernel.isolation_options import blocking_options, production_options
from harness.kernel.kconfig import (
    all_no,
    architecture_in,
    differences,
    keep_config,
    parse,
    require,
    unmet,
    with_defaults,
)
from harness.kernel.source import KernelSource
from harness.kernel.toolchain import toolchain
from harness.support.cache.store import Store
from harness.support.errors import ModcompatError
from harness.support.inputs import expanded, require_regular

_NEXT_STEP = "give --config the .config that the production kernel was built with"
_MAX_CONFIG_BYTES = 4 << 20  # the kernel's largest configurations have 0.3 MB
# Symbols that describe the machine that Kconfig ran on (init/Kconfig, scripts/Kconfig.include).
_HOST_SYMBOLS = (
    "CC_", "GCC_", "CLANG_", "AS_", "LD_", "LLD_", "RUSTC_", "PAHOLE_", "TOOLS_SUPPORT_", "HAVE_", "ARCH_HAS_",
    "ARCH_SUPPORTS_", "ARCH_WANT", "CONFIG_",
)  # fmt: skip

# Option -> the option with which it adds nothing to structures
_ADDS_NOTHING_WITH = {"UBSAN": "UBSAN_TRAP"}  # in_ubsan of include/linux/sched.h


@dataclass(frozen=True)
class UserConfig:
    """A user-supplied production configuration."""

    path: Path
    arch: Architecture
    text: str  # the content of the file
    may_add: bool = False  # options that the harness needs may be added, to production and to every debug kernel
    tolerated: frozenset[str] = field(default_factory=frozenset)  # symbols that may differ beyond the feature's
    as_it_is: bool = False  # nothing is added: its kernel is compared, and never booted
    shipped: bool = False  # its kernel and modules exist and are never built; debug kernels are built without modules
    release: str = ""  # that of the shipped kernel, which debug kernels get as well
    symvers: Path | None = None  # Module.symvers of the shipped kernel; None if that did not come with it

    @property
    def has_versions(self) -> bool:
        """Whether production has MODVERSIONS."""
        return parse(self.text).get("MODVERSIONS") == "y"


def read_config(path: Path, *, may_add: bool = False, tolerated: frozenset[str] = frozenset()) -> UserConfig:
    """A configuration file, or the configuration in a kernel image.

    Raises ModcompatError if it is neither, or if it is for no known architecture.
    """
    path = expanded(path).absolute()
    try:
        require_regular(path)
        with path.open("rb") as file:
            content = file.read(_MAX_CONFIG_BYTES)
    except OSError as error:
        raise ModcompatError(f"cannot read the configuration {path}: {error.strerror}", next_step=_NEXT_STEP) from None
    content = unpacked(content, _MAX_CONFIG_BYTES)
    text = config_of(path) if looks_like_image(content) else content.decode("utf-8-sig", errors="backslashreplace")
    settings = parse(text)
    if not settings:
        raise ModcompatError(f"{path} is not a kernel configuration: it sets no CONFIG_ symbol", next_step=_NEXT_STEP)
    return UserConfig(path, architecture_in(settings, path), text, may_add, tolerated)


def by_architecture(configs: Iterable[UserConfig]) -> dict[str, UserConfig]:
    """Architecture -> configuration. Raises ModcompatError if two are for the same architecture."""
    found: dict[str, UserConfig] = {}
    for config in configs:
        if config.arch.name in found:
            raise ModcompatError(f"two configurations are for {config.arch.name}: {config.path} is the second")
        found[config.arch.name] = config
    return found


def require_for(arches: Iterable[str], configs: Mapping[str, UserConfig]) -> None:
    """Raise ModcompatError if there are production configurations, but none for one of the architectures."""
    if configs and (lacking := sorted(set(arches) - set(configs))):
        files = ", ".join(f"{config.path} is for {arch}" for arch, config in configs.items())
        raise ModcompatError(
            f"there is no production configuration for {', '.join(lacking)}: {files}",
            next_step="give --config FILE for each architecture, which is read from the file itself",
        )


def production(config: UserConfig, source: KernelSource, store: Store) -> str:
    """The production kernel's .config: the user-supplied one, completed by this tree's Kconfig and with additions.

    Raises ModcompatError with the missing options, and why they are needed, if they may not be added.
    """
    given = as_given(config, source, store)
    wanted = {} if config.as_it_is else required_options.additions(lacking(config, source, store))
    if not wanted:
        return given
    inputs = {"source": source.identity, "given": given, "added": wanted, "toolchain": toolchain(config.arch)}

    def build(folder: Path) -> None:
        requested = parse(given) | wanted
        what = f"adding {', '.join(wanted)} to {config.path.name}"
        got = all_no(source.tree(), config.arch, requested, folder, what)
        require(wanted, got, f"{config.arch.name} production kernel")
        still = required_options.missing(got, config.arch.required_options)
        if still:
            raise ModcompatError(
                f"{config.path} cannot be completed with all options that the harness needs",
                details=required_options.listed(still),
                next_step="switch these on in the configuration itself (`make menuconfig` shows what they depend on)",
            )  # fmt: skip
        keep_config(folder)

    return (
        store.get_or_build("config", f"{config.arch.name}-production-config", inputs, build) / ".config"
    ).read_text()


def as_given(config: UserConfig, source: KernelSource, store: Store) -> str:
    """The user-supplied .config, completed by this tree's Kconfig as `make olddefconfig` does."""
    inputs = {"source": source.identity, "text": config.text, "toolchain": toolchain(config.arch)}

    def build(folder: Path) -> None:
        with_defaults(source.tree(), config.arch, config.text, folder, f"reading {config.path}")
        keep_config(folder)

    return (store.get_or_build("config", f"{config.arch.name}-config", inputs, build) / ".config").read_text()


def lacking(config: UserConfig, source: KernelSource, store: Store) -> list[required_options.RequiredOption]:
    """The options that the harness needs and the configuration lacks. Raises ModcompatError if none may be added."""
    missing = required_options.missing(parse(as_given(config, source, store)), config.arch.required_options)
    if config.shipped and all(option.build_only for option in missing):
        return missing  # production is not built, and its debug kernels may have them
    if missing and not config.may_add:
        raise ModcompatError(
            f"{config.path} lacks options that the harness needs to boot it and to observe a module",
            details=required_options.listed(missing),
            next_step="set them in the configuration if the modules are built for that. Or use "
            "--allow-config-additions (allow_config_additions in the manifest), which sets them in production and "
            "debug kernels alike: the module ABI may then differ from your production's, and the report shows where",
        )
    return missing


def added(config: UserConfig, source: KernelSource, store: Store) -> dict[str, tuple[str, str]]:
    """The changes from the user-supplied configuration to production's: symbol -> (given, now)."""
    return differences(parse(as_given(config, source, store)), parse(production(config, source, store)))


def changed_by_kconfig(config: UserConfig, source: KernelSource, store: Store) -> dict[str, tuple[str, str]]:
    """The user's settings that this tree's Kconfig changed: symbol -> (in the file, now)."""
    missed = unmet(parse(config.text), parse(as_given(config, source, store)))
    return {name: values for name, values in missed.items() if not name.startswith(_HOST_SYMBOLS)}


def production_has(config: Mapping[str, str], arch: Architecture, version: str) -> dict[str, str]:
    """The options that describe a production configuration to the isolation series.

    version: the kernel's, like `6.1.192`. Options that production lacks are included, so that no default matters.
    """
    settings = {
        f"MODULE_ABI_PRODUCTION_HAS_{symbol}": "y" if _changes_abi(symbol, config) else "n"
        for symbol in production_options(version)
        if symbol not in dict(arch.always_on)  # the series has no such option there
    }
    options = [symbol for symbol in blocking_options(version) if config.get(symbol, "n") != "n"]
    return settings | {"MODULE_ABI_PRODUCTION_OPTIONS": f'"{" ".join(options)}"'}


def _changes_abi(symbol: str, config: Mapping[str, str]) -> bool:
    """Whether a configuration has an option together with what the option adds to structures."""
    other = _ADDS_NOTHING_WITH.get(symbol)
    return config.get(symbol, "n") != "n" and (other is None or config.get(other, "n") == "n")
