# SPDX-License-Identifier: Apache-2.0
"""A kernel that the user built: an image, and with it what there is of its build."""

from dataclasses import dataclass
from pathlib import Path

from harness.kernel.build import Kernel
from harness.kernel.config import KernelSpec
from harness.kernel.image import read_image
from harness.kernel.module_headers import Headers, headers_in
from harness.kernel.source import KernelSource
from harness.kernel.user_config import UsersConfig, read_config
from harness.kernel.variants import Variant
from harness.support import digest
from harness.support.cache.store import Store
from harness.support.errors import ModcompatError

_BUILT = (".config", "include/config/kernel.release", "include/generated/autoconf.h")


@dataclass(frozen=True)
class Prebuilt:
    """An image in the place of one kernel.

    build_tree: as `make M=` takes it; without one, no module can be built for it: features are not provoked, and
    nothing is predicted.
    symbols: its System.map; without one, backtraces have no names. device_tree: where QEMU makes none.
    console: the tty of the kernel log, "" for the board's. shared_uart: it has no other serial port.
    """

    variant: Variant
    image: Path
    config: UsersConfig
    release: str
    build_tree: Path | None = None
    symbols: Path | None = None
    device_tree: Path | None = None
    console: str = ""
    shared_uart: bool = False


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
    """An image with its configuration: its own, or the one that is named, or its build tree's.

    Raises ModcompatError when no configuration is found, or the image does not say its release.
    """
    facts = read_image(image)
    if not facts.release:
        raise ModcompatError(f"{image} is no kernel image that can be read: no `Linux version` in it")
    told = config or (build_tree / ".config" if build_tree else image)
    users = read_config(image if facts.config and not config else told)
    if build_tree and not symbols and (build_tree / "System.map").is_file():
        symbols = build_tree / "System.map"
    return Prebuilt(
        variant, image, users, facts.release, build_tree, symbols, device_tree, console, shared_uart
    )  # fmt: skip


def require_build_tree(folder: Path) -> None:
    """Raises ModcompatError for a folder that modules cannot be built against."""
    if lacking := [name for name in _BUILT if not (folder / name).is_file()]:
        raise ModcompatError(
            f"{folder} is not the build tree of a kernel: it has no {' and no '.join(lacking)}",
            next_step="give the folder that the image was built in, or leave the build tree out",
        )


def kernel_of(prebuilt: Prebuilt, store: Store) -> Kernel:
    """The image as a kernel of the cache, with links to what is the user's."""
    files = [prebuilt.image, prebuilt.symbols, prebuilt.device_tree]
    versions = prebuilt.build_tree / "Module.symvers" if prebuilt.build_tree else None
    unstripped = prebuilt.build_tree / "vmlinux" if prebuilt.build_tree else None
    has_vmlinux = unstripped is not None and unstripped.is_file()
    inputs = {
        "files": [digest.of_file(file) if file else "" for file in files],
        "config": prebuilt.config.text,
        "release": prebuilt.release,
        "tree": str(prebuilt.build_tree or ""),
        "versions": digest.of_file(versions) if versions and versions.is_file() else "",
        "vmlinux": str(has_vmlinux),
    }
    spec = spec_of(prebuilt)

    def build(folder: Path) -> None:
        (folder / "image").symlink_to(prebuilt.image)
        if prebuilt.symbols:
            (folder / "System.map").symlink_to(prebuilt.symbols)
        if prebuilt.device_tree:
            (folder / "dtb").mkdir()
            (folder / "dtb" / prebuilt.device_tree.name).symlink_to(prebuilt.device_tree)
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
    """What modules for it are compiled against, None without a build tree. Raises what headers_in() does."""
    return headers_in(prebuilt.build_tree, spec_of(prebuilt).label) if prebuilt.build_tree else None


def spec_of(prebuilt: Prebuilt) -> KernelSpec:
    """What stands for it where kernels are told apart; there is no source to build it from."""

    def no_tree() -> Path:
        raise ModcompatError(f"{prebuilt.image} is prebuilt: there is no source to build anything from")

    source = KernelSource(prebuilt.image.name, {"image": str(prebuilt.image)}, no_tree)
    return KernelSpec(prebuilt.config.arch, source, prebuilt.variant, users=prebuilt.config)
