# SPDX-License-Identifier: Apache-2.0
"""A user-supplied root file system, in which exercises run their commands.

It is in a folder of the guest's own root file system, as part of the initramfs, so the kernel needs no driver for it.
The harness itself uses its own busybox (images/guest), so that its observations do not depend on the user's programs.
"""

import io
import json
import os
import posixpath
import re
import stat
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile

from harness.guest import cpio
from harness.guest.cpio import ArchiveMember
from harness.kernel.arch import ARCHITECTURES, Architecture, architecture_of_elf
from harness.support import digest, process
from harness.support.cache.store import Store
from harness.support.errors import ModcompatError, ProgramFailedError
from harness.support.inputs import MAX_BYTES_IN_GUEST, expanded, require_regular
from harness.support.packed import PackedError, unpacked_pieces
from harness.support.progress import say, task_if_long

FOLDER = "userland"  # its folder in the guest, which images/guest/init and agent also use
_SHELL = "bin/sh"
_MAX_BYTES = MAX_BYTES_IN_GUEST  # of its files
_MAX_LINKS = 40  # symbolic links in a row: MAXSYMLINKS of include/linux/namei.h
_CPIO = b"07070"
_SQUASHFS = b"hsqs"  # SQUASHFS_MAGIC, fs/squashfs/squashfs_fs.h
_EXT, _EXT_AT = b"\x53\xef", 1080  # s_magic of struct ext4_super_block, which is at byte 1024
_HARMLESS_MESSAGE = re.compile(r"^debugfs \d|while changing ownership|^$")  # of debugfs
_CHUNK_BYTES = 1 << 20  # read at a time


@dataclass(frozen=True)
class Userland:
    """A root file system."""

    path: Path
    arch: Architecture
    archive: Path  # cpio archive with all of it below FOLDER
    size: int  # bytes of its files


def find_userland(path: Path, store: Store) -> Userland:
    """Read a folder, a cpio archive (newc, may be packed with gzip, xz, lzma or bzip2), an ext2/3/4 or squashfs image.

    Raises ModcompatError if it is none of these, damaged, too large, or if it has no /bin/sh for a known architecture.
    """
    path = expanded(path).absolute()
    try:
        content = _digest(path) if path.is_dir() else _digest_of_image(path)
    except OSError as error:
        raise ModcompatError(f"cannot read the root file system {error.filename}: {error.strerror}") from None

    def build(folder: Path) -> None:
        say(f"reading the root file system {path.name}")
        with store.scratch() as scratch:
            members = _read(path, scratch)
        size = sum(len(member.data) for member in members)
        facts = {"arch": _architecture(path, members).name, "size": size}
        top = ArchiveMember(FOLDER, stat.S_IFDIR | 0o755)
        inside = (replace(member, name=posixpath.join(FOLDER, member.name)) for member in members)
        (folder / "userland.cpio").write_bytes(cpio.pack([top, *inside]))
        (folder / "facts.json").write_text(json.dumps(facts))

    found = store.get_or_build("userland", "root", {"form": 1, "content": content}, build)
    facts = json.loads((found / "facts.json").read_text())
    return Userland(path, ARCHITECTURES[facts["arch"]], found / "userland.cpio", facts["size"])


def find_userlands(paths: Iterable[Path], store: Store) -> dict[str, Userland]:
    """Architecture -> root file system. Raises ModcompatError as find_userland() does, or if two have the same one."""
    userlands: dict[str, Userland] = {}
    for path in paths:
        userland = find_userland(path, store)
        if userlands.setdefault(userland.arch.name, userland) is not userland:
            raise ModcompatError(f"two root file systems are for {userland.arch.name}: {path} is the second")
    return userlands


def _digest_of_image(path: Path) -> str:
    require_regular(path)
    with task_if_long(f"reading {path.name}", path.stat().st_size // digest.PART + 1) as reading:
        return digest.of_large_file(path, reading.step)


def _digest(folder: Path) -> str:
    facts = {}
    with task_if_long(f"reading {folder.name}", sum(1 for _ in folder.rglob("*"))) as reading:
        for member in _of_folder(folder, folder):
            facts[member.name] = (member.mode, digest.of_bytes(member.data))
            reading.step()
    return digest.of_value(facts)


def _read(path: Path, scratch: Path) -> list[ArchiveMember]:
    """Every member, parents first. Paths have no leading slash."""
    if path.is_dir():
        return list(_of_folder(path, path))
    with path.open("rb") as image:
        head = image.read(_EXT_AT + len(_EXT))
    root = scratch / "root"
    if head.startswith(_SQUASHFS):
        _unsquash(path, root)
        return list(_of_folder(root, path))
    if head[_EXT_AT:] == _EXT:
        root.mkdir()
        copy = _checked_copy(path, scratch)
        output = process.output(["debugfs", "-R", f'rdump / "{root}"', copy], errors=True)
        if complaints := [line for line in output.splitlines() if not _HARMLESS_MESSAGE.search(line)]:
            raise ModcompatError(f"{path} cannot be read completely", details="\n".join(complaints[:10]))
        return list(_of_folder(root, path))
    return _of_cpio(path)


def _checked_copy(path: Path, scratch: Path) -> Path:
    """A copy of an ext2/3/4 image that is safe to read with debugfs. Raises ModcompatError for a damaged image.

    debugfs would write a file named `../x` outside of the target folder, and a file with the name of a symbolic link
    to that link's target. e2fsck refuses both, the second in a large folder only if it sorts the folder (-D). With -p
    its only repair is to replay the journal of an image that was not unmounted.
    """
    copy = scratch / "image"
    process.output(["cp", "--sparse=always", "--reflink=auto", "--no-preserve=mode", path, copy])
    try:
        process.output(["e2fsck", "-fpD", copy], accepted=(0, 1))  # 1: repaired
    except ProgramFailedError as error:
        details = error.details.replace(str(copy), str(path))
        raise ModcompatError(f"{path} is a damaged ext2/3/4 image", details=details) from None
    return copy


def _unsquash(path: Path, root: Path) -> None:
    command: list[str | Path] = ["unsquashfs", "-no-xattrs", "-quiet", "-no-progress", "-dest", root, path]
    # 2: complete except for device nodes, which only root can create
    process.output(command, accepted=(0, 2), problem=f"{path} is a damaged squashfs image")


def _of_cpio(path: Path) -> list[ArchiveMember]:
    content = _unpacked(path)
    if not content.startswith(_CPIO):
        raise ModcompatError(
            f"{path} is not a root file system in a known format",
            next_step="give a folder, a cpio archive, perhaps packed (gzip, xz, lzma, bzip2, zstd), an ext2/3/4 image "
            "or a squashfs image",
        )
    try:
        members = [
            replace(member, name=posixpath.normpath(f"/{member.name}").lstrip("/")) for member in cpio.unpack(content)
        ]
    except ModcompatError as error:
        raise ModcompatError(f"{path}: {error.problem}", next_step=error.next_step) from None
    return [member for member in members if member.name]


def _unpacked(path: Path) -> bytes:
    """The content of an archive that may be packed. Raises ModcompatError if it is damaged or too large."""
    pieces, size = [], 0
    try:
        with path.open("rb") as stream:
            for piece in unpacked_pieces(iter(lambda: stream.read(_CHUNK_BYTES), b"")):
                pieces.append(piece)
                size += len(piece)
                _require_room(path, size)
    except (OSError, PackedError) as error:
        raise ModcompatError(f"{path} is damaged: {error}") from None
    return b"".join(pieces)


def _require_room(path: Path, size: int) -> None:
    """Raise ModcompatError if a root file system has more bytes than fit into a guest."""
    if size > _MAX_BYTES:
        raise ModcompatError(
            f"{path} has more than {_MAX_BYTES >> 20} MB of files, but a guest has all of them in its memory",
            next_step="remove files that the exercises do not need",
        )


def _of_folder(folder: Path, root: Path) -> Iterator[ArchiveMember]:
    """Everything below a folder, owned by root, except device nodes, since the guest has its own /dev.

    root: its name for the user. Raises ModcompatError if it is too large, before the file over the limit is read.
    """
    inodes: dict[tuple[int, int], int] = {}
    size = 0
    for path in sorted(folder.rglob("*")):
        name, facts = str(path.relative_to(folder)), path.lstat()
        if stat.S_ISLNK(facts.st_mode):
            yield ArchiveMember(name, facts.st_mode, os.fsencode(path.readlink()))
        elif stat.S_ISDIR(facts.st_mode):
            yield ArchiveMember(name, facts.st_mode)
        elif stat.S_ISREG(facts.st_mode):
            key = (facts.st_dev, facts.st_ino)
            size += 0 if key in inodes else facts.st_size
            _require_room(root, size)
            if folder != root:  # an unpacked copy of an image; /etc/shadow may have no permission at all
                path.chmod(facts.st_mode | stat.S_IRUSR)
            data = b"" if key in inodes else path.read_bytes()
            yield ArchiveMember(
                name, facts.st_mode, data, inode=inodes.setdefault(key, len(inodes) + 1), links=facts.st_nlink
            )


def _architecture(path: Path, members: list[ArchiveMember]) -> Architecture:
    """The architecture of its shell. Raises ModcompatError if there is no shell, or if it is for an unknown one."""
    named = {member.name: member for member in members}
    shared = {member.inode: member.data for member in members if member.links > 1 and member.data}
    shell = _followed(_SHELL, named)
    if shell is None:
        raise ModcompatError(
            f"{path} has no /{_SHELL}, which exercises need for their commands",
            next_step="is it a whole root file system? Its top folder has bin, lib, usr",
        )
    try:
        elf = ELFFile(io.BytesIO(shell.data or shared.get(shell.inode, b"")))
        machine, bits = str(elf["e_machine"]), int(elf.elfclass)
    except (ELFError, struct.error, ValueError, KeyError):
        raise ModcompatError(f"/{_SHELL} of {path} is not a program: {shell.name} is not an ELF file") from None
    if arch := architecture_of_elf(machine, bits):
        return arch
    raise ModcompatError(f"/{_SHELL} of {path} is for {machine} with {bits} bits, but no board is")


def _followed(name: str, members: Mapping[str, ArchiveMember]) -> ArchiveMember | None:
    """The file that a path leads to, through links to folders and files; None if there is none."""
    for _ in range(_MAX_LINKS):
        at = ""
        parts = name.split("/")
        for place, part in enumerate(parts):
            at = posixpath.join(at, part)
            member = members.get(at)
            if member is not None and stat.S_ISLNK(member.mode):
                target = member.data.decode(errors="surrogateescape")
                whole = posixpath.join("/", posixpath.dirname(at), target, *parts[place + 1 :])
                name = posixpath.normpath(whole).lstrip("/")
                break
        else:
            found = members.get(name)
            return found if found is not None and stat.S_ISREG(found.mode) else None
    return None
