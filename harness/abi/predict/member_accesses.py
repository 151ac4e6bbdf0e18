# SPDX-License-Identifier: Apache-2.0
"""Which members of the kernel's structures a module's code touches, read from its instructions.

A module is compiled with the offsets of its headers. Where a register holds a pointer to a known structure, a load or
a store through it names a member. Known are `current`, what imported functions return, imported data, the module's own
struct module, and what the kernel hands to the module's callbacks, as far as the tables that hold these (struct
file_operations ...) were given to an imported function. Pointers are followed from structure to structure.

Each function is read once, from its beginning to its end, with what is known at a jump carried to its target. That is
no proof: what a loop changes is not seen at its beginning, nor are calls through pointers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.abi.elf.exported_types import Surface, Type, pointee
from harness.abi.predict.instructions import Instruction, Verb
from harness.kernel.arch import CallingConvention

MODULE = "struct module"
_ROUNDS = 8  # of reading on with what was found of callbacks


@dataclass(frozen=True, order=True)
class Access:
    """A place in a structure that code touches. offset: bytes. function: of the module."""

    struct: str
    offset: int
    function: str


@dataclass(frozen=True)
class Place:
    """Somewhere in the module's file: a section and an offset, bytes."""

    section: str
    offset: int


@dataclass(frozen=True)
class Pointer:
    """A pointer into a structure of the kernel. offset: bytes from its start."""

    struct: str
    offset: int = 0


Value = Place | Pointer
CURRENT = Pointer("struct task_struct")


@dataclass(frozen=True)
class Function:
    """A function's instructions, in order of their addresses."""

    name: str
    place: Place
    body: tuple[Instruction, ...]


@dataclass(frozen=True)
class Program:
    """A module's code and the pointers in its data.

    symbols: name -> where it is defined. links: place -> what a relocation puts there: a place, or an import's name.
    """

    convention: CallingConvention
    functions: Mapping[Place, Function]
    symbols: Mapping[str, Place] = field(default_factory=dict)
    links: Mapping[Place, Place | str] = field(default_factory=dict)


def accesses(program: Program, surface: Surface) -> tuple[Access, ...]:
    """What a program touches of the structures that a surface knows."""
    reader = _Reader(program, surface)
    for _ in range(_ROUNDS):
        if not reader.read_all():
            break
    return tuple(sorted(reader.found))


class _Reader:
    def __init__(self, program: Program, surface: Surface) -> None:
        self._program = program
        self._surface = surface
        self.found: set[Access] = set()
        self._given: dict[Place, dict[str, Value]] = {}  # what functions get in registers
        self._objects: set[tuple[Place, str]] = set()  # the module's own objects, with their structures
        self._arriving: dict[Place, dict[str, Value]] = {}  # with jumps from other sections, in the round before
        self._leaving: dict[Place, dict[str, Value]] = {}  # the same of this round

    def read_all(self) -> bool:
        """Read every function once; whether that brought anything that another round could use."""
        before = self._knowledge()
        for function in self._program.functions.values():
            self._read(function)
        news = self._leaving != self._arriving
        self._arriving, self._leaving = self._leaving, {}
        return news or self._knowledge() != before

    def _knowledge(self) -> tuple[int, int]:
        return sum(map(len, self._given.values())), len(self._objects)

    def _read(self, function: Function) -> None:
        """Read a function with what is known of its arguments."""
        # The compiler's parts of functions, kept apart, are only jumped to.
        state = None if function.name.endswith(".cold") else dict(self._given.get(function.place, {}))
        section = function.place.section
        jumps: dict[int, dict[str, Value]] = {
            place.offset: known for place, known in self._arriving.items() if place.section == section
        }
        for step in function.body:
            arriving = jumps.pop(step.address, None)
            if arriving is not None:
                state = arriving if state is None else _common(state, arriving)
            if state is None:
                state = {}  # only reached from behind, or from elsewhere
            self._execute(function, step, state)
            if step.jumps_to is not None:
                known = jumps.get(step.jumps_to)
                jumps[step.jumps_to] = dict(state) if known is None else _common(known, state)
            if step.ends:
                state = None

    def _execute(self, function: Function, step: Instruction, state: dict[str, Value]) -> None:
        value: Value | None = None
        match step.verb:
            case Verb.CALL:
                self._call(function, step, state)
            case Verb.JUMP:
                self._leave(step, state)
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

    def _held(self, register: str, state: dict[str, Value]) -> Value | None:
        """The value in a register."""
        return CURRENT if register == self._program.convention.current else state.get(register)

    def _memory(self, function: Function, step: Instruction, state: dict[str, Value]) -> Value | None:
        """A load or a store: what it gives."""
        if step.symbol:
            base = self._address(step.symbol, step.offset)
            return self._touch(function, base, 0) if isinstance(base, Pointer) else self._variable(step.symbol)
        if step.base != self._program.convention.stack:
            return self._touch(function, self._held(step.base, state), step.offset)
        slot = f"{step.base}{step.offset}"
        if step.verb is Verb.STORE:
            _set(state, slot, state.get(step.target))
        return state.get(slot)

    def _leave(self, step: Instruction, state: dict[str, Value]) -> None:
        if isinstance(place := self._address(step.symbol, step.offset), Place):
            known = self._leaving.get(place)
            self._leaving[place] = dict(state) if known is None else _common(known, state)

    def _touch(self, function: Function, base: Value | None, offset: int) -> Value | None:
        """Code goes through a pointer; the value is what it finds there."""
        if not isinstance(base, Pointer) or base.offset + offset < 0:
            return None
        self.found.add(Access(base.struct, base.offset + offset, function.name))
        return _value(self._leads(base.struct, base.offset + offset))

    def _call(self, function: Function, step: Instruction, state: dict[str, Value]) -> None:
        convention = self._program.convention
        kind = self._surface.symbols.get(step.symbol)
        result: Value | None = None
        if isinstance(kind, tuple) and kind:
            result = _value(kind[0])
            for register, parameter in zip(convention.arguments, kind[1:], strict=False):
                self._learn(state.get(register), parameter)
        elif isinstance(place := self._callee(function, step), Place):
            for register in convention.arguments:
                if (value := state.get(register)) is not None:
                    self._give(place, register, value)
        for register in convention.lost_in_calls:
            state.pop(register, None)
        _set(state, convention.result, result)

    def _callee(self, function: Function, step: Instruction) -> Value | None:
        """A function of the module's own."""
        if step.symbol or not step.offset:
            return self._address(step.symbol, step.offset)
        return Place(function.place.section, step.offset)

    def _learn(self, value: Value | None, kind: Type) -> None:
        """The module hands something of its own to the kernel as something of a type."""
        if not isinstance(value, Place):
            return
        if isinstance(kind, tuple):
            self._called_back(value, kind)
        elif struct := pointee(kind):
            self._own(value, struct, 0)

    def _own(self, place: Place, struct: str, depth: int) -> None:
        """An object of the module's is a structure: its pointers lead to more of them, and to callbacks."""
        if depth > 4 or ((place, struct) in self._objects and not depth):
            return
        self._objects.add((place, struct))
        for entry in self._surface.fields.get(struct, ()):
            at = Place(place.section, place.offset + entry.offset)
            target = self._program.links.get(at)
            if isinstance(entry.type, str) and not entry.type.startswith("*"):
                self._own(at, entry.type, depth + 1)
            elif isinstance(target, Place):
                self._learn(target, entry.type)

    def _called_back(self, place: Place, kind: tuple[Type, ...]) -> None:
        for register, parameter in zip(self._program.convention.arguments, kind[1:], strict=False):
            if struct := pointee(parameter):
                self._give(place, register, Pointer(struct))

    def _give(self, place: Place, register: str, value: Value) -> None:
        given = self._given.setdefault(place, {})
        if given.setdefault(register, value) != value:
            given.pop(register)  # called with this and with that

    def _address(self, symbol: str, offset: int) -> Value | None:
        if symbol == "__this_module":
            return Pointer(MODULE, offset)
        if symbol in self._program.symbols:
            place = self._program.symbols[symbol]
            return Place(place.section, place.offset + offset)
        kind = self._surface.symbols.get(symbol)
        return Pointer(kind, offset) if isinstance(kind, str) and kind and not kind.startswith("*") else None

    def _variable(self, symbol: str) -> Value | None:
        """What is loaded from an imported variable."""
        kind = self._surface.symbols.get(symbol)
        return _value(kind) if kind is not None else None

    def _leads(self, struct: str, offset: int) -> Type:
        """The type of what is at an offset in a structure, embedded ones looked into."""
        fields = self._surface.fields.get(struct, ())
        for entry in fields:
            if entry.offset == offset and (isinstance(entry.type, tuple) or entry.type.startswith("*")):
                return entry.type
        inner = [entry for entry in fields if entry.offset <= offset and entry.type in self._surface.fields]
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
    return Place(value.section, value.offset + offset) if value else None


def _set(state: dict[str, Value], register: str, value: Value | None) -> None:
    if value is None:
        state.pop(register, None)
    else:
        state[register] = value


def _common(one: Mapping[str, Value], other: Mapping[str, Value]) -> dict[str, Value]:
    return {register: value for register, value in one.items() if other.get(register) == value}
