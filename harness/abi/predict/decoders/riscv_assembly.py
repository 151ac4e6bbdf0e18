# SPDX-License-Identifier: Apache-2.0
"""riscv64: the target is the first operand, and pairs of instructions make pointers to symbols."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from harness.abi.predict.instructions import (
    Form,
    Instruction,
    Table,
    Text,
    Verb,
    call,
    decoded,
    end,
    jump,
    nothing,
    value,
)

_REGISTER = re.compile(r"zero|ra|sp|gp|tp|[astf]\d+|f[ast]\d+")
_PLACE = r"(?P<offset>-?\d+)?\((?P<base>\w+)\)"
_MEMORY = re.compile(rf"^{_PLACE}$")


def with_symbols(texts: Iterable[Text]) -> Iterator[Text]:
    """The instructions, with the symbol of each auipc at the instruction that has the lower half of its address.

    The relocation of that instruction names a label at the auipc instead, and a call has one relocation for both
    (RISC-V ELF psABI, "PC-Relative Symbol Addresses" and "Procedure Calls").
    """
    upper: dict[str, Text] = {}
    for text in texts:
        if text.name == "auipc" and text.operands:
            upper[text.operands[0]] = text
            yield text
        elif text.relocation.startswith("R_RISCV_PCREL_LO12"):
            yield _joined(text, upper.get(_base(text)))
        elif text.name in ("jalr", "jr") and text.operands:
            pair = upper.pop(text.operands[-1], None)
            near = pair is not None and pair.relocation.startswith("R_RISCV_CALL")
            yield _joined(text, pair) if near else text
        else:
            yield text


def decode(text: Text) -> Instruction:
    """An instruction of riscv64, whose symbols with_symbols() has put in place."""
    return decoded(_TABLE, text)


def _joined(text: Text, upper: Text | None) -> Text:
    if upper is None:
        return replace(text, symbol="", addend=0)
    # The global offset table holds an address, which the instruction loads from there.
    name = "la" if upper.relocation == "R_RISCV_GOT_HI20" else text.name
    return replace(text, name=name, symbol=upper.symbol, addend=upper.addend)


def _base(text: Text) -> str:
    """The register that has the upper half: of `ld a0,0(a4)`, `mv a0,a4`, and `add a0,a4,8`."""
    memory = _memory(text)
    return memory[0] if memory else (*text.operands, "", "")[1]


def _store(text: Text) -> Instruction:
    if text.symbol:
        return Instruction(
            text.address, Verb.STORE, _register(text.operands[0]), offset=text.addend, symbol=text.symbol
        )
    memory = _memory(text)
    if not memory:
        return nothing(text)
    return Instruction(text.address, Verb.STORE, _register(text.operands[0]), *memory)


def _atomic(text: Text) -> Instruction:
    """It loads and stores. The target gets the old value, which is not followed as a pointer."""
    memory = _memory(text)
    writes = _writes(text)
    return Instruction(text.address, Verb.STORE, "", *memory, writes=writes) if memory else nothing(text)


def _branch(text: Text) -> Instruction:
    """Branches stay in the section, and their relocations name labels of the compiler."""
    return Instruction(text.address, jumps_to=text.goes_to)


def _jump(text: Text) -> Instruction:
    return Instruction(text.address, jumps_to=text.goes_to, ends=True)


def _local_call(text: Text) -> Instruction:
    return call(replace(text, symbol=""))


def _data(text: Text) -> Instruction:
    if not text.operands:
        return nothing(text)
    found = value(_VALUES, text, _register)
    target = _register(text.operands[0])
    return Instruction(text.address, found.verb, target, found.base, found.offset, found.symbol, _writes(text))


def _writes(text: Text) -> tuple[str, ...]:
    target = _register(text.operands[0]) if text.operands else ""
    return (target,) if target else ()


def _register(operand: str) -> str:
    return operand if _REGISTER.fullmatch(operand) else ""


def _memory(text: Text) -> tuple[str, int] | None:
    """Base and offset of the last operand, if that is in memory."""
    found = _MEMORY.match(text.operands[-1]) if text.operands else None
    return (found["base"], int(found["offset"] or "0")) if found else None


_LOADS = r"(?:l[bhw]u?|ld|fl[hwdq]|lr\.\S+) "
_VALUES = (
    Form(re.compile(r"(?:auipc|la|mv|addi?) .*@."), Verb.ADDRESS),
    Form(re.compile(rf"{_LOADS}.*@."), Verb.LOAD),
    Form(re.compile(rf"{_LOADS}\w+,{_PLACE}@$"), Verb.LOAD),
    Form(re.compile(r"mv \w+,(?P<base>\w+)@$"), Verb.MOVE),
    Form(re.compile(r"addi? \w+,(?P<base>\w+),(?P<offset>-?\d+)@$"), Verb.MOVE),
)
_TABLE: Table = (
    (re.compile(r"jalr"), call),
    (re.compile(r"jal"), _local_call),
    (re.compile(r"jr"), lambda text: jump(text, ends=True)),
    (re.compile(r"j"), _jump),
    (re.compile(r"b(?:eq|ne|lt|gt|le|ge)(?:u|z)?"), _branch),
    (re.compile(r"ret|ebreak|unimp|sret"), end),
    (re.compile(r"(?:s[bhwd]|fs[hwdq])"), _store),
    (re.compile(r"(?:amo|sc\.).*"), _atomic),
    (re.compile(r"fence.*|nop|wfi|sfence.*|csr[cs]i?|csrw[i]?"), nothing),
    (re.compile(r".*"), _data),
)
