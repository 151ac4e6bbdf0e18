# SPDX-License-Identifier: Apache-2.0
"""What modules are compiled against: the headers of a kernel of ours, or of a build tree of the user's."""

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
    """The headers of one kernel. inputs: all that makes them these and no others, for cache keys.

    tree: gives the build tree, preparing it first where that is needed; nothing that is cached calls it. source: what
    the tree is of, None where the tree knows that itself. plain: a kernel that declares the same exports, whose types
    are read in the place of these.
    """

    label: str
    arch: Architecture
    inputs: Mapping[str, object]
    tree: Callable[[], Path]
    source: KernelSource | None = None
    plain: "Headers | None" = None

    @cached_property
    def key(self) -> str:
        """A digest of the inputs."""
        return digest.of_value(self.inputs)

    @property
    def make(self) -> list[str | Path]:
        """The command that takes the folder of a module (M=) and targets. Prepares the tree."""
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
        """What the kernel exports; None where it was not built. Raises ModcompatError for a damaged file."""
        try:
            return read_exports(self.tree() / "Module.symvers") or None
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise ModcompatError(str(error), next_step="build the kernel again") from None


def headers_of(spec: KernelSpec, store: Store) -> Headers:
    """The headers of a kernel of ours, which need not be built. Raises ModcompatError where it has no configuration."""
    plain = replace(spec, variant=PRODUCTION, versions=False)
    is_other_production = spec.variant == spec.variant.production and spec != plain
    return Headers(
        spec.label, spec.arch, kernel_inputs(spec, store), partial(build_tree, spec, store), spec.source,
        headers_of(plain, store) if is_other_production else None,
    )  # fmt: skip


def headers_in(tree: Path, label: str = "") -> Headers:
    """The headers of a build tree of the user's, which is not written to.

    label: what it is called, its own name without one. Raises ModcompatError when it is none, or not prepared.
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
        "exports": digest.of_file(symvers.resolve()) if symvers.is_file() else "",
        "toolchain": toolchain(arch),
    }
    return Headers(label or tree.name, arch, inputs, lambda: tree)


def architecture_of(tree: Path) -> Architecture:
    """What a build tree is for, by its .config. Raises ModcompatError when it is no build tree, or not prepared."""
    if not (tree / ".config").is_file() or not (tree / "include/generated/autoconf.h").is_file():
        raise ModcompatError(
            f"{tree} is not a kernel build tree that modules can be built against",
            next_step="give the folder that has .config in it, after `make modules_prepare`",
        )
    return architecture_in(parse((tree / ".config").read_text(errors="replace")), tree / ".config")
