"""Facts of a module file, read with pyelftools. The file may be anything: damaged, foreign, empty."""

import functools
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elftools.common.exceptions import ELFError
from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile

from harness.architectures import ARCHITECTURES, Architecture

# What pyelftools lets through on damaged input, beside its own errors.
DAMAGE = (ELFError, ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError, OSError, MemoryError)


@dataclass(frozen=True)
class ModuleFacts:
    """What a .ko says of itself. problem: why it could not be read (then the rest is a guess).

    code, constants: bytes of it that stay loaded and are not written to. name: the kernel's name for it.
    has_init, has_exit: whether struct module points to an init and an exit.
    """

    name: str
    arch: Architecture | None = None
    vermagic: str = ""
    has_init: bool = True
    has_exit: bool = True
    problem: str = ""
    code: int = 0
    constants: int = 0


def read_module(path: Path) -> ModuleFacts:
    """Facts of a module file; never raises for its content, OSError when it cannot be opened."""
    guess = path.stem.replace("-", "_")
    content = path.read_bytes()
    if not content:
        return ModuleFacts(guess, problem="the file is empty")
    try:
        return _read(content, guess)
    except DAMAGE as error:
        return ModuleFacts(guess, problem=f"not a whole ELF file: {error or type(error).__name__}")


def dependencies(path: Path) -> list[str]:
    """The modules that a module's file says it depends on, by the kernel's names; none where it cannot be read."""
    try:
        info = _modinfo(ELFFile(io.BytesIO(path.read_bytes()))) or {}
    except DAMAGE:
        return []
    return [name.replace("-", "_") for name in info.get("depends", "").split(",") if name]


@functools.lru_cache(64)
def _read(content: bytes, guess: str) -> ModuleFacts:
    elf: Any = ELFFile(io.BytesIO(content))
    identity = (elf["e_machine"], elf.elfclass)
    arch = next((arch for arch in ARCHITECTURES.values() if arch.elf == identity), None)
    info = _modinfo(elf)
    if info is None:
        return ModuleFacts(guess, arch, problem="it has no .modinfo section: not a kernel module")
    table: Any = elf.get_section_by_name(".symtab")
    symbols = {symbol.name for symbol in table.iter_symbols()} if table else set()
    loaded = [section for section in elf.iter_sections() if _stays_loaded(section)]
    return ModuleFacts(
        code=sum(section["sh_size"] for section in loaded if section["sh_flags"] & SH_FLAGS.SHF_EXECINSTR),
        constants=sum(section["sh_size"] for section in loaded if not section["sh_flags"] & SH_FLAGS.SHF_EXECINSTR),
        name=info.get("name", guess),
        arch=arch,
        vermagic=info.get("vermagic", ""),
        # modpost fills struct module from these aliases (scripts/mod/modpost.c, add_header())
        has_init="init_module" in symbols,
        has_exit="cleanup_module" in symbols,
    )


def _stays_loaded(section: Any) -> bool:
    """Read-only memory of a module after its init: layout_sections() of kernel/module/main.c."""
    flags, name = section["sh_flags"], section.name
    if not flags & SH_FLAGS.SHF_ALLOC or flags & SH_FLAGS.SHF_WRITE:
        return False
    return name not in (".modinfo", "__versions") and not name.startswith((".init", ".ARM.exidx.init"))


def _modinfo(elf: Any) -> dict[str, str] | None:
    section = elf.get_section_by_name(".modinfo")
    if section is None:
        return None
    info: dict[str, str] = {}
    for entry in section.data().split(b"\0"):
        key, _, value = entry.decode(errors="backslashreplace").partition("=")
        info.setdefault(key, value)
    return info
