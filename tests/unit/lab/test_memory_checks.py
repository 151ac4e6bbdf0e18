# SPDX-License-Identifier: Apache-2.0
"""The checks of a guest's memory, each made to fail by changing the memory of a fake guest."""

import struct
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness.abi.elf.module_file import ModuleFacts, Section
from harness.detect.evidence import Check
from harness.detect.scan import scan
from harness.guest.backtrace import Symbols
from harness.guest.loaded_modules import modules_in
from harness.guest.qmp import QmpLostError, QmpRefusedError
from harness.kernel.arch import ARM, X86_64
from harness.lab.execution.cell_guest import CellGuest
from harness.lab.execution.kmemleak import merge_details, symbolize
from harness.lab.execution.memory_checks import MemoryMonitor

CODE, CONSTANTS, LIST, MODULE = 0x1000, 0x2000, 0x3000, 0x8000
FACTS = ModuleFacts("vendor", sections=(Section(".text", 0x10, "AX"), Section(".rodata", 0x8, "A")))
MARKS = {
    "_stext": CODE,
    "_etext": CODE + 16,
    "__start_rodata": CONSTANTS,
    "__end_rodata": CONSTANTS + 16,
    "modules": LIST,
}
ENTRIES = (MODULE + 0x2000, MODULE + 0x3000)  # the list has two modules
NAMES = ["the kernel's code unchanged", "the kernel's constants unchanged", "list of modules"]
MODULES = ["the module's code unchanged", "the module's constants unchanged"]
NO_ADDRESS = "/proc/modules has no address for the module: its memory was not compared"


@dataclass
class FakeGuest:
    """A guest that consists of 64 KiB of memory."""

    marks: dict[str, int] = field(default_factory=lambda: dict(MARKS))
    unseen: list[tuple[int, int, int]] = field(default_factory=list)  # unreadable (CPU, first address, last address)
    stale: list[tuple[int, int, int]] = field(default_factory=list)  # likewise, until a command runs
    bits: int = 64
    lost: bool = False
    sections: str = ""  # a module's sections with their addresses
    commands: list[str] = field(default_factory=list)
    origin: str = "restored"
    restored_memory: dict[tuple[int, int], bytes] = field(default_factory=dict)
    reads: list[int] = field(default_factory=list)  # addresses
    memory: bytearray = field(default_factory=lambda: bytearray(i % 251 for i in range(0x10000)))

    def __post_init__(self) -> None:
        self.machine = SimpleNamespace(board=SimpleNamespace(arch=ARM if self.bits == 32 else X86_64))
        listed = tuple((MODULE + n * 0x1000, 0x1000, name) for n, name in enumerate(("vendor", "other")))
        self.symbols = Symbols((), 0, modules=listed, marks=self.marks)
        ring = (LIST, *ENTRIES)
        for place, node in enumerate(ring):
            self.link(node, ring[(place + 1) % 3], ring[place - 1])

    def link(self, node: int, following: int, before: int) -> None:
        data = struct.pack("<QQ" if self.bits == 64 else "<II", following, before)
        self.memory[node : node + len(data)] = data

    def read_memory(self, address: int, size: int, cpu: int) -> bytes:
        self.reads.append(address)
        if self.lost:
            raise QmpLostError("QEMU is gone")
        for at, first, last in (*self.unseen, *self.stale):
            if at == cpu and first <= address <= last:
                raise QmpRefusedError(f"Invalid addr 0x{address:x}")
        if address + size > len(self.memory):
            raise QmpRefusedError(f"Invalid addr 0x{address:x}")
        return bytes(self.memory[address : address + size])

    def run(self, command: str) -> SimpleNamespace:
        self.commands.append(command)
        self.stale.clear()
        return SimpleNamespace(text=self.sections)

    def hide(self, first: int, last: int) -> None:
        self.unseen += [(0, first, last), (1, first, last)]


def _monitor(guest: FakeGuest, module: ModuleFacts = FACTS, **facts: Any) -> MemoryMonitor:
    monitor = MemoryMonitor(
        cast("CellGuest", guest), patched_by=facts.get("patched_by", ""), release=facts.get("release", "")
    )
    monitor.begin()
    monitor.loaded(module)
    return monitor


def _all(monitor: MemoryMonitor) -> list[Check]:
    return [*monitor.unloading(), *monitor.end()]


@pytest.mark.parametrize("bits", [32, 64])
def test_memory_as_it_was_holds_every_check(bits: int) -> None:
    guest = FakeGuest(bits=bits)
    monitor = _monitor(guest)
    assert [(check.name, check.held, check.detail) for check in _all(monitor)] == [
        (name, True, "") for name in (*MODULES, *NAMES)
    ]
    assert (monitor.blockers, monitor.caveats, guest.commands) == ([], [], [])


@pytest.mark.parametrize(
    ("place", "name"),
    [
        (CODE + 3, "the kernel's code unchanged"),
        (CONSTANTS + 15, "the kernel's constants unchanged"),
        (MODULE + 5, "the module's code unchanged"),
        (MODULE + 0x1000, "the module's constants unchanged"),
    ],
)
def test_one_changed_byte_is_seen_and_told(place: int, name: str) -> None:
    guest = FakeGuest()
    monitor = _monitor(guest)
    guest.memory[place] ^= 0xFF
    (failed,) = [check for check in _all(monitor) if not check.held]
    assert failed.name == name
    assert failed.detail.startswith(f"1 bytes differ, the first at 0x{place:x}: ")


@pytest.mark.parametrize(("origin", "reads"), [("restored", 1), ("rebooted, for lack of a snapshot", 2)])
def test_the_memory_of_a_restored_guest_is_read_once(origin: str, reads: int) -> None:
    guest = FakeGuest(origin=origin)
    _monitor(guest)
    monitor = _monitor(guest)
    assert (guest.reads.count(CODE), guest.reads.count(CONSTANTS)) == (reads, reads)
    guest.memory[CODE] ^= 0xFF
    (failed,) = [check for check in _all(monitor) if not check.held]
    assert failed.name == "the kernel's code unchanged"


def test_since_6_4_the_constants_are_where_the_kernel_says() -> None:
    guest = FakeGuest(sections=f".text:0x{MODULE:x}\n.rodata:0x6000\n")
    monitor = _monitor(guest, release="6.12.117")
    guest.memory[MODULE + 0x1000] ^= 0xFF  # may be data: the kernel does not show this address as constants
    assert all(check.held for check in monitor.unloading())
    guest.memory[0x6007] ^= 0xFF
    (failed,) = [check for check in monitor.unloading() if not check.held]
    assert failed.name == "the module's constants unchanged"


def test_where_the_kernel_does_not_say_it_the_evidence_is_weaker() -> None:
    monitor = _monitor(FakeGuest(), release="6.4.0")
    assert [check.name for check in _all(monitor)] == [MODULES[0], *NAMES]
    assert monitor.blockers == []
    assert monitor.caveats == ["the kernel does not show where the module's constants are: not compared"]


@pytest.mark.parametrize(
    ("node", "following", "before", "detail"),
    [
        (LIST, ENTRIES[1], ENTRIES[1], f"0x{ENTRIES[1]:x} does not point back to 0x{LIST:x}"),
        (ENTRIES[0], ENTRIES[1], ENTRIES[1], f"0x{ENTRIES[0]:x} does not point back to 0x{LIST:x}"),
        (ENTRIES[0], 0xDEAD0000, LIST, "the entry at 0xdead0000 cannot be followed"),
        (LIST, 0xDEAD0000, ENTRIES[1], "the entry at 0xdead0000 cannot be followed"),
        (LIST, LIST, LIST, "0 in memory, 2 in /proc/modules"),
    ],
)
def test_a_list_of_modules_that_does_not_hold_together(node: int, following: int, before: int, detail: str) -> None:
    guest = FakeGuest()
    monitor = _monitor(guest)
    guest.link(node, following, before)
    (failed,) = [check for check in _all(monitor) if not check.held]
    assert (failed.name, failed.detail) == ("list of modules", detail)


def test_a_module_that_hides_itself_is_missed_in_the_list() -> None:
    guest = FakeGuest()
    monitor = _monitor(guest)
    guest.link(LIST, ENTRIES[1], ENTRIES[1])
    guest.link(ENTRIES[1], LIST, LIST)
    assert [check.detail for check in _all(monitor) if not check.held] == ["1 in memory, 2 in /proc/modules"]


def test_a_list_without_an_end_is_left() -> None:
    guest = FakeGuest()
    monitor = _monitor(guest)
    ring = range(0x9100, 0x9100 + 16 * 1100, 16)  # does not return to the head within the longest permitted list
    for place, node in enumerate(ring):
        guest.link(node, ring[(place + 1) % len(ring)], ring[place - 1])
    guest.link(LIST, ring[0], ring[-1])
    guest.link(ring[0], ring[1], LIST)
    assert [check.detail for check in _all(monitor) if not check.held] == ["it goes in circles"]


@pytest.mark.parametrize(
    ("first", "missing"),
    [
        (CODE, "the kernel's code cannot be read from outside: Invalid addr 0x1000"),
        (CONSTANTS, "the kernel's constants cannot be read from outside: Invalid addr 0x2000"),
        (MODULE, "the module's code cannot be read from outside: Invalid addr 0x8000"),
        (LIST, "the list of modules cannot be read from outside: Invalid addr 0x3000"),
    ],
)
def test_what_cannot_be_read_is_an_obstacle(first: int, missing: str) -> None:
    guest = FakeGuest()
    guest.hide(first, first + 8)
    monitor = _monitor(guest)
    checks = _all(monitor)
    assert monitor.blockers == [missing]
    assert len(checks) == 4
    assert all(check.held for check in checks)


def test_what_cannot_be_read_any_more_is_a_failure() -> None:
    guest = FakeGuest()
    monitor = _monitor(guest)
    guest.hide(MODULE, MODULE + 8)
    (failed,) = [check for check in _all(monitor) if not check.held]
    assert failed == Check(MODULES[0], held=False, detail="it cannot be read any more: Invalid addr 0x8000")


def test_a_qemu_that_is_gone_is_told() -> None:
    guest = FakeGuest(lost=True)
    monitor = _monitor(guest)
    assert _all(monitor) == []
    assert len(monitor.blockers) == 5
    assert all(blocker.endswith("QEMU is gone") for blocker in monitor.blockers)
    assert guest.commands == []


def test_what_qemu_cannot_hand_over_is_no_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    guest = FakeGuest()
    monitor = _monitor(guest)

    def full(*_: int) -> bytes:
        raise OSError(28, "QEMU wrote 0 of 16 bytes", "memory")

    monkeypatch.setattr(guest, "read_memory", full)
    assert _all(monitor) == []
    assert len(monitor.blockers) == 5
    assert all("QEMU wrote 0 of 16 bytes" in blocker for blocker in monitor.blockers)


def test_a_cpu_with_older_page_tables_is_no_obstacle() -> None:
    guest = FakeGuest(stale=[(0, MODULE, MODULE + 0x2000)])
    monitor = _monitor(guest)
    assert (len(_all(monitor)), monitor.blockers, guest.commands) == (5, [], [])  # the other CPU can read it
    guest = FakeGuest(stale=[(0, MODULE, MODULE + 0x2000), (1, MODULE, MODULE + 0x2000)])
    monitor = _monitor(guest)
    assert (len(_all(monitor)), monitor.blockers, len(guest.commands)) == (5, [], 1)


def test_what_is_not_compared_is_told() -> None:
    monitor = _monitor(FakeGuest(), patched_by="ftrace")
    assert [check.name for check in _all(monitor)] == [MODULES[1], *NAMES[1:]]  # no code, but constants are compared
    assert monitor.caveats == ["code is patched by ftrace: not compared"]
    monitor = _monitor(FakeGuest(marks={}))
    assert [check.name for check in _all(monitor)] == MODULES
    assert len(monitor.caveats) == 3


@pytest.mark.parametrize(("bits", "compared"), [(64, [*MODULES, *NAMES]), (32, NAMES)])
def test_programs_older_than_the_module_may_not_show_it_on_arm(bits: int, compared: list[str]) -> None:
    monitor = MemoryMonitor(cast("CellGuest", FakeGuest(bits=bits)), patched_by="", features_in_use="perf")
    monitor.begin()
    monitor.loaded(FACTS)
    assert [check.name for check in _all(monitor)] == compared
    assert bool(monitor.caveats) is (bits == 32)


def test_a_file_that_cannot_be_read_does_not_tell_what_to_compare() -> None:
    monitor = MemoryMonitor(cast("CellGuest", FakeGuest()), patched_by="")
    monitor.begin()
    monitor.loaded(ModuleFacts("vendor", problem="it is compressed"))
    assert [check.name for check in _all(monitor)] == NAMES
    assert "its file cannot be read: it is compressed" in monitor.caveats[-1]


def test_a_modules_sections_are_laid_out_with_their_alignment() -> None:
    facts = ModuleFacts(
        "vendor",
        sections=(Section(".text", 0xFF5, "AX", 16), Section(".text.unlikely", 0x10, "AX", 16), Section("d", 9, "WA")),
    )
    assert facts.code == 0x1010  # more than a page because of alignment; the plain sum is less
    assert facts.constants == 0


def test_a_module_without_an_address_is_an_obstacle() -> None:
    guest = FakeGuest()
    guest.symbols = guest.symbols.with_modules([])
    assert _monitor(guest).blockers == [NO_ADDRESS]


@pytest.mark.parametrize(
    ("code", "release", "blockers"),
    [("AX", "6.12.118", [NO_ADDRESS]), ("A", "6.1.192", [NO_ADDRESS]), ("A", "6.12.118", [])],
)
def test_since_6_4_a_module_without_code_has_none(code: str, release: str, blockers: list[str]) -> None:
    """Its address is 0 then, as is that of each module if the kernel hides them."""
    module = ModuleFacts("vendor", sections=(Section(".text", 0x10, code), Section(".rodata", 0x8, "A")))
    guest = FakeGuest(sections=".rodata:0x6000\n")
    text = "vendor 16384 0 - Live 0x0000000000000000\nother 4096 0 - Live 0x9000\n"
    guest.symbols = guest.symbols.with_modules(modules_in(text))
    monitor = _monitor(guest, module, release=release)
    assert monitor.blockers == blockers
    names = [check.name for check in _all(monitor) if check.held]
    assert names == ([] if blockers else ["the module's constants unchanged"]) + NAMES
    assert guest.symbols.name(0x10) is None, "a null pointer is not in the module"


def test_a_leak_of_a_module_that_is_gone_gets_its_names_back() -> None:
    symbols = "ffffffffa0000000 t leak_some\t[leaks]\nffffffffa0000040 t init_module\t[leaks]\n"
    listed = (
        "unreferenced object 0xffff888003c6e2c0 (size 64):\n"
        '  comm "insmod", pid 53, jiffies 4294892389 (age 5.240s)\n'
        "  backtrace:\n"
        "    [<ffffffff81158c0e>] kmalloc_trace+0x1e/0x80\n"
        "    [<00000000a0000023>] 0xffffffffa0000023\n"
        "    [<00000000b0000023>] 0xffffffffb0000023\n"
    )
    told = symbolize(listed, symbols)
    assert "leak_some+0x23/0x40 [leaks]\n" in told
    assert "] 0xffffffffb0000023\n" in told
    (counted,) = scan(b"kmemleak: 1 new suspected memory leaks (see /sys/kernel/debug/kmemleak)\n")
    report = merge_details(counted, scan(told.encode()))
    assert (report.module, report.culprit, report.title) == ("leaks", "leak_some", "memory leak in leak_some")
