# SPDX-License-Identifier: Apache-2.0
"""arm64: 64-bit ARM. Facts about the kernel are of Linux 6.1."""

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
from harness.kernel.required_options import PL011, RequiredOption

ARM64 = Architecture(
    name="arm64",
    kernel="arm64",
    config="ARM64",
    triplet="aarch64-linux-gnu",
    debian=DebianPort("arm64", since="bookworm", kernels=("arm64", "arm64-16k")),
    qemu="qemu-system-aarch64",
    tries_kvm=False,
    image="Image",
    build_steps=1000,
    device_trees=(),
    required_options=(
        *PL011,
        RequiredOption(
            "CMDLINE_FORCE", "the kernel would not read the parameters that the harness passes", value="n"
        ),
    ),
    always_on=(),
    vermagic=(("", "aarch64"),),
    elf=Elf(machine="EM_AARCH64", bits=64, distances=(), addends_in_place=(), function_flags=0),
    module_area=(-0x8000000, 0),  # arch/arm64/include/asm/memory.h, KIMAGE_VADDR is MODULES_END
    page_tables=(
        # also with 52 bits: the CPUs of the boards lack LPA2 (arch/arm64/kernel/pi/map_kernel.c, early_map_kernel())
        PageTables(
            "arm64", root="swapper_pg_dir", address_bits="ARM64_VA_BITS", most_address_bits=48,
            option=("ARM64_4K_PAGES", "y"),
        ),
    ),
    registers=Registers(
        counter=re.compile(r"\bPC=([0-9a-f]{16})"),
        stack=re.compile(r"\bSP=([0-9a-f]{16})"),
        link=re.compile(r"\bX30=([0-9a-f]{16})"),
    ),
    debugger=Debugger(target="elf64-littleaarch64", architecture="aarch64", gdb="aarch64"),
    instruction_set=InstructionSet.ARM,
    calling_convention=CallingConvention(
        arguments=tuple(f"x{number}" for number in range(8)),
        result="x0",
        lost_in_calls=tuple(f"x{number}" for number in range(19)),
        stack="sp",
        current=None,
    ),
    constant_only=(
        "alternative_has_feature_likely", "alternative_has_feature_unlikely", "__cpus_have_const_cap",
        "cpus_have_const_cap", "cpus_have_final_cap",
    ),
    probed_headers=(
        "debug-monitors", "ftrace", "hw_breakpoint", "kprobes", "mmu_context", "module", "perf_event", "probes",
        "processor", "stacktrace", "traps",
    ),
    has_isolation=True,
    quirks=Quirks(
        # CPUs wait for each other without saying so, which takes many times as long in one thread.
        cpu_threads="multi",
        stall_factor=1,
        boot_attempts=1,
        loses_timers=False,
        maps_modules_late=False,
        relocates_zeros_only=False,
        inlines_locks=True,  # arch/arm64/Kconfig: ARCH_INLINE_* if !PREEMPTION
        needed_sections=(("ARM64_MODULE_PLTS", (".plt", ".init.plt")),),
        inlines_user_copies=True,
        has_ticket_locks=False,
    ),
)  # fmt: skip
