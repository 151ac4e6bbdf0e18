# SPDX-License-Identifier: Apache-2.0
"""Decoders of instructions, one file for each instruction set."""

from collections.abc import Iterator, Sequence
from typing import assert_never

from harness.abi.predict.decoders import arm_assembly, riscv_assembly, x86_assembly
from harness.abi.predict.instructions import Instruction, texts
from harness.kernel.arch import InstructionSet


def instructions(lines: Sequence[str], instruction_set: InstructionSet) -> Iterator[Instruction]:
    """The instructions of a function, from lines of objdump(1); lines that cannot be read are left out."""
    match instruction_set:
        case InstructionSet.X86:
            yield from map(x86_assembly.decode, texts(lines))
        case InstructionSet.ARM:
            for text in texts(lines):
                yield from arm_assembly.decode(text)
        case InstructionSet.RISCV:
            yield from map(riscv_assembly.decode, riscv_assembly.with_symbols(texts(lines)))
        case _:
            assert_never(instruction_set)
