# SPDX-License-Identifier: Apache-2.0
"""The functions that module-visible headers define, and that modules compile in, for any kernel, in seconds."""

import json
import re
import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.abi.elf.functions import Code, read_code
from harness.abi.headers.compile_until_clean import attempts
from harness.abi.headers.probe import probe_inputs, probing
from harness.kernel.arch import Architecture
from harness.kernel.config import KernelSpec
from harness.kernel.module_headers import headers_of
from harness.kernel.toolchain import environment
from harness.support import digest, process
from harness.support.cache.store import Store
from harness.support.paths import IMAGES
from harness.support.progress import task

_PROBE = IMAGES / "inlines"
_READER = 4  # raise when what is read of the probe changes

# gcc -aux-info: "/* file:line:NF */ static bool name (arguments); ...", F for a definition
_DEFINED = re.compile(
    r"^/\* (?P<file>.+?):(?P<line>\d+):[NO]F \*/ static (?:.*?[ *(])?(?P<name>\w+) \((?!\*)", re.MULTILINE
)
# What the compiler says of a function, and the assembler, which knows lines only
_IN_FUNCTION = re.compile(r"(?:In function|inlined from) \W(\w+)\W")
_AT_LINE = re.compile(r"^(?P<file>[^:\n]+):(?P<line>\d+): Error:")
_Places = Mapping[tuple[str, int], Iterable[str]]  # file and line -> the functions that a macro made of it


@dataclass(frozen=True)
class Inlines:
    """functions: their code, by name. left_out: those that the compiler would not compile by themselves."""

    functions: dict[str, Code]
    left_out: tuple[str, ...] = ()


def kernel_inlines(spec: KernelSpec, store: Store) -> Inlines:
    """The code of each function that a kernel's headers define. Cached.

    Each is compiled as a function of its own, in which calls of others stay calls. Those that only exist inlined
    with constant arguments (an immediate operand of an instruction is made of one) are left out: they are part of
    who calls them. Function tracing's call sites are left out everywhere. Needs `make modules_prepare`, no kernel
    build. Raises ModcompatError when the probe does not compile.
    """
    headers = headers_of(spec, store)
    inputs = {**probe_inputs(headers, _READER), "inlines": digest.of_tree(_PROBE)}

    def build(folder: Path) -> None:
        what = f"compiling the inlined functions of the {spec.title}"
        with probing(headers, folder, what, store) as probe, task(what, 4) as running:
            shutil.copytree(_PROBE, probe.folder, dirs_exist_ok=True)
            command = [*headers.make, f"M={probe.folder}", "CC_FLAGS_FTRACE=", "inlines.o"]
            left_out: list[str] = []
            for names in _attempts(probe.folder, command, spec.arch, folder):
                left_out += names
                running.step()
            found = Inlines(read_code(probe.folder / "inlines.o"), tuple(left_out))
            running.step()
        (folder / "functions.json").write_text(json.dumps(asdict(found)))

    found = store.get_or_build("inlines", spec.label, inputs, build)
    facts = json.loads((found / "functions.json").read_text())
    functions = {name: Code(**{**code, "refers": tuple(code["refers"])}) for name, code in facts["functions"].items()}
    return Inlines(functions, tuple(facts["left_out"]))


def _attempts(scratch: Path, command: list[str | Path], arch: Architecture, logs: Path) -> Iterator[list[str]]:
    """Read which functions there are, then compile them without those that cannot be, until all can.

    Gives what was left out in each attempt.
    """
    table, env = scratch / "functions.h", environment(arch)
    table.write_text("")
    process.run(command, env=env, log=logs / "inlines.log", what="reading the functions of the headers")
    yield []
    defined = _defined((scratch / "functions.aux").read_text())
    names = dict.fromkeys(name for found in defined.values() for name in found if name not in arch.constant_only)

    def compile_all(names: list[str], log: Path) -> None:
        table.write_text(_uses(names))
        process.run(command, env=env, log=log, what="compiling the functions of the headers")

    def blamed(log: str, names: list[str]) -> list[str]:
        return sorted(set(_culprits(log, defined)).intersection(names))

    yield from attempts(names, compile_all, blamed, logs)


def _defined(listed: str) -> dict[tuple[str, int], list[str]]:
    """The functions that the compiler lists, by file and line: a macro can make many of them in one."""
    found: dict[tuple[str, int], list[str]] = defaultdict(list)
    for entry in _DEFINED.finditer(listed):
        found[entry["file"], int(entry["line"])].append(entry["name"])
    return dict(found)


def _uses(names: list[str]) -> str:
    """A use of each function by its address: the compiler then has to make a function of it."""
    plain = "".join(f"#undef {name}\n" for name in names)  # macros of the same name
    return plain + "void *const functions[] = {\n" + "".join(f"\t(void *){name},\n" for name in names) + "};\n"


def _culprits(log: str, defined: _Places) -> Iterator[str]:
    """The functions in which a compiler or an assembler found errors.

    What the compiler says of a function follows on its name, and on that of the function it was inlined into.
    """
    compiled = ""
    for line in log.splitlines():
        if found := _IN_FUNCTION.search(line):
            compiled = found[1]
        elif " error: " in line and compiled:
            yield compiled
        elif found := _AT_LINE.match(line):
            before = [place for place in defined if place[0] == found["file"] and place[1] <= int(found["line"])]
            yield from defined[max(before)] if before else ()
