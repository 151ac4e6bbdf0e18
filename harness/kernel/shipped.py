# SPDX-License-Identifier: Apache-2.0
"""A production kernel as it ships: an image, and the configuration, symbols and modules that come with it.

The files are searched in a folder, which may be an installed system, the deploy folder of a build, or an unpacked
package. They are recognized by the names that distributions and build systems give them, and what they contain decides
whether they belong together.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from harness.kernel.image import read_image
from harness.kernel.prebuilt import Prebuilt
from harness.kernel.source import KernelSource, version_of
from harness.kernel.symvers import Export, read_exports
from harness.kernel.user_config import UserConfig, read_config
from harness.kernel.variants import PRODUCTION
from harness.kernel.versions import version_in
from harness.support.errors import ModcompatError
from harness.support.inputs import expanded
from harness.support.packed import unpacked_name
from harness.support.text import join_some

_MAX_FILES = 60_000  # in a folder; a distribution's kernel has 15,000 with its headers
_MAX_SHOWN = 4  # files that an error names
_MODULE = ".ko"
_DEVICE_TREE = ".dtb"
# A kernel's version in the first lines of its configuration (scripts/kconfig/conf.c): # Linux/x86 6.1.192 Kernel ...
_CONFIG_VERSION = re.compile(r"^# Linux/\S+ (\d+\.\d+\.\d+\S*) Kernel Configuration", re.MULTILINE)
_VERSION = re.compile(r"\d+\.\d+\.\d+")
_MODULES_OF = re.compile(r"(?:^|/)lib/modules/([^/]+)/")

# The names of files: of `make`, of distributions (which add a release), and of Yocto (which adds a machine)
_NAMES: Mapping[str, re.Pattern[str]] = {
    "image": re.compile(r"(vmlinuz|bzImage|zImage|Image)([-.].*)?|[^/]+\.efi"),
    "config": re.compile(r"(\.config|config|kernel-config|defconfig)|(config|\.config|kernel-config)-.*|.*\.config"),
    "symbols": re.compile(r"System\.map([-.].*)?"),
    "symvers": re.compile(r"(Module\.symvers|symvers)([-.].*)?|symvers-.*"),
}


@dataclass(frozen=True)
class ShippedKernel:
    """A production kernel that is used as it is, and never built."""

    # how the user named it
    title: str
    # as `uname -r` prints it
    release: str
    image: Path
    config: UserConfig
    # its System.map; without it, memory is not compared, and backtraces have no names
    symbols: Path | None = None
    # its Module.symvers; without it, debug kernels cannot have its symbol versions
    symvers: Path | None = None
    # the folder below which all of its modules are
    modules: Path | None = None
    # the folder below which its device trees are
    device_trees: Path | None = None
    # the source that it was built from, as --kernel-source names one; "" if that is unknown
    source: str = ""

    @property
    def version(self) -> str:
        """The version of its source, like `6.1.192`, from its configuration; "" if that does not have it."""
        found = _CONFIG_VERSION.search(self.config.text)
        return found[1] if found else ""

    @property
    def has_versions(self) -> bool:
        """Whether its modules have symbol versions (MODVERSIONS)."""
        return self.config.has_versions

    @property
    def exports(self) -> dict[str, Export]:
        """Its exports, by name; empty without a Module.symvers. Raises ModcompatError if that is damaged."""
        return exports_in(self.symvers) if self.symvers else {}

    def prebuilt(self) -> Prebuilt:
        """The kernel as the production kernel of a run."""
        return Prebuilt(PRODUCTION, self.image, self.config, self.release, symbols=self.symbols)

    def device_tree(self, name: str) -> Path | None:
        """One of its device trees, by file name; None if it has none of that name."""
        return next(self.device_trees.rglob(name), None) if self.device_trees else None


def shipped_in(folder: Path, title: str = "", release: str = "") -> ShippedKernel:
    """The production kernel in a folder.

    title: its name for people [the folder]. release: the one to use if the folder has several. Raises ModcompatError if
    there is none, if there are several, or if its files do not belong together.
    """
    folder = expanded(folder).absolute()
    title = title or str(folder)
    if not folder.is_dir():
        raise ModcompatError(
            f"there is no folder {folder}", next_step="give the folder of a kernel, its packages, or debian:PACKAGE"
        )
    files = list(_files_below(folder, title))
    images = _images(files, title, release)
    release = next(iter(images))
    symvers = _one("symvers", files, release)
    config = replace(_config(files, release, images[release], title), shipped=True, release=release, symvers=symvers)
    modules = _module_folder(folder, files, release)
    trees = [path for path in files if path.suffix == _DEVICE_TREE]
    found = ShippedKernel(
        title, release, images[release], config,
        symbols=_one("symbols", files, release), symvers=symvers, modules=modules,
        device_trees=Path(os.path.commonpath([path.parent for path in trees])) if trees else None,
    )  # fmt: skip
    _require_consistent(found)
    return found


def require_source(kernel: ShippedKernel, source: KernelSource) -> None:
    """Raise ModcompatError if a source is of another version than a kernel."""
    version = version_of(source)
    if kernel.version and kernel.version != version:
        raise ModcompatError(
            f"{kernel.title} is Linux {kernel.version}, and {source.label} is {version}: debug kernels built from it "
            "would differ from production in more than a feature",
            next_step="give --kernel-source the tree that production was built from",
        )


def exports_in(symvers: Path) -> dict[str, Export]:
    """The exports in a Module.symvers, which may be packed. Raises ModcompatError if it is none."""
    try:
        exports = read_exports(symvers)
    except OSError as error:
        raise ModcompatError(f"cannot read {symvers}: {error.strerror}") from None
    except ValueError as error:
        raise ModcompatError(str(error), next_step="give the Module.symvers of production's build") from None
    if not any(export.crc or name for name, export in exports.items()):
        raise ModcompatError(f"{symvers} has no symbols", next_step="give the Module.symvers of production's build")
    return exports


def _files_below(folder: Path, title: str) -> Iterator[Path]:
    """Every regular file below a folder. Raises ModcompatError if there are too many, before all of them are listed."""
    count = 0
    for parent, _, names in os.walk(folder):
        count += len(names)
        if count > _MAX_FILES:
            raise ModcompatError(
                f"{title} has more than {_MAX_FILES:,} files: it is not the folder of one kernel",
                next_step="give the folder that has only the kernel's image, its configuration, and lib/modules",
            )
        yield from (Path(parent, name) for name in names)


def _images(files: Iterable[Path], title: str, wanted: str) -> dict[str, Path]:
    """The image of one release: release -> image. Raises ModcompatError if there are none or several."""
    named = [path for path in files if _NAMES["image"].fullmatch(path.name) and path.is_file()]
    found: dict[str, Path] = {}
    for path in sorted(named, key=lambda path: (len(path.name), path)):
        if release := read_image(path).release:
            found.setdefault(release, path.resolve())
    if wanted:
        found = {release: path for release, path in found.items() if release == wanted}
    if len(found) > 1:
        listed = ", ".join(f"{release} ({path.name})" for release, path in found.items())
        raise ModcompatError(f"{title} has several kernels: {listed}", next_step="give a folder that has one of them")
    if found:
        return found
    if named:
        names = join_some([path.name for path in named], _MAX_SHOWN)
        raise ModcompatError(
            f"{title} has no kernel image that contains a version (`Linux version ...`); tried {names}",
            next_step="is the image encrypted, or packed in a container? Give the vmlinuz, bzImage, zImage or Image",
        )
    raise ModcompatError(
        f"{title} has no kernel image",
        next_step="it is called vmlinuz, bzImage, zImage or Image, perhaps with a suffix",
    )


def _one(kind: str, files: Iterable[Path], release: str) -> Path | None:
    """The file of a kind that belongs to a release; None if there is none, or if none of several can be told to.

    The first choice is a file with the release in its path, then one without any version in its name (the one nearest
    to the top), then the only one.
    """
    named = [path for path in files if _NAMES[kind].fullmatch(path.name) and path.is_file()]
    own = [path for path in named if re.search(rf"(?<![\d.]){re.escape(release)}(?![\w-]|\.\d)", str(path))]
    unversioned = [path for path in named if not _VERSION.search(path.name)]
    only = named if len({path.resolve() for path in named}) == 1 else []
    found = sorted(own or unversioned or only, key=lambda path: (len(path.parts), path))
    return found[0].resolve() if found else None


def _config(files: Iterable[Path], release: str, image: Path, title: str) -> UserConfig:
    """The configuration of a release: a file, or the image's own. Raises ModcompatError if there is none."""
    if path := _one("config", files, release):
        return read_config(path)
    if read_image(image).config:
        return read_config(image)
    raise ModcompatError(
        f"{title} has no configuration: no config-{release}, and none in the image (IKCONFIG)",
        next_step="put the .config that the kernel was built with into the folder",
    )


def _module_folder(folder: Path, files: Iterable[Path], release: str) -> Path | None:
    """The folder with the modules of a release; None if there are no modules.

    Raises ModcompatError if there are modules of other releases only.
    """
    modules = [path for path in files if unpacked_name(path).endswith(_MODULE)]
    if not modules:
        return None
    folders = {found[1] for path in modules if (found := _MODULES_OF.search(str(path.relative_to(folder))))}
    if not folders:
        return Path(os.path.commonpath([path.parent for path in modules]))
    if release not in folders:
        raise ModcompatError(
            f"the image is {release}, but the modules are of {', '.join(sorted(folders))}",
            next_step="give the image and the modules of one build",
        )
    return next(
        Path(str(path)[: found.end() - 1])
        for path in modules
        if (found := _MODULES_OF.search(str(path))) and found[1] == release
    )


def _require_consistent(kernel: ShippedKernel) -> None:
    """Raise ModcompatError if files are of different kernels, as far as their contents show it."""
    if kernel.symvers:
        exports = kernel.exports
        if kernel.has_versions and not any(export.crc for export in exports.values()):
            raise ModcompatError(
                f"{kernel.symvers} has no symbol versions, but production has MODVERSIONS",
                next_step="give the Module.symvers of production's own build",
            )
        if kernel.has_versions and "module_layout" not in exports:  # kernel/module/version.c
            raise ModcompatError(
                f"{kernel.symvers} lacks the kernel's own symbols: it is of modules only",
                next_step="give the Module.symvers of the whole build",
            )
    if kernel.version and version_in(kernel.release) != version_in(kernel.version):
        raise ModcompatError(
            f"the image is {kernel.release}, and {kernel.config.path.name} is of Linux {kernel.version}",
            next_step="give the image and the configuration of one build",
        )
