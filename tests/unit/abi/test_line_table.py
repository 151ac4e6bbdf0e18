# SPDX-License-Identifier: Apache-2.0
"""Lines of the source for addresses in a module are those of addr2line(1)."""

import lzma
import re
import subprocess
from pathlib import Path

import pytest

from harness.abi.elf.line_table import ModuleLines
from tests.unit.tools import need

SOURCE = """
extern int other(int);

static inline int twice(int x)
{
	if (x > 4)
		return other(x) + 1;
	return x * 2;
}

int first(int *x, int y)
{
	int sum = twice(*x);

	for (; y; y--)
		sum += twice(y) ^ x[y];
	return sum;
}

int second(int *x)
{
	return twice(first(x, 3));
}
"""


def build(folder: Path, source: str, *options: str, compiler: str = "gcc") -> Path:
    need(compiler)
    (folder / "x.c").write_text(source)
    subprocess.run([compiler, "-c", "-g", "-O2", *options, "-o", folder / "x.ko", folder / "x.c"], check=True)
    return folder / "x.ko"


def lines_by_binutils(file: Path, function: str, offsets: range) -> list[str]:
    command = ["addr2line", "-e", str(file), "-j", f".text.{function}", *map(hex, offsets)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [re.sub(r" \(discriminator \d+\)$", "", line.rsplit("/", 1)[-1]) for line in said.splitlines()]


@pytest.mark.parametrize("version", [4, 5])
def test_each_byte_of_a_function_has_the_line_that_addr2line_gives(version: int, tmp_path: Path) -> None:
    """The compiler emits several rows for an address where it inlines a function; the last one counts."""
    file = build(tmp_path, SOURCE, f"-gdwarf-{version}", "-ffunction-sections")
    lines = ModuleLines(file)
    for function, size in (("first", 40), ("second", 20)):
        found = [lines.find(function, offset) for offset in range(size)]
        assert found == lines_by_binutils(file, function, range(size))


def test_a_packed_module_has_lines(tmp_path: Path) -> None:
    file = build(tmp_path, SOURCE)
    packed = file.with_suffix(".ko.xz")
    packed.write_bytes(lzma.compress(file.read_bytes()))
    wanted = ModuleLines(file).find("second", 0)
    assert wanted
    assert ModuleLines(packed).find("second", 0) == wanted
    packed.write_bytes(packed.read_bytes()[:-9])
    assert ModuleLines(packed).find("second", 0) is None


def test_a_small_address_has_room_for_many_sections(tmp_path: Path) -> None:
    """Where each section had 16 MB of addresses, that of the 257th did not fit into 32 bits."""
    source = "".join(f"int f{number}(int x)\n{{\n\treturn x + {number};\n}}\n" for number in range(300))
    file = build(tmp_path, source, "-O0", "-ffunction-sections", compiler="arm-linux-gnueabihf-gcc")
    lines = ModuleLines(file)
    assert [lines.find(f"f{number}", 0) for number in (0, 299)] == ["x.c:2", f"x.c:{299 * 4 + 2}"]
