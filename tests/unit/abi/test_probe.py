# SPDX-License-Identifier: Apache-2.0
"""Probe headers that do not compile are found with a real compiler and left out."""

from pathlib import Path

import pytest

from harness.abi.elf.dwarf import read_layouts
from harness.abi.headers.probe import headers_left_out, listed, probing
from harness.kernel.arch import X86_64
from harness.kernel.module_headers import Headers
from harness.support.cache.store import Store
from harness.support.errors import ModcompatError
from harness.support.paths import IMAGES

MAKEFILE = """
probe.o probe.s:
\tgcc -g -Iinclude $(KCFLAGS) -c -o $(M)/$@ $(M)/probe.c
"""


def kernel(folder: Path, monkeypatch: pytest.MonkeyPatch, **headers: str) -> Headers:
    """A kernel with these headers, all of which the probe lists."""
    probe = folder / "probe"
    (folder / "include").mkdir()
    probe.mkdir()
    for name, text in headers.items():
        (folder / f"include/{name}.h").write_text(text)
    (folder / "Makefile").write_text(MAKEFILE)
    elsewhere = "not-in-this-kernel.h\nbad.h not-in-this-architecture.h\n"
    (folder / "include/bad.h").write_text("bad")
    (probe / "headers.txt").write_text("".join(f"{name}.h\n" for name in headers) + elsewhere)
    monkeypatch.setattr("harness.abi.headers.probe._PROBE", probe)
    return Headers("a-kernel", X86_64, {"of": headers}, lambda: folder)


def compiles_without(headers: Headers, folder: Path) -> list[str]:
    store = Store(folder / "cache")
    left_out = headers_left_out(headers, store)
    with probing(headers, folder, "compiling", store) as probe:
        assert probe.make("probe.o", folder / "log").is_file()
    return list(left_out)


def test_headers_that_do_not_compile_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    headers = kernel(
        tmp_path,
        monkeypatch,
        first="struct first { int a; };",
        missing="#include <asm/of-another-architecture.h>",
        option="struct option { struct only_with_an_option it; };",
        nested='#include "option.h"\nint nested(struct first *);',
        last="int last(void);",
    )
    assert compiles_without(headers, tmp_path) == ["missing.h", "option.h", "nested.h"]


def test_a_declaration_that_is_not_ended_takes_no_more_than_the_next_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = {f"header{number}": f"extern int it{number};" for number in range(9)}
    headers = kernel(tmp_path, monkeypatch, before="int before;", unended="int unended(int)", **many)
    assert compiles_without(headers, tmp_path) == ["unended.h", "header0.h"]


def test_what_is_no_headers_fault_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    headers = kernel(tmp_path, monkeypatch, fine="int fine;")
    (tmp_path / "Makefile").write_text("probe.s:\n\tfalse\n")
    with pytest.raises(ModcompatError, match="reading the headers of a-kernel failed"):
        headers_left_out(headers, Store(tmp_path / "cache"))


def test_linked_it_has_the_same_structures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "struct first { long a; int b; } it; void elsewhere(void); void (*const refers)(void) = elsewhere;"
    headers = kernel(tmp_path, monkeypatch, first=text)
    with probing(headers, tmp_path, "compiling", Store(tmp_path / "cache")) as probe:
        compiled, linked = probe.make("probe.o", tmp_path / "log"), probe.linked(tmp_path / "log")
        assert read_layouts(linked) == read_layouts(compiled) != {}


def test_the_list_names_each_header_once() -> None:
    lines = (IMAGES / "probe/headers.txt").read_text().splitlines()
    assert len(lines) == len(listed()) > 3000
