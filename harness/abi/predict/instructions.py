# SPDX-License-Identifier: Apache-2.0
"""Effects of instructions on registers, as far as member_accesses.py needs them, and the form of decoding tables.

The instructions are read from the output of objdump(1). A decoder for an instruction set is in `decoders`.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

_LINE = re.compile(r"^ *([0-9a-f]+):\t(.*)$")
_RELOCATION = re.compile(r"\t[0-9a-f]+: (R_\w+)\t(\S+)")
_ADDEND = re.compile(r"^(.+?)([+-]0x[0-9a-f]+)?$")
_COMMENT = re.compile(r"\s(?:@|//|#) ")
_TARGET = re.compile(r"\b([0-9a-f]+) <")


class Verb(StrEnum):
    """The effect of an instruction."""

    LOAD = "load"  # target = [base + offset], or the variable `symbol`
    STORE = "store"  # [base + offset] = target, or = something unknown if there is no target
    MOVE = "move"  # target = base + offset
    ADDRESS = "address"  # target = &symbol + offset
    CURRENT = "current"  # target = current
    CALL = "call"  # calls symbol + offset, or offset in the section; -1 without a symbol: what a pointer leads to
    JUMP = "jump"  # to symbol + offset in another section: the compiler keeps unlikely parts of functions apart
    OTHER = "other"  # only the registers that it writes matter


@dataclass(frozen=True)
class Instruction:
    """An instruction, decoded."""

    address: int
    verb: Verb = Verb.OTHER
    target: str = ""
    base: str = ""
    # bytes
    offset: int = 0
    symbol: str = ""
    # the registers that it changes
    writes: tuple[str, ...] = ()
    # the address that it jumps to, in the same section
    jumps_to: int | None = None
    # execution never continues after it
    ends: bool = False


@dataclass(frozen=True)
class Text:
    """An instruction as objdump prints it, taken apart."""

    address: int
    # the mnemonic
    name: str
    operands: tuple[str, ...]
    # of the relocation: symbol, addend in bytes, and type
    symbol: str = ""
    addend: int = 0
    relocation: str = ""
    # the address of a jump or a call in an operand
    goes_to: int | None = None

    def __str__(self) -> str:
        """The line that the forms of a decoding table match: `ldr r0,[r1, #4]@`, `adrp x0,0@symbol`."""
        return f"{self.name} {','.join(self.operands)}@{self.symbol}"


Decoder = Callable[[Text], Instruction]
# A decoding table by mnemonic: the first row whose pattern matches the whole mnemonic decodes the instruction.
Table = Sequence[tuple[re.Pattern[str], Decoder]]


@dataclass(frozen=True)
class Form:
    """A row of a table of values: the form of an instruction that puts a known value into a register."""

    # matches str(Text) from its start; the groups base (a register) and offset (a number) are optional
    pattern: re.Pattern[str]
    verb: Verb
    # the offset is subtracted
    negative: bool = False
    # bytes between the relocated field and the end of the instruction, which distances count from
    bytes_after_field: int = 0


@dataclass(frozen=True)
class Value:
    """The value that an instruction puts into a register: the fields of Instruction."""

    verb: Verb = Verb.OTHER
    base: str = ""
    offset: int = 0
    symbol: str = ""


def decoded(table: Table, text: Text) -> Instruction:
    """Decode an instruction by the first row of a table that has its mnemonic."""
    return next((decode(text) for pattern, decode in table if pattern.fullmatch(text.name)), Instruction(text.address))


def value(forms: Sequence[Form], text: Text, register: Callable[[str], str]) -> Value:
    """The value of the first form that matches.

    register: an operand -> the register's name, "" if it is not one. A form whose base is not a register does not
    match.
    """
    for form in forms:
        found = form.pattern.match(str(text))
        if not found:
            continue
        groups = found.groupdict()
        base = register(groups["base"]) if "base" in groups else ""
        if "base" in groups and not base:
            continue
        if form.verb is Verb.CURRENT:
            return Value(Verb.CURRENT)
        symbol = text.symbol if form.verb in (Verb.ADDRESS, Verb.LOAD) and "base" not in groups else ""
        offset = 0 if "base" in groups else text.addend + form.bytes_after_field
        if "offset" in groups:
            offset = int(groups["offset"] or "0", 0)
        return Value(form.verb, base, -offset if form.negative else offset, symbol)
    return Value()


def texts(lines: Sequence[str]) -> Iterator[Text]:
    """The instructions in lines of objdump; other lines are left out."""
    for line in lines:
        if found := _LINE.match(line):
            yield _text(int(found[1], 16), found[2])


def _text(address: int, line: str) -> Text:
    relocation = _RELOCATION.search(line)
    kind, symbol, addend = "", "", 0
    if relocation:
        line, kind = line[: relocation.start()], relocation[1]
        if found := _ADDEND.match(relocation[2]):
            symbol, addend = found[1], int(found[2] or "0", 16)
    name, *rest = _COMMENT.split(line)[0].split(None, 1) or [""]
    operands = rest[0].strip() if rest else ""
    target = _TARGET.search(operands)
    return Text(address, name, tuple(_operands(operands)), symbol, addend, kind, int(target[1], 16) if target else None)


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


# Decoders that instruction sets share


def end(text: Text) -> Instruction:
    """Execution does not continue after it."""
    return Instruction(text.address, ends=True)


def nothing(text: Text) -> Instruction:
    """It has no effect that matters."""
    return Instruction(text.address)


def call(text: Text, bytes_after_field: int = 0) -> Instruction:
    """A call of a symbol, or of a place in the section."""
    offset = text.addend + bytes_after_field if text.symbol else -1 if text.goes_to is None else text.goes_to
    return Instruction(text.address, Verb.CALL, symbol=text.symbol, offset=offset)


def jump(text: Text, bytes_after_field: int = 0, *, ends: bool) -> Instruction:
    """A jump to another section, or within the section."""
    if text.symbol:
        return Instruction(
            text.address, Verb.JUMP, symbol=text.symbol, offset=text.addend + bytes_after_field, ends=ends
        )
    return Instruction(text.address, jumps_to=text.goes_to, ends=ends)
