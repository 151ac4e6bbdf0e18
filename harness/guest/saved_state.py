# SPDX-License-Identifier: Apache-2.0
"""The state of a guest that QEMU saved into a qcow2 image, and a part of it that can be left out.

A restore begins with a reset of the machine. The section `cpu_common` of each CPU says whether it is halted, and which
interrupts wait. After a reset the first CPU runs, others may be halted, and no interrupt waits. So the sections can be
left out if no interrupt waited when the state was saved, and all CPUs but the first one were halted: a halted CPU that
runs finds that there is nothing to do, and halts again.

Sources: docs/interop/qcow2.txt, migration/savevm.c (qemu_savevm_state()) and cpu.c (vmstate_cpu_common) of QEMU 7.2.
"""

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_MAGIC = 0x514649FB
# magic, bits of a cluster's size, size of the disk, number of snapshots, their place
_HEADER = struct.Struct(">I16xIQ28xIQ")
# place and length of the first table, then bytes of the state, and of what follows; it begins with the same in 64 bits
_SNAPSHOT = struct.Struct(">QI20xII")
_PLACE = 0x00FF_FFFF_FFFF_FE00  # the bits of an entry of a table that are a place in the file
_COMPRESSED = 1 << 62
_ZERO = 1
_ENTRY_BYTES = 8
# QEMU_VM_SECTION_FULL and the number of the section; its name as a counted string; number of the CPU and version;
# halted and waiting interrupts; then QEMU_VM_SECTION_FOOTER and the number again
_START, _NAME, _CPU, _FIELDS, _FOOTER = b"\x04", b"\x0acpu_common", struct.Struct(">II"), struct.Struct(">II"), b"\x7e"
_NUMBER_BYTES = 4
_VERSION = 1
_MOST_BYTES = 256  # of a section
_END_BYTES = 8 << 20  # of the state, in which all devices and CPUs are, behind the memory


class UnknownStateError(Exception):
    """A file that is not as expected."""


@dataclass(frozen=True)
class _Section:
    """The section of one CPU: its place in the state, and what it says."""

    start: int
    end: int
    cpu: int
    is_halted: bool
    interrupts: int
    # whether there is nothing else in it
    is_plain: bool

    @property
    def is_idle(self) -> bool:
        """Whether the CPU is as after a reset, or only halted meanwhile."""
        return self.is_plain and not self.interrupts and (self.is_halted or self.cpu == 0)


class SavedState:
    """The only state in an image, with the sections of the CPUs or without them.

    QEMU may have the image open; it reads the state when it is loaded.
    """

    def __init__(self, image: Path) -> None:
        """Raises UnknownStateError."""
        self._image = image
        with image.open("rb") as file:
            end = _End(file)
            whole = without = end.read()
            sections = list(_sections(whole))
            for section in sections:
                without = without[: section.start] + without[section.end :]
            differences = end.differences(whole, without.ljust(len(whole), b"\0"))
        cpus = sorted(section.cpu for section in sections)
        # whether it can be restored without the sections
        self.can_leave_out_cpus = bool(cpus) and cpus == [*range(len(cpus))] and all(each.is_idle for each in sections)
        self._whole = {place: before for place, before, _ in differences}
        self._without = {place: after for place, _, after in differences}
        self._present: dict[int, bytes] | None = self._whole  # None while it is changed

    def leave_out_cpus(self) -> None:
        """Leave the sections of the CPUs out. Raises OSError."""
        self._make(self._without)

    def put_cpus_back(self) -> None:
        """Make the state whole again. Raises OSError."""
        self._make(self._whole)

    def _make(self, clusters: dict[int, bytes]) -> None:
        if clusters is self._present:
            return
        self._present = None
        with self._image.open("r+b") as file:
            for place, content in clusters.items():
                file.seek(place)
                file.write(content)
        self._present = clusters


def _sections(state: bytes) -> Iterator[_Section]:
    """The sections of the CPUs, the last one first. They are near the end of the state, behind the memory."""
    at = len(state)
    while (at := state.rfind(_NAME, 0, at)) >= 0:
        start, fields = at - len(_START) - _NUMBER_BYTES, at + len(_NAME) + _CPU.size
        footer = _FOOTER + state[at - _NUMBER_BYTES : at]
        end = state.find(footer, fields + _FIELDS.size, fields + _MOST_BYTES)
        if state[start : start + 1] != _START or end < 0:
            return  # in the memory, or in the description behind all sections
        cpu, version = _CPU.unpack_from(state, at + len(_NAME))
        if version != _VERSION:
            raise UnknownStateError(f"version {version} of cpu_common")
        halted, interrupts = _FIELDS.unpack_from(state, fields)
        is_plain = end == fields + _FIELDS.size
        yield _Section(start, end + len(footer), cpu, bool(halted), interrupts, is_plain)


class _End:
    """The end of the saved state in an open image."""

    def __init__(self, image: BinaryIO) -> None:
        self._image = image
        self._length = os.fstat(image.fileno()).st_size
        magic, cluster_bits, disk, count, snapshots = self._unpack(_HEADER, 0)
        if magic != _MAGIC or count != 1 or not 9 <= cluster_bits <= 21:
            raise UnknownStateError(f"not a qcow2 image with one snapshot: {magic:#x}, {count}")
        self._cluster = 1 << cluster_bits
        table, length, size, extra = self._unpack(_SNAPSHOT, snapshots)
        if extra >= _ENTRY_BYTES:
            (size,) = self._unpack(struct.Struct(">Q"), snapshots + _SNAPSHOT.size)
        entries = self._cluster // _ENTRY_BYTES
        first = -(-disk // (self._cluster * entries))  # the state follows the disk
        self._places: list[int] = []
        for place in self._table(table, length)[first:]:
            self._places += self._table(place & _PLACE, entries) if place & _PLACE else [0] * entries
        used = -(-size // self._cluster)
        self._places = self._places[max(0, used - _END_BYTES // self._cluster) : used]
        if any(place & _COMPRESSED for place in self._places):
            raise UnknownStateError("a compressed image")

    def read(self) -> bytes:
        """The end of the state, and the rest of its last cluster."""
        return b"".join(map(self._read, self._places))

    def differences(self, before: bytes, after: bytes) -> list[tuple[int, bytes, bytes]]:
        """The clusters that differ in two contents of the same size: place in the file, and both contents."""
        found = []
        for number, place in enumerate(self._places):
            part = slice(number * self._cluster, (number + 1) * self._cluster)
            if before[part] != after[part]:
                if not place & _PLACE or place & _ZERO:
                    raise UnknownStateError("the end of the state is not in the file")
                found.append((place & _PLACE, before[part], after[part]))
        return found

    def _read(self, place: int) -> bytes:
        if not place & _PLACE or place & _ZERO:
            return bytes(self._cluster)
        return self._at(place & _PLACE, self._cluster).ljust(self._cluster, b"\0")

    def _table(self, place: int, length: int) -> list[int]:
        return list(self._unpack(struct.Struct(f">{length}Q"), place))

    def _unpack(self, form: struct.Struct, place: int) -> tuple[int, ...]:
        content = self._at(place, form.size)
        if len(content) < form.size:
            raise UnknownStateError(f"it ends at {self._length:#x}")
        return form.unpack(content)

    def _at(self, place: int, size: int) -> bytes:
        if place >= self._length:
            raise UnknownStateError(f"nothing is at {place:#x}: it ends at {self._length:#x}")
        self._image.seek(place)
        return self._image.read(min(size, self._length - place))
