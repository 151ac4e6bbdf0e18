"""Module files: anything may be in them, and nothing in them raises."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.abi.module_file import read_module

PROGRAM = Path("/bin/true").read_bytes()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "the file is empty"),
        (b"#!/bin/sh\nexit 0\n", "not a whole ELF file"),
        (b"\x7fELF", "not a whole ELF file"),
        (PROGRAM[:100], "not a whole ELF file"),
        (PROGRAM, "not a kernel module"),
    ],
    ids=["empty", "script", "magic", "header", "program"],
)
def test_a_file_that_is_no_module_says_why(tmp_path: Path, content: bytes, problem: str) -> None:
    file = tmp_path / "vendor-driver.ko"
    file.write_bytes(content)
    facts = read_module(file)
    assert problem in facts.problem
    assert facts.name == "vendor_driver"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300)
@given(cut=st.integers(0, len(PROGRAM)), position=st.integers(0, 4000), patch=st.binary(max_size=8))
def test_damage_never_raises(tmp_path: Path, cut: int, position: int, patch: bytes) -> None:
    damaged = bytearray(PROGRAM[:cut])
    damaged[position : position + len(patch)] = patch
    file = tmp_path / "damaged.ko"
    file.write_bytes(damaged)
    read_module(file)
