# SPDX-License-Identifier: Apache-2.0
"""Addresses in a loaded module have the names that the kernel would print."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.abi.elf.code_places import CodeSection, code_sections, place_in
from tests.unit.tools import need

SOURCE = """
__attribute__((noinline)) int first(int *x) { return *x + 1; }
int second(int *x) { return first(x) * 2; }
__attribute__((section(".init.text"))) int begin(int *x) { return second(x); }
int not_code;
"""


@pytest.fixture
def module(tmp_path: Path) -> Path:
    need("gcc")
    source = tmp_path / "x.c"
    source.write_text(SOURCE)
    subprocess.run(["gcc", "-c", "-O1", "-o", tmp_path / "x.ko", source], check=True)
    return tmp_path / "x.ko"


def test_an_address_is_named_by_its_function(module: Path) -> None:
    sections = code_sections(module)
    assert {".text", ".init.text"} <= set(sections)
    offset, size, _ = next(place for place in sections[".text"].functions if place[2] == "second")
    starts = {".text": 0xA0000000, ".init.text": 0xA0005000}
    assert place_in(sections, starts, 0xA0000000 + offset + 1) == f"second+0x1/0x{size:x}"
    assert str(place_in(sections, starts, 0xA0005000)).startswith("begin+0x0/")
    assert place_in(sections, starts, 0xA0009000) is None
    assert place_in(sections, {}, 0xA0000000) is None


def test_code_without_a_function_has_its_address_as_name() -> None:
    sections = {".text": CodeSection(0x40, ((0x10, 0x8, "f"),))}
    assert place_in(sections, {".text": 0x1000}, 0x1008) == "0x1008"
    assert place_in(sections, {".text": 0x1000}, 0x1017) == "f+0x7/0x8"
    assert place_in(sections, {".text": 0x1000}, 0x1018) == "0x1018"


@given(st.binary(max_size=300))
def test_a_file_that_is_no_module_has_no_code(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = tmp_path_factory.mktemp("damaged") / "x.ko"
    file.write_bytes(b"\x7fELF\x02\x01\x01" + content)
    assert isinstance(code_sections(file), dict)
