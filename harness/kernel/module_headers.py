# SPDX-License-Identifier: Apache-2.0
"""The headers that modules are compiled against: those of a kernel specification, or of a user-supplied build tree."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

from harness.kernel.arch import Architecture
from harness.kernel.build import kernel_inputs, make_command
from harness.kernel.config import KernelSpec
from harness.kernel.kconfig import architecture_in, parse
from harness.kernel.prepare import build_tree
from harness.kernel.source import KernelSource
from harness.kernel.symvers import Export, read_exports
from harness.kernel.toolchain import toolchain
from harness.kernel.variants import PRODUCTION
from harness.support import digest
from harness.support.cache.store import Store
from harness.support.errors import ModcompatError
from harness.support.inputs import expanded


@dataclass(frozen=True)
class Headers:
    """The headers of one kernel."""

    label: str
    arch: Architecture
    inputs: Mapping[str, object]  # everything that they are made from, for cache keys
    tree: Callable[[], Path]  # returns the build tree, and prepares it first if necessary; never for cached results
    source: KernelSource | None = None  # the tree's source, None if the tree itself refers to it
    plain: "Headers | None" = None  # a kernel with the same exports, whose types are read instead of these
    symvers: Path | None = None  # the kernel's Module.symvers, if it is not the tree's

    @cached_property
    def key(self) -> str:
        """A digest of the inputs."""
        return digest.of_value(self.inputs)

    @property
    def make(self) -> list[str | Path]:
        """The make command, to be completed by the folder of a module (M=) and targets. Prepares the tree."""
        tree = self.tree()
        return make_command(self.source.tree(), tree) if self.source else ["make", "-C", tree]

    @property
    def config(self) -> dict[str, str]:
        return parse((self.tree() / ".config").read_text(errors="replace"))

    @property
    def release(self) -> str:
        return (self.tree() / "include/config/kernel.release").read_text().strip()

    @cached_property
    def exports(self) -> dict[str, Export] | None:
        """The kernel's exports, None if it was not built. Raises ModcompatError if Module.symvers is damaged."""
        try:
            return read_exports(self.symvers or self.tree() / "Module.symvers") or None
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise ModcompatError(str(error), next_step="build the kernel again") from None


def headers_of(spec: KernelSpec, store: Store) -> Headers:
    """The headers of a kernel, which need not be built. Raises ModcompatError if it cannot be configured."""
    plain = replace(spec, variant=PRODUCTION, versions=spec.versions and spec.user_config is not None)
    is_production = spec.variant == spec.variant.production
    users = spec.user_config if is_production else None
    return Headers(
        spec.label, spec.arch, kernel_inputs(spec, store), partial(build_tree, spec, store), spec.source,
        headers_of(plain, store) if is_production and spec != plain else None, users.symvers if users else None,
    )  # fmt: skip


def headers_in(tree: Path, label: str = "") -> Headers:
    """The headers of a user-supplied build tree, which is not written to.

    label: its name in messages, by default the folder's. Raises ModcompatError if it is not a prepared build tree.
    """
    tree = expanded(tree).absolute()
    arch = architecture_of(tree)
    source = (tree / "source").resolve() if (tree / "source").exists() else tree
    folders = [folder for folder in (source / "include", source / f"arch/{arch.kernel}/include") if folder.is_dir()]
    symvers = tree / "Module.symvers"
    inputs = {
        "tree": str(tree),
        "config": digest.of_file(tree / "include/generated/autoconf.h"),
        "headers": [digest.of_stat(folder) for folder in folders],
        "exports": digest.of_file(symvers) if symvers.is_file() else "",
        "toolchain": toolchain(arch),
    }
    return Headers(label or tree.name, arch, inputs, lambda: tree)


def architecture_of(tree: Path) -> Architecture:
    """The architecture in a build tree's .config. Raises ModcompatError if it is not a prepared build tree."""
    if not (tree / ".config").is_file() or not (tree / "include/generated/autoconf.h").is_file():
        raise ModcompatError(
            f"{tree} is not a kernel build tree that modules can be built against",
            next_step="give the folder that contains .config, after `make modules_prepare`",
        )
    return architecture_in(parse((tree / ".config").read_text(errors="replace")), tree / ".config")
