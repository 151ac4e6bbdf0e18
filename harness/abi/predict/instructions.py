# SPDX-License-Identifier: Apache-2.0
"""What instructions do to registers, read from what objdump(1) prints: no more than accesses.py asks."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from harness.kernel.arch import ARM, ARM64, X86_64

_LINE = re.compile(r"^ *([0-9a-f]+):\t(.*)$")
_RELOCATION = re.compile(r"\t[0-9a-f]+: R_\w+\t(\S+)")
_ADDEND = re.compile(r"^(.+?)([+-]0x[0-9a-f]+)?$")
_COMMENT = re.compile(r"\s(?:@|//|#) ")
_TARGET = re.compile(r"\b([0-9a-f]+) <")


class Verb(StrEnum):
    """LOAD: target = [base + offset], or the variable `symbol`. STORE: the other way round; TOUCH is a STORE of
    something unknown. MOVE: target = base + offset. ADDRESS: target = &symbol + offset. CURRENT: target = current.
    JUMP: to symbol + offset, in another section: the compiler keeps unlikely parts of functions apart.
    OTHER: all that matters is which registers it writes."""

    LOAD = "load"
    STORE = "store"
    MOVE = "move"
    ADDRESS = "address"
    CURRENT = "current"
    CALL = "call"
    JUMP = "jump"
    OTHER = "other"


@dataclass(frozen=True)
class Instruction:
    """address, offset: bytes. writes: the registers that have another value afterwards."""

    address: int
    verb: Verb = Verb.OTHER
    target: str = ""
    base: str = ""
    offset: int = 0
    symbol: str = ""
    writes: tuple[str, ...] = ()
    jumps_to: int | None = None
    ends: bool = False


@dataclass(frozen=True)
class Text:
    """An instruction as objdump prints it, taken apart. symbol, addend: of its relocation."""

    address: int
    name: str
    operands: tuple[str, ...]
    symbol: str = ""
    addend: int = 0
    goes_to: int | None = None


@dataclass(frozen=True)
class Abi:
    """How an architecture passes arguments, and how its instructions are read."""

    arguments: tuple[str, ...]
    result: str
    lost_in_calls: tuple[str, ...]
    stack: tuple[str, ...]
    read: Callable[[Text], Instruction]

    def is_stack(self, register: str) -> bool:
        return register in self.stack


def instructions(lines: list[str], abi: Abi) -> Iterator[Instruction]:
    """The instructions of a function's lines; what cannot be read is left out."""
    for line in lines:
        if found := _LINE.match(line):
            yield abi.read(_text(int(found[1], 16), found[2]))


def _text(address: int, line: str) -> Text:
    relocation = _RELOCATION.search(line)
    symbol, addend = "", 0
    if relocation:
        line = line[: relocation.start()]
        if found := _ADDEND.match(relocation[1]):
            symbol, addend = found[1], int(found[2] or "0", 16)
    name, *rest = _COMMENT.split(line)[0].split(None, 1) or [""]
    operands = rest[0].strip() if rest else ""
    target = _TARGET.search(operands)
    return Text(address, name, tuple(_operands(operands)), symbol, addend, int(target[1], 16) if target else None)


def _jump(text: Text, addend: int, *, ends: bool) -> Instruction:
    if text.symbol:
        return Instruction(text.address, Verb.JUMP, symbol=text.symbol, offset=addend, ends=ends)
    return Instruction(text.address, jumps_to=text.goes_to, ends=ends)


def _operands(text: str) -> Iterator[str]:
    """Operands at the top level: commas in brackets do not count."""
    depth = start = 0
    for index, letter in enumerate(text):
        depth += letter in "([{"
        depth -= letter in ")]}"
        if letter == "," and not depth:
            yield text[start:index].strip()
            start = index + 1
    if text:
        yield text[start:].strip()


# x86_64, AT&T syntax: the target is the last operand

_X86_NAMES = {
    **{f"{p}{name}{s}": f"r{name}x" for name in "abcd" for p, s in (("r", "x"), ("e", "x"), ("", "x"), ("", "l"))},
    **{f"{p}{name}{s}": f"r{name}" for name in ("si", "di", "bp", "sp") for p in ("r", "e", "") for s in ("", "l")},
    **{f"r{n}{s}": f"r{n}" for n in range(8, 16) for s in ("", "d", "w", "b")},
}
_X86_MEMORY = re.compile(r"^(-?0x[0-9a-f]+)?\(%(\w+)\)$")
_X86_READS = re.compile(r"^(cmp|test|push|bt[lqw]?$|nop|out|prefetch)")


def _x86(text: Text) -> Instruction:
    name, operands = text.name, text.operands
    if name in ("lock", "rep", "notrack", "data16", "cs") and operands:
        first, _, rest = operands[0].partition(" ")
        return _x86(Text(text.address, first, (rest.strip(), *operands[1:]), text.symbol, text.addend, text.goes_to))
    if name.startswith("call"):
        offset = text.addend + 4 if text.symbol else text.goes_to or 0
        return Instruction(text.address, Verb.CALL, symbol=text.symbol, offset=offset)
    if name.startswith("j"):
        return _jump(text, text.addend + 4, ends=name.startswith("jmp"))
    if name.startswith(("ret", "ud2")):
        return Instruction(text.address, ends=True)
    if not operands:
        return Instruction(text.address)
    return _x86_data(text, operands[0], operands[-1])


def _x86_data(text: Text, source: str, target: str) -> Instruction:
    register = _x86_register(target)
    memory = _x86_memory(target) if not register else None
    writes = () if _X86_READS.match(text.name) or not register else (register,)
    if memory:
        return Instruction(text.address, Verb.STORE, _x86_register(source), *memory)
    verb, base, offset, symbol = Verb.OTHER, "", 0, ""
    if text.symbol in ("current_task", "pcpu_hot") and "%gs:" in source and text.name == "mov":
        verb = Verb.CURRENT
    elif text.symbol and "(%rip)" in source:
        verb, symbol = (Verb.ADDRESS, text.symbol) if text.name == "lea" else (Verb.LOAD, text.symbol)
        offset = text.addend + 4
    elif text.symbol and source.startswith("$"):
        verb, symbol, offset = Verb.ADDRESS, text.symbol, text.addend
    elif text.symbol and source.startswith("0x0") and text.name == "mov":
        verb, symbol, offset = Verb.LOAD, text.symbol, text.addend
    elif (from_memory := _x86_memory(source)) and not text.symbol:
        base, offset = from_memory
        verb = Verb.MOVE if text.name == "lea" else Verb.LOAD
    elif text.name == "mov" and (base := _x86_register(source)):
        verb = Verb.MOVE
    elif text.name in ("add", "sub") and source.startswith("$") and register:
        verb, base, offset = Verb.MOVE, register, int(source[1:], 16) * (1 if text.name == "add" else -1)
    return Instruction(text.address, verb, register, base, offset, symbol, writes)


def _x86_register(operand: str) -> str:
    return _X86_NAMES.get(operand[1:], "") if operand.startswith("%") else ""


def _x86_memory(operand: str) -> tuple[str, int] | None:
    found = _X86_MEMORY.match(operand)
    base = _X86_NAMES.get(found[2], "") if found else ""
    return (base, int(found[1] or "0", 16)) if found and base else None


# arm and arm64: the target is the first operand

_ARM_MEMORY = re.compile(r"^\[(\w+)(?:, #(-?\w+))?\]!?$")
_ARM_CONDITION = r"(?:eq|ne|cs|cc|mi|pl|vs|vc|hi|ls|ge|lt|gt|le)?"
_ARM_JUMP = re.compile(rf"^b{_ARM_CONDITION}$|^b\.\w+$|^cbn?z$|^tbn?z$")
_ARM_LOAD = re.compile(r"^(ld(?!m)|pld|prf)")
_ARM_STORE = re.compile(r"^st(?!m)")
_ARM_READS = re.compile(r"^(cmp|cmn|tst|teq|ccmp|dmb|dsb|isb|nop|pld|prf|push|msr|mcr)")


def _arm(text: Text) -> Instruction:
    if text.name == "mrc":  # its target is behind the coprocessor and an opcode
        text = replace(text, operands=text.operands[2:])
    name, operands = text.name, text.operands
    if name in ("bl", "blr", "blx"):
        return Instruction(
            text.address, Verb.CALL, symbol=text.symbol, offset=text.addend if text.symbol else text.goes_to or 0
        )
    if _ARM_JUMP.match(name):
        return _jump(text, text.addend, ends=name == "b")
    if name in ("ret", "bx", "br", "udf", "brk") or (name == "pop" and "pc" in (operands or ("",))[-1]):
        return Instruction(text.address, ends=True)
    if not operands or name == "movt":  # the upper half of what movw began
        return Instruction(text.address)
    memory = next((place for operand in operands if (place := _arm_memory(operand))), None)
    if memory and _ARM_STORE.match(name):
        moves = (memory[0],) if not operands[-1].endswith("]") else ()
        return Instruction(text.address, Verb.STORE, _arm_register(operands[0]), *memory, writes=moves)
    targets = operands[: 2 if name in ("ldp", "ldrd") else 1]
    written = tuple(register for operand in targets for register in _registers(operand))
    writes = () if _ARM_READS.match(name) else written
    if memory and not operands[-1].endswith("]"):  # the base moves on as well
        writes = (*writes, memory[0])
    verb, base, offset, symbol = _arm_value(text, memory)
    return Instruction(text.address, verb, _arm_register(operands[0]), base, offset, symbol, writes)


def _arm_value(text: Text, memory: tuple[str, int] | None) -> tuple[Verb, str, int, str]:
    """What the first operand becomes: verb, base, offset, symbol."""
    name, operands = text.name, text.operands
    if (name == "mrc" and operands[1:] == ("cr13", "cr0", "{3}")) or (name == "mrs" and operands[-1] == "sp_el0"):
        return Verb.CURRENT, "", 0, ""
    if text.symbol and name in ("movw", "adrp", "add"):
        inside = int(operands[1][1:], 0) if name == "movw" else text.addend  # arm keeps addends in the instruction
        return Verb.ADDRESS, "", inside, text.symbol
    if _ARM_LOAD.match(name) and (text.symbol or memory):
        return Verb.LOAD, *(("", 0) if text.symbol else memory or ("", 0)), text.symbol
    if name == "mov" and len(operands) == 2 and _arm_register(operands[1]):
        return Verb.MOVE, _arm_register(operands[1]), 0, ""
    if name in ("add", "sub") and len(operands) == 3 and re.fullmatch(r"#-?\w+", operands[2]):
        return Verb.MOVE, _arm_register(operands[1]), int(operands[2][1:], 0) * (1 if name == "add" else -1), ""
    return Verb.OTHER, "", 0, ""


def _arm_register(operand: str) -> str:
    """w and x registers are the same; {r4, lr} is none."""
    return f"x{operand[1:]}" if re.fullmatch(r"w\d+", operand) else operand if re.fullmatch(r"\w+", operand) else ""


def _registers(operand: str) -> Iterator[str]:
    for name in re.findall(r"\w+", operand) if operand.startswith("{") else [operand]:
        yield _arm_register(name)


def _arm_memory(operand: str) -> tuple[str, int] | None:
    found = _ARM_MEMORY.match(operand)
    return (_arm_register(found[1]), int(found[2] or "0", 0)) if found else None


ABIS = {
    X86_64.name: Abi(
        arguments=("rdi", "rsi", "rdx", "rcx", "r8", "r9"),
        result="rax",
        lost_in_calls=("rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11"),
        stack=("rsp",),
        read=_x86,
    ),
    ARM.name: Abi(
        arguments=("r0", "r1", "r2", "r3"),
        result="r0",
        lost_in_calls=("r0", "r1", "r2", "r3", "ip", "lr"),
        stack=("sp",),
        read=_arm,
    ),
    ARM64.name: Abi(
        arguments=tuple(f"x{n}" for n in range(8)),
        result="x0",
        lost_in_calls=tuple(f"x{n}" for n in range(19)),
        stack=("sp",),
        read=_arm,
    ),
}
