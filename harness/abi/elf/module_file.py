# SPDX-License-Identifier: Apache-2.0
"""Facts about a module file, read with pyelftools. The file may contain anything: damaged, foreign, empty."""

import functools
import io
import re
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from elftools.common.exceptions import ELFError
from elftools.construct import ConstructError
from elftools.elf.elffile import ELFFile

from harness.abi.elf.signature import Signature, split_signature
from harness.kernel.arch import ARCHITECTURES, Architecture, architecture_of_elf
from harness.support.errors import ModcompatError
from harness.support.inputs import content_of
from harness.support.module_name import MODULE_NAME, kernel_name
from harness.support.packed import PackedError, unpacked, unpacked_name

THIS_MODULE = ".gnu.linkonce.this_module"
# Errors that pyelftools raises for damaged input, its own among them.
DAMAGE = (
    ELFError, ConstructError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, AssertionError,
    OSError, MemoryError, RecursionError, struct.error,
)  # fmt: skip
_ARCHIVES = ((0, b"!<arch>\n", "an ar"), (0, b"PK\x03\x04", "a zip"), (257, b"ustar", "a tar"))  # offset, magic, name
_MAGIC = b"\x7fELF"
# The header of an ELF file (elf(5)), by its class: e_shoff, e_shentsize, e_shnum
_HEADER = {1: struct.Struct("<32xI10xHH2x"), 2: struct.Struct("<40xQ10xHH2x")}
_NAME = re.compile(MODULE_NAME, re.ASCII)
MAX_MODULE_BYTES = 512 << 20  # a module must fit into the memory of a guest
_MAX_SYMBOLS = 1 << 18  # the largest drivers have a fifth of that
_USED_IN_THE_FILE = (".BTF", ".BTF.base")  # any_section_objs() of kernel/module/main.c
_FLAGS = {1: "W", 2: "A", 4: "X"}  # SHF_WRITE, SHF_ALLOC, SHF_EXECINSTR
_VERSION = {32: struct.Struct("I60s"), 64: struct.Struct("Q56s")}  # struct modversion_info


@dataclass(frozen=True)
class Section:
    """A section that the loader uses."""

    name: str
    size: int  # bytes
    flags: str  # as readelf(1) shows them: W writable, A in memory, X code
    alignment: int = 1  # bytes

    @property
    def stays(self) -> bool:
        """Whether it is read-only memory that stays after init: layout_sections() in kernel/module/main.c."""
        discarded = self.name in (".modinfo", "__versions") or self.name.startswith((".init", ".ARM.exidx.init"))
        return "A" in self.flags and "W" not in self.flags and not discarded


@dataclass(frozen=True)
class Parameter:
    """A parameter, as module_param() and MODULE_PARM_DESC() describe it in .modinfo."""

    name: str
    kind: str = ""
    description: str = ""


@dataclass(frozen=True)
class Import:
    """A symbol that the kernel or another module must provide."""

    name: str
    weak: bool = False
    crc: int | None = None  # its version, None without MODVERSIONS


@dataclass(frozen=True)
class ModuleFacts:
    """The facts that a .ko contains about itself."""

    name: str  # the kernel's name for the module
    arch: Architecture | None = None  # None if it is not a known one
    vermagic: str = ""
    has_init: bool = True  # its struct module points to an init
    has_exit: bool = True  # its struct module points to an exit
    problem: str = ""  # why the file could not be read; then the other fields are a guess
    byte_order: str = "little"
    struct_size: int = 0  # bytes of its struct module
    init: int | None = None  # offset of the relocation for init in its struct module, bytes
    exit: int | None = None  # offset of the relocation for exit in its struct module, bytes
    info: dict[str, tuple[str, ...]] = field(default_factory=dict)  # each key of .modinfo with its values
    parameters: tuple[Parameter, ...] = ()
    imports: tuple[Import, ...] = ()
    exports: tuple[str, ...] = ()
    versions: bool = False  # it has a table of CRCs
    other_versions: dict[str, int] = field(default_factory=dict)  # CRCs of symbols it does not import: module_layout
    extended_versions: dict[str, int] | None = None  # CRCs of EXTENDED_MODVERSIONS, None if it has no such table
    sections: tuple[Section, ...] = ()
    compiler: str = ""
    signature: Signature | None = None
    forced: bool = False  # not a fact of the file: it is loaded in spite of vermagic and versions, as by `insmod -f`

    @property
    def licence(self) -> str:
        return next(iter(self.info.get("license", ())), "")

    @property
    def release(self) -> str:
        """The release of the kernel that it was built for, from its vermagic; "" without one."""
        return next(iter(self.vermagic.split()), "")

    @property
    def depends(self) -> tuple[str, ...]:
        """The modules that must be loaded first."""
        return tuple(name for name in ",".join(self.info.get("depends", ())).split(",") if name)

    @property
    def soft_depends(self) -> tuple[str, ...]:
        """Names or aliases of modules that modprobe loads first if it can (`softdep pre:`)."""
        names, before = [], False
        for word in " ".join(self.info.get("softdep", ())).split():
            if word.endswith(":"):
                before = word == "pre:"
            elif before:
                names.append(word)
        return tuple(names)

    @property
    def aliases(self) -> tuple[str, ...]:
        return self.info.get("alias", ())

    @property
    def code(self) -> int:
        """Bytes of code that stays loaded."""
        return _laid_out(section for section in self.sections if section.stays and "X" in section.flags)

    @property
    def constants(self) -> int:
        """Bytes of read-only data that stay loaded."""
        return _laid_out(section for section in self.sections if section.stays and "X" not in section.flags)

    @property
    def bss(self) -> int:
        return sum(section.size for section in self.sections if section.name == ".bss")

    def has_section(self, name: str) -> bool:
        """Whether it has a section of that name that is not empty."""
        return any(section.name == name and section.size for section in self.sections)


def _laid_out(sections: Iterable[Section]) -> int:
    """Bytes of sections in a row, with their alignment: module_get_offset() in kernel/module/main.c."""
    end = 0
    for section in sections:
        end = -(-end // section.alignment) * section.alignment + section.size
    return end


def read_module(path: Path) -> ModuleFacts:
    """Facts about a module file. Raises OSError if the file cannot be read, and nothing because of its content."""
    guess = name_of(path)
    content = content_of(path, MAX_MODULE_BYTES)
    if not content:
        return ModuleFacts(guess, problem="the file is empty")
    try:
        return _read(unpacked(content, MAX_MODULE_BYTES), guess)
    except PackedError as error:
        return ModuleFacts(guess, problem=str(error))
    except DAMAGE as error:
        return ModuleFacts(guess, problem=damage(error))


def name_of(path: Path) -> str:
    """The kernel's name of a module, from the name of its file: snd_pcm for snd-pcm.ko.zst (scripts/Makefile.lib)."""
    return kernel_name(unpacked_name(path).removesuffix(".ko"))


def damage(error: Exception) -> str:
    """One line about a damaged file, from one of the errors in DAMAGE."""
    return f"not a whole ELF file: {' '.join(str(error).split()) or type(error).__name__}"


def inspect_module(path: Path) -> ModuleFacts:
    """Like read_module(), but raises a ModcompatError of one line if the file is not a module."""
    try:
        facts = read_module(path)
    except OSError as error:
        raise ModcompatError(f"cannot read {path}: {error.strerror}") from None
    if facts.problem:
        raise ModcompatError(f"{path}: {facts.problem}")
    if facts.arch is None:
        raise ModcompatError(f"{path}: it is for none of {', '.join(ARCHITECTURES)}")
    return facts


@functools.lru_cache(64)
def _read(content: bytes, guess: str) -> ModuleFacts:
    content, signature = split_signature(content)
    if problem := _elf_problem(content):
        return ModuleFacts(guess, problem=problem)
    elf: Any = ELFFile(io.BytesIO(content))
    arch = architecture_of_elf(elf["e_machine"], elf.elfclass) if elf.little_endian else None
    sections = list(elf.iter_sections())
    _check_bounds(sections, len(content))
    info = _modinfo(elf)
    if info is None:
        return ModuleFacts(guess, arch, problem="it has no .modinfo section: not a kernel module")
    if elf["e_type"] != "ET_REL":
        return ModuleFacts(guess, arch, problem="it is linked, not relocatable: not a kernel module")
    name = next(iter(info.get("name", ())), guess)
    if name in (".", "..") or ("name" in info and not _NAME.fullmatch(name)):
        return ModuleFacts(guess, arch, problem=f"it is called {name!a}, which is not a valid name of a module")
    symbols = _symbols(elf)
    names = {symbol.name for symbol in symbols}
    versions = _versions(elf)
    struct_size, init, exit_ = _struct_module(elf, sections)
    return ModuleFacts(
        name=name,
        arch=arch,
        vermagic=next(iter(info.get("vermagic", ())), ""),
        has_init=init is not None,
        has_exit=exit_ is not None,
        byte_order="little" if elf.little_endian else "big",
        struct_size=struct_size,
        init=init,
        exit=exit_,
        info=info,
        parameters=_parameters(info),
        imports=tuple(
            Import(symbol.name, symbol["st_info"]["bind"] == "STB_WEAK", versions.get(symbol.name))
            for symbol in symbols
            if symbol["st_shndx"] == "SHN_UNDEF" and symbol.name
        ),
        # include/linux/export.h: an exported symbol has an entry of that name
        exports=tuple(sorted(name.removeprefix("__ksymtab_") for name in names if name.startswith("__ksymtab_"))),
        versions=elf.get_section_by_name("__versions") is not None,
        other_versions={name: crc for name, crc in versions.items() if name not in names},
        extended_versions=_extended_versions(elf),
        sections=tuple(
            Section(section.name, section["sh_size"], _flags(section["sh_flags"]), section["sh_addralign"] or 1)
            for section in sections
            if section["sh_flags"] & 2 or section.name in _USED_IN_THE_FILE  # SHF_ALLOC
        ),
        compiler=_compiler(elf),
        signature=signature,
    )


def _elf_problem(content: bytes) -> str | None:
    """The reason why this is not a complete ELF file, judging by its first bytes; None if it may be one."""
    if not content.startswith(_MAGIC[: len(content)]):
        found = next((kind for at, magic, kind in _ARCHIVES if content.startswith(magic, at)), None)
        return f"it is {found} archive: unpack it first" if found else "it is not an ELF file"
    header = _HEADER.get(content[4]) if len(content) > 4 else None
    if len(content) < (header.size if header else len(_MAGIC) + 1):
        return f"it is cut short: there are only {len(content)} bytes of it"
    if header and content[5] == 1:  # little-endian
        table, size, count = header.unpack_from(content)
        if table + size * count > len(content):
            end = table + size * count
            return f"it is cut short: its table of sections ends at byte {end}, the file at {len(content)}"
    return None


def _check_bounds(sections: list[Any], size: int) -> None:
    for section in sections:
        end = section["sh_offset"] + section["sh_size"]
        if section["sh_type"] not in ("SHT_NULL", "SHT_NOBITS") and end > size:
            raise ValueError(f"section {section.name or '?'} ends at byte {end}, the file at {size}")
        # A compressed section declares its own size.
        if section["sh_type"] != "SHT_NOBITS" and section.data_size > MAX_MODULE_BYTES:
            raise ValueError(f"section {section.name or '?'} claims to unpack to {section.data_size} bytes")


def _symbols(elf: Any) -> list[Any]:
    table = elf.get_section_by_name(".symtab")
    if not table:
        return []
    if table.num_symbols() > _MAX_SYMBOLS:
        raise ValueError(f"it has {table.num_symbols()} symbols, too many for a module")
    return list(table.iter_symbols())


def _modinfo(elf: Any) -> dict[str, tuple[str, ...]] | None:
    section = elf.get_section_by_name(".modinfo")
    if section is None:
        return None
    info: dict[str, tuple[str, ...]] = {}
    for entry in section.data().split(b"\0"):
        key, equals, value = entry.decode(errors="backslashreplace").partition("=")
        if equals:
            info[key] = (*info.get(key, ()), value)
    return info


def _parameters(info: dict[str, tuple[str, ...]]) -> tuple[Parameter, ...]:
    """include/linux/moduleparam.h: `parmtype=name:type`, `parm=name:description`."""
    kinds = dict(_halves(info.get("parmtype", ())))
    words = dict(_halves(info.get("parm", ())))
    return tuple(Parameter(name, kinds.get(name, ""), words.get(name, "")) for name in {**kinds, **words})


def _halves(entries: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for entry in entries:
        name, _, rest = entry.partition(":")
        yield name, rest


def _versions(elf: Any) -> dict[str, int]:
    section = elf.get_section_by_name("__versions")
    if section is None:
        return {}
    entry, content = _VERSION[elf.elfclass], section.data()
    whole = content[: len(content) // entry.size * entry.size]
    return {
        name.split(b"\0")[0].decode(errors="backslashreplace"): crc & 0xFFFFFFFF
        for crc, name in entry.iter_unpack(whole)
    }


def _extended_versions(elf: Any) -> dict[str, int] | None:
    """The names and CRCs of kernel/module/version.c of 6.14; None unless it has both sections."""
    crcs, names = (elf.get_section_by_name(f"__version_ext_{what}") for what in ("crcs", "names"))
    if crcs is None or names is None:
        return None
    listed = (name.decode(errors="backslashreplace") for name in names.data().split(b"\0"))
    values = (crc for (crc,) in struct.iter_unpack("I", crcs.data()[: crcs["sh_size"] // 4 * 4]))
    return dict(zip(listed, values, strict=False))


def _struct_module(elf: Any, sections: list[Any]) -> tuple[int, int | None, int | None]:
    """Bytes of its struct module, and the offsets of the relocations for init and exit in it.

    modpost writes them (scripts/mod/modpost.c, add_header()). The kernel ignores the names of their symbols, which may
    have been changed; then the offsets distinguish them.
    """
    index = next((number for number, section in enumerate(sections) if section.name == THIS_MODULE), None)
    if index is None:
        raise ValueError(f"it has no section {THIS_MODULE}")
    size = sections[index]["sh_size"]
    named: dict[str, int] = {}
    others: list[int] = []
    for section in sections:
        if section["sh_type"] not in ("SHT_REL", "SHT_RELA") or section["sh_info"] != index:
            continue
        table = elf.get_section(section["sh_link"])
        for entry in section.iter_relocations():
            name = table.get_symbol(entry["r_info_sym"]).name
            if name in ("init_module", "cleanup_module"):
                named[name] = entry["r_offset"]
            else:
                others.append(entry["r_offset"])
    init, exit_ = named.get("init_module"), named.get("cleanup_module")
    for place in sorted(others):
        # include/linux/module.h: init comes before the module's memory layout, exit after nearly everything
        if init is None and place < size * 3 // 4:
            init = place
        elif exit_ is None:
            exit_ = place
    return size, init, exit_


def _compiler(elf: Any) -> str:
    section = elf.get_section_by_name(".comment")
    return section.data().strip(b"\0").split(b"\0")[0].decode(errors="backslashreplace") if section else ""


def _flags(bits: int) -> str:
    return "".join(letter for bit, letter in _FLAGS.items() if bits & bit)
