# SPDX-License-Identifier: Apache-2.0
"""The functions that module-visible headers define and modules compile in, for any kernel."""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.abi.elf.functions import FunctionBody, read_functions
from harness.abi.headers.compile_until_clean import compile_until_clean
from harness.abi.headers.probe import probe_inputs, probing
from harness.kernel.arch import Architecture
from harness.kernel.config import KernelSpec
from harness.kernel.module_headers import headers_of
from harness.kernel.toolchain import environment
from harness.support import digest, process
from harness.support.cache.store import Store
from harness.support.folders import copy_content
from harness.support.paths import IMAGES
from harness.support.progress import task

_PROBE = IMAGES / "inlines"
_INLINE_FUNCTIONS_CACHE_VERSION = 6  # raise when the facts read from the probe, or their cached form, change

# gcc -aux-info: "/* file:line:NF */ static bool name (arguments); ...", F for a definition
_DEFINED = re.compile(
    r"^/\* (?P<file>.+?):(?P<line>\d+):[NO]F \*/ static (?:.*?[ *(])?(?P<name>\w+) \((?!\*)", re.MULTILINE
)
# How the compiler names a function in an error, and how the assembler names a line
_IN_FUNCTION = re.compile(r"(?:In function|inlined from) \W(\w+)\W")
_AT_LINE = re.compile(r"^(?P<file>[^:\n]+):(?P<line>\d+): Error:")
_Places = Mapping[tuple[str, int], Iterable[str]]  # file and line -> the functions that are defined there


@dataclass(frozen=True)
class InlineFunctions:
    """The functions that a kernel's headers define."""

    functions: dict[str, FunctionBody]
    left_out: tuple[str, ...] = ()  # names of those that do not compile out of line


def kernel_inline_functions(spec: KernelSpec, store: Store) -> InlineFunctions:
    """The code of each function that a kernel's headers define. Cached.

    Each is compiled out of line, and its calls of other inline functions stay calls. Functions that need constant
    arguments, for instance as an immediate operand of an instruction, are left out: their code is part of their
    callers. The call sites of the function tracer are left out everywhere. Needs `make modules_prepare`, but no kernel
    build. Raises ModcompatError if the probe does not compile.
    """
    headers = headers_of(spec, store)
    inputs = {**probe_inputs(headers, _INLINE_FUNCTIONS_CACHE_VERSION), "inlines": digest.of_tree(_PROBE)}

    def build(folder: Path) -> None:
        what = f"compiling the inlined functions of the {spec.title}"
        with probing(headers, folder, what, store) as probe, task(what, 4) as running:
            copy_content(_PROBE, probe.folder)
            command = [*headers.make, f"M={probe.folder}", "CC_FLAGS_FTRACE=", "inlines.o"]
            left_out: list[str] = []
            for names in _attempts(probe.folder, command, spec.arch, folder):
                left_out += names
                running.step()
            found = InlineFunctions(read_functions(probe.folder / "inlines.o"), tuple(left_out))
            running.step()
        (folder / "functions.json").write_text(json.dumps(asdict(found)))

    found = store.get_or_build("inlines", spec.label, inputs, build)
    facts = json.loads((found / "functions.json").read_text())
    functions = {
        name: FunctionBody(**{**code, "relocations": tuple(code["relocations"])})
        for name, code in facts["functions"].items()
    }
    return InlineFunctions(functions, tuple(facts["left_out"]))


def _attempts(scratch: Path, command: list[str | Path], arch: Architecture, logs: Path) -> Iterator[list[str]]:
    """List the functions, then compile them, dropping those that do not compile. Yields the names dropped each time."""
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

    yield from compile_until_clean(names, compile_all, blamed, logs)


def _defined(listed: str) -> dict[tuple[str, int], list[str]]:
    """The functions that the compiler lists, by file and line: a macro can define many of them in one line."""
    found: dict[tuple[str, int], list[str]] = defaultdict(list)
    for entry in _DEFINED.finditer(listed):
        found[entry["file"], int(entry["line"])].append(entry["name"])
    return dict(found)


def _uses(names: list[str]) -> str:
    """C code that takes the address of each function, so that the compiler must emit it."""
    plain = "".join(f"#undef {name}\n" for name in names)  # macros of the same name
    return plain + "void *const functions[] = {\n" + "".join(f"\t(void *){name},\n" for name in names) + "};\n"


def _culprits(log: str, defined: _Places) -> Iterator[str]:
    """The functions in which a compiler or an assembler found errors.

    The compiler prints the name of a function, or of the function that it was inlined into, before its errors.
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
