# SPDX-License-Identifier: Apache-2.0
"""A kernel that the user built: an image, and further files of its build if there are any."""

from dataclasses import dataclass
from pathlib import Path
from shutil import copyfile

from harness.kernel.build import Kernel
from harness.kernel.config import KernelSpec
from harness.kernel.image import bootable, read_image
from harness.kernel.module_headers import Headers, headers_in
from harness.kernel.source import KernelSource
from harness.kernel.user_config import UserConfig, read_config
from harness.kernel.variants import Variant
from harness.support import digest
from harness.support.cache.store import Store
from harness.support.errors import ModcompatError

_BUILD_TREE_FILES = (".config", "include/config/kernel.release", "include/generated/autoconf.h")


@dataclass(frozen=True)
class Prebuilt:
    """A user-supplied image that is used instead of building a kernel."""

    variant: Variant  # the kernel that it replaces
    image: Path
    config: UserConfig
    release: str
    # For `make M=`. Without it no module can be built: features are not proved, and nothing is predicted.
    build_tree: Path | None = None
    symbols: Path | None = None  # its System.map; without it, backtraces have no names
    device_tree: Path | None = None  # needed if QEMU generates none
    console: str = ""  # the tty of the kernel log, "" for the board's
    shared_uart: bool = False  # it has no second serial port for the command channel


def find_prebuilt(
    variant: Variant,
    image: Path,
    *,
    config: Path | None = None,
    build_tree: Path | None = None,
    symbols: Path | None = None,
    device_tree: Path | None = None,
    console: str = "",
    shared_uart: bool = False,
) -> Prebuilt:
    """An image with its configuration: the given one, or the image's own, or the build tree's.

    Raises ModcompatError if there is no configuration, or if the image does not contain its release.
    """
    facts = read_image(image)
    if not facts.release:
        raise ModcompatError(f"{image} is not a readable kernel image: it contains no `Linux version`")
    fallback = build_tree / ".config" if build_tree else image
    user_config = read_config(config or (image if facts.config else fallback))
    if build_tree and not symbols and (build_tree / "System.map").is_file():
        symbols = build_tree / "System.map"
    return Prebuilt(
        variant, image, user_config, facts.release, build_tree, symbols, device_tree, console, shared_uart
    )  # fmt: skip


def require_build_tree(folder: Path) -> None:
    """Raise ModcompatError if modules cannot be built against a folder."""
    if lacking := [name for name in _BUILD_TREE_FILES if not (folder / name).is_file()]:
        raise ModcompatError(
            f"{folder} is not the build tree of a kernel: it has no {' and no '.join(lacking)}",
            next_step="give the folder that the image was built in, or omit the build tree",
        )


def kernel_of(prebuilt: Prebuilt, store: Store) -> Kernel:
    """The image as a kernel in the cache: copies of the user's files, and links to the build tree."""
    files = [prebuilt.image, prebuilt.symbols, prebuilt.device_tree]
    versions = prebuilt.build_tree / "Module.symvers" if prebuilt.build_tree else None
    unstripped = prebuilt.build_tree / "vmlinux" if prebuilt.build_tree else None
    has_vmlinux = unstripped is not None and unstripped.is_file()
    inputs = {
        "kept": "copies, bootable",
        "files": [digest.of_file(file) if file else "" for file in files],
        "device tree": prebuilt.device_tree.name if prebuilt.device_tree else "",
        "config": prebuilt.config.text,
        "release": prebuilt.release,
        "tree": str(prebuilt.build_tree or ""),
        "versions": digest.of_file(versions) if versions and versions.is_file() else "",
        "vmlinux": str(has_vmlinux),
    }
    spec = spec_of(prebuilt)

    def build(folder: Path) -> None:
        (folder / "image").write_bytes(bootable(prebuilt.image))
        if prebuilt.symbols:
            copyfile(prebuilt.symbols, folder / "System.map")
        if prebuilt.device_tree:
            (folder / "dtb").mkdir()
            copyfile(prebuilt.device_tree, folder / "dtb" / prebuilt.device_tree.name)
        if prebuilt.build_tree:
            (folder / "build").symlink_to(prebuilt.build_tree)
            if has_vmlinux:
                (folder / "vmlinux").symlink_to(prebuilt.build_tree / "vmlinux")
        else:
            (folder / "build/include/config").mkdir(parents=True)
            (folder / "build/.config").write_text(prebuilt.config.text)
            (folder / "build/include/config/kernel.release").write_text(prebuilt.release)

    return Kernel(spec, store.get_or_build("prebuilt", spec.label, inputs, build), prebuilt.build_tree or Path())


def prebuilt_headers(prebuilt: Prebuilt) -> Headers | None:
    """The headers for modules, None without a build tree. Raises the errors of headers_in()."""
    return headers_in(prebuilt.build_tree, spec_of(prebuilt).label) if prebuilt.build_tree else None


def spec_of(prebuilt: Prebuilt) -> KernelSpec:
    """A specification that distinguishes it from other kernels. It has no source to build anything from."""

    def no_tree() -> Path:
        raise ModcompatError(f"{prebuilt.image} is prebuilt: there is no source to build anything from")

    source = KernelSource(prebuilt.image.name, {"image": str(prebuilt.image)}, no_tree)
    return KernelSpec(prebuilt.config.arch, source, prebuilt.variant, user_config=prebuilt.config)
