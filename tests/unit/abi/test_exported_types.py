# SPDX-License-Identifier: Apache-2.0
"""The types of exported symbols, read from what GCC makes of them."""

import subprocess
from pathlib import Path

import pytest

from harness.abi.elf.exported_types import PREFIX, read_exported_types
from tests.unit.tools import need

WIDE = """
typedef unsigned long long size; typedef unsigned long long size_of_all;
typedef int (*action)(struct device *, size); typedef int call(size);
typedef enum { ON, OFF } state; typedef struct { size bytes; } area;
"""
NARROW = WIDE.replace("unsigned long long size;", "unsigned int size;")
OTHER_CALL = WIDE.replace("struct device *, size", "struct device *, size, int")


def prototype(folder: Path, types: str, exported: str) -> str:
    """The prototype of the symbol `vendor` that `exported` declares."""
    need("gcc")
    source, target = folder / "probe.c", folder / "probe.o"
    source.write_text(f"struct device; {types} {exported}\n__typeof__(&vendor) {PREFIX}vendor;\n")
    subprocess.run(["gcc", "-g", "-c", source, "-o", target], check=True)
    return read_exported_types(target).prototypes["vendor"]


@pytest.mark.parametrize(
    ("exported", "expected"),
    [
        ("extern size vendor(size_of_all);", "long long unsigned int (long long unsigned int)"),
        ("extern size vendor;", "long long unsigned int"),
        ("extern void vendor(action);", "void (int (*)(struct device *, long long unsigned int))"),
        ("extern void vendor(call *);", "void (int (*)(long long unsigned int))"),
        ("extern void vendor(state);", "void (enum state)"),
        ("extern void vendor(area *);", "void (area *)"),
        ("extern const size *vendor;", "const long long unsigned int *"),
    ],
)
def test_a_prototype_has_no_typedef(tmp_path: Path, exported: str, expected: str) -> None:
    assert prototype(tmp_path, WIDE, exported) == expected


@pytest.mark.parametrize(
    ("exported", "other"),
    [
        ("extern void vendor(size);", NARROW),
        ("extern size vendor[4];", NARROW),
        ("extern void vendor(call *);", NARROW),
        ("extern void vendor(struct { size bytes; } *);", NARROW),
        ("extern void vendor(action);", OTHER_CALL),
    ],
)
def test_prototypes_differ_if_a_typedef_stands_for_another_type(tmp_path: Path, exported: str, other: str) -> None:
    assert prototype(tmp_path, WIDE, exported) != prototype(tmp_path, other, exported)
