# SPDX-License-Identifier: Apache-2.0
"""arm and arm64: the target is the first operand."""

import re
from collections.abc import Iterator
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

_MEMORY = re.compile(r"^\[(\w+)(?:, #(-?\w+))?\]!?$")
_CONDITION = r"(?:eq|ne|cs|cc|mi|pl|vs|vc|hi|ls|ge|lt|gt|le)?"
_READS = re.compile(r"^(cmp|cmn|tst|teq|ccmp|dmb|dsb|isb|nop|pld|prf|push|msr|mcr)")
_SIZES = {"x": 8, "d": 8, "q": 16}  # of registers, bytes; others have 4
_PAIRS = {"ldp": "ldr", "ldnp": "ldr", "ldrd": "ldr", "stp": "str", "stnp": "str", "strd": "str"}


def decode(text: Text) -> Iterator[Instruction]:
    """An instruction of arm or arm64; one that loads or stores a pair of registers as two."""
    yield from (decoded(_TABLE, one) for one in _single(text))


def _single(text: Text) -> Iterator[Text]:
    name = _PAIRS.get(text.name)
    place = _MEMORY.match(text.operands[2]) if name and len(text.operands) == 3 else None
    if not name or not place or text.operands[2].endswith("!"):
        yield text
        return
    one, other, _ = text.operands
    size = _SIZES.get(one[0], 4)
    second = f"[{place[1]}, #{int(place[2] or '0', 0) + size}]"
    both = [
        replace(text, name=name, operands=(one, text.operands[2])),
        replace(text, name=name, operands=(other, second)),
    ]
    # the base may be the first register
    yield from both[::-1] if _register(one) == _register(place[1]) else both


def _coprocessor(text: Text) -> Instruction:
    """The target follows the coprocessor and an opcode."""
    return _data(replace(text, operands=text.operands[2:]))


def _pop(text: Text) -> Instruction:
    return end(text) if "pc" in (text.operands or ("",))[-1] else _data(text)


def _store(text: Text) -> Instruction:
    memory = _memory(text)
    if not memory:
        return _data(text)
    return Instruction(
        text.address, Verb.STORE, _register(text.operands[0]), *memory, writes=_updated_base(text, memory)
    )


def _data(text: Text) -> Instruction:
    if not text.operands:
        return nothing(text)
    memory = _memory(text)
    targets = text.operands[: 2 if text.name in _PAIRS else 1]
    written = tuple(register for operand in targets for register in _registers(operand))
    writes = () if _READS.match(text.name) else written
    found = value(_VALUES, text, _register)
    writes += _updated_base(text, memory) if memory else ()
    return Instruction(
        text.address, found.verb, _register(text.operands[0]), found.base, found.offset, found.symbol, writes
    )


def _updated_base(text: Text, memory: tuple[str, int]) -> tuple[str, ...]:
    """The base register, if the instruction also updates it."""
    return (memory[0],) if not text.operands[-1].endswith("]") else ()


def _register(operand: str) -> str:
    """The name of a register: w and x registers are the same; "" for a list like {r4, lr}."""
    return f"x{operand[1:]}" if re.fullmatch(r"w\d+", operand) else operand if re.fullmatch(r"\w+", operand) else ""


def _registers(operand: str) -> Iterator[str]:
    for name in re.findall(r"\w+", operand) if operand.startswith("{") else [operand]:
        yield _register(name)


def _memory(text: Text) -> tuple[str, int] | None:
    """Base and offset of the first operand that is in memory."""
    for operand in text.operands:
        if found := _MEMORY.match(operand):
            return _register(found[1]), int(found[2] or "0", 0)
    return None


_LOADS = r"(?:ld(?!m)|pld|prf)\S* "
_VALUES = (
    Form(re.compile(r"mrc [^,]+,cr13,cr0,\{3\}@"), Verb.CURRENT),
    Form(re.compile(r"mrs .*,sp_el0@"), Verb.CURRENT),
    Form(re.compile(r"movw \w+,#(?P<offset>\w+)@."), Verb.ADDRESS),  # arm keeps addends in the instruction
    Form(re.compile(r"(?:adrp|add) .*@."), Verb.ADDRESS),
    Form(re.compile(rf"{_LOADS}.*@."), Verb.LOAD),
    Form(re.compile(rf"{_LOADS}[^\[]*\[(?P<base>\w+)(?:, #(?P<offset>-?\w+))?\]!?(?:,[^\[]*)?@$"), Verb.LOAD),
    Form(re.compile(r"mov \w+,(?P<base>\w+)@"), Verb.MOVE),
    Form(re.compile(r"adds? \w+,(?P<base>\w+),#(?P<offset>-?\w+)@"), Verb.MOVE),
    Form(re.compile(r"subs? \w+,(?P<base>\w+),#(?P<offset>-?\w+)@"), Verb.MOVE, negative=True),
)
_TABLE: Table = (
    (re.compile(r"bl|blr|blx"), call),
    (re.compile(r"b"), lambda text: jump(text, ends=True)),
    (re.compile(rf"b{_CONDITION}|b\.\w+|cbn?z|tbn?z"), lambda text: jump(text, ends=False)),
    (re.compile(r"ret|bx|br|udf|brk"), end),
    (re.compile(r"pop"), _pop),
    (re.compile(r"movt"), nothing),  # the upper half of the value that movw began
    (re.compile(r"mrc"), _coprocessor),
    (re.compile(r"st(?!m).*"), _store),
    (re.compile(r".*"), _data),
)
