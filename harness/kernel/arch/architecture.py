# SPDX-License-Identifier: Apache-2.0
"""The form of an architecture: everything that the harness knows about one, whichever room reads it.

No field has a default, so mypy reports an architecture that leaves one out.
"""

import re
from dataclasses import dataclass
from enum import Enum, auto

from harness.kernel.required_options import RequiredOption


class InstructionSet(Enum):
    """The instruction sets that harness/abi/predict/decoders can read."""

    X86 = auto()
    ARM = auto()  # arm and arm64: their assembly differs in the names of registers only
    RISCV = auto()


@dataclass(frozen=True)
class DebianPort:
    """Debian's port to an architecture, which the guest's busybox and Debian's own kernels come from."""

    # dpkg's name of the architecture
    name: str
    # the first release that has it; older ones fetch its packages from this release
    since: str
    # how the names of its kernels' packages end: linux-image-armmp-lpae
    kernels: tuple[str, ...]


@dataclass(frozen=True)
class Elf:
    """How object files name the architecture, and what is particular about their addresses."""

    # e_machine, as pyelftools names it
    machine: str
    # the class: 32 or 64, which is also the size of a pointer
    bits: int
    # relocation types that count a distance from behind the four bytes that hold it
    distances: tuple[int, ...]
    # relocation types of four bytes that hold the addend, if the relocation itself has none (SHT_REL)
    addends_in_place: tuple[int, ...]
    # bits of a function's address that say how to execute it, and not where it is
    function_flags: int

    @property
    def pointer_size(self) -> int:
        """Bytes of a pointer."""
        return self.bits // 8


@dataclass(frozen=True)
class DeviceTree:
    """A device tree that is built with the kernel, for a board that QEMU makes none for."""

    # its file below arch/*/boot/dts
    file: str
    # the Kconfig symbol without which it is not built
    symbol: str


@dataclass(frozen=True)
class Registers:
    """Where QEMU's `info registers` prints registers: patterns with the value as first group (target/*/cpu.c)."""

    # the program counter
    counter: re.Pattern[str]
    # the stack pointer
    stack: re.Pattern[str]
    # the register that holds the innermost return address; None if a call puts that on the stack
    link: re.Pattern[str] | None


@dataclass(frozen=True)
class Debugger:
    """The architecture's names in binutils and gdb."""

    # BFD target, for objcopy -O
    target: str
    # BFD architecture, for objcopy -B
    architecture: str
    # for gdb's `set architecture`
    gdb: str


@dataclass(frozen=True)
class CallingConvention:
    """How functions of the kernel pass values, by the names that objdump(1) gives the registers."""

    # integer and pointer arguments, in order
    arguments: tuple[str, ...]
    # what a function returns
    result: str
    # registers that a call may change
    lost_in_calls: tuple[str, ...]
    # the stack pointer
    stack: str
    # the register that always holds `current`; None if code has to load it
    current: str | None


@dataclass(frozen=True)
class PageTables:
    """A form of the kernel's own page tables, which KASAN's shadow memory is read through from outside."""

    # the format, as images/plugins/accesses.c names it
    format: str
    # the symbol of the topmost table
    root: str
    # bits of an address that they translate, or the option that has the number
    address_bits: int | str
    # how many of them the CPUs of the boards translate at most
    most_address_bits: int = 64
    # half of these addresses belong to user space
    are_shared: bool = False
    # a Kconfig symbol with the value that selects this form; None: any configuration
    option: tuple[str, str] | None = None


@dataclass(frozen=True)
class Quirks:
    """Behaviour that other architectures do not share."""

    # QEMU emulates each CPU in a thread of its own ("multi") or all in one ("single"): `-accel tcg,thread=`
    cpu_threads: str
    # how many times longer than elsewhere a CPU may be busy before the kernel is to report a stall
    stall_factor: int
    # how often a guest is started if its firmware does not come to start the kernel
    boot_attempts: int
    # QEMU does not arm the timers of a restored guest, so that it sleeps for ever: guests are booted instead
    loses_timers: bool
    # a process that is older than a module gets the module into its page tables at the first access only
    maps_modules_late: bool
    # the module loader applies relocations to zeros only, and refuses a module where it finds something else
    relocates_zeros_only: bool
    # lock functions of spinlocks and rwlocks are compiled into modules without PREEMPTION (ARCH_INLINE_* of Kconfig)
    inlines_locks: bool
    # a Kconfig symbol, and sections that a module must have if the kernel has it: module_frob_arch_sections()
    needed_sections: tuple[tuple[str, tuple[str, ...]], ...]
    # copies from and to user space are compiled into modules (asm/uaccess.h: INLINE_COPY_FROM_USER)
    inlines_user_copies: bool
    # its spinlocks are ticket locks, which may have any value (arch/*/include/asm/spinlock_types.h)
    has_ticket_locks: bool


@dataclass(frozen=True)
class Architecture:
    """One architecture."""

    # the harness's name: in options, in reports, and in keys of the cache
    name: str
    # ARCH of the kernel's Makefile
    kernel: str
    # the Kconfig symbol that every configuration of the architecture sets
    config: str
    # GNU triplet, the prefix of its compiler and binutils
    triplet: str
    debian: DebianPort
    # QEMU's program
    qemu: str
    # whether guests may run under KVM: there has to be a probe for it (harness/guest/accelerator.py)
    tries_kvm: bool
    # make target, and file of the boot image below arch/<kernel>/boot
    image: str
    # lines that a build of our configuration prints, for the estimate of a progress bar
    build_steps: int
    device_trees: tuple[DeviceTree, ...]
    # what the harness needs of a configuration, beside what it needs everywhere
    required_options: tuple[RequiredOption, ...]
    # Kconfig symbols that cannot be switched off, with the reason
    always_on: tuple[tuple[str, str], ...]
    # words at the end of a vermagic with the symbol that each depends on, "" for none (asm/vermagic.h)
    vermagic: tuple[tuple[str, str], ...]
    elf: Elf
    # first address of the area that modules are loaded to, and the first one behind it, both relative to the
    # kernel's first function
    module_area: tuple[int, int]
    # the forms that can be read; the first one that a configuration selects counts
    page_tables: tuple[PageTables, ...]
    registers: Registers
    debugger: Debugger
    instruction_set: InstructionSet
    calling_convention: CallingConvention
    # functions of the headers that compile with constant arguments only; a missing one costs a compilation
    constant_only: tuple[str, ...]
    # headers below arch/<kernel>/include/asm that show what features change (scripts/probe.py), without .h
    probed_headers: tuple[str, ...]
    # whether the isolation series has been written for it
    has_isolation: bool
    quirks: Quirks

    def modules_of_kernel_at(self, first_function: int) -> tuple[int, int]:
        """The area for modules of a kernel: its first address, and the first one behind it."""
        start, end = (first_function + offset for offset in self.module_area)
        return start, end

    @property
    def cross_compile(self) -> str:
        """The prefix of compiler and binutils."""
        return f"{self.triplet}-"
