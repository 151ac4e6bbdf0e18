# SPDX-License-Identifier: Apache-2.0
"""Bad loads and stores of a module become reports in the kernel's log."""

import shlex
import struct
from dataclasses import replace
from pathlib import Path

import pytest

from harness.abi.elf.code_places import CodeSection
from harness.abi.elf.module_file import Import, ModuleFacts
from harness.detect.kernel_report import Report
from harness.detect.scan import scan
from harness.guest.accesses import AccessCheck, AccessLog, BadAccess
from harness.guest.shell import Output
from harness.kernel.shadow import ShadowMemory
from harness.lab.execution import access_checks
from harness.lab.execution.access_checks import AccessMonitor, bug_kind, object_facts
from harness.lab.execution.cell_log import CellLog
from tests.unit.lab.fake_guest import FakeGuest

CODE = 0xFFFFFFFFA0000000
SECTIONS = f"{CODE:#x}\n0xffffffffa0005000\n"
MODULES = "vendor 16384 0 - Live 0xffffffffa0000000 (O)\nother 16384 0 - Live 0xffffffffa0010000 (O)\n"
SHADOW = ShadowMemory("x86_64", 48, 0xDFFFFC0000000000, 0xFFFF800000000000, 0, 0xFFFFFFFF81000000, 0x1234, ())
DESCRIBED = """[    3.000000] ==================================================================
[    3.000000] BUG: KASAN: slab-out-of-bounds in store+0x4/0x10 [vendor]
[    3.000000] Write of size 1 at addr ffff888000bb3f68 by task insmod/45
[    3.000000]
[    3.000000] Call Trace:
[    3.000000]  kasan_report+0xc5/0xf0
[    3.000000]  describe_init+0x2f/0x1000 [describe]
[    3.000000]
[    3.000000] Allocated by task 41:
[    3.000000]  __kasan_kmalloc+0x86/0x90
[    3.000000]  store+0x2/0x10 [vendor]
[    3.000000]  _sub_I_65535_1+0x19/0xfd0 [describe]
[    3.000000]
[    3.000000] The buggy address belongs to the object at ffff888000bb3f40
[    3.000000]  which belongs to the cache kmalloc-64 of size 64
[    3.000000]
[    3.000000] The buggy address belongs to the physical page:
[    3.000000] page:ffff88800782ecc0 refcount:1
[    3.000000]
[    3.000000] Memory state around the buggy address:
[    3.000000] >ffff888000bb3f00: fc fc fc fc fc fc fc fc 00 00 00 00 00 fc fc fc
[    3.000000] ==================================================================
"""


class Guest(FakeGuest):
    """A guest with a kernel log that can be written to, and that KASAN describes objects in."""

    def run(self, command: str, seconds: float | None = None, *, inside: bool = False) -> Output:
        if command.startswith("agent log "):
            self.print(f"[    4.000000] {shlex.split(command)[2]}\n")
        if command.startswith("insmod accesses/describe.ko"):
            self.print(DESCRIBED)
        return super().run(command, seconds, inside=inside)


@pytest.fixture
def guest(tmp_path: Path) -> Guest:
    guest = Guest(tmp_path, {"sections": SECTIONS, "cat /proc/modules": MODULES})
    guest.machine = replace(guest.machine, accesses=AccessCheck(Path("a.so"), guest.machine.board.arch, SHADOW, 0))
    guest.accesses = AccessLog(tmp_path / "accesses")
    guest.accesses.make()
    guest.print("[    1.000000] begin\n")
    return guest


def found(guest: Guest, *accesses: BadAccess, checked: int = 100) -> None:
    """Let the plugin find bad accesses, in addition to nothing."""
    assert guest.accesses
    entries = b"".join(
        struct.pack("<QQIBBBx", it.instruction, it.address, it.size, it.is_store, it.shadow, it.next_shadow)
        for it in accesses
    )
    with guest.accesses.path.open("r+b") as log:
        log.write(struct.pack("<256xqQQQ", 0, 0x1000, checked, len(accesses)) + entries)


def watched(guest: Guest) -> list[tuple[int, int]]:
    """The ranges whose code alone is watched; none if all code is, or all but some."""
    assert guest.accesses
    log = guest.accesses.path.read_bytes()
    (count,) = struct.unpack_from("<q", log, 256)
    return [struct.unpack_from("<QQ", log, 16 * place) for place in range(max(count, 0))]


def monitor_of(
    guest: Guest, monkeypatch: pytest.MonkeyPatch, facts: ModuleFacts | None = None, function: str = "store"
) -> AccessMonitor:
    """A monitor of a module with a function in its text."""
    sections = {".text": CodeSection(0x100, ((0x10, 0x10, function),)), ".init.text": CodeSection(0x10, ())}
    monkeypatch.setattr(access_checks, "code_sections", lambda _: sections)
    monitor = AccessMonitor(guest, facts or ModuleFacts("vendor"), Path("vendor.ko"))
    monitor.begin()
    return monitor


def access(instruction: int, shadow: int = 0xFC, after: int = 0xFC) -> BadAccess:
    return BadAccess(instruction, 0xFFFF888000BB3F68, 1, is_store=True, shadow=shadow, next_shadow=after)


def reports(guest: Guest) -> list[Report]:
    return scan(guest.console.read(0))


def test_a_bad_store_is_a_report_of_kasan_that_blames_the_module(guest: Guest, monkeypatch: pytest.MonkeyPatch) -> None:
    monitor, log = monitor_of(guest, monkeypatch), CellLog(guest)
    monitor.loaded()
    log.begin("cell")
    found(guest, access(CODE + 0x14))
    monitor.publish("insmod vendor.ko", log)
    (report,) = log.scan().early
    assert (report.kind, report.title) == ("kasan", "KASAN: slab-out-of-bounds Write in store")
    assert (report.module, report.culprit, report.torn) == ("vendor", "store", False)
    assert (report.access.what, report.access.size, report.access.address) == ("Write", 1, "ffff888000bb3f68")
    assert "during: insmod vendor.ko" in report.text
    assert " store+0x2/0x10 [vendor]" in report.text, "where KASAN says that it was allocated"
    assert "page:" not in report.text
    assert "describe" not in report.text


def test_a_long_command_fits_into_a_line_of_the_kernels_log(guest: Guest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The agent refuses a line of 512 bytes or more, and then the report would lack the line."""
    monitor = monitor_of(guest, monkeypatch)
    monitor.loaded()
    found(guest, access(CODE + 0x14))
    monitor.publish("echo" + 17 * (" " + 10 * "\N{CJK UNIFIED IDEOGRAPH-4E00}"))
    (line,) = [line for line in guest.buffer.splitlines() if "Seen by QEMU" in line]
    assert "during: echo" in line
    assert len(line.encode()) < 511


def test_each_access_is_reported_once(guest: Guest, monkeypatch: pytest.MonkeyPatch) -> None:
    guest.machine = replace(guest.machine, accesses=None)
    monitor = monitor_of(guest, monkeypatch)
    monitor.loaded()
    found(guest, access(CODE + 0x14))
    monitor.publish("one")
    monitor.publish("two")
    found(guest, access(CODE + 0x14), access(CODE + 0x18))
    monitor.publish("three")
    text = guest.buffer
    assert (text.count("BUG: KASAN"), "during: two" in text, "during: three" in text) == (2, False, True)


def test_only_code_of_modules_counts(guest: Guest, monkeypatch: pytest.MonkeyPatch) -> None:
    guest.machine = replace(guest.machine, accesses=None)
    monitor = monitor_of(guest, monkeypatch)
    monitor.loaded()
    found(guest, access(0xFFFFFFFFA0090000), access(0xFFFFFFFFA0010004))  # a copy that kprobes made, and another module
    monitor.publish("x")
    assert [report.module for report in reports(guest)] == ["other"]


def test_a_module_that_is_gone_is_blamed_by_its_address(guest: Guest, monkeypatch: pytest.MonkeyPatch) -> None:
    guest.machine = replace(guest.machine, accesses=None)
    guest._answers.insert(0, ("", ""))  # the kernel refused it
    monitor = monitor_of(guest, monkeypatch)
    found(guest, access(0xFFFFFFFFA0090000))
    monitor.publish("insmod vendor.ko")
    (report,) = reports(guest)
    assert (report.kind, report.module) == ("kasan", "vendor")


def test_a_lost_guest_has_its_reports_on_the_console(guest: Guest, monkeypatch: pytest.MonkeyPatch) -> None:
    monitor = monitor_of(guest, monkeypatch)
    monitor.loaded()
    found(guest, access(CODE + 0x14, shadow=0xFB))
    guest.print("[   12.345678][   T41] a line\n[   12.345679][   T41] a torn li")
    monitor.publish_lost()
    assert [(report.kind, report.title, report.module) for report in reports(guest)] == [
        ("kasan", "KASAN: use-after-free Write in store", "vendor")
    ]


def test_a_module_with_kasan_is_left_to_the_kernel(guest: Guest, monkeypatch: pytest.MonkeyPatch) -> None:
    monitor = monitor_of(guest, monkeypatch, ModuleFacts("vendor", imports=(Import("__asan_load1"),)))
    found(guest, access(CODE + 0x14))
    monitor.publish("insmod vendor.ko")
    assert (reports(guest), monitor.end(), monitor.caveats) == ([], [], [])


def test_a_long_name_of_a_function_fits_into_a_line_of_the_kernels_log(
    guest: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    guest.machine = replace(guest.machine, accesses=None)
    monitor = monitor_of(guest, monkeypatch, function="_ZN" + 600 * "v")
    monitor.loaded()
    found(guest, access(CODE + 0x14))
    monitor.publish("x")
    assert max(len(line.encode()) for line in guest.buffer.splitlines()) < 511
    assert [(report.kind, report.module) for report in reports(guest)] == [("kasan", "vendor")]


def test_once_loaded_only_code_that_stays_is_watched(guest: Guest, monkeypatch: pytest.MonkeyPatch) -> None:
    monitor = monitor_of(guest, monkeypatch)
    monitor.loading()
    assert watched(guest) == []
    monitor.loaded()
    assert watched(guest) == [(CODE, CODE + 0x100)], "another module may come to where its init was"
    assert monitor.caveats == []


def test_addresses_that_the_kernel_hides_are_none(guest: Guest, monkeypatch: pytest.MonkeyPatch) -> None:
    guest.machine = replace(guest.machine, accesses=None)
    guest._answers.insert(0, ("sections", "0x0000000000000000\n0x0000000000000000\n"))  # kptr_restrict=2
    monitor = monitor_of(guest, monkeypatch)
    monitor.loaded()
    assert watched(guest) == []
    found(guest, access(CODE + 0x14))
    monitor.publish("insmod vendor.ko")
    (report,) = reports(guest)
    assert (report.kind, report.module) == ("kasan", "vendor")
    assert ["does not tell where the module is" in caveat for caveat in monitor.caveats] == [True]


def test_what_is_done_before_the_load_is_not_the_modules(guest: Guest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that it needs makes a bad access in its init, which is gone when the access is reported."""
    guest.machine = replace(guest.machine, accesses=None)
    monitor = monitor_of(guest, monkeypatch)
    monitor.loading()
    monitor.expect("companion")
    found(guest, access(0xFFFFFFFFA0090000), checked=100)
    monitor.publish("insmod companion.ko")
    assert [report.module for report in reports(guest)] == ["companion"]
    monitor.expect("vendor")
    monitor.loaded()
    assert (monitor.end(), len(monitor.caveats)) == ([], 1), "it made no access itself"
    found(guest, access(0xFFFFFFFFA0090000), checked=123)
    (check,) = monitor.end()
    assert check.name.startswith("23 loads and stores")


def test_code_that_cannot_be_watched_is_a_caveat(guest: Guest, monkeypatch: pytest.MonkeyPatch) -> None:
    guest._answers.insert(0, ("sections", "0xffffc90000000000\n0xffffffffa0005000\n"))
    monitor = monitor_of(guest, monkeypatch)
    monitor.loaded()
    found(guest, checked=123)
    assert monitor.end() == []
    assert "outside of the area for modules" in monitor.caveats[0]


def test_a_module_that_was_loaded_again_elsewhere_is_a_caveat(guest: Guest, monkeypatch: pytest.MonkeyPatch) -> None:
    monitor = monitor_of(guest, monkeypatch)
    monitor.loaded()
    monitor.unloading()
    guest._answers.insert(0, ("sections", f"{CODE:#x}\n0xffffffffa0007000\n"))
    monitor.unloading()
    assert monitor.caveats == [], "where its init was does not matter"
    guest._answers.insert(0, ("sections", f"{CODE + 0x8000:#x}\n0xffffffffa0005000\n"))
    monitor.unloading()
    assert "loaded again elsewhere" in monitor.caveats[0]


def test_a_module_that_its_exercise_unloaded_was_not_loaded_again(
    guest: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monitor = monitor_of(guest, monkeypatch)
    monitor.loaded()
    guest._answers.insert(0, ("sections", ("", 1)))
    monitor.unloading()
    assert monitor.caveats == []


def test_a_check_that_could_not_begin_is_a_caveat(guest: Guest, monkeypatch: pytest.MonkeyPatch) -> None:
    guest.accesses = None
    monitor = monitor_of(guest, monkeypatch)
    assert monitor.end() == []
    assert "QEMU found no page table" in monitor.caveats[0]


def test_what_was_checked_is_counted(guest: Guest, monkeypatch: pytest.MonkeyPatch) -> None:
    monitor = monitor_of(guest, monkeypatch)
    found(guest, checked=123)
    (check,) = monitor.end()
    assert check.held
    assert check.name.startswith("123 loads and stores")
    found(guest, checked=0)
    assert monitor.end() == []
    assert "no load or store of the module was checked" in monitor.caveats[0]


@pytest.mark.parametrize(
    ("shadow", "after", "kind"),
    [
        (0xFC, 0xFC, "slab-out-of-bounds"),
        (0x05, 0xFC, "slab-out-of-bounds"),
        (0xFB, 0xFB, "use-after-free"),
        (0xFF, 0x00, "use-after-free"),
        (0xF8, 0xF8, "vmalloc-out-of-bounds"),
        (0x05, 0xF9, "global-out-of-bounds"),
        (0xF2, 0x00, "stack-out-of-bounds"),
        (0x05, 0x00, "unknown-crash"),
    ],
)
def test_the_shadow_tells_the_kind(shadow: int, after: int, kind: str) -> None:
    assert bug_kind(access(0, shadow, after)) == kind


def test_freed_pages_have_the_traces_of_their_owner() -> None:
    report = "BUG: KASAN: x\n\nThe buggy address belongs to the physical page:\npage last allocated via\n f+0x1/0x2\n"
    assert object_facts(report)[1:] == ["page last allocated via", " f+0x1/0x2"]
