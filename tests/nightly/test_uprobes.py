# SPDX-License-Identifier: Apache-2.0
"""Uprobes in isolated kernels: they hit in a process while a production module reads its mm_struct."""

from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from harness.guest.boards import BOARDS, Board
from harness.guest.initramfs import find_busybox
from harness.kernel.arch import Architecture
from harness.kernel.variants import Variant
from harness.lab.execution.guest_pool import Guests
from harness.lab.execution.kernel_pool import Kernels
from harness.lab.plan.settings import Settings
from harness.lab.plan.vendor_modules import shipped
from harness.support.cache.store import Store
from tests.isolation.trials import UPROBES

TRACING = "/sys/kernel/debug/tracing"
# Not arm: its uprobes cannot probe Thumb code, and Debian's busybox is Thumb code.
BOARD = [BOARDS["x86_64-q35"], BOARDS["arm64-virt"]]


def first_instruction(program: Path) -> int:
    """The file offset of a program's entry point."""
    with program.open("rb") as stream:
        elf = ELFFile(stream)
        (offset,) = elf.address_offsets(elf["e_entry"])
    return int(offset)


def entry(arch: Architecture) -> str:
    return f"/bin/busybox:{first_instruction(find_busybox(arch, Store())):#x}"


@pytest.mark.parametrize("board", BOARD, ids=lambda board: board.id)
def test_a_module_of_production_looks_at_a_process_with_uprobes(board: Board) -> None:
    (module,) = (module for module in shipped() if module.name == "tasks")
    variant = Variant(UPROBES, isolated=True)
    with Guests(Kernels(Settings()), [module]) as guests:
        guest = guests.guest(board, variant)
        guest.make_pristine()
        for command in (
            f"echo 'p:begin {entry(board.arch)}' >{TRACING}/uprobe_events",
            f"echo 1 >{TRACING}/events/uprobes/begin/enable",
            "insmod modules/tasks.ko",
            # In a new process, the first instruction is stepped over out of line.
            "sh -c 'echo mm >/sys/module/tasks/parameters/run; exec sleep 0'",
        ):
            output = guest.run(command)
            assert output.status == 0, output
        said = guest.run("dmesg").text
        hits = guest.run(f"cat {TRACING}/uprobe_profile").text.split()[-1]
        assert guest.run(f"rmmod tasks; echo 0 >{TRACING}/events/uprobes/begin/enable").status == 0
    assert said.count("check mm.") == said.count(" ok") == 5, said
    assert int(hits) >= 2
