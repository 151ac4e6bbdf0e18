# SPDX-License-Identifier: Apache-2.0
"""x86_64 in AT&T syntax: the target is the last operand."""

import re
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

_NAMES = {
    **{f"{p}{name}{s}": f"r{name}x" for name in "abcd" for p, s in (("r", "x"), ("e", "x"), ("", "x"), ("", "l"))},
    **{f"{p}{name}{s}": f"r{name}" for name in ("si", "di", "bp", "sp") for p in ("r", "e", "") for s in ("", "l")},
    **{f"r{n}{s}": f"r{n}" for n in range(8, 16) for s in ("", "d", "w", "b")},
}
_MEMORY = re.compile(r"^(-?0x[0-9a-f]+)?\((%\w+)\)$")
_READS = re.compile(r"^(cmp|test|bt[lqw]?$|out|prefetch)")
_DISTANCE = 4  # bytes: a distance to a symbol counts from the end of the field that holds it
_PLACE = r"(?P<offset>-?0x[0-9a-f]+)?\((?P<base>%\w+)\)"


def decode(text: Text) -> Instruction:
    """An instruction of x86_64."""
    return decoded(_TABLE, text)


def _prefixed(text: Text) -> Instruction:
    """The instruction after a prefix, which objdump prints as the first operand."""
    if not text.operands:
        return nothing(text)
    name, _, rest = text.operands[0].partition(" ")
    return decode(replace(text, name=name, operands=(rest.strip(), *text.operands[1:])))


def _data(text: Text) -> Instruction:
    if not text.operands:
        return nothing(text)
    source, target = text.operands[0], text.operands[-1]
    register = _register(target)
    place = _memory(target)
    if place:
        return Instruction(text.address, Verb.STORE, _register(source), *place)
    writes = () if _READS.match(text.name) or not register else (register,)
    found = value(_VALUES, replace(text, operands=(source, *([register] if register else []))), _register)
    if found.verb is Verb.MOVE and text.name in ("add", "sub"):
        found = replace(found, base=register)
    return Instruction(text.address, found.verb, register, found.base, found.offset, found.symbol, writes)


def _stack(text: Text) -> Instruction:
    """It moves the stack pointer, and may load a register."""
    popped = text.operands if text.name.startswith("pop") else ()
    return Instruction(text.address, writes=(*filter(None, map(_register, popped)), "rsp"))


def _register(operand: str) -> str:
    return _NAMES.get(operand[1:], "") if operand.startswith("%") else ""


def _memory(operand: str) -> tuple[str, int] | None:
    found = _MEMORY.match(operand)
    base = _register(found[2]) if found else ""
    return (base, int(found[1] or "0", 16)) if found and base else None


_VALUES = (
    Form(re.compile(r"mov [^,]*%gs:.*@(?:current_task|pcpu_hot)$"), Verb.CURRENT),
    Form(re.compile(r"lea [^,]*\(%rip\).*@."), Verb.ADDRESS, bytes_after_field=_DISTANCE),
    Form(re.compile(r"\w+ [^,]*\(%rip\).*@."), Verb.LOAD, bytes_after_field=_DISTANCE),
    Form(re.compile(r"\w+ \$.*@."), Verb.ADDRESS),
    Form(re.compile(r"mov 0x0.*@."), Verb.LOAD),
    Form(re.compile(rf"lea {_PLACE}.*@$"), Verb.MOVE),
    Form(re.compile(rf"\w+ {_PLACE}.*@$"), Verb.LOAD),
    Form(re.compile(r"mov (?P<base>%\w+)(?:,|@)"), Verb.MOVE),
    Form(re.compile(r"add \$(?P<offset>-?0x[0-9a-f]+),"), Verb.MOVE),
    Form(re.compile(r"sub \$(?P<offset>-?0x[0-9a-f]+),"), Verb.MOVE, negative=True),
)
_TABLE: Table = (
    (re.compile(r"lock|rep|notrack|data16|cs"), _prefixed),
    (re.compile(r"call.*"), lambda text: call(text, _DISTANCE)),
    (re.compile(r"jmp.*"), lambda text: jump(text, _DISTANCE, ends=True)),
    (re.compile(r"j.*"), lambda text: jump(text, _DISTANCE, ends=False)),
    (re.compile(r"(?:ret|ud2).*"), end),
    (re.compile(r"nop.*"), nothing),
    (re.compile(r"(?:push|pop|leave|enter).*"), _stack),
    (re.compile(r".*"), _data),
)
