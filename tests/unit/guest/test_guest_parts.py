# SPDX-License-Identifier: Apache-2.0
"""Parts of the guest driver that need no QEMU: file system, command line, symbols, console."""

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from harness.guest.backtrace import Symbols, read_memory, read_symbols
from harness.guest.boards import BOARDS, Board, Channel, default_board
from harness.guest.console import ConsoleLog
from harness.guest.debugger import gdb_script, symbols_for_debugger
from harness.guest.guest import Guest, Timing
from harness.guest.initramfs import pack
from harness.guest.loaded_modules import modules_in
from harness.guest.machine import Machine
from harness.kernel.arch import ARCHITECTURES, ARM64, Architecture
from harness.support.errors import ModcompatError
from tests.unit.tools import need

SYSTEM_MAP = """\
ffffffff81000000 T _text
ffffffff81000100 t do_idle
ffffffff81000200 T schedule
ffffffff81000300 W module_memfree
ffffffff81001000 T _etext
ffffffff81002000 D jiffies
"""


def test_the_initramfs_is_one_that_cpio_reads(tmp_path: Path) -> None:
    need("cpio")
    script = tmp_path / "init"
    script.write_text("#!/bin/sh\n")
    archive = pack({"init": script, "modules/deep/a.ko": script})
    assert archive == pack({"modules/deep/a.ko": script, "init": script})
    listing = subprocess.run(["cpio", "-t"], input=archive, capture_output=True, check=True).stdout.decode()
    assert set(listing.split()) >= {"init", "modules/deep/a.ko", "modules", "modules/deep", "dev/console", "dev/null"}


def machine(board: Board) -> Machine:
    return Machine(board, Path("image"), Path("initramfs"))


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_a_board_has_two_cpus_a_console_and_nothing_of_the_host(board: Board) -> None:
    options = machine(board).options()
    assert options[options.index("-smp") + 1].startswith("2")
    assert options[options.index("-nic") + 1] == "none"
    assert options[options.index("-sandbox") + 1].startswith("on")
    assert f"console={board.console}" in machine(board).parameters


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_a_snapshot_is_for_one_wiring_only(board: Board) -> None:
    shared = replace(board, channel=Channel.SHARED)
    assert machine(board).identity() != machine(shared).identity()


def test_on_a_slow_machine_the_kernel_itself_waits_longer_before_it_calls_something_stalled() -> None:
    usual = machine(BOARDS["x86_64-q35"])
    assert "rcu_cpu_stall_timeout=5 sysctl.kernel.hung_task_timeout_secs=10 " in usual.parameters
    assert "rcu_cpu_stall_timeout=20 sysctl.kernel.hung_task_timeout_secs=40 " in replace(usual, scale=4.0).parameters
    assert replace(usual, scale=0.5).parameters == usual.parameters


def test_the_command_by_hand_asks_for_an_interactive_shell() -> None:
    assert "modcompat_shell=1" in machine(BOARDS["x86_64-q35"]).by_hand()


@pytest.mark.parametrize("arch", ARCHITECTURES.values(), ids=lambda arch: arch.name)
def test_one_board_stands_for_each_architecture(arch: Architecture) -> None:
    assert [board for board in BOARDS.values() if board.is_default and board.arch is arch] == [default_board(arch)]


@pytest.mark.parametrize(
    ("arch", "text"),
    [
        ("x86_64", "RIP=0000000000000010 RFL=00000046\nRSP=0000000000000020"),
        ("arm", "R13=00000020 R14=00000030 R15=00000010"),
        ("arm64", " PC=0000000000000010\nX30=0000000000000030  SP=0000000000000020"),
        (
            "riscv64",
            " pc       0000000000000010\n x0/zero 0000000000000000 x1/ra    0000000000000030 x2/sp    0000000000000020",
        ),
    ],
)
def test_registers_are_found_in_what_qemu_prints(arch: str, text: str) -> None:
    registers = ARCHITECTURES[arch].registers
    patterns = [registers.counter, registers.stack, *([registers.link] if registers.link else [])]
    found = [pattern.search(text) for pattern in patterns]
    assert [int(match[1], 16) for match in found if match] == [0x10, 0x20, 0x30][: len(patterns)]


@pytest.mark.parametrize(("banner_at", "launches"), [(1, 1), (2, 2), (9, 3)])
def test_a_guest_whose_firmware_fails_is_started_again(
    banner_at: int, launches: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(BOARDS["riscv64-virt"], Path("image"), Path("initramfs"))
    timing = Timing(boot=0.02)
    guest = Guest(machine, folder=tmp_path, console=tmp_path / "log", state=tmp_path / "state", timing=timing)
    started: list[int] = []

    def launch(*, paused: bool) -> None:
        started.append(1)
        guest.log_start = guest.console.size
        with guest.console.path.open("a") as log:
            log.write("OpenSBI v1.1\n" + "Linux version 6.1\n" * (len(started) == banner_at))

    monkeypatch.setattr(guest, "_launch", launch)
    monkeypatch.setattr(guest, "_attempt", lambda *_: None)
    guest._qemu = Mock(exit_status=None)
    guest.boot()
    assert len(started) == launches


def test_board_ids_are_unique_and_their_architectures_known() -> None:
    assert len({board.id for board in BOARDS.values()}) == len(BOARDS)
    assert all(board.arch.name in ARCHITECTURES for board in BOARDS.values())


def test_an_address_gets_the_name_of_its_function(tmp_path: Path) -> None:
    (tmp_path / "System.map").write_text(SYSTEM_MAP)
    symbols = read_symbols(tmp_path / "System.map")
    assert symbols.name(0xFFFFFFFF81000110) == "do_idle+0x10"
    assert symbols.name(0xFFFFFFFF81000200) == "schedule+0x0"
    assert symbols.name(0xFFFFFFFF81000304) == "module_memfree+0x4", "a weak function is one, too"
    assert symbols.name(0xFFFFFFFF81002000) is None
    assert symbols.name(0) is None


def test_an_address_in_a_module_gets_its_name() -> None:
    text = "spinlock 20480 0 - Live 0xffffffffa0000000 (O)\nother 4096 1 spinlock, Live 0xffffffffa0010000\n"
    symbols = Symbols((), 0).with_modules(modules_in(text))
    assert symbols.name(0xFFFFFFFFA0000010) == "0x10 [spinlock]"
    assert symbols.name(0xFFFFFFFFA0010000) == "0x0 [other]"
    assert symbols.name(0xFFFFFFFFA0005000) is None


def test_a_module_that_never_finished_loading_is_found_in_the_module_area() -> None:
    symbols = Symbols(((0xFFFFFFC008000000, "_text"),), 0xFFFFFFC009000000).expecting("vendor", ARM64)
    assert symbols.name(0xFFFFFFC000005000) == "0x5000 [vendor]"


def test_the_console_is_waited_for_by_position(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    console = ConsoleLog(tmp_path / "console.log")
    assert console.size == 0
    console.path.write_bytes(b"mark\n")
    assert not console.wait_for(b"mark", 5, 0)

    def write_meanwhile(_: float) -> None:
        with console.path.open("ab") as stream:
            stream.write(b"mark\n")

    monkeypatch.setattr("harness.guest.console.time.sleep", write_meanwhile)  # between two reads of the log
    assert console.wait_for(b"mark", 5, 5)


def test_the_tail_of_a_console_is_text(tmp_path: Path) -> None:
    console = ConsoleLog(tmp_path / "console.log")
    console.path.write_bytes(b"one\r\ntwo \xff\r\nthree\r\n")
    assert console.tail(2) == "two \\xff\nthree"


def test_memory_that_was_not_written_whole_is_told(tmp_path: Path) -> None:
    """QEMU reports success even if the disk was full when it closed the file."""

    class Full:
        def command(self, _: str, *, filename: str, **__: object) -> None:
            Path(filename).write_bytes(b"123")

    qmp: Any = Full()
    with pytest.raises(OSError, match="QEMU wrote 3 of 16 bytes"):
        read_memory(qmp, 0xFFFFFFFF81000000, 16, 0, tmp_path / "memory")


def test_a_debugger_is_not_started_without_any_symbol(tmp_path: Path) -> None:
    kernel = Mock(vmlinux=None, symbols=tmp_path / "System.map")
    for content in (None, "ffffffffffffffff B The real System.map is in the linux-image-dbg package\n"):
        if content:
            kernel.symbols.write_text(content)
        with pytest.raises(ModcompatError, match=r"without its vmlinux and its System\.map"):
            symbols_for_debugger(kernel, tmp_path)


def test_a_debugger_finds_files_whose_paths_have_blanks() -> None:
    script = gdb_script(
        ARM64, Path("/a b/vmlinux"), Path("/run/socket"), Path("/a b/log"), {"vendor": Path("/a b/vendor.ko")}
    )
    assert 'file "/a b/vmlinux"' in script
    assert "add-symbol-file {json.dumps(file, ensure_ascii=False)}" in script
