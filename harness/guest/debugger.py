# SPDX-License-Identifier: Apache-2.0
"""Input for debuggers: the kernel's symbols, and the addresses of a module's sections."""

import json
from pathlib import Path

from harness.guest.backtrace import Symbols, read_symbols
from harness.kernel.arch import Architecture
from harness.kernel.build import Kernel
from harness.support import process
from harness.support.errors import ModcompatError

_PRINT_SECTIONS = """\
for s in $(ls -A /sys/module/{name}/sections 2>/dev/null); do
	echo "modcompat: section {name} $s $(cat /sys/module/{name}/sections/$s)" >/dev/kmsg
done"""
# Reads, in gdb, the lines that _PRINT_SECTIONS printed
_ADD_SYMBOLS = """\
python
import json
import re
found = {{}}
for line in open({log!r}, errors="replace"):
    section = re.search(r"modcompat: section (\\S+) (\\S+) (0x[0-9a-f]+)", line)
    if section:
        found.setdefault(section[1], {{}})[section[2]] = section[3]
for module, file in {modules!r}.items():
    places = found.get(module, {{}})
    if ".text" in places:
        rest = " ".join(f"-s {{name}} {{at}}" for name, at in places.items() if name != ".text")
        gdb.execute(f"add-symbol-file {{json.dumps(file, ensure_ascii=False)}} {{places['.text']}} {{rest}}")
    else:
        print(f"{{module}} is not loaded yet: source this file again when it is")
end
"""


def symbols_for_debugger(kernel: Kernel, folder: Path) -> Path:
    """The kernel's vmlinux; if it was not kept, an ELF file with the functions of its System.map.

    Raises ModcompatError if it has neither.
    """
    if kernel.vmlinux:
        return kernel.vmlinux
    symbols = read_symbols(kernel.symbols) if kernel.symbols.is_file() else Symbols((), 0)
    if not symbols.functions:  # Debian's is a stub
        raise ModcompatError(
            "this kernel came without its vmlinux and its System.map, so that gdb would not know a function",
            next_step="use a kernel that modcompat builds, or name its System.map: `system_map` in [[prebuilt]]",
        )
    start = symbols.functions[0][0]
    names = kernel.arch.debugger
    hollow, script, made = folder / "hollow", folder / "symbols.txt", folder / "symbols.elf"
    with hollow.open("wb") as file:
        file.truncate(symbols.end - start)
    # Only functions below `end`. The kernel frees its init functions before a guest has a shell, but
    # their names do no harm.
    script.write_text(
        "\n".join(
            f"--add-symbol {name}=.text:0x{address - start:x},global,function"
            for address, name in symbols.functions
            if start <= address < symbols.end
        )
    )
    process.output(
        [
            f"{kernel.arch.cross_compile}objcopy", "-I", "binary", "-O", names.target, "-B", names.architecture,
            "--rename-section", ".data=.text,alloc,load,readonly,code", f"@{script}",
            "--change-section-address", f".data=0x{start:x}", hollow, made,
        ]
    )  # fmt: skip
    hollow.unlink()
    return made


def start_script(commands: dict[str, str]) -> str:
    """A shell script for the guest: loads modules, and prints the addresses of their sections to the kernel log.

    commands: the kernel's name for a module -> the command that loads it.
    """
    return "".join(f"{command}\n{_PRINT_SECTIONS.format(name=name)}\n" for name, command in commands.items())


def gdb_script(arch: Architecture, symbols: Path, socket: Path, log: Path, modules: dict[str, Path]) -> str:
    """Commands that attach gdb to a guest. modules: the kernel's name -> file."""
    files = {name: str(path) for name, path in modules.items()}
    kernel = json.dumps(str(symbols), ensure_ascii=False)
    return (
        f"set architecture {arch.debugger.gdb}\nset pagination off\nfile {kernel}\n"
        f"target remote {socket}\n{_ADD_SYMBOLS.format(log=str(log), modules=files)}"
    )
