# SPDX-License-Identifier: Apache-2.0
"""The architectures, one file each. A new one is a file here and its constant in the table."""

from harness.kernel.arch.architecture import Architecture, CallingConvention, InstructionSet
from harness.kernel.arch.arm import ARM
from harness.kernel.arch.arm64 import ARM64
from harness.kernel.arch.riscv64 import RISCV64
from harness.kernel.arch.x86_64 import X86_64

__all__ = [
    "ARCHITECTURES",
    "ARM",
    "ARM64",
    "RISCV64",
    "X86_64",
    "Architecture",
    "CallingConvention",
    "InstructionSet",
    "architecture_of_elf",
]

# By name, in the order in which reports list them
ARCHITECTURES = {architecture.name: architecture for architecture in (X86_64, ARM, ARM64, RISCV64)}


def architecture_of_elf(machine: str, bits: int) -> Architecture | None:
    """The architecture of an ELF file by its e_machine, as pyelftools names it, and its class in bits."""
    return next((arch for arch in ARCHITECTURES.values() if (arch.elf.machine, arch.elf.bits) == (machine, bits)), None)
