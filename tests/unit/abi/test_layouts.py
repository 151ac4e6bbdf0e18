# SPDX-License-Identifier: Apache-2.0
"""Structure layouts and their differences, in small files that the tests compile."""

import subprocess
from pathlib import Path

import pytest
from elftools.common.exceptions import ELFError

from harness.abi.compare.layout_diff import LayoutDiff
from harness.abi.compare.layout_text import explain_move, explain_offset, explain_place, render, summarize_cause
from harness.abi.elf.dwarf import Layout, Member, read_enumerators, read_layouts
from harness.abi.elf.macro_table import read_macros, without_options

SOURCE = """
typedef struct raw_lock { unsigned int word; %s } raw_lock_t;
typedef struct lock { union { raw_lock_t raw; }; } lock_t;
struct list { struct list *next, *prev; };
struct mutex { long owner; raw_lock_t wait; struct list waiters; };
struct device { char name[16]; struct mutex guard; int a, b, c; const char *(*show)(int); };
struct packed { raw_lock_t lock; unsigned int ready : 1, done : 1; };
struct flags { unsigned int one : 3, two : 7; struct { short x; short y; } point; int open[]; };
struct plain { struct device *pointer; lock_t *lock; };
union both { int number; char bytes[4]; };
typedef struct { int counter; } atomic_t;
"""


ENUMERATORS = """
enum named { FIRST, SECOND, FAR = 1 << 20, BELOW = -2 };
enum { ALONE = 7 };
struct within { enum inner { INSIDE = 3 } state; };
"""


def compiled(folder: Path, text: str) -> Path:
    source = folder / "probe.c"
    source.write_text(text)
    target = source.with_suffix(".o")
    flags = ["-gdwarf-4", "-fno-eliminate-unused-debug-types", "-c"]
    subprocess.run(["gcc", *flags, str(source), "-o", str(target)], check=True)
    return target


def layouts(folder: Path, extra: str = "") -> dict[str, Layout]:
    return read_layouts(compiled(folder, SOURCE % extra))


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Layout]:
    return layouts(tmp_path_factory.mktemp("before"))


@pytest.fixture(scope="module")
def difference(tmp_path_factory: pytest.TempPathFactory, before: dict[str, Layout]) -> LayoutDiff:
    return LayoutDiff(before, layouts(tmp_path_factory.mktemp("after"), "void *debug; unsigned int magic;"))


def test_every_structure_is_read_with_its_size_and_alias(before: dict[str, Layout]) -> None:
    sizes = {name: (layout.size, layout.alias) for name, layout in before.items()}
    assert sizes["struct raw_lock"] == (4, "raw_lock_t")
    assert sizes["struct mutex"] == (32, None)
    assert sizes["union both"] == (4, None)
    assert sizes["atomic_t"] == (4, "atomic_t")


def test_members_have_offset_size_and_type(before: dict[str, Layout]) -> None:
    members = {member.name: member for member in before["struct device"].members}
    assert members["name"] == Member("name", 0, 16, "char[16]")
    assert members["guard"] == Member("guard", 16, 32, "struct mutex", "struct mutex")
    assert members["show"].type == "const char * (*)(int)"


def test_anonymous_members_and_bit_fields_are_looked_into(before: dict[str, Layout]) -> None:
    assert before["struct lock"].members == (Member("raw", 0, 4, "raw_lock_t", "struct raw_lock"),)
    members = {member.name: member for member in before["struct flags"].members}
    assert (members["two"].bits, members["two"].offset) == ((3, 7), 0)
    assert members["point.y"].offset == 4
    assert members["open"].size == 0


def test_equal_kernels_have_no_difference(before: dict[str, Layout]) -> None:
    same = LayoutDiff(before, before)
    assert same.changes == {}
    assert "0 of" in render(same)


def test_a_cause_is_told_from_its_victims(difference: LayoutDiff) -> None:
    assert difference.causes == {"struct raw_lock": ["struct lock", "struct mutex", "struct packed", "struct device"]}
    assert "struct plain" not in difference.changes


def test_a_chain_leads_from_the_victim_to_its_cause(difference: LayoutDiff) -> None:
    assert difference.chain("struct device") == ["struct device", "struct mutex", "struct raw_lock"]


def test_runs_of_shifted_members_are_folded(difference: LayoutDiff) -> None:
    (shift,) = difference.changes["struct device"].shifts
    assert (shift.first.name, shift.last.name, shift.count, shift.by) == ("a", "show", 4, 16)


def test_a_moved_member_is_explained(difference: LayoutDiff) -> None:
    assert explain_move(difference, "struct device", "show") == (
        "struct device.show 0x40 → 0x50, because struct mutex 32 → 48 in guard "
        "(because of raw_lock_t (struct raw_lock) 4 → 24)"
    )
    assert explain_move(difference, "struct device", "name") is None
    assert explain_move(difference, "struct plain", "lock") is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("struct calls { int (*back)(int); };", "struct calls { int (*back)(long, void *); };"),
        ("struct calls { int (*back)(int, ...); };", "struct calls { int (*back)(int); };"),
        ("struct table { struct { int a; } rows[3]; };", "struct table { struct { unsigned int a; } rows[3]; };"),
        ("struct table { struct { int a:3; } *row; };", "struct table { struct { int a:4; } *row; };"),
        ("struct line { char bytes[64]; };", "struct line { char bytes[64]; } __attribute__((aligned(64)));"),
    ],
)
def test_what_stands_in_its_place_may_differ_all_the_same(tmp_path: Path, one: str, other: str) -> None:
    before, after = (read_layouts(compiled(tmp_path, text)) for text in (one, other))
    assert len(LayoutDiff(before, after).changes) == 1
    assert len(LayoutDiff(before, before).changes) == 0


def test_members_of_a_structure_that_is_gone_are_not_kept(before: dict[str, Layout]) -> None:
    assert LayoutDiff(before, before).keeps_members
    assert not LayoutDiff(
        before, {name: layout for name, layout in before.items() if name != "struct flags"}
    ).keeps_members


def test_what_is_gone_is_told(before: dict[str, Layout]) -> None:
    less = {name: layout for name, layout in before.items() if name != "struct plain"}
    assert "1 more are gone: struct plain" in render(LayoutDiff(before, less))
    assert "plain is gone" in render(LayoutDiff(before, less), only="plain")


LOCKREF = "struct ref { union { long both; struct { struct { int word; %s } lock; int count; }; }; short n:%d, m:3; };"
ROWS = "struct row { char a[%d]; }; struct ref { int first; struct row rows[4]; };"


@pytest.mark.parametrize(
    ("one", "other", "offset", "words"),
    [
        (LOCKREF % ("", 5), LOCKREF % ("", 5), 4, ""),
        (LOCKREF % ("", 5), LOCKREF % ("int magic;", 5), 0, ""),
        (LOCKREF % ("", 5), LOCKREF % ("int magic;", 5), 4, "count 0x4 → 0x8"),
        (LOCKREF % ("", 5), LOCKREF % ("", 6), 8, "n has other bits"),
        ("struct ref { int a, b; };", "struct ref { int a; };", 4, "b was removed"),
        ("struct ref { long a; };", "struct ref { int a; };", 0, "a has 4 bytes instead of 8"),
        ("struct ref { };", "struct other { int a; };", 0, "struct ref is gone"),
        (ROWS % 8, ROWS % 9, 4, ""),
        (ROWS % 8, ROWS % 9, 12, "struct row 8 → 9"),
    ],
)
def test_what_stood_at_an_offset_is_there_or_not(tmp_path: Path, one: str, other: str, offset: int, words: str) -> None:
    before, after = (read_layouts(compiled(tmp_path, text)) for text in (one, other))
    told = explain_offset(LayoutDiff(before, after), "struct ref", offset) or ""
    assert words in told
    assert bool(told) == bool(words)


def test_the_difference_reads_well(difference: LayoutDiff) -> None:
    text = render(difference)
    assert "cause: raw_lock_t (struct raw_lock) 4 → 24" in text
    assert "+ magic: unsigned int, offset 16, 4 bytes" in text
    assert "struct mutex 32 → 48" in text
    one = render(difference, only="device")
    assert "a … show (4 members): offset 48 → 64 (+16)" in one
    assert "did not change" in render(difference, only="plain")


def test_a_cause_of_the_same_size_says_what_changed(tmp_path: Path) -> None:
    for was, now, told in (
        ("int flags; long *lock", "int flags; int *lock", "lock was long int *, is int *"),
        ("int a, b", "int b, a", "a 0x0 → 0x4"),
        ("int a:3, b:4", "int a:4, b:3", "a has other bits"),
        ("int a, b", "int a, c", "c was added"),
    ):
        texts = (f"struct page {{ {members}; }};" for members in (was, now))
        difference = LayoutDiff(*(read_layouts(compiled(tmp_path, text)) for text in texts))
        assert told in summarize_cause(difference, "struct page")
        assert told in (explain_place(difference, "struct page") or "")


def test_a_structure_is_meant_by_any_of_its_names(before: dict[str, Layout], difference: LayoutDiff) -> None:
    assert {"raw_lock_t", "struct raw_lock", "raw_lock", "plain", "atomic_t"} <= difference.known_names
    assert "nothing" not in difference.known_names
    assert difference.concerns("raw_lock_t")
    assert not difference.concerns("plain")
    less = {name: layout for name, layout in before.items() if name != "struct plain"}
    assert LayoutDiff(before, less).concerns("plain")
    assert not LayoutDiff(less, before).concerns("plain")
    assert "plain is new" in render(LayoutDiff(less, before), only="plain")


def test_a_file_without_debug_information_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no debug information"):
        read_layouts(Path("/bin/true"))
    text = tmp_path / "text"
    text.write_text("no ELF")
    with pytest.raises(ELFError):
        read_layouts(text)


def test_enumerators_are_read_wherever_they_are_defined(tmp_path: Path) -> None:
    values = {"FIRST": 0, "SECOND": 1, "FAR": 1 << 20, "BELOW": -2, "ALONE": 7, "INSIDE": 3}
    assert read_enumerators(compiled(tmp_path, ENUMERATORS)) == values


def test_macros_are_those_that_are_defined_at_the_end(tmp_path: Path) -> None:
    source = tmp_path / "macros.c"
    source.write_text(
        "#define ONE 1\n#define SUM(a,  b) \\\n  ((a) +   (b))\n#undef ONE\n#define TWO\nint x;\n#define TWO_ TWO\n"
    )
    said = subprocess.run(["gcc", "-E", "-dD", str(source)], check=True, capture_output=True, text=True).stdout
    macros = read_macros(said.splitlines())
    assert {name: macros[name] for name in ("SUM", "TWO", "TWO_")} == {
        "SUM": "(a,b) ((a) + (b))",
        "TWO": "",
        "TWO_": " TWO",
    }
    assert "ONE" not in macros
    assert "__GNUC__" in macros


def test_a_macro_has_the_values_of_the_options_in_it() -> None:
    macros = {
        "CONFIG_HZ": " 250", "CONFIG_LOCKDEP": " 1", "CONFIG_NET_MODULE": " 1", "TICK": " (1000 / CONFIG_HZ)",
        "TOLD": " (4 * IS_ENABLED(CONFIG_LOCKDEP) + IS_BUILTIN(CONFIG_LOCKDEP) + IS_MODULE(CONFIG_LOCKDEP))",
        "NET": " (IS_ENABLED(CONFIG_NET) + IS_BUILTIN(CONFIG_NET) + IS_MODULE(CONFIG_NET))",
        "OFF": "(x) IS_ENABLED(CONFIG_OFF) + x + CONFIG_OFF",
    }  # fmt: skip
    assert without_options(macros) == {
        "TICK": " (1000 / 250)",
        "TOLD": " (4 * 1 + 1 + 0)",
        "NET": " (1 + 0 + 1)",
        "OFF": "(x) 0 + x + CONFIG_OFF",
    }
