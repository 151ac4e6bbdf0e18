# SPDX-License-Identifier: Apache-2.0
"""The guest's user space: busybox, our init and agent, and the modules, as one cpio archive."""

import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from harness.guest import cpio
from harness.guest.cpio import ArchiveMember
from harness.guest.tools import build_agent
from harness.guest.userland import Userland
from harness.kernel.arch import Architecture
from harness.support import debian, digest
from harness.support.cache.store import Store
from harness.support.paths import IMAGES

_FILE, _PROGRAM = 0o644, 0o755


def build_initramfs(
    arch: Architecture, files: Mapping[str, Path], store: Store, userland: Userland | None = None
) -> Path:
    """An archive with busybox, init, agent and `files` (path in the guest -> file on the host). Cached.

    userland: a user-supplied root file system, which is appended as a separate archive.
    """
    ours = {"init": IMAGES / "guest/init", "agent": build_agent(arch, store)}
    contents = {"bin/busybox": find_busybox(arch, store), **ours, **files}
    inputs = {name: digest.of_file(path) for name, path in contents.items()}
    if userland:
        inputs["userland"] = userland.archive.parent.name

    def build(folder: Path) -> None:
        with (folder / "initramfs.cpio").open("wb") as archive:
            archive.write(pack(contents))
            if userland:
                archive.write(userland.archive.read_bytes())

    return store.get_or_build("initramfs", arch.name, inputs, build) / "initramfs.cpio"


def pack(contents: Mapping[str, Path]) -> bytes:
    """A cpio archive. The same contents give the same bytes.

    /dev/console and /dev/null are added: the kernel opens /dev/console for init before devtmpfs is mounted.
    """
    return cpio.pack(_members(contents))


def _members(contents: Mapping[str, Path]) -> Iterator[ArchiveMember]:
    folders = {"dev"}
    for name in contents:
        folders |= {str(parent) for parent in Path(name).parents if str(parent) != "."}
    for folder in sorted(folders):
        yield ArchiveMember(folder, stat.S_IFDIR | _PROGRAM)
    yield ArchiveMember("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))
    yield ArchiveMember("dev/null", stat.S_IFCHR | 0o666, device=(1, 3))
    for name, path in sorted(contents.items()):
        mode = _FILE if path.suffix == ".ko" else _PROGRAM
        yield ArchiveMember(name, stat.S_IFREG | mode, path.read_bytes())


def find_busybox(arch: Architecture, store: Store) -> Path:
    """Debian's static busybox for an architecture. Cached. Raises ModcompatError if it cannot be downloaded."""

    def build(folder: Path) -> None:
        deb = debian.download("busybox-static", arch.debian.name, folder, since=arch.debian.since)
        debian.unpack_member(deb, "bin/busybox", folder)
        deb.unlink()

    inputs = {"package": "busybox-static", "architecture": arch.debian.name}
    return store.get_or_build("busybox", arch.name, inputs, build) / "bin/busybox"
