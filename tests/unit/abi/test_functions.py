# SPDX-License-Identifier: Apache-2.0
"""Reading the code of functions from small files that the tests compile."""

import subprocess
from pathlib import Path

from harness.abi.elf.functions import FunctionBody, read_functions
from tests.unit.tools import need

SOURCE = """
%(ahead)s
extern void schedule(void);
extern int printk(const char *text, ...);
static const int table[] = { 1, 2, %(constant)s };
static struct { int a, b; } pairs[3];
static int helper(int x) { static int calls; return x + ++calls; }
int first(int x) { return helper(x) + %(constant)s; }
int third(int x) { return table[x & 1] + ++pairs[%(element)s].b; }
void second(void) { printk("%(text)s"); schedule(); }
"""
FLAGS = ("-O2", "-fno-inline", "-ffunction-sections", "-fdata-sections", "-fno-pic", "-fcf-protection=none", "-c")


def code(
    folder: Path, *, ahead: str = "", constant: str = "5", text: str = "hello", element: str = "1"
) -> dict[str, FunctionBody]:
    source = folder / "file.c"
    source.write_text(SOURCE % {"ahead": ahead, "constant": constant, "text": text, "element": element})
    subprocess.run(["gcc", *FLAGS, str(source), "-o", str(folder / "file.o")], check=True)
    return read_functions(folder / "file.o")


def test_what_stands_elsewhere_in_a_file_does_not_matter(tmp_path: Path) -> None:
    ahead = 'static int calls; const char *name(void) { calls++; return "another text"; }'
    before, after = code(tmp_path), code(tmp_path, ahead=ahead)
    assert before == {name: after[name] for name in before}
    assert "name" in after


def test_a_change_shows_where_it_is(tmp_path: Path) -> None:
    before, after = code(tmp_path), code(tmp_path, constant="6")
    assert [name for name in before if before[name] != after[name]] == ["first", "third"]
    other = code(tmp_path, element="2")
    assert [name for name in before if before[name] != other[name]] == ["third"]


def test_calls_are_by_name_and_strings_by_content(tmp_path: Path) -> None:
    before, after = code(tmp_path), code(tmp_path, text="other")
    assert any(reference.endswith(" helper") for reference in before["first"].relocations)
    assert any(reference.endswith("'hello'") for reference in before["second"].relocations)
    assert any(reference.endswith(" schedule") for reference in before["second"].relocations)
    assert before["second"].digest == after["second"].digest
    assert before["second"] != after["second"]


def test_tables_of_strings_are_by_content_where_relocations_have_no_addends(tmp_path: Path) -> None:
    """On arm, the place of a string in its section is in the table (SHT_REL)."""
    compiler = "arm-linux-gnueabihf-gcc"
    need(compiler)

    def table(ahead: str, second: str) -> FunctionBody:
        names = f'static const char *const names[] = {{ "one", "{second}" }};'
        source = (
            f'const char *other(void) {{ return "{ahead}"; }}\n{names}\nconst char *name(int i) {{ return names[i]; }}'
        )
        (tmp_path / "file.c").write_text(source)
        subprocess.run([compiler, *FLAGS[:-2], "-c", "file.c", "-o", "file.o"], cwd=tmp_path, check=True)
        return read_functions(tmp_path / "file.o")["name"]

    assert table("x", "two") == table("a long text", "two")
    assert table("x", "two") != table("x", "six")


def test_functions_of_a_file_with_more_sections_than_a_symbol_can_number(tmp_path: Path) -> None:
    """The headers define 18,000 functions, and each has four sections on ARM."""
    numbers = range(66_000)
    (tmp_path / "many.s").write_text(
        "".join(f'.section .text.f{n},"ax"\n.type f{n},%function\nf{n}: .long {n}\n.size f{n},4\n' for n in numbers)
        + '.section .text.last,"ax"\n.type last,%function\nlast: .long f65999\n.size last,4\n'
    )
    subprocess.run(["as", "many.s", "-o", "many.o"], cwd=tmp_path, check=True)
    functions = read_functions(tmp_path / "many.o")
    assert len({functions[f"f{n}"].digest for n in numbers}) == len(numbers)
    assert functions["last"].relocations == ("0: 10 f65999",)
