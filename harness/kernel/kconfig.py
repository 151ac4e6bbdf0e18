# SPDX-License-Identifier: Apache-2.0
"""The kernel's own Kconfig: configurations are parsed, compared, and made by `make`."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from harness.kernel.arch import ARCHITECTURES, Architecture
from harness.kernel.toolchain import environment
from harness.support import process
from harness.support.errors import ModcompatError

_SET = re.compile(r"^CONFIG_(\w+)=(.*)$")
_UNSET = re.compile(r"^# CONFIG_(\w+) is not set$")


def parse(text: str) -> dict[str, str]:
    """The symbols of a .config or a fragment, without CONFIG_. The value of a symbol that is not set is "n"."""
    symbols = {}
    for line in text.splitlines():
        if found := _SET.match(line):
            symbols[found[1]] = found[2]
        elif found := _UNSET.match(line):
            symbols[found[1]] = "n"
    return symbols


def architecture_in(settings: Mapping[str, str], path: Path) -> Architecture:
    """The architecture of a configuration. Raises ModcompatError if it has none, an unknown one, or several."""
    found = [arch for arch in ARCHITECTURES.values() if settings.get(arch.config) == "y"]
    if len(found) > 1:
        raise ModcompatError(
            f"{path} is for {' and '.join(arch.name for arch in found)} at once: "
            + " and ".join(f"CONFIG_{arch.config}=y" for arch in found),
            next_step="give the .config of a single kernel",
        )
    if found:
        return found[0]
    known = ", ".join(f"CONFIG_{arch.config}" for arch in ARCHITECTURES.values())
    raise ModcompatError(
        f"{path} is for no known architecture: none of {known} is set",
        next_step="a whole .config is needed, not a fragment or a defconfig: `make olddefconfig` completes one",
    )


def unmet(requested: Mapping[str, str], got: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Requested symbols that got another value: symbol -> (requested, got)."""
    return {name: (value, got.get(name, "n")) for name, value in requested.items() if got.get(name, "n") != value}


def differences(one: Mapping[str, str], other: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Symbols with different values: symbol -> (one's, other's). An absent symbol counts as "n"."""
    return unmet({name: one.get(name, "n") for name in sorted({*one, *other})}, other)


def in_fragments(fragments: Iterable[Path]) -> dict[str, str]:
    """The symbols that fragments request. Later fragments override earlier ones."""
    requested: dict[str, str] = {}
    for fragment in fragments:
        requested |= parse(fragment.read_text())
    return requested


def written(symbols: Mapping[str, str]) -> str:
    """The text of a .config with these symbols."""
    return "".join(
        f"# CONFIG_{name} is not set\n" if value == "n" else f"CONFIG_{name}={value}\n"
        for name, value in symbols.items()
    )


def all_no(tree: Path, arch: Architecture, requested: Mapping[str, str], folder: Path, what: str) -> dict[str, str]:
    """Make `folder`/.config with the requested symbols, and all others off if possible. Returns its symbols.

    It works like scripts/kconfig/merge_config.sh -n, which would write into the source tree. what: for progress and
    errors.
    """
    merged = folder / "requested.config"
    merged.write_text(written(requested))
    return _make(tree, arch, [f"KCONFIG_ALLCONFIG={merged}", "allnoconfig"], folder, what)


def with_defaults(tree: Path, arch: Architecture, text: str, folder: Path, what: str) -> dict[str, str]:
    """Make `folder`/.config from a configuration that may be incomplete; missing symbols get their defaults."""
    (folder / ".config").write_text(text)
    return _make(tree, arch, ["olddefconfig"], folder, what)


def keep_config(folder: Path) -> None:
    """Remove everything from a folder except the configuration that was made there and its log."""
    for leftover in folder.iterdir():
        if leftover.name not in (".config", "merge.log"):
            process.output(["rm", "-rf", leftover])


def require(requested: Mapping[str, str], got: Mapping[str, str], title: str) -> None:
    """Raise ModcompatError if Kconfig did not follow a request. It drops and changes symbols silently."""
    missed = unmet(requested, got)
    if missed:
        raise ModcompatError(
            f"Kconfig dropped or changed symbols that were requested for the {title}: {', '.join(missed)}",
            details=table(missed, "requested", "got"),
            next_step="a dependency is missing, or the symbol has another name in this kernel",
        )


def table(rows: Mapping[str, tuple[str, str]], left: str, right: str) -> str:
    """Symbols with two values each, one per line, for the details of an error."""
    return "\n".join(f"CONFIG_{name}: {left} {one}, {right} {other}" for name, (one, other) in rows.items())


def _make(tree: Path, arch: Architecture, words: list[str], folder: Path, what: str) -> dict[str, str]:
    process.run(
        ["make", "-C", tree, f"O={folder}", *words],
        env=environment(arch),
        log=folder / "merge.log",
        what=what,
    )
    return parse((folder / ".config").read_text())
