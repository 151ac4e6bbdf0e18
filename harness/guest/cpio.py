# SPDX-License-Identifier: Apache-2.0
"""The cpio archives that the kernel unpacks at boot, in the `newc` format.

Format: Documentation/driver-api/early-userspace/buffer-format.rst, init/initramfs.c (Linux 6.1).
"""

import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from harness.support.errors import ModcompatError

_MAGICS = (b"070701", b"070702")  # the second one has checksums, which the kernel ignores
_HEADER_BYTES = 110  # a magic number, and 13 numbers of 8 hexadecimal digits
_NUMBERS = re.compile(rb"[0-9A-Fa-f]{104}")  # int() would also accept signs, spaces and underscores
_TRAILER = "TRAILER!!!"


@dataclass(frozen=True)
class ArchiveMember:
    """A file in an archive. Members with the same inode and several links are one file; only one has the data."""

    name: str
    mode: int  # type and permissions, as in st_mode
    data: bytes = b""  # the content, or the target of a symbolic link
    device: tuple[int, int] = (0, 0)  # (major, minor) of a device node
    owner: tuple[int, int] = (0, 0)  # (user, group)
    inode: int = 0
    links: int = 1

    @property
    def kind(self) -> int:
        return stat.S_IFMT(self.mode)


def pack(members: Iterable[ArchiveMember]) -> bytes:
    """An archive. The same members give the same bytes."""
    return b"".join(_record(member) for member in (*members, ArchiveMember(_TRAILER, 0)))


def unpack(archive: bytes) -> Iterator[ArchiveMember]:
    """The members of an archive, or of several in a row. Raises ModcompatError with the position of any damage."""
    at = 0
    while at < len(archive):
        if archive.startswith(b"\0" * 4, at):  # between archives
            at += 4
            continue
        header = archive[at : at + _HEADER_BYTES]
        if not header.startswith(_MAGICS):
            raise ModcompatError(
                f"there is no cpio archive in newc format at byte {at}", next_step="`cpio -o -H newc` writes one"
            )
        if len(header) < _HEADER_BYTES:
            raise ModcompatError(f"the cpio archive is cut off at byte {at}")
        if not _NUMBERS.fullmatch(header, 6):
            raise ModcompatError(f"the cpio archive is damaged at byte {at}")
        numbers = [int(header[start : start + 8], 16) for start in range(6, _HEADER_BYTES, 8)]
        inode, mode, uid, gid, links, _, size, _, _, major, minor, length, _ = numbers
        start = at + _HEADER_BYTES
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
