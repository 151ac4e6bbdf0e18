# SPDX-License-Identifier: Apache-2.0
"""Hands files to a running guest, through shared memory of the host and the guest.

A distribution has thousands of modules. With them in the initramfs, each set of them would need a boot and a snapshot
of its own; posted, they reach any guest of a kernel right after its restore. The device is QEMU's ivshmem-plain, whose
memory images/guest/agent/receive.c reads through sysfs, so that the kernel needs PCI and no driver.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.support.errors import ModcompatError

# The order of images/guest/agent/receive.c
_HEADER = struct.Struct("<II")
_NAME_BYTES = 248
_ENTRY = struct.Struct(f"<{_NAME_BYTES}sII")
_MARK = 0x746D636D
_LEAST_BYTES = 32 << 20  # the same for most modules, so that they share a snapshot
_PAGE_BYTES = 4096


@dataclass(frozen=True)
class Mailbox:
    """A file of the host that is memory of the guest."""

    path: Path
    size: int  # bytes, a power of two

    def options(self) -> list[str]:
        """Options of QEMU for the device."""
        path = str(self.path).replace(",", ",,")
        return [
            "-object", f"memory-backend-file,id=mailbox,size={self.size},share=on,mem-path={path}",
            "-device", "ivshmem-plain,memdev=mailbox,master=on",
        ]  # fmt: skip

    def make(self) -> None:
        """Make the file, empty, if it does not exist."""
        with self.path.open("ab") as file:
            file.truncate(self.size)

    def post(self, files: Mapping[str, bytes]) -> None:
        """Put files in place of the former ones: path below a folder of the guest -> content.

        Raises ModcompatError if they do not fit.
        """
        place = _pages(_HEADER.size + _ENTRY.size * len(files))
        index, contents = [_HEADER.pack(_MARK, len(files))], []
        for name, content in files.items():
            if len(name.encode()) >= _NAME_BYTES:  # the guest needs the zero at its end
                raise ModcompatError(f"the path {name} in the guest is longer than {_NAME_BYTES - 1} bytes")
            index.append(_ENTRY.pack(name.encode(), place, len(content)))
            contents.append((place, content))
            place += _pages(len(content))
        if place > self.size:
            raise ModcompatError(f"{', '.join(files)} do not fit into the {self.size >> 20} MB shared with the guest")
        # not through a mapping: on a full disk, that would end in SIGBUS
        with self.path.open("r+b") as file:
            for start, content in ((0, b"".join(index)), *contents):
                file.seek(start)
                file.write(content)

    def posted(self) -> dict[str, bytes]:
        """The files of the last post(): path in the guest -> content. Raises ModcompatError if the file is damaged."""
        try:
            return _files_in(self.path.read_bytes())
        except OSError as error:
            raise ModcompatError(f"cannot read {self.path}: {error.strerror}") from None
        except (struct.error, ValueError):
            raise ModcompatError(f"{self.path} is not the mailbox of a guest, or it is damaged") from None


def size_for(most: int) -> int:
    """The size of a mailbox for files of so many bytes: a power of two, as PCI requires."""
    size = _LEAST_BYTES
    while size < most + _LEAST_BYTES // 32:  # room for the list of names, and for parts of pages
        size *= 2
    return size


def _files_in(memory: bytes) -> dict[str, bytes]:
    """The files in the memory of a mailbox. Raises struct.error or ValueError if it is damaged."""
    mark, count = _HEADER.unpack_from(memory)
    if mark != _MARK:
        raise ValueError
    files = {}
    for number in range(count):
        name, place, size = _ENTRY.unpack_from(memory, _HEADER.size + _ENTRY.size * number)
        if place + size > len(memory):
            raise ValueError
        files[name.rstrip(b"\0").decode()] = memory[place : place + size]
    return files


def _pages(size: int) -> int:
    return -(-size // _PAGE_BYTES) * _PAGE_BYTES
