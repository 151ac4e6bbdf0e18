# SPDX-License-Identifier: Apache-2.0
"""The probe: a source file that includes the headers that modules include, compiled against a kernel's headers."""

import gc
import json
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.abi.headers.compile_until_clean import compile_until_clean
from harness.kernel.module_headers import Headers
from harness.kernel.toolchain import environment
from harness.support import digest, process
from harness.support.cache.store import Store
from harness.support.folders import copy_content
from harness.support.paths import IMAGES
from harness.support.progress import say, task

_PROBE = IMAGES / "probe"
_HEADERS_CACHE_VERSION = 1  # raise when other headers are found to compile

# Output of gcc -H: it enters a header that the probe itself includes; an error in the current header
_ENTERED = re.compile(r"^\. (?P<path>\S+)$")
_ERROR = re.compile(r" (?:fatal )?error: (?P<text>.*)$")
# Errors that the missing end of a declaration in an earlier header may cause
_UNENDED = re.compile(r"storage class specified|expected .=|no such parameter|declaration specifiers")
_MAX_HEADERS_SHOWN = 6
_LINKER_OPTIONS = ("--unresolved-symbols=ignore-all", "--entry=0", "--no-warnings")  # the result never runs


@dataclass(frozen=True)
class HeaderProbe:
    """A copy of the probe that may be written to."""

    folder: Path
    headers: Headers
    what: str  # the current activity, for progress and errors

    @property
    def source(self) -> Path:
        return self.folder / "probe.c"

    @property
    def elf(self) -> Path:
        return self.folder / "probe.elf"

    def make(self, target: str, log: Path, flags: str = "") -> Path:
        """Make `probe.i`, `probe.s` or `probe.o`. flags: further flags for the compiler.

        Raises ModcompatError with the compiler's last lines.
        """
        command = [*self.headers.make, f"M={self.folder}", f"KCFLAGS={flags}", target]
        process.run(command, env=environment(self.headers.arch), log=log, what=self.what)
        return self.folder / target

    def linked(self, log: Path) -> Path:
        """Make `probe.o` and link it: pyelftools takes twice as long if it must apply relocations itself.

        Raises the errors of make().
        """
        compiled = self.make("probe.o", log)
        linker = f"{self.headers.arch.cross_compile}ld"
        command: list[str | Path] = [linker, *_LINKER_OPTIONS, "-o", self.elf, compiled]
        process.run(command, env=environment(self.headers.arch), log=log.with_stem(f"link-{log.stem}"), what=self.what)
        return self.elf


@contextmanager
def probing(headers: Headers, folder: Path, what: str, store: Store) -> Iterator[HeaderProbe]:
    """A probe of all headers that compile. It is removed afterwards; its logs stay in the folder.

    Raises the errors of headers_left_out().
    """
    left_out = headers_left_out(headers, store)
    with _copied(headers, folder, what) as probe:
        probe.source.write_text(_including({name: it for name, it in listed().items() if name not in left_out}))
        yield probe
    gc.collect()  # pyelftools leaves reference cycles, which gc.freeze() in kernel_layouts() would keep for good


@contextmanager
def _copied(headers: Headers, folder: Path, what: str) -> Iterator[HeaderProbe]:
    """A copy of the probe without any headers."""
    scratch = folder / "scratch"
    copy_content(_PROBE, scratch)
    yield HeaderProbe(scratch, headers, what)
    shutil.rmtree(scratch)


def probe_inputs(headers: Headers, reader: int) -> dict[str, object]:
    """Everything that facts read from a probe depend on, for cache keys. reader: the version of the facts."""
    return {**headers.inputs, "probe": digest.of_tree(_PROBE), "headers": _HEADERS_CACHE_VERSION, "reader": reader}


def _including(headers: Mapping[str, str]) -> str:
    """C code that includes headers, each only if the kernel has it and the header that it needs."""
    return "".join(
        f"#if __has_include(<{name}>) && __has_include(<{needed}>)\n#include <{name}>\n#endif\n"
        for name, needed in headers.items()
    )


def headers_left_out(headers: Headers, store: Store) -> dict[str, str]:
    """Headers of the list that do not compile in a kernel, each with the compiler's first error. Cached.

    In kernels that the list was made for (scripts/probe.py), all of them compile. Raises ModcompatError if the headers
    cannot be prepared, or if the compiler does not report which header is wrong.
    """

    def build(folder: Path) -> None:
        needs = listed()
        left_out: dict[str, str] = {}
        what = f"reading the headers of {headers.label}"
        with _copied(headers, folder, what) as probe, task(what, 1) as running:

            def compile_all(names: list[str], log: Path) -> None:
                probe.source.write_text(_including({name: needs[name] for name in names}))
                probe.make("probe.s", log, flags="-H -fsyntax-only")

            for wrong in compile_until_clean(needs, compile_all, _wrong, folder):
                left_out |= wrong
                running.step()
            running.step()
        (folder / "left_out.json").write_text(json.dumps(left_out))
        if left_out:
            more = ", ..." if len(left_out) > _MAX_HEADERS_SHOWN else ""
            shown = ", ".join([*left_out][:_MAX_HEADERS_SHOWN])
            say(f"{len(left_out)} headers do not compile in {headers.label}: {shown}{more}")

    found = store.get_or_build("headers", headers.label, probe_inputs(headers, _HEADERS_CACHE_VERSION), build)
    left_out: dict[str, str] = json.loads((found / "left_out.json").read_text())
    return left_out


def listed() -> dict[str, str]:
    """The headers of the list, each with the architecture's header that it needs, or itself."""
    lines = (line.split() for line in (_PROBE / "headers.txt").read_text().splitlines())
    return {name: needed[0] if needed else name for name, *needed in lines}


def _wrong(log: str, names: Iterable[str]) -> dict[str, str]:
    """The headers of a probe in which the compiler found errors, with the first error of each.

    A declaration without an end causes errors in later headers: the first of these and the header before it are blamed.
    """
    known = set(names)
    found: dict[str, str] = {}
    before = entered = ""
    for line in log.splitlines():
        if match := _ENTERED.match(line):
            before, entered = entered, _name_of(match["path"], known) or ""
        elif entered and entered not in found and (match := _ERROR.search(line)):
            unended = _UNENDED.search(match["text"])
            if not unended:
                found[entered] = match["text"]
            elif not found:
                return {name: match["text"] for name in (before, entered) if name}
            else:
                break
    return found


def _name_of(path: str, known: set[str]) -> str | None:
    """The header whose file this is, None if it is none of the known ones."""
    parts = path.split("/")
    tails = ("/".join(parts[start:]) for start in range(len(parts)))
    return next((tail for tail in tails if tail in known), None)
