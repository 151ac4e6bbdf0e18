# SPDX-License-Identifier: Apache-2.0
"""Checks of the loads and stores of modules that were built without KASAN, made by QEMU.

A plugin of QEMU (images/accesses/plugin) looks up each load and store of code in the area for modules in the shadow
memory of the guest's kernel. It reads the guest's memory, which is a shared file then, and shares a log with the
harness.
"""

import functools
import mmap
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.kernel.arch import Architecture
from harness.kernel.shadow import ShadowMemory
from harness.support import digest, process
from harness.support.cache.store import Store
from harness.support.paths import IMAGES

_MEMORY = "ram"  # QEMU's name of the guest's memory
_FIRST_WITH_VERSION_2 = 9  # QEMU 9.0 refuses plugins for version 1 of the interface, and older ones those for version 2
# struct log, struct range and struct bad_access of images/accesses/plugin/accesses.c
_MOST_RANGES = 16
_RANGE = struct.Struct("<QQ")
_RANGES = _RANGE.size * _MOST_RANGES  # bytes
_NUMBER = struct.Struct("<Q")
# number of ranges, whether they are the module's, page table, accesses that were checked, entries
_HEADER = struct.Struct(f"<{_RANGES}xQQQQQ")
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

    def memory_options(self, file: str, mib: int) -> list[str]:
        """QEMU's options for the guest's memory in a shared file."""
        backend = f"memory-backend-file,id={_MEMORY},size={mib}M,share=on,mem-path={file}"
        return ["-object", backend, "-machine", f"memory-backend={_MEMORY}"]

    def options(self, memory: str, mib: int, log: Path) -> list[str]:
        """QEMU's options for the check. memory: the file with the guest's memory. log: that of an AccessLog."""
        shadow = self.shadow
        start, end = (shadow.first_function + offset for offset in self.arch.module_area)
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
        self._set(without, is_module=False)

    def narrow(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Check code in these ranges only. Does nothing if there are more than 16, so that no code is left out."""
        if len(ranges) <= _MOST_RANGES:
            self._set(ranges, is_module=True)

    def _set(self, ranges: Sequence[tuple[int, int]], *, is_module: bool) -> None:
        with self._mapped() as log:
            for place, (start, end) in enumerate(ranges[:_MOST_RANGES]):
                _RANGE.pack_into(log, place * _RANGE.size, start, end)
            numbers = min(len(ranges), _MOST_RANGES), int(is_module), self.page_table
            log[_RANGES : _RANGES + 3 * _NUMBER.size] = b"".join(map(_NUMBER.pack, numbers))

    @property
    def checked(self) -> int:
        """The number of accesses that were checked."""
        with self.path.open("rb") as file:
            return int(_HEADER.unpack(file.read(_HEADER.size))[3])

    def bad_accesses(self) -> list[BadAccess]:
        """The first bad access of each instruction, in their order. There may be more from the 257th on."""
        return list(_entries(self.path.read_bytes()))

    @contextmanager
    def _mapped(self) -> Iterator[mmap.mmap]:
        with self.path.open("r+b") as file, mmap.mmap(file.fileno(), _LOG_BYTES) as log:
            yield log


def _entries(log: bytes) -> Iterator[BadAccess]:
    """The entries of a log. Raises struct.error if it is too short."""
    count = min(_HEADER.unpack_from(log)[4], _MAX_ENTRIES)
    for place in range(count):
        instruction, address, size, is_store, shadow, after = _ENTRY.unpack_from(
            log, _HEADER.size + place * _ENTRY.size
        )
        yield BadAccess(instruction, address, size, bool(is_store), shadow, after)


def build_plugin(qemu: str, store: Store) -> Path:
    """The plugin, compiled for the host. Cached. qemu: the program's version. Raises ModcompatError."""
    files = sorted((IMAGES / "accesses/plugin").iterdir())
    version = 2 if _major(qemu) >= _FIRST_WITH_VERSION_2 else 1
    inputs = {"version": version, "compiler": _compiler(), **{path.name: digest.of_file(path) for path in files}}

    def build(folder: Path) -> None:
        process.run(
            ["gcc", "-shared", "-fPIC", "-O2", "-Wall", f"-DQEMU_PLUGIN_VERSION={version}",
             "-o", folder / "accesses.so", *(path for path in files if path.suffix == ".c")],
            log=folder / "log",
            what="compiling the plugin of QEMU that checks accesses",
        )  # fmt: skip

    return store.get_or_build("tools", "accesses", inputs, build) / "accesses.so"


@functools.cache
def takes_plugins(qemu: str) -> bool:
    """Whether a QEMU was built with plugins. Raises ModcompatError if it cannot be run."""
    return "\n-plugin " in process.output([qemu, "-help"])


@functools.cache
def _compiler() -> str:
    return process.output(["gcc", "--version"]).splitlines()[0]


def _major(qemu: str) -> int:
    """The first number in the first line of `qemu --version`; 0 if there is none."""
    words = (word for word in qemu.split() if word[0].isdigit())
    return int(next(words, "0").split(".")[0])
