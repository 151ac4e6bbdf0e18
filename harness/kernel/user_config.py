# SPDX-License-Identifier: Apache-2.0
"""The user's production configuration: read, checked, and what the harness needs added where that is allowed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness.kernel import required_options
from harness.kernel.arch import Architecture
from harness.kernel.image import config_of, looks_like_image, unpacked
from harness.kernel.isolation_options import asked, unisolated
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

_NEXT = "give --config the .config that the production kernel was built with"
_LARGEST = 4 << 20  # bytes of a file that is taken for a configuration; the kernel's largest have 0.3 MB
# Symbols that say what Kconfig found on the machine that it ran on (init/Kconfig, scripts/Kconfig.include).
_OF_THE_MACHINE = (
    "CC_", "GCC_", "CLANG_", "AS_", "LD_", "LLD_", "RUSTC_", "PAHOLE_", "TOOLS_SUPPORT_", "HAVE_", "ARCH_HAS_",
    "ARCH_SUPPORTS_", "ARCH_WANT", "CONFIG_",
)  # fmt: skip


@dataclass(frozen=True)
class UsersConfig:
    """A production configuration of the user's.

    text: the file's. may_add: whether options that the harness needs may be added, to production and to every debug
    kernel alike. tolerated: symbols that may differ between production and a debug kernel beyond the feature.
    as_it_is: whatever it lacks, for a kernel that is compared and not booted.
    """

    path: Path
    arch: Architecture
    text: str
    may_add: bool = False
    tolerated: frozenset[str] = field(default_factory=frozenset)
    as_it_is: bool = False

    @property
    def has_versions(self) -> bool:
        """Whether production has MODVERSIONS."""
        return parse(self.text).get("MODVERSIONS") == "y"


def read_config(path: Path, *, may_add: bool = False, tolerated: frozenset[str] = frozenset()) -> UsersConfig:
    """A configuration file, or the configuration in a kernel image.

    Raises ModcompatError when it is none, or for no architecture that there is.
    """
    path = expanded(path).absolute()
    try:
        require_regular(path)
        with path.open("rb") as file:
            content = file.read(_LARGEST)
    except OSError as error:
        raise ModcompatError(f"cannot read the configuration {path}: {error.strerror}", next_step=_NEXT) from None
    content = unpacked(content, _LARGEST)
    text = config_of(path) if looks_like_image(content) else content.decode("utf-8-sig", errors="backslashreplace")
    settings = parse(text)
    if not settings:
        raise ModcompatError(f"{path} is not a kernel configuration: it sets no CONFIG_ symbol", next_step=_NEXT)
    return UsersConfig(path, architecture_in(settings, path), text, may_add, tolerated)


def by_architecture(configs: Iterable[UsersConfig]) -> dict[str, UsersConfig]:
    """Architecture -> configuration. Raises ModcompatError when two are for the same one."""
    found: dict[str, UsersConfig] = {}
    for users in configs:
        if users.arch.name in found:
            raise ModcompatError(f"two configurations are for {users.arch.name}: {users.path} is the second")
        found[users.arch.name] = users
    return found


def require_for(arches: Iterable[str], configs: Mapping[str, UsersConfig]) -> None:
    """Raises ModcompatError where production configurations are given, and one of the architectures has none."""
    if configs and (lacking := sorted(set(arches) - set(configs))):
        files = ", ".join(f"{users.path} is for {arch}" for arch, users in configs.items())
        raise ModcompatError(
            f"there is no production configuration for {', '.join(lacking)}: {files}",
            next_step="give --config FILE for each architecture (which one that is, is read from the file itself)",
        )


def production(users: UsersConfig, source: KernelSource, store: Store) -> str:
    """The production kernel's .config: the user's, completed by this tree's Kconfig, and with what is needed.

    Raises ModcompatError that names what is missing and why it is needed, when it may not be added.
    """
    given = as_given(users, source, store)
    wanted = {} if users.as_it_is else required_options.additions(lacking(users, source, store))
    if not wanted:
        return given
    inputs = {"source": source.identity, "given": given, "added": wanted, "toolchain": toolchain(users.arch)}

    def build(folder: Path) -> None:
        requested = parse(given) | wanted
        what = f"adding {', '.join(wanted)} to {users.path.name}"
        got = all_no(source.tree(), users.arch, requested, folder, what)
        require(wanted, got, f"{users.arch.name} production kernel")
        still = required_options.missing(got, users.arch.required_options)
        if still:
            raise ModcompatError(
                f"{users.path} cannot be completed to what the harness needs", details=required_options.listed(still),
                next_step="switch these on in the configuration itself (`make menuconfig` shows what they depend on)",
            )  # fmt: skip
        keep_config(folder)

    return (store.get_or_build("config", f"{users.arch.name}-production-users", inputs, build) / ".config").read_text()


def as_given(users: UsersConfig, source: KernelSource, store: Store) -> str:
    """The user's .config, completed by this tree's Kconfig as `make olddefconfig` does it."""
    inputs = {"source": source.identity, "text": users.text, "toolchain": toolchain(users.arch)}

    def build(folder: Path) -> None:
        with_defaults(source.tree(), users.arch, users.text, folder, f"reading {users.path}")
        keep_config(folder)

    return (store.get_or_build("config", f"{users.arch.name}-users", inputs, build) / ".config").read_text()


def lacking(users: UsersConfig, source: KernelSource, store: Store) -> list[required_options.RequiredOption]:
    """What the harness needs and the configuration lacks. Raises ModcompatError when it may not be added."""
    missing = required_options.missing(parse(as_given(users, source, store)), users.arch.required_options)
    if missing and not users.may_add:
        raise ModcompatError(
            f"{users.path} lacks what the harness needs to boot it and to see what a module does",
            details=required_options.listed(missing),
            next_step="set them in the configuration if the modules are built for that; or --allow-config-additions "
            "(allow_config_additions in the manifest) sets them in production and debug kernels alike: then the "
            "module ABI may differ from your production's, and the report says in what",
        )
    return missing


def added(users: UsersConfig, source: KernelSource, store: Store) -> dict[str, tuple[str, str]]:
    """What was added to the user's configuration, with all that followed: symbol -> (given, now)."""
    return differences(parse(as_given(users, source, store)), parse(production(users, source, store)))


def changed_by_kconfig(users: UsersConfig, source: KernelSource, store: Store) -> dict[str, tuple[str, str]]:
    """What this tree's Kconfig made of the user's settings otherwise: symbol -> (in the file, now)."""
    missed = unmet(parse(users.text), parse(as_given(users, source, store)))
    return {name: values for name, values in missed.items() if not name.startswith(_OF_THE_MACHINE)}


def production_has(config: Mapping[str, str], arch: Architecture, version: str) -> dict[str, str]:
    """What the isolation series has to be told of a production configuration. version: the kernel's, `6.1.192`.

    Also what production lacks, so that nothing depends on the defaults.
    """
    told = {
        f"MODULE_ABI_PRODUCTION_HAS_{symbol}": "y" if config.get(symbol) == "y" else "n"
        for symbol in asked(version)
        if symbol not in dict(arch.always_on)  # the series does not ask for these
    }
    options = [symbol for symbol in unisolated(version) if config.get(symbol, "n") != "n"]
    return told | {"MODULE_ABI_PRODUCTION_OPTIONS": f'"{" ".join(options)}"'}
