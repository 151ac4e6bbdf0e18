# SPDX-License-Identifier: Apache-2.0
"""riscv64: 64-bit RISC-V, rv64gc. Facts about the kernel are of Linux 6.1."""

import re

from harness.kernel.arch.architecture import (
    Architecture,
    CallingConvention,
    DebianPort,
    Debugger,
    Elf,
    InstructionSet,
    Quirks,
    Registers,
)
from harness.kernel.required_options import RequiredOption

_ARGUMENTS = tuple(f"a{number}" for number in range(8))

RISCV64 = Architecture(
    name="riscv64",
    kernel="riscv",
    config="RISCV",
    triplet="riscv64-linux-gnu",
    debian=DebianPort("riscv64", since="trixie", kernels=("riscv64",)),
    qemu="qemu-system-riscv64",
    tries_kvm=False,
    image="Image",
    build_steps=1000,
    device_trees=(),
    required_options=(
        RequiredOption("64BIT", "the guest's programs are 64-bit programs"),
        RequiredOption("SERIAL_8250", "the board's serial port"),
        RequiredOption("SERIAL_8250_CONSOLE", "the kernel log goes to the serial port"),
        RequiredOption("SERIAL_OF_PLATFORM", "the serial port is found in the device tree"),
        RequiredOption("SIFIVE_PLIC", "the board's interrupt controller", implies=("SOC_VIRT",)),
        RequiredOption("RISCV_SBI", "the firmware's interface starts the second CPU, and resets the board"),
        RequiredOption("RISCV_ISA_C", "the guest's programs have compressed instructions"),
        RequiredOption("FPU", "the guest's programs use the floating point registers"),
        RequiredOption(
            "CMDLINE_FORCE", "the kernel would not read the parameters that the harness passes", value="n"
        ),
    ),
    always_on=(),
    vermagic=(("", "riscv"),),
    elf=Elf(machine="EM_RISCV", bits=64, distances=(), addends_in_place=(), function_flags=0),
    module_area=(-0x80000000, 0),  # arch/riscv/include/asm/pgtable.h, MODULES_VADDR is 2 GB below _end
    page_tables=(),
    registers=Registers(
        counter=re.compile(r"^ *pc +([0-9a-f]{16})", re.MULTILINE),
        stack=re.compile(r"\bx2/sp +([0-9a-f]{16})"),
        link=re.compile(r"\bx1/ra +([0-9a-f]{16})"),
    ),
    debugger=Debugger(target="elf64-littleriscv", architecture="riscv:rv64", gdb="riscv:rv64"),
    instruction_set=InstructionSet.RISCV,
    calling_convention=CallingConvention(
        arguments=_ARGUMENTS,
        result="a0",
        lost_in_calls=("ra", *_ARGUMENTS, *(f"t{number}" for number in range(7))),
        stack="sp",
        current="tp",  # arch/riscv/include/asm/current.h
    ),
    constant_only=(),
    probed_headers=(
        "ftrace", "kprobes", "mmu_context", "module", "perf_event", "probes", "processor", "stacktrace",
    ),
    has_isolation=False,
    quirks=Quirks(
        cpu_threads="multi",
        # All CPUs are stopped while the calls of ftrace are patched, and for each call the firmware interrupts each of
        # them: that takes seconds (arch/riscv/kernel/patch.c, flush_icache_range()).
        stall_factor=2,
        # OpenSBI 1.1, the firmware of QEMU 7.2, releases a CPU before it has written where that is to start
        # (lib/sbi/sbi_hsm.c, sbi_hsm_hart_start()). In one boot of fifty the second CPU starts the kernel once more,
        # over the one that runs, which has printed nothing by then.
        boot_attempts=3,
        loses_timers=True,  # seen with QEMU 7.2, whose hw/intc/riscv_aclint.c saves no timer
        # Kernel and modules share one entry of the top page table, which every process has from its start.
        maps_modules_late=False,
        relocates_zeros_only=False,
        inlines_locks=False,
        needed_sections=(("MODULE_SECTIONS", (".plt", ".got", ".got.plt")),),
        inlines_user_copies=False,
        has_ticket_locks=True,
    ),
)  # fmt: skip
