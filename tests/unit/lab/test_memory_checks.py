# SPDX-License-Identifier: Apache-2.0
"""What is told of a guest's memory: each check provoked, in memory that a test made."""

import struct
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness.abi.elf.module_file import ModuleFacts, Section
from harness.detect.evidence import Check
from harness.detect.scan import scan
from harness.guest.backtrace import Symbols
from harness.guest.guest import Guest
from harness.guest.qmp import QmpLostError, QmpRefusedError
from harness.kernel.arch import ARM, X86_64
from harness.lab.execution.kmemleak import told_by, with_names
from harness.lab.execution.memory_checks import Watch

CODE, CONSTANTS, LIST, MODULE = 0x1000, 0x2000, 0x3000, 0x8000
FACTS = ModuleFacts("vendor", sections=(Section(".text", 0x10, "AX"), Section(".rodata", 0x8, "A")))
MARKS = {
    "_stext": CODE,
    "_etext": CODE + 16,
    "__start_rodata": CONSTANTS,
    "__end_rodata": CONSTANTS + 16,
    "modules": LIST,
}
ENTRIES = (MODULE + 0x2000, MODULE + 0x3000)  # of the list: two modules
NAMES = ["the kernel's code unchanged", "the kernel's constants unchanged", "list of modules"]
MODULES = ["the module's code unchanged", "the module's constants unchanged"]


@dataclass
class FakeGuest:
    """A guest of bytes. unseen: (CPU, first address, last) that cannot be read. stale: the same until a command ran."""

    marks: dict[str, int] = field(default_factory=lambda: dict(MARKS))
    unseen: list[tuple[int, int, int]] = field(default_factory=list)
    stale: list[tuple[int, int, int]] = field(default_factory=list)
    bits: int = 64
    lost: bool = False
    sections: str = ""  # what the kernel tells of a module's
    commands: list[str] = field(default_factory=list)
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


def _watch(guest: FakeGuest, **facts: Any) -> Watch:
    watch = Watch(cast("Guest", guest), patched=facts.get("patched", ""), release=facts.get("release", ""))
    watch.begin()
    watch.loaded(FACTS)
    return watch


def _all(watch: Watch) -> list[Check]:
    return [*watch.unloading(), *watch.end()]


@pytest.mark.parametrize("bits", [32, 64])
def test_memory_as_it_was_holds_every_check(bits: int) -> None:
    guest = FakeGuest(bits=bits)
    watch = _watch(guest)
    assert [(check.name, check.held, check.detail) for check in _all(watch)] == [
        (name, True, "") for name in (*MODULES, *NAMES)
    ]
    assert (watch.obstacles, watch.weak, guest.commands) == ([], [], [])


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
    watch = _watch(guest)
    guest.memory[place] ^= 0xFF
    (failed,) = [check for check in _all(watch) if not check.held]
    assert failed.name == name
    assert failed.detail.startswith(f"1 bytes differ, the first at 0x{place:x}: ")


def test_since_6_4_the_constants_are_where_the_kernel_says() -> None:
    guest = FakeGuest(sections=f".text 0x{MODULE:x}\n.rodata 0x6000\n")
    watch = _watch(guest, release="6.12.117")
    guest.memory[MODULE + 0x1000] ^= 0xFF  # data, for all that is known
    assert all(check.held for check in watch.unloading())
    guest.memory[0x6007] ^= 0xFF
    (failed,) = [check for check in watch.unloading() if not check.held]
    assert failed.name == "the module's constants unchanged"


def test_where_the_kernel_does_not_say_it_the_evidence_is_weaker() -> None:
    watch = _watch(FakeGuest(), release="6.4.0")
    assert [check.name for check in _all(watch)] == [MODULES[0], *NAMES]
    assert watch.obstacles == []
    assert watch.weak == ["the kernel does not tell where the module's constants are: not compared"]


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
    watch = _watch(guest)
    guest.link(node, following, before)
    (failed,) = [check for check in _all(watch) if not check.held]
    assert (failed.name, failed.detail) == ("list of modules", detail)


def test_a_module_that_hides_itself_is_missed_in_the_list() -> None:
    guest = FakeGuest()
    watch = _watch(guest)
    guest.link(LIST, ENTRIES[1], ENTRIES[1])
    guest.link(ENTRIES[1], LIST, LIST)
    assert [check.detail for check in _all(watch) if not check.held] == ["1 in memory, 2 in /proc/modules"]


def test_a_list_without_an_end_is_left() -> None:
    guest = FakeGuest()
    watch = _watch(guest)
    ring = range(0x9100, 0x9100 + 16 * 1100, 16)  # it never comes back to its head within the longest list
    for place, node in enumerate(ring):
        guest.link(node, ring[(place + 1) % len(ring)], ring[place - 1])
    guest.link(LIST, ring[0], ring[-1])
    guest.link(ring[0], ring[1], LIST)
    assert [check.detail for check in _all(watch) if not check.held] == ["it goes in circles"]


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
    watch = _watch(guest)
    checks = _all(watch)
    assert watch.obstacles == [missing]
    assert len(checks) == 4
    assert all(check.held for check in checks)


def test_what_cannot_be_read_any_more_is_a_failure() -> None:
    guest = FakeGuest()
    watch = _watch(guest)
    guest.hide(MODULE, MODULE + 8)
    (failed,) = [check for check in _all(watch) if not check.held]
    assert failed == Check(MODULES[0], held=False, detail="it cannot be read any more: Invalid addr 0x8000")


def test_a_qemu_that_is_gone_is_told() -> None:
    guest = FakeGuest(lost=True)
    watch = _watch(guest)
    assert _all(watch) == []
    assert len(watch.obstacles) == 5
    assert all(obstacle.endswith("QEMU is gone") for obstacle in watch.obstacles)
    assert guest.commands == []


def test_what_qemu_cannot_hand_over_is_no_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    guest = FakeGuest()
    watch = _watch(guest)

    def full(*_: int) -> bytes:
        raise OSError(28, "QEMU wrote 0 of 16 bytes", "memory")

    monkeypatch.setattr(guest, "read_memory", full)
    assert _all(watch) == []
    assert len(watch.obstacles) == 5
    assert all("QEMU wrote 0 of 16 bytes" in obstacle for obstacle in watch.obstacles)


def test_a_cpu_with_older_page_tables_is_no_obstacle() -> None:
    guest = FakeGuest(stale=[(0, MODULE, MODULE + 0x2000)])
    watch = _watch(guest)
    assert (len(_all(watch)), watch.obstacles, guest.commands) == (5, [], [])  # the other CPU sees it
    guest = FakeGuest(stale=[(0, MODULE, MODULE + 0x2000), (1, MODULE, MODULE + 0x2000)])
    watch = _watch(guest)
    assert (len(_all(watch)), watch.obstacles, len(guest.commands)) == (5, [], 1)


def test_what_is_not_compared_is_told() -> None:
    watch = _watch(FakeGuest(), patched="ftrace")
    assert [check.name for check in _all(watch)] == [MODULES[1], *NAMES[1:]]  # constants stay where code is patched
    assert watch.weak == ["code is patched by ftrace: not compared"]
    watch = _watch(FakeGuest(marks={}))
    assert [check.name for check in _all(watch)] == MODULES
    assert len(watch.weak) == 3


@pytest.mark.parametrize(("bits", "compared"), [(64, [*MODULES, *NAMES]), (32, NAMES)])
def test_programs_older_than_the_module_may_not_show_it_on_arm(bits: int, compared: list[str]) -> None:
    watch = Watch(cast("Guest", FakeGuest(bits=bits)), patched="", in_use="perf")
    watch.begin()
    watch.loaded(FACTS)
    assert [check.name for check in _all(watch)] == compared
    assert bool(watch.weak) is (bits == 32)


def test_a_file_that_cannot_be_read_does_not_tell_what_to_compare() -> None:
    watch = Watch(cast("Guest", FakeGuest()), patched="")
    watch.begin()
    watch.loaded(ModuleFacts("vendor", problem="it is compressed"))
    assert [check.name for check in _all(watch)] == NAMES
    assert "the file does not tell it: it is compressed" in watch.weak[-1]


def test_a_modules_sections_are_laid_out_with_their_alignment() -> None:
    facts = ModuleFacts(
        "vendor",
        sections=(Section(".text", 0xFF5, "AX", 16), Section(".text.unlikely", 0x10, "AX", 16), Section("d", 9, "WA")),
    )
    assert facts.code == 0x1010  # over the page, where the sum of the sizes is not
    assert facts.constants == 0


def test_a_module_without_an_address_is_an_obstacle() -> None:
    guest = FakeGuest()
    guest.symbols = guest.symbols.with_modules("")
    assert _watch(guest).obstacles == ["/proc/modules does not tell where the module is: its memory was not compared"]


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
    told = with_names(listed, symbols)
    assert "leak_some+0x23/0x40 [leaks]\n" in told
    assert "] 0xffffffffb0000023\n" in told
    (counted,) = scan(b"kmemleak: 1 new suspected memory leaks (see /sys/kernel/debug/kmemleak)\n")
    report = told_by(counted, scan(told.encode()))
    assert (report.module, report.culprit, report.title) == ("leaks", "leak_some", "memory leak in leak_some")
