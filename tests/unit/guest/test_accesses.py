# SPDX-License-Identifier: Apache-2.0
"""The plugin of QEMU judges accesses as KASAN does, and the harness reads what it found."""

import ctypes
import shutil
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.guest.accesses import AccessCheck, AccessLog, BadAccess, _entries
from harness.guest.boards import BOARDS
from harness.guest.machine import Machine
from harness.guest.plugins import _major
from harness.kernel.arch import ARM, ARM64, X86_64, Architecture
from harness.kernel.shadow import ShadowMemory
from tests.unit.guest.plugin_library import build_library, install

START = 0x40000000  # of the guest's memory
TABLE, SHORT_TABLE, SHADOW_PAGE = 0x1000, 0x4000, 0x8000  # in the guest's memory
BYTE, HALF, WORD, STORE = 0, 1, 3, 0x10
OBJECT = 0x100  # place in a page: the page's shadow says what may be accessed


@dataclass(frozen=True)
class Layout:
    """A kernel's addresses."""

    arch: Architecture
    shadow: ShadowMemory
    code: int
    data: int
    # writes page tables that map the page with the shadow of `data`: memory, address of the shadow
    map: Callable[[bytearray, int], None]


def _map_64(bits: int, *, is_x86: bool) -> Callable[[bytearray, int], None]:
    def write(memory: bytearray, address: int) -> None:
        table, shift = TABLE, 12
        while shift + 9 < bits:
            shift += 9
        while shift >= 12:
            last = shift == 12
            target = START + (SHADOW_PAGE if last else table + 0x1000)
            flags = 0x1 if is_x86 else 0x3
            index = (address & ((1 << bits) - 1)) >> shift & 0x1FF
            struct.pack_into("<Q", memory, table + index * 8, target | flags)
            table, shift = table + 0x1000, shift - 9

    return write


def _map_short(memory: bytearray, address: int) -> None:
    struct.pack_into("<I", memory, SHORT_TABLE + (address >> 20) * 4, START + 0x2000 | 1)
    struct.pack_into("<I", memory, 0x2000 + (address >> 12 & 0xFF) * 4, START + SHADOW_PAGE | 2)


LAYOUTS = {
    "x86_64": Layout(
        X86_64,
        ShadowMemory("x86_64", 48, 0xDFFFFC0000000000, 0xFFFF800000000000, 0, 0xFFFFFFFF81000000, 0, (0x50,)),
        0xFFFFFFFFA0000000, 0xFFFF888000BB3000, _map_64(48, is_x86=True),
    ),
    "arm64": Layout(
        ARM64,
        ShadowMemory("arm64", 39, 0xDFFFFFC000000000, 0xFFFFFF8000000000, 0, 0xFFFFFFC008000000, 0, (0x50,)),
        0xFFFFFFC0003C0000, 0xFFFFFF80024A2000, _map_64(39, is_x86=False),
    ),
    "arm": Layout(
        ARM,
        ShadowMemory("arm", 32, 0x9F000000, 0xBF000000, 0, 0xC0008000, 0, (0x50,)),
        0xBF000000, 0xC0F14000, _map_short,
    ),
    "arm with LPAE": Layout(
        ARM,
        ShadowMemory("arm64", 32, 0x9F000000, 0xBF000000, 0, 0xC0008000, 0, (0x50,)),
        0xBF000000, 0xC0F14000, _map_64(32, is_x86=False),
    ),
}  # fmt: skip


class Emulator:
    """The plugin in a QEMU that executes single instructions."""

    def __init__(self, layout: Layout, library: Path, folder: Path) -> None:
        self.layout = layout
        own = Path(shutil.copy(library, folder))  # each has variables of its own
        self._library = ctypes.CDLL(str(own))
        self._library.run.restype = ctypes.c_bool
        memory = bytearray(1 << 16)
        shadow = (layout.data >> 3) + layout.shadow.offset
        layout.map(memory, shadow)
        self._shadow_place = SHADOW_PAGE + (shadow & 0xFFF)
        self._memory = folder / "memory"
        self._memory.write_bytes(memory)
        self.log = AccessLog(folder / "log")
        self.log.make()
        check = AccessCheck(own, layout.arch, layout.shadow, START)
        install(self._library, check.options(str(self._memory), 1, self.log.path))
        self.begin()

    def begin(self) -> None:
        """Begin a cell."""
        self.log.stop()
        self.log.page_table = START + (SHORT_TABLE if self.layout.shadow.tables == "arm" else TABLE)
        self.log.watch()

    def shade(self, shadow: bytes) -> None:
        """Give the memory from `data` + OBJECT on this shadow."""
        with self._memory.open("r+b") as memory:
            memory.seek(self._shadow_place + OBJECT // 8)
            memory.write(shadow)

    def run(self, offset: int, what: int, *, code: int = 0, device: bool = False, meanwhile: int = 0) -> bool:
        """Access the object at an offset. Returns whether the instruction is instrumented."""
        address = self.layout.data + OBJECT + offset
        at = code or self.layout.code
        return bool(
            self._library.run(
                ctypes.c_uint64(at), ctypes.c_uint64(address), what, ctypes.c_bool(device), ctypes.c_uint64(meanwhile)
            )
        )


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_library("accesses", "fake_qemu.c", tmp_path_factory.mktemp("plugin"))


@pytest.fixture(params=LAYOUTS)
def emulator(request: pytest.FixtureRequest, library: Path, tmp_path: Path) -> Emulator:
    return Emulator(LAYOUTS[request.param], library, tmp_path)


def test_an_access_behind_an_object_is_found(emulator: Emulator) -> None:
    emulator.shade(b"\0\0\0\0\0\xfc\xfc")
    assert emulator.run(39, BYTE)
    assert emulator.log.bad_accesses() == []
    emulator.run(40, BYTE | STORE)
    layout = emulator.layout
    assert emulator.log.bad_accesses() == [
        BadAccess(layout.code, layout.data + OBJECT + 40, 1, is_store=True, shadow=0xFC, next_shadow=0xFC)
    ]
    assert emulator.log.checked == 2


@pytest.mark.parametrize(
    ("shadow", "offset", "what", "is_bad"),
    [
        (b"\0\x05\xfc", 12, BYTE, False),
        (b"\0\x05\xfc", 13, BYTE, True),
        (b"\0\x05\xfc", 11, HALF, False),
        (b"\0\x05\xfc", 12, HALF, True),  # begins in the object
        (b"\0\xfc", 7, HALF, True),  # and ends in another granule
        (b"\xfb\0", 7, HALF, True),
        (b"\0\0\xfc", 4, WORD, False),
        (b"\0\0\xfc", 9, WORD, True),
        (b"\x07\0", 0, WORD, True),
    ],
)
def test_parts_of_granules_are_judged_as_kasan_does(
    library: Path, tmp_path: Path, shadow: bytes, offset: int, what: int, *, is_bad: bool
) -> None:
    emulator = Emulator(LAYOUTS["x86_64"], library, tmp_path)
    emulator.shade(shadow)
    emulator.run(offset, what)
    assert bool(emulator.log.bad_accesses()) is is_bad


def test_each_instruction_is_recorded_once_until_the_next_cell(emulator: Emulator) -> None:
    emulator.shade(b"\xfb" * 8)
    code = emulator.layout.code
    for instruction in (code, code, code + 4):
        emulator.run(0, BYTE, code=instruction)
    assert [access.instruction for access in emulator.log.bad_accesses()] == [code, code + 4]
    emulator.begin()
    assert emulator.log.bad_accesses() == []
    emulator.run(0, BYTE, code=code)
    assert len(emulator.log.bad_accesses()) == 1


def test_what_is_not_judged(emulator: Emulator) -> None:
    emulator.shade(b"\xfb" * 8)
    assert not emulator.run(0, BYTE, code=emulator.layout.shadow.first_function + 0x10000), "code of the kernel"
    emulator.run(0, BYTE, device=True)
    emulator.run(0x100000, BYTE)  # its shadow is not mapped
    emulator.run(-emulator.layout.data - OBJECT + 0x1000, BYTE)  # of user space
    assert emulator.log.bad_accesses() == []


def test_memory_that_another_cpu_takes_back_meanwhile_is_not_judged(library: Path, tmp_path: Path) -> None:
    emulator = Emulator(LAYOUTS["arm64"], library, tmp_path)
    emulator.shade(b"\xfb" * 8)
    emulator.run(0, BYTE, meanwhile=0x50)
    assert emulator.log.bad_accesses() == []
    emulator.run(0, BYTE, meanwhile=0x54)
    assert len(emulator.log.bad_accesses()) == 1


def test_only_the_module_is_checked_once_its_place_is_known(emulator: Emulator) -> None:
    emulator.shade(b"\xfb" * 8)
    code = emulator.layout.code
    emulator.log.narrow([(code + 0x1000, code + 0x1040), (code + 0x3000, code + 0x3001)])
    for offset in (0, 0xFFF, 0x1000, 0x103F, 0x1040, 0x3000):
        emulator.run(0, BYTE, code=code + offset)
    found = [access.instruction - code for access in emulator.log.bad_accesses()]
    assert found == [0x1000, 0x103F, 0x3000]
    assert emulator.log.checked == 3


def test_nothing_is_checked_if_the_module_has_no_code(emulator: Emulator) -> None:
    emulator.log.narrow([])
    assert not emulator.run(0, BYTE)


@pytest.mark.parametrize("shadow", [0xF1, 0xF2, 0xF3, 0xF4, 0xCA, 0xCB])
@pytest.mark.parametrize(("name", "is_judged"), [("x86_64", True), ("arm64", False), ("arm", False)])
def test_stacks_are_judged_if_no_other_cpu_runs_meanwhile(
    library: Path, tmp_path: Path, name: str, shadow: int, *, is_judged: bool
) -> None:
    """Compiled code makes them inaccessible by plain stores, which nobody can see."""
    emulator = Emulator(LAYOUTS[name], library, tmp_path)
    emulator.shade(bytes([shadow]))
    emulator.run(0, BYTE)
    assert (len(emulator.log.bad_accesses()), emulator.log.checked) == (is_judged, is_judged)


def test_a_module_with_too_many_sections_is_checked_like_others(library: Path, tmp_path: Path) -> None:
    emulator = Emulator(LAYOUTS["x86_64"], library, tmp_path)
    code = emulator.layout.code
    emulator.log.narrow([(code + 0x100 * place, code + 0x100 * place + 0x80) for place in range(17)])
    assert emulator.run(0, BYTE, code=code + 0x1000)


def test_modules_that_were_there_before_are_not_checked(emulator: Emulator) -> None:
    emulator.shade(b"\xfb" * 8)
    code = emulator.layout.code
    emulator.log.stop()
    emulator.log.watch([(code, code + 0x1000)])
    assert not emulator.run(0, BYTE, code=code + 0xFFF)
    assert emulator.run(0, BYTE, code=code + 0x1000)
    assert [access.instruction - code for access in emulator.log.bad_accesses()] == [0x1000]


def test_nothing_is_checked_before_the_load(library: Path, tmp_path: Path) -> None:
    emulator = Emulator(LAYOUTS["x86_64"], library, tmp_path)
    emulator.shade(b"\xfb" * 8)
    emulator.log.stop()
    assert not emulator.run(0, BYTE)
    assert (emulator.log.checked, emulator.log.bad_accesses()) == (0, [])


def test_page_tables_that_lead_out_of_memory_are_no_shadow(emulator: Emulator) -> None:
    emulator.log.page_table = START + (1 << 30)
    emulator.log.watch()
    emulator.run(0, BYTE)
    assert (emulator.log.checked, emulator.log.bad_accesses()) == (0, [])


@given(st.binary(max_size=400))
def test_any_log_can_be_read(log: bytes) -> None:
    with suppress(struct.error):
        assert len(list(_entries(log))) <= 256


def test_a_check_gives_its_snapshots_an_identity_of_their_own() -> None:
    board = BOARDS["arm64-virt"]
    machine = Machine(board, Path("kernel"), Path("initramfs"))
    check = AccessCheck(Path("a.so"), board.arch, LAYOUTS["arm64"].shadow, board.memory_start)
    checked = replace(machine, accesses=check)
    assert "memory-backend=ram" in str(checked.identity())
    assert machine.identity() != checked.identity()
    assert "-plugin" not in checked.interactive(Path("log"))


def test_poisoners_matter_only_if_cpus_run_at_the_same_time() -> None:
    for arch in (X86_64, ARM64):
        plugin = AccessCheck(Path("a.so"), arch, LAYOUTS["arm64"].shadow, 0).options("ram", 128, Path("log"))[-1]
        assert ("poisoner=0x50" in plugin) is (arch.quirks.cpu_threads == "multi")


def test_the_version_of_qemu_is_read() -> None:
    assert _major("QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2)") == 10
    assert _major("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)") == 7
    assert _major("what is this") == 0


def test_memory_begins_where_the_boards_have_it() -> None:
    assert {board.memory_start for board in BOARDS.values() if board.arch is X86_64} == {0}
    assert all(board.memory_start for board in BOARDS.values() if board.arch is not X86_64)
