# SPDX-License-Identifier: Apache-2.0
"""Checks of the loads and stores of modules that were built without KASAN, made by QEMU.

A plugin of QEMU (images/plugins/accesses.c) looks up each load and store of code in the area for modules in the shadow
memory of the guest's kernel. It reads the guest's memory, which is a shared file then, and shares a log with the
harness.
"""

import mmap
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.kernel.arch import Architecture
from harness.kernel.shadow import ShadowMemory

_MEMORY = "ram"  # QEMU's name of the guest's memory
# struct log, struct range and struct bad_access of images/plugins/accesses.c
_MOST_RANGES = 16
_RANGE = struct.Struct("<QQ")
_RANGES = _RANGE.size * _MOST_RANGES  # bytes
_CHOICE = struct.Struct("<qQ")  # the first two numbers of the header
# number of ranges, negative if they are left out; page table, accesses that were checked, entries
_HEADER = struct.Struct(f"<{_RANGES}xqQQQ")
_ENTRY = struct.Struct("<QQIBBBx")
_MAX_ENTRIES = 256
_LOG_BYTES = _HEADER.size + _ENTRY.size * _MAX_ENTRIES


@dataclass(frozen=True)
class BadAccess:
    """An access to memory that the kernel has not given out, or has taken back."""

    # address of the instruction
    instruction: int
    address: int
    # bytes
    size: int
    is_store: bool
    # shadow of the first bad granule, and of the one behind it
    shadow: int
    next_shadow: int


@dataclass(frozen=True)
class AccessCheck:
    """The plugin, and what it has to know about a kernel on a board."""

    plugin: Path
    arch: Architecture
    shadow: ShadowMemory
    # physical address at which the guest's memory begins
    memory_start: int

    @property
    def area(self) -> tuple[int, int]:
        """The addresses whose code can be checked: the first one, and the first one behind them."""
        return self.arch.modules_of_kernel_at(self.shadow.first_function)

    def memory_options(self, file: str, mib: int) -> list[str]:
        """QEMU's options for the guest's memory in a shared file."""
        backend = f"memory-backend-file,id={_MEMORY},size={mib}M,share=on,mem-path={file}"
        return ["-object", backend, "-machine", f"memory-backend={_MEMORY}"]

    def options(self, memory: str, mib: int, log: Path) -> list[str]:
        """QEMU's options for the check. memory: the file with the guest's memory. log: that of an AccessLog."""
        shadow = self.shadow
        start, end = self.area
        arguments = {
            "memory": memory,
            "memory-start": hex(self.memory_start),
            "log": str(log).replace(",", ",,"),
            "code-start": hex(start),
            "code-end": hex(end),
            "tables": shadow.tables,
            "address-bits": str(shadow.address_bits),
            "shadow-offset": hex(shadow.offset),
            "lowest": hex(shadow.lowest),
        }
        words = [f"{name}={value}" for name, value in arguments.items()]
        if self.arch.quirks.cpu_threads != "single":  # otherwise no other CPU runs between an access and its check
            words += [f"poisoner={address:#x}" for address in shadow.poisoners]
        return [*self.memory_options(memory, mib), "-plugin", ",".join([str(self.plugin).replace(",", ",,"), *words])]


class AccessLog:
    """The file that the plugin and the harness share."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # physical address of the kernel's own page table
        self.page_table = 0

    def make(self) -> None:
        """Make the file, so that nothing is checked yet."""
        self.path.write_bytes(bytes(_LOG_BYTES))

    def stop(self) -> None:
        """Check nothing, and forget what was found."""
        with self._mapped() as log:
            log[_RANGES : _HEADER.size] = bytes(_HEADER.size - _RANGES)

    def watch(self, without: Sequence[tuple[int, int]] = ()) -> None:
        """Check all code in the area for modules that QEMU translates from now on.

        without: ranges, each from a first address up to one behind the last, 16 at most, that are not checked.
        """
        self._choose(without, -min(len(without), _MOST_RANGES))

    def narrow(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Check code in these ranges only. Does nothing if there are more than 16, so that no code is left out."""
        if len(ranges) <= _MOST_RANGES:
            self._choose(ranges or [(0, 0)], max(len(ranges), 1))

    def _choose(self, ranges: Sequence[tuple[int, int]], number: int) -> None:
        with self._mapped() as log:
            _CHOICE.pack_into(log, _RANGES, 0, self.page_table)  # all code, while the ranges change
            for place, (start, end) in enumerate(ranges[:_MOST_RANGES]):
                _RANGE.pack_into(log, place * _RANGE.size, start, end)
            _CHOICE.pack_into(log, _RANGES, number, self.page_table)

    @property
    def checked(self) -> int:
        """The number of accesses that were checked."""
        with self.path.open("rb") as file:
            return int(_HEADER.unpack(file.read(_HEADER.size))[2])

    def bad_accesses(self) -> list[BadAccess]:
        """The first bad access of each instruction, in their order. There may be more from the 257th on."""
        return list(_entries(self.path.read_bytes()))

    @contextmanager
    def _mapped(self) -> Iterator[mmap.mmap]:
        with self.path.open("r+b") as file, mmap.mmap(file.fileno(), _LOG_BYTES) as log:
            yield log


def _entries(log: bytes) -> Iterator[BadAccess]:
    """The entries of a log. Raises struct.error if it is too short."""
    count = min(_HEADER.unpack_from(log)[3], _MAX_ENTRIES)
    for place in range(count):
        instruction, address, size, is_store, shadow, after = _ENTRY.unpack_from(
            log, _HEADER.size + place * _ENTRY.size
        )
        yield BadAccess(instruction, address, size, bool(is_store), shadow, after)
