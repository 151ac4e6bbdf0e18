# SPDX-License-Identifier: Apache-2.0
"""The cpio archives that the kernel unpacks at boot: the `newc` form.

Format: Documentation/driver-api/early-userspace/buffer-format.rst, init/initramfs.c (Linux 6.1).
"""

import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from harness.support.errors import ModcompatError

_MAGICS = (b"070701", b"070702")  # the second one with checksums, which the kernel does not look at
_HEADER = 110  # bytes: a magic number, and 13 numbers of 8 hexadecimal digits
_NUMBERS = re.compile(rb"[0-9A-Fa-f]{104}")  # (int() takes signs, spaces and underscores as well)
_TRAILER = "TRAILER!!!"


@dataclass(frozen=True)
class ArchiveMember:
    """A file of an archive. mode: type and permissions, as in st_mode. data: content, or the target of a link.

    device: (major, minor) of a device node. inode, links: files with the same number of several are one file, and
    only one of them has the data.
    """

    name: str
    mode: int
    data: bytes = b""
    device: tuple[int, int] = (0, 0)
    owner: tuple[int, int] = (0, 0)
    inode: int = 0
    links: int = 1

    @property
    def kind(self) -> int:
        return stat.S_IFMT(self.mode)


def pack(members: Iterable[ArchiveMember]) -> bytes:
    """An archive; the same bytes for the same members."""
    return b"".join(_record(member) for member in (*members, ArchiveMember(_TRAILER, 0)))


def unpack(archive: bytes) -> Iterator[ArchiveMember]:
    """The members of an archive, or of several behind each other. Raises ModcompatError, with the place of damage."""
    at = 0
    while at < len(archive):
        if archive.startswith(b"\0" * 4, at):  # between archives
            at += 4
            continue
        header = archive[at : at + _HEADER]
        if not header.startswith(_MAGICS):
            raise ModcompatError(
                f"no cpio archive in the newc form at byte {at}", next_step="`cpio -o -H newc` writes it"
            )
        if len(header) < _HEADER:
            raise ModcompatError(f"the cpio archive is cut off at byte {at}")
        if not _NUMBERS.fullmatch(header, 6):
            raise ModcompatError(f"the cpio archive is damaged at byte {at}")
        numbers = [int(header[start : start + 8], 16) for start in range(6, _HEADER, 8)]
        inode, mode, uid, gid, links, _, size, _, _, major, minor, length, _ = numbers
        start = at + _HEADER
        begin = start + length + -(start + length - at) % 4
        end = begin + size
        if end > len(archive) or not length:
            raise ModcompatError(f"the cpio archive is cut off, or damaged, at byte {at}")
        name = archive[start : start + length].rstrip(b"\0").decode(errors="surrogateescape")
        if name != _TRAILER:
            yield ArchiveMember(name, mode, archive[begin:end], (major, minor), (uid, gid), inode, links)
        at = end + -size % 4


def _record(member: ArchiveMember) -> bytes:
    name = member.name.encode(errors="surrogateescape") + b"\0"
    # ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
    fields = (
        member.inode, member.mode, *member.owner, member.links, 0, len(member.data), 0, 0, *member.device,
        len(name), 0,
    )  # fmt: skip
    header = b"070701" + b"".join(b"%08X" % field for field in fields) + name
    return _padded(header) + _padded(member.data)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)
