# SPDX-License-Identifier: Apache-2.0
"""x86_64: PCs. Facts about the kernel are of Linux 6.1."""

import re

from harness.kernel.arch.architecture import (
    Architecture,
    CallingConvention,
    DebianPort,
    Debugger,
    Elf,
    InstructionSet,
    PageTables,
    Quirks,
    Registers,
)
from harness.kernel.required_options import RequiredOption

X86_64 = Architecture(
    name="x86_64",
    kernel="x86",
    config="X86_64",
    triplet="x86_64-linux-gnu",
    debian=DebianPort("amd64", since="bookworm", kernels=("amd64",)),
    qemu="qemu-system-x86_64",
    tries_kvm=True,
    image="bzImage",
    build_steps=1100,
    device_trees=(),
    required_options=(
        RequiredOption("SERIAL_8250", "the board's serial port"),
        RequiredOption("SERIAL_8250_CONSOLE", "the kernel log goes to the serial port"),
        RequiredOption(
            "X86_MPPARSE", "the second CPU is found in a table of the firmware", alternatives=("ACPI",)
        ),
        RequiredOption(
            "CMDLINE_OVERRIDE", "the kernel would not read the parameters that the harness passes", value="n"
        ),
    ),
    always_on=(("PERF_EVENTS", "arch/x86/Kconfig: X86 selects PERF_EVENTS"),),
    vermagic=(),
    elf=Elf(
        machine="EM_X86_64",
        bits=64,
        # R_X86_64_PC32, and R_X86_64_PLT32 for what a procedure linkage table may serve: System V ABI, AMD64
        # supplement, table 4.9
        distances=(2, 4),
        addends_in_place=(),
        function_flags=0,
    ),
    module_area=(0x1F000000, 0x7E000000),  # Documentation/x86/x86_64/mm.rst
    # also with X86_5LEVEL: the CPUs of the boards have four levels
    page_tables=(PageTables("x86_64", root="init_top_pgt", address_bits=48, are_shared=True),),
    registers=Registers(
        counter=re.compile(r"\bRIP=([0-9a-f]{16})"), stack=re.compile(r"\bRSP=([0-9a-f]{16})"), link=None
    ),
    debugger=Debugger(target="elf64-x86-64", architecture="i386:x86-64", gdb="i386:x86-64"),
    instruction_set=InstructionSet.X86,
    calling_convention=CallingConvention(
        arguments=("rdi", "rsi", "rdx", "rcx", "r8", "r9"),
        result="rax",
        lost_in_calls=("rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11"),
        stack="rsp",
        current=None,
    ),
    constant_only=(
        "_static_cpu_has", "alternative_msr_write", "constant_test_bit_acquire", "rip_rel_ptr",
        "x86_this_cpu_variable_test_bit",
    ),
    probed_headers=(
        "ftrace", "hw_breakpoint", "intel_pt", "kprobes", "mmu_context", "module", "perf_event", "processor",
        "stacktrace", "traps", "unwind",
    ),
    has_isolation=True,
    quirks=Quirks(
        # x86 kernels patch running code and rely on other CPUs seeing it. With several threads, QEMU 7.2 may
        # translate code while another CPU writes it, and keep the stale translation (seen: an int3 of
        # text_poke_bp() that was long gone).
        cpu_threads="single",
        stall_factor=1,
        boot_attempts=1,
        loses_timers=False,
        maps_modules_late=False,
        relocates_zeros_only=True,  # arch/x86/kernel/module.c, __write_relocate_add()
        inlines_locks=False,
        needed_sections=(),
        inlines_user_copies=False,
        has_ticket_locks=False,
    ),
)  # fmt: skip
