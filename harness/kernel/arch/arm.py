# SPDX-License-Identifier: Apache-2.0
"""arm: 32-bit ARM v7. Facts about the kernel are of Linux 6.1."""

import re

from harness.kernel.arch.architecture import (
    Architecture,
    CallingConvention,
    DebianPort,
    Debugger,
    DeviceTree,
    Elf,
    InstructionSet,
    PageTables,
    Quirks,
    Registers,
)
from harness.kernel.required_options import PL011, RequiredOption

ARM = Architecture(
    name="arm",
    kernel="arm",
    config="ARM",
    triplet="arm-linux-gnueabihf",
    debian=DebianPort("armhf", since="bookworm", kernels=("armmp", "armmp-lpae")),
    qemu="qemu-system-arm",
    tries_kvm=False,
    image="zImage",
    build_steps=1080,
    device_trees=(
        DeviceTree("vexpress-v2p-ca9.dtb", "ARCH_VEXPRESS"),
        DeviceTree("vexpress-v2p-ca15-tc1.dtb", "ARCH_VEXPRESS"),
    ),
    required_options=(
        *PL011,
        RequiredOption("ARM_GIC", "the board's interrupt controller", implies=("ARCH_MULTI_V7", "ARCH_VIRT")),
        RequiredOption("ARM_PSCI", "the second CPU is started by the firmware's interface", implies=("ARCH_VIRT",)),
        RequiredOption("AEABI", "the guest's programs are EABI programs"),
        RequiredOption("ARM_THUMB", "the guest's programs are Thumb code"),
        RequiredOption("VFP", "the guest's programs use the floating point registers", implies=("NEON",)),
        RequiredOption(
            "COMPAT_32BIT_TIME", "the guest's busybox has 32-bit time: without these calls even sleep fails"
        ),
        RequiredOption(
            "CMDLINE_FORCE", "the kernel would not read the parameters that the harness passes", value="n"
        ),
    ),
    always_on=(),
    vermagic=(
        ("CPU_32v6", "ARMv6"), ("CPU_32v7", "ARMv7"), ("THUMB2_KERNEL", "thumb2"), ("ARM_PATCH_PHYS_VIRT", "p2v8"),
    ),
    elf=Elf(
        machine="EM_ARM",
        bits=32,
        distances=(),
        addends_in_place=(2, 3, 38),  # R_ARM_ABS32, R_ARM_REL32, R_ARM_TARGET1
        function_flags=1,  # Thumb code: ELF for the Arm Architecture, 5.5.3
    ),
    module_area=(-0x1100000, -0x8000),  # arch/arm/include/asm/memory.h, MODULES_VADDR
    page_tables=(
        PageTables("arm64", root="swapper_pg_dir", address_bits=32, option=("ARM_LPAE", "y")),
        PageTables("arm", root="swapper_pg_dir", address_bits=32),
    ),
    registers=Registers(
        counter=re.compile(r"\bR15=([0-9a-f]{8})"),
        stack=re.compile(r"\bR13=([0-9a-f]{8})"),
        link=re.compile(r"\bR14=([0-9a-f]{8})"),
    ),
    debugger=Debugger(target="elf32-littlearm", architecture="arm", gdb="arm"),
    instruction_set=InstructionSet.ARM,
    calling_convention=CallingConvention(
        arguments=("r0", "r1", "r2", "r3"),
        result="r0",
        lost_in_calls=("r0", "r1", "r2", "r3", "ip", "lr"),
        stack="sp",
        current=None,
    ),
    constant_only=(),
    probed_headers=(
        "ftrace", "hw_breakpoint", "kprobes", "mmu_context", "module", "perf_event", "probes", "processor",
        "stacktrace", "traps", "unwind",
    ),
    has_isolation=True,
    quirks=Quirks(
        # CPUs wait for each other without saying so, which takes many times as long in one thread.
        cpu_threads="multi",
        stall_factor=1,
        boot_attempts=1,
        loses_timers=False,
        maps_modules_late=True,  # arch/arm/mm/fault.c, do_translation_fault()
        relocates_zeros_only=False,
        inlines_locks=False,
        needed_sections=(("ARM_MODULE_PLTS", (".plt", ".init.plt")),),
        inlines_user_copies=True,
        has_ticket_locks=True,
    ),
)  # fmt: skip
