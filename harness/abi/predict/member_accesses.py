# SPDX-License-Identifier: Apache-2.0
"""The members of the kernel's structures that a module's code touches, read from its instructions.

A module is compiled with the offsets of its headers. If a register holds a pointer to a known structure, a load or a
store through it names a member. Known pointers are `current`, the results of imported functions, imported data, the
module's own struct module, and the arguments of the module's callbacks, as far as the tables that hold the callbacks
(struct file_operations ...) are passed to an imported function. Pointers are followed from structure to structure.

Each function is read once from beginning to end; the state at a jump is carried to its target. This is not a proof:
changes inside a loop are not seen at the loop's beginning, and calls through pointers are not followed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from harness.abi.elf.exported_types import ExportedTypes, Type, pointee
from harness.abi.predict.instructions import Instruction, Verb
from harness.kernel.arch import CallingConvention

MODULE = "struct module"
_MAX_ROUNDS = 8  # of reading everything again with newly found callbacks
_MAX_DEPTH = 4  # structures embedded in one another
# What functions call first in a kernel with a function tracer. They keep all registers.
_TRACERS = ("__fentry__", "__gnu_mcount_nc", "_mcount")


@dataclass(frozen=True, order=True)
class MemberAccess:
    """A place in a structure that code touches."""

    struct: str
    offset: int  # bytes
    function: str  # of the module


@dataclass(frozen=True)
class SectionOffset:
    """A place in the module's file."""

    section: str
    offset: int  # bytes


@dataclass(frozen=True)
class Pointer:
    """A pointer into a structure of the kernel."""

    struct: str
    offset: int = 0  # bytes from its start


Value = SectionOffset | Pointer
_Place = TypeVar("_Place", int, SectionOffset)
CURRENT = Pointer("struct task_struct")


@dataclass(frozen=True)
class Function:
    """A function of the module."""

    name: str
    place: SectionOffset
    body: tuple[Instruction, ...]  # in the order of their addresses


@dataclass(frozen=True)
class ModuleCode:
    """A module's code and the pointers in its data."""

    convention: CallingConvention
    functions: Mapping[SectionOffset, Function]
    symbols: Mapping[str, SectionOffset] = field(default_factory=dict)  # name -> its definition
    # place -> the target of the relocation there: a place in the module, or the name of an import
    links: Mapping[SectionOffset, SectionOffset | str] = field(default_factory=dict)


def accesses(code: ModuleCode, exports: ExportedTypes) -> tuple[MemberAccess, ...]:
    """The members that a module's code touches, of the structures that the exported types lead to."""
    reader = _Reader(code, exports)
    for _ in range(_MAX_ROUNDS):
        if not reader.read_all():
            break
    return tuple(sorted(reader.found))


class _Reader:
    def __init__(self, code: ModuleCode, exports: ExportedTypes) -> None:
        self._code = code
        self._exports = exports
        self.found: set[MemberAccess] = set()
        # of functions, by register; None where callers have different ones
        self._arguments: dict[SectionOffset, dict[str, Value | None]] = {}
        self._objects: set[tuple[SectionOffset, str]] = set()  # the module's own objects, with their structures
        # states at the targets of jumps from other sections: those of the previous round, and of this one
        self._arriving: dict[SectionOffset, dict[str, Value]] = {}
        self._leaving: dict[SectionOffset, dict[str, Value]] = {}

    def read_all(self) -> bool:
        """Read every function once. Returns whether it found something that another round could use."""
        before = self._knowledge()
        for function in self._code.functions.values():
            self._read(function)
        news = self._leaving != self._arriving
        self._arriving, self._leaving = self._leaving, {}
        return news or self._knowledge() != before

    def _knowledge(self) -> tuple[int, int]:
        return sum(map(len, self._arguments.values())), len(self._objects)

    def _read(self, function: Function) -> None:
        """Read a function, starting from its known arguments."""
        known = self._arguments.get(function.place, {})
        state = {register: value for register, value in known.items() if value is not None}
        # Nothing is known to lead to the code behind an end (reached only by a jump backwards, or padding), and to the
        # parts of functions that the compiler moved to another section. So it does not count where paths meet.
        is_reached = not function.name.endswith(".cold")
        section, own = function.place.section, {step.address for step in function.body}
        jumps: dict[int, dict[str, Value]] = {
            place.offset: dict(known)
            for place, known in self._arriving.items()
            if place.section == section and place.offset in own
        }
        for step in function.body:
            arriving = jumps.pop(step.address, None)
            if arriving is not None:
                state, is_reached = _common(state, arriving) if is_reached else arriving, True
            self._execute(function, step, state)
            if step.jumps_to is not None and is_reached:
                _meet(jumps, step.jumps_to, state)
            if step.ends:
                state, is_reached = {}, False
        for address, left in jumps.items():
            if address not in own:
                self._enter(SectionOffset(section, address), left)

    def _execute(self, function: Function, step: Instruction, state: dict[str, Value]) -> None:
        value: Value | None = None
        match step.verb:
            case Verb.CALL:
                self._call(function, step, state)
            case Verb.JUMP:
                self._pass(step.symbol, self._address(step.symbol, step.offset), state)
            case Verb.CURRENT:
                value = CURRENT
            case Verb.ADDRESS:
                value = self._address(step.symbol, step.offset)
            case Verb.MOVE:
                value = _moved(self._held(step.base, state), step.offset)
            case Verb.LOAD | Verb.STORE:
                value = self._memory(function, step, state)
        for register in step.writes:
            _set(state, register, value if register == step.target else None)
        if self._code.convention.stack in step.writes:  # slots have other offsets now
            for slot in [name for name in state if _is_slot(name, self._code.convention.stack)]:
                del state[slot]

    def _held(self, register: str, state: dict[str, Value]) -> Value | None:
        """The value in a register."""
        return CURRENT if register == self._code.convention.current else state.get(register)

    def _memory(self, function: Function, step: Instruction, state: dict[str, Value]) -> Value | None:
        """The value that a load or a store leaves in its register or stack slot."""
        if step.symbol:
            base = self._address(step.symbol, step.offset)
            return self._touch(function, base, 0) if isinstance(base, Pointer) else self._variable(step.symbol)
        if step.base != self._code.convention.stack:
            return self._touch(function, self._held(step.base, state), step.offset)
        slot = f"{step.base}{step.offset}"
        if step.verb is Verb.STORE:
            _set(state, slot, state.get(step.target))
        return state.get(slot)

    def _enter(self, place: SectionOffset, state: dict[str, Value]) -> None:
        """Note what is known where a jump leads to: the beginning of a function, or a place in one."""
        if place not in self._code.functions or self._code.functions[place].name.endswith(".cold"):
            _meet(self._leaving, place, state)
            return
        for register in self._code.convention.arguments:
            if (value := state.get(register)) is not None:
                self._give(place, register, value)

    def _touch(self, function: Function, base: Value | None, offset: int) -> Value | None:
        """Record an access through a pointer. Returns the pointer that the member holds."""
        if not isinstance(base, Pointer) or base.offset + offset < 0:
            return None
        self.found.add(MemberAccess(base.struct, base.offset + offset, function.name))
        return _value(self._leads(base.struct, base.offset + offset))

    def _call(self, function: Function, step: Instruction, state: dict[str, Value]) -> None:
        if step.symbol in _TRACERS:
            return
        result = self._pass(step.symbol, self._callee(function, step), state)
        for register in self._code.convention.lost_in_calls:
            state.pop(register, None)
        _set(state, self._code.convention.result, result)

    def _callee(self, function: Function, step: Instruction) -> Value | None:
        """The module's own function that is called."""
        if step.symbol or step.offset < 0:
            return self._address(step.symbol, step.offset)
        return SectionOffset(function.place.section, step.offset)

    def _pass(self, symbol: str, place: Value | None, state: dict[str, Value]) -> Value | None:
        """Follow the arguments of a call, or of a jump, to an imported function or a place in the module.

        Returns what the imported function returns.
        """
        kind = self._exports.symbols.get(symbol)
        if isinstance(kind, tuple) and kind:
            for register, parameter in zip(self._code.convention.arguments, kind[1:], strict=False):
                self._learn(state.get(register), parameter)
            return _value(kind[0])
        if isinstance(place, SectionOffset):
            self._enter(place, state)
        return None

    def _learn(self, value: Value | None, kind: Type) -> None:
        """Learn that the module passes one of its own objects to the kernel as a type."""
        if not isinstance(value, SectionOffset):
            return
        if isinstance(kind, tuple):
            self._called_back(value, kind)
        elif struct := pointee(kind):
            self._own(value, struct, 0)

    def _own(self, place: SectionOffset, struct: str, depth: int) -> None:
        """Record the structure of one of the module's objects, and follow its pointers to others and to callbacks."""
        if depth > _MAX_DEPTH or ((place, struct) in self._objects and not depth):
            return
        self._objects.add((place, struct))
        for entry in self._exports.fields.get(struct, ()):
            at = SectionOffset(place.section, place.offset + entry.offset)
            target = self._code.links.get(at)
            if isinstance(entry.type, str) and not entry.type.startswith("*"):
                self._own(at, entry.type, depth + 1)
            elif isinstance(target, SectionOffset):
                self._learn(target, entry.type)

    def _called_back(self, place: SectionOffset, kind: tuple[Type, ...]) -> None:
        for register, parameter in zip(self._code.convention.arguments, kind[1:], strict=False):
            if struct := pointee(parameter):
                self._give(place, register, Pointer(struct))

    def _give(self, place: SectionOffset, register: str, value: Value) -> None:
        arguments = self._arguments.setdefault(place, {})
        if arguments.setdefault(register, value) != value:
            arguments[register] = None

    def _address(self, symbol: str, offset: int) -> Value | None:
        if symbol == "__this_module":
            return Pointer(MODULE, offset)
        if symbol in self._code.symbols:
            place = self._code.symbols[symbol]
            return SectionOffset(place.section, place.offset + offset)
        kind = self._exports.symbols.get(symbol)
        return Pointer(kind, offset) if isinstance(kind, str) and kind and not kind.startswith("*") else None

    def _variable(self, symbol: str) -> Value | None:
        """The pointer that an imported variable holds."""
        kind = self._exports.symbols.get(symbol)
        return _value(kind) if kind is not None else None

    def _leads(self, struct: str, offset: int) -> Type:
        """The type at an offset in a structure, also inside embedded structures."""
        fields = self._exports.fields.get(struct, ())
        for entry in fields:
            if entry.offset == offset and (isinstance(entry.type, tuple) or entry.type.startswith("*")):
                return entry.type
        inner = [entry for entry in fields if entry.offset <= offset and entry.type in self._exports.fields]
        if not inner:
            return ""
        nearest = max(inner, key=lambda entry: entry.offset)
        return self._leads(str(nearest.type), offset - nearest.offset)


def _value(kind: Type) -> Value | None:
    struct = pointee(kind)
    return Pointer(struct) if struct else None


def _moved(value: Value | None, offset: int) -> Value | None:
    if isinstance(value, Pointer):
        return Pointer(value.struct, value.offset + offset)
    return SectionOffset(value.section, value.offset + offset) if value else None


def _is_slot(name: str, stack: str) -> bool:
    """Whether a part of a state is a place on the stack, and no register."""
    return name.startswith(stack) and name.removeprefix(stack).lstrip("-").isdigit()


def _meet(states: dict[_Place, dict[str, Value]], place: _Place, state: dict[str, Value]) -> None:
    """Add a path that leads to a place: what is known there is what all paths have in common."""
    known = states.get(place)
    states[place] = dict(state) if known is None else _common(known, state)


def _set(state: dict[str, Value], register: str, value: Value | None) -> None:
    if value is None:
        state.pop(register, None)
    else:
        state[register] = value


def _common(one: Mapping[str, Value], other: Mapping[str, Value]) -> dict[str, Value]:
    return {register: value for register, value in one.items() if other.get(register) == value}
