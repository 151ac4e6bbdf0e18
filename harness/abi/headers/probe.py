# SPDX-License-Identifier: Apache-2.0
"""The probe: a source file that includes what modules include, to be compiled against a kernel's headers."""

import gc
import json
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.abi.headers.compile_until_clean import attempts
from harness.kernel.module_headers import Headers
from harness.kernel.toolchain import environment
from harness.support import digest, process
from harness.support.cache.store import Store
from harness.support.folders import copy_content
from harness.support.paths import IMAGES
from harness.support.progress import say, task

_PROBE = IMAGES / "probe"
_READER = 1  # raise when other headers are found to compile

# What gcc -H says: that it enters a header of the probe itself; and an error in the one that it is in
_ENTERED = re.compile(r"^\. (?P<path>\S+)$")
_ERROR = re.compile(r" (?:fatal )?error: (?P<text>.*)$")
# From here on, errors may be those of a declaration that was not ended.
_UNENDED = re.compile(r"storage class specified|expected .=|no such parameter|declaration specifiers")
_SHOWN = 6  # headers
_LINKED = ("--unresolved-symbols=ignore-all", "--entry=0", "--no-warnings")  # it is to be read, not to run


@dataclass(frozen=True)
class Probe:
    """A copy of it that may be written to. what: what is being done, for progress and errors."""

    folder: Path
    headers: Headers
    what: str

    @property
    def source(self) -> Path:
        return self.folder / "probe.c"

    @property
    def elf(self) -> Path:
        return self.folder / "probe.elf"

    def make(self, target: str, log: Path, flags: str = "") -> Path:
        """Make `probe.i`, `probe.s` or `probe.o` of it. flags: more, for the compiler.

        Raises ModcompatError with the compiler's last lines.
        """
        command = [*self.headers.make, f"M={self.folder}", f"KCFLAGS={flags}", target]
        process.run(command, env=environment(self.headers.arch), log=log, what=self.what)
        return self.folder / target

    def linked(self, log: Path) -> Path:
        """Make `probe.o` of it, linked: pyelftools takes twice as long for one whose relocations it has to apply.

        Raises as make() does.
        """
        compiled = self.make("probe.o", log)
        linker = f"{self.headers.arch.cross_compile}ld"
        command: list[str | Path] = [linker, *_LINKED, "-o", self.elf, compiled]
        process.run(command, env=environment(self.headers.arch), log=log.with_stem(f"link-{log.stem}"), what=self.what)
        return self.elf


@contextmanager
def probing(headers: Headers, folder: Path, what: str, store: Store) -> Iterator[Probe]:
    """A probe of all headers that compile, which is gone afterwards. The logs stay in the folder.

    Raises ModcompatError as headers_left_out() does.
    """
    left_out = headers_left_out(headers, store)
    with _copied(headers, folder, what) as probe:
        probe.source.write_text(_including({name: it for name, it in listed().items() if name not in left_out}))
        yield probe
    gc.collect()  # what pyelftools made of it: cycles, which kernel_layouts() would keep with what it freezes


@contextmanager
def _copied(headers: Headers, folder: Path, what: str) -> Iterator[Probe]:
    """A probe that has no headers yet."""
    scratch = folder / "scratch"
    copy_content(_PROBE, scratch)
    yield Probe(scratch, headers, what)
    shutil.rmtree(scratch)


def probe_inputs(headers: Headers, reader: int) -> dict[str, object]:
    """Everything that what is read of it comes from, for cache keys. reader: raised when what is read changes."""
    return {**headers.inputs, "probe": digest.of_tree(_PROBE), "headers": _READER, "reader": reader}


def _including(headers: Mapping[str, str]) -> str:
    """A source file of headers, each with what it needs; those that a kernel does not have are no error."""
    return "".join(
        f"#if __has_include(<{name}>) && __has_include(<{needed}>)\n#include <{name}>\n#endif\n"
        for name, needed in headers.items()
    )


def headers_left_out(headers: Headers, store: Store) -> dict[str, str]:
    """Headers of the list that do not compile in a kernel, each with the compiler's first error. Cached.

    There are none in kernels that the list was made for (scripts/probe.py). Raises ModcompatError where the headers
    cannot be prepared, or the compiler does not say which of them is wrong.
    """

    def build(folder: Path) -> None:
        needs = listed()
        left_out: dict[str, str] = {}
        what = f"reading the headers of {headers.label}"
        with _copied(headers, folder, what) as probe, task(what, 1) as running:

            def compile_all(names: list[str], log: Path) -> None:
                probe.source.write_text(_including({name: needs[name] for name in names}))
                probe.make("probe.s", log, flags="-H -fsyntax-only")

            for wrong in attempts(needs, compile_all, _wrong, folder):
                left_out |= wrong
                running.step()
            running.step()
        (folder / "left_out.json").write_text(json.dumps(left_out))
        if left_out:
            more = ", ..." if len(left_out) > _SHOWN else ""
            say(f"{len(left_out)} headers do not compile in {headers.label}: {', '.join([*left_out][:_SHOWN])}{more}")

    found = store.get_or_build("headers", headers.label, probe_inputs(headers, _READER), build)
    left_out: dict[str, str] = json.loads((found / "left_out.json").read_text())
    return left_out


def listed() -> dict[str, str]:
    """The headers of the list, each with the one of an architecture that it needs, or itself."""
    lines = (line.split() for line in (_PROBE / "headers.txt").read_text().splitlines())
    return {name: needed[0] if needed else name for name, *needed in lines}


def _wrong(log: str, names: Iterable[str]) -> dict[str, str]:
    """The headers of a probe in which the compiler found errors, with the first of each.

    Of a declaration that was not ended, errors follow in other headers: the first is blamed, and the one before it.
    """
    known = set(names)
    found: dict[str, str] = {}
    before = entered = ""
    for line in log.splitlines():
        if match := _ENTERED.match(line):
            before, entered = entered, _name_of(match["path"], known)
        elif entered and entered not in found and (match := _ERROR.search(line)):
            unended = _UNENDED.search(match["text"])
            if not unended:
                found[entered] = match["text"]
            elif not found:
                return {name: match["text"] for name in (before, entered) if name}
            else:
                break
    return found


def _name_of(path: str, known: set[str]) -> str:
    """Which of the headers is in a file, "" where none is."""
    parts = path.split("/")
    tails = ("/".join(parts[start:]) for start in range(len(parts)))
    return next((tail for tail in tails if tail in known), "")
