# SPDX-License-Identifier: Apache-2.0
"""The architectures: what the kernel, Debian, the compiler, QEMU and ELF call each of them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Architecture:
    """One architecture, with its name in every naming scheme that the harness meets.

    kernel: ARCH of the kernel's Makefile. config: its symbol. triplet: GNU triplet, the prefix of its compiler.
    image: make target and file of the boot image below arch/<kernel>/boot.
    device_trees: make also builds dtbs. elf: (e_machine, class in bits) as pyelftools names them.
    steps: lines that a build of our configuration prints, for the progress bar's estimate.
    module_area: where modules are loaded, from and to, relative to the kernel's first function.
    cpu_threads: whether QEMU emulates each CPU in a thread of its own (multi) or all in one (single). x86 kernels
    patch running code and rely on other CPUs seeing it; with several threads, QEMU 7.2 may translate code while
    another CPU writes it, and keep the stale translation (seen: an int3 of text_poke_bp() that was long gone). Where
    CPUs wait for each other without saying so, as on arm, one thread is many times slower.
    maps_modules_late: a process that is older than a module has the module in its page tables only from the first time
    on that it comes there (arch/arm/mm/fault.c, do_translation_fault()).
    """

    name: str
    kernel: str
    config: str
    debian: str
    triplet: str
    qemu: str
    image: str
    elf: tuple[str, int]
    steps: int
    module_area: tuple[int, int]
    device_trees: tuple[str, ...] = ()
    cpu_threads: str = "multi"
    maps_modules_late: bool = False

    @property
    def cross_compile(self) -> str:
        return f"{self.triplet}-"


X86_64 = Architecture(
    name="x86_64",
    kernel="x86",
    config="X86_64",
    debian="amd64",
    triplet="x86_64-linux-gnu",
    qemu="qemu-system-x86_64",
    image="bzImage",
    elf=("EM_X86_64", 64),
    steps=1100,
    module_area=(0x1F000000, 0x7E000000),  # Documentation/x86/x86_64/mm.rst
    cpu_threads="single",
)
ARM = Architecture(
    name="arm",
    kernel="arm",
    config="ARM",
    debian="armhf",
    triplet="arm-linux-gnueabihf",
    qemu="qemu-system-arm",
    image="zImage",
    elf=("EM_ARM", 32),
    steps=1080,
    module_area=(-0x1100000, -0x8000),  # arch/arm/include/asm/memory.h, MODULES_VADDR
    device_trees=("vexpress-v2p-ca9.dtb", "vexpress-v2p-ca15-tc1.dtb"),
    maps_modules_late=True,
)
ARM64 = Architecture(
    name="arm64",
    kernel="arm64",
    config="ARM64",
    debian="arm64",
    triplet="aarch64-linux-gnu",
    qemu="qemu-system-aarch64",
    image="Image",
    elf=("EM_AARCH64", 64),
    steps=1000,
    module_area=(-0x8000000, 0),  # arch/arm64/include/asm/memory.h, KIMAGE_VADDR is MODULES_END
)

ARCHITECTURES = {architecture.name: architecture for architecture in (X86_64, ARM, ARM64)}
