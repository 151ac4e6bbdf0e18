# SPDX-License-Identifier: Apache-2.0
"""The types of all exported symbols of a kernel, as its headers declare them. Cached."""

import json
import re
from pathlib import Path
from typing import Any

from harness.abi.elf.exported_types import PREFIX, ExportedTypes, Field, Type, read_exported_types
from harness.abi.headers.compile_until_clean import compile_until_clean
from harness.abi.headers.probe import HeaderProbe, probe_inputs, probing
from harness.kernel.module_headers import Headers
from harness.kernel.source import KernelSource
from harness.support import process
from harness.support.cache.store import Store
from harness.support.errors import ModcompatError
from harness.support.progress import task

_EXPORTS_CACHE_VERSION = 3  # raise when the facts read from the probe, or their cached form, change
_EXPORT = r"\bEXPORT_(PER_CPU_)?SYMBOL(_GPL|_NS|_NS_GPL)?\([A-Za-z_0-9]+"
_NOT_EXPORTING = ("Documentation", "tools", "samples", "scripts", "LICENSES", "certs", "usr")
_WORD = re.compile(r"[A-Za-z_]\w*")
_ERROR_LINE = re.compile(r"^\S*probe\.c:(\d+):\d+: error:", re.MULTILINE)


def kernel_exported_types(headers: Headers, store: Store) -> ExportedTypes:
    """The types of a kernel's exports, from its headers. Cached.

    Needs `make modules_prepare`, but no kernel build. An exported symbol that no header of the probe declares is left
    out. Raises ModcompatError if the headers do not compile, or if a build tree has no list of exports.
    """

    def build(folder: Path) -> None:
        exported = _exported(headers, store)
        what = f"reading the exports of {headers.label}"
        with probing(headers, folder, what, store) as probe, task(what, 3) as running:
            preprocessed = probe.make("probe.i", folder / "preprocess.log")
            declared = set(_WORD.findall(preprocessed.read_text(errors="replace")))
            running.step()
            compiled = _compile(probe, sorted(declared & exported), folder)
            running.step()
            types = read_exported_types(compiled)
            running.step()
        facts = {
            "symbols": types.symbols,
            "prototypes": types.prototypes,
            "fields": {
                name: [[part.offset, part.name, part.type] for part in parts] for name, parts in types.fields.items()
            },
        }
        (folder / "surface.json").write_text(json.dumps(facts))

    found = store.get_or_build("surface", headers.label, exported_types_inputs(headers), build)
    facts = json.loads((found / "surface.json").read_text())
    fields = {
        name: tuple(Field(offset, member, _type(kind)) for offset, member, kind in parts)
        for name, parts in facts["fields"].items()
    }
    symbols = {name: _type(kind) for name, kind in facts["symbols"].items()}
    return ExportedTypes(symbols, fields, facts["prototypes"])


def exported_types_inputs(headers: Headers) -> dict[str, object]:
    """Everything that the types of a kernel's exports depend on, for cache keys."""
    return probe_inputs(headers, _EXPORTS_CACHE_VERSION)


def _compile(probe: HeaderProbe, names: list[str], logs: Path) -> Path:
    """Compile the probe with a pointer to each symbol. Names that turn out not to be symbols are dropped."""
    headers = probe.source.read_text()
    first = headers.count("\n") + 1  # the line of the first name

    def compile_all(names: list[str], log: Path) -> None:
        probe.source.write_text(headers + "".join(f"__typeof__(&{name}) {PREFIX}{name};\n" for name in names))
        probe.linked(log)

    def blamed(log: str, names: list[str]) -> list[str]:
        wrong = {int(number) - first for number in _ERROR_LINE.findall(log)}
        return [] if min(wrong, default=-1) < 0 else [name for index, name in enumerate(names) if index in wrong]

    for _ in compile_until_clean(names, compile_all, blamed, logs):
        pass
    return probe.elf


def _exported(headers: Headers, store: Store) -> set[str]:
    """Every name that a kernel may export; it may contain more."""
    if headers.source:
        return _exported_in(headers.source, store)
    if headers.exports is None:
        raise ModcompatError(
            f"{headers.tree()} has no Module.symvers, the list of its kernel's exports",
            next_step="`make modules` writes it there",
        )
    return set(headers.exports)


def _exported_in(source: KernelSource, store: Store) -> set[str]:
    """Every name that a source tree exports in some configuration."""

    def build(folder: Path) -> None:
        tree = source.tree()
        folders = [path for path in sorted(tree.iterdir()) if path.is_dir() and path.name not in _NOT_EXPORTING]
        command = ["grep", "-rhoE", "--include=*.[chS]", _EXPORT, *(str(path) for path in folders)]
        names = {line.rpartition("(")[2] for line in process.output(command).splitlines()}
        (folder / "names").write_text("\n".join(sorted(names)))

    found = store.get_or_build(
        "exports", source.label.replace(" ", "-"), {**source.identity, "reader": _EXPORTS_CACHE_VERSION}, build
    )
    return set((found / "names").read_text().split())


def _type(kind: Any) -> Type:
    return tuple(_type(part) for part in kind) if isinstance(kind, list) else str(kind)
