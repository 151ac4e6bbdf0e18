# SPDX-License-Identifier: Apache-2.0
"""Equivalence from a module's point of view, for structures, functions and exports defined in this file."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from harness.abi.compare.equivalence import (
    Allowance,
    Comparison,
    compare_exports,
    compare_functions,
    compare_layouts,
    compare_macros,
    compare_texts,
)
from harness.abi.elf.dwarf import Layout, Member
from harness.abi.elf.functions import FunctionBody
from harness.kernel.symvers import Export, read_exports
from harness.lab.validation import allowed_differences

PID = Member("pid", 0, 4, "int")
THREAD = Member("thread", 8, 8, "struct thread", "struct thread")
OWN = (Allowance("struct (task|thread)|union stack", "the kernel's own"),)
BEFORE = {
    "struct task": Layout("struct task", 16, (PID, THREAD)),
    "struct thread": Layout("struct thread", 8, (Member("sp", 0, 8, "long int"),)),
    "union stack": Layout("union stack", 64, (Member("task", 0, 16, "struct task", "struct task"),)),
}
GROWN_THREAD = Layout("struct thread", 24, (*BEFORE["struct thread"].members, Member("debug", 8, 16, "char[16]")))


def layouts(*changed: Layout) -> dict[str, Layout]:
    return {**BEFORE, **{layout.name: layout for layout in changed}}


def task(*members: Member, size: int = 16) -> Layout:
    return Layout("struct task", size, members)


def compared(
    *changed: Layout,
    before: dict[str, Layout] | None = None,
    unreachable: tuple[Allowance, ...] = (),
    **config: str,
) -> Comparison:
    return compare_layouts(before or BEFORE, layouts(*changed), config, grown=OWN, unreachable=unreachable)


def test_equal_structures_are_counted() -> None:
    comparison = compared()
    assert (comparison.equal, comparison.compared, comparison.differences) == (3, 3, {})


def test_members_behind_all_others_are_none_of_a_modules_business() -> None:
    comparison = compared(task(PID, THREAD, Member("trace", 16, 8, "long int"), size=24))
    assert comparison.differences == {}
    assert "grew behind production's members; the kernel's own" in comparison.explained["struct task"]
    assert comparison.compared == 3


@pytest.mark.parametrize("offset", [4, 16])
def test_members_without_size_may_be_anywhere(offset: int) -> None:
    """Locks have an empty map on kernels whose lockdep keeps maps outside."""
    nowhere = Member("dep_map", offset, 0, "struct lockdep_map", "struct lockdep_map")
    comparison = compared(task(PID, THREAD, nowhere))
    assert comparison.explained == {"struct task": "only members without size differ"}
    assert compared(task(PID, THREAD, nowhere, size=24), before={**BEFORE}).explained["struct task"].startswith("grew")
    moved = replace(THREAD, offset=12)
    assert compared(task(PID, nowhere, moved)).differences


def test_what_grows_must_be_the_kernels_own() -> None:
    before = {"struct mine": Layout("struct mine", 4, (PID,))}
    after = Layout("struct mine", 8, (PID, Member("trace", 4, 4, "int")))
    comparison = compare_layouts(before, {"struct mine": after}, {}, grown=OWN, unreachable=())
    assert list(comparison.differences) == ["struct mine"]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (task(Member("trace", 0, 4, "int"), replace(PID, offset=4), THREAD), "pid moved from offset 0 to 4"),
        (task(THREAD), "pid was removed"),
        (task(replace(PID, type="unsigned int"), THREAD), r"pid \(int, 4 bytes\) is unsigned int"),
        (task(replace(PID, bits=(0, 3)), THREAD), "pid moved"),
        (task(PID, Member("trace", 4, 4, "int"), THREAD), "trace was added at offset 4, before the end"),
    ],
)
def test_whatever_else_changes_is_named(changed: Layout, words: str) -> None:
    (difference,) = compared(changed).differences.values()
    assert difference.startswith("struct task 16 → ")
    assert re.search(words, difference)


def test_a_structure_may_have_grown_at_the_end_of_another() -> None:
    grown = task(PID, replace(THREAD, size=24), size=32)
    stack = Layout("union stack", 64, (Member("task", 0, 32, "struct task", "struct task"),))
    assert compared(GROWN_THREAD, grown, stack).differences == {}


@pytest.mark.parametrize("kind", ["struct thread[2]", "threads_t"])
def test_an_array_of_what_grew_has_moved(kind: str) -> None:
    threads = Member("thread", 8, 16, kind, "struct thread")
    before = layouts(task(PID, threads, size=24))
    after = task(PID, replace(threads, size=48), size=56)
    assert list(compared(GROWN_THREAD, after, before=before).differences) == ["struct task"]


def test_what_is_empty_in_production_may_stand_anywhere() -> None:
    hook = Member("hook", 4, 0, "struct hook", "struct hook")
    before = {**layouts(task(PID, hook, THREAD)), "struct hook": Layout("struct hook", 0, ())}
    after = layouts(task(PID, THREAD, replace(hook, offset=16, size=8), size=24))
    after["struct hook"] = Layout("struct hook", 8, (Member("event", 0, 8, "void *"),))
    comparison = compare_layouts(before, after, {}, grown=OWN, unreachable=())
    assert comparison.differences == {}
    assert comparison.explained["struct hook"] == "has no members in production"


def test_what_is_empty_in_production_must_not_fill_a_gap() -> None:
    """A module does not initialise the bytes between two members."""
    hook = Member("hook", 4, 0, "struct hook", "struct hook")
    before = {
        "struct mine": Layout("struct mine", 16, (PID, hook, THREAD)),
        "struct hook": Layout("struct hook", 0, ()),
    }
    filled = Layout("struct mine", 16, (PID, replace(hook, size=4), THREAD))
    after = {"struct mine": filled, "struct hook": Layout("struct hook", 4, (Member("state", 0, 4, "int"),))}
    (difference,) = compare_layouts(before, after, {}, grown=(), unreachable=()).differences.values()
    assert "hook was added at offset 4" in difference


def test_another_alignment_alone_is_a_difference() -> None:
    line = Layout("struct line", 64, (Member("bytes", 0, 64, "char[64]"),))
    aligned = replace(line, alignment=64)
    assert compare_layouts({"struct line": line}, {"struct line": aligned}, {}, grown=(), unreachable=()).differences


def test_what_is_empty_in_production_may_be_missing() -> None:
    hook = Member("hook", 4, 0, "struct hook", "struct hook")
    before = {"struct mine": Layout("struct mine", 4, (PID, hook)), "struct hook": Layout("struct hook", 0, ())}
    hooked = Layout("struct hook", 8, (Member("event", 0, 8, "void *"),))

    def after(size: int) -> Comparison:
        now = {"struct mine": Layout("struct mine", size, (PID,)), "struct hook": hooked}
        return compare_layouts(before, now, {}, grown=OWN, unreachable=())

    assert after(4).explained["struct mine"] == "only members without size differ"
    assert list(after(8).differences) == ["struct mine"]


def test_what_is_out_of_reach_is_so_only_without_its_option() -> None:
    probes = (Allowance("struct task", "stubs that fail", lacking="KPROBES"),)
    assert compared(task(THREAD), unreachable=probes, KPROBES="n").differences == {}
    assert compared(task(THREAD), unreachable=probes, KPROBES="y").differences


def test_a_reason_may_be_that_of_one_architecture() -> None:
    unwinding = (Allowance("struct task", "nothing exported takes one", having="ARM64"),)
    assert compared(task(THREAD), unreachable=unwinding, ARM64="y").differences == {}
    assert compared(task(THREAD), unreachable=unwinding, X86_64="y").differences


def test_a_reason_may_be_what_a_function_uses() -> None:
    events = (Allowance(".*", "the event is never reached", uses="__tracepoint_.*"),)
    after = {"f": replace(CODE, digest="bb", relocations=(*CODE.relocations, "5: 2 __tracepoint_x+8"))}
    assert not compare_functions({"f": CODE}, after, {}, differing=events, same={}).differences
    assert compare_functions(after, {"f": CODE}, {}, differing=events, same={}).differences
    instead = {"f": replace(CODE, digest="bb", relocations=("1: 2 other", "5: 2 __tracepoint_x+8"))}
    assert compare_functions({"f": CODE}, instead, {}, differing=events, same={}).differences
    moved = {"f": replace(CODE, digest="bb", relocations=("1: 2 __raw_spin_unlock+8", "5: 2 __tracepoint_x+8"))}
    assert compare_functions({"f": CODE}, moved, {}, differing=events, same={}).differences, "another offset"
    spared = (replace(events[0], instead="__raw_.*"),)
    assert compare_functions({"f": CODE}, instead, {}, differing=spared, same={}).differences, "of another symbol"
    together = (*spared, Allowance(".*", "it only counts", uses="none", beside="other"))
    assert compare_functions({"f": CODE}, instead, {}, differing=together, same={}).differences, "of an unused entry"
    for more in (replace(spared[0], beside="other"), replace(together[1], uses="other")):
        known = (spared[0], more)
        assert not compare_functions({"f": CODE}, instead, {}, differing=known, same={}).differences
    assert not compare_functions({"f": CODE}, instead, {}, differing=spared, same={}, reports="other").differences
    itself = {"f": replace(CODE, digest="bb", relocations=(*CODE.relocations, "5: 2 __tracepoint_x+8", "7: 2 f+1"))}
    assert not compare_functions({"f": CODE}, itself, {}, differing=events, same={}).differences
    only_gone = {"f": replace(CODE, digest="bb", relocations=())}
    assert compare_functions({"f": CODE}, only_gone, {}, differing=spared, same={}).differences


def test_a_structure_that_is_gone_is_a_difference() -> None:
    comparison = compare_layouts({**BEFORE, "struct lost": task()}, BEFORE, {}, grown=OWN, unreachable=())
    assert comparison.differences == {"struct lost": "struct lost is gone"}


CODE = FunctionBody("aa", 5, ("1: 2 __raw_spin_unlock",))
STUBS = (Allowance("trace_.*", "events are not for modules"),)
SAME = {"__raw_(.*)": r"_raw_\1"}


def functions(before: dict[str, FunctionBody], after: dict[str, FunctionBody]) -> Comparison:
    return compare_functions(before, after, {}, differing=STUBS, same=SAME)


def test_functions_are_equal_by_their_code_and_by_what_they_call() -> None:
    assert functions({"f": CODE}, {"f": CODE, "g": CODE}).equal == 1
    other = functions({"f": CODE}, {"f": replace(CODE, digest="bb")})
    assert other.differences == {"f": "f(): other instructions (5 → 5 bytes)"}
    calls = functions({"f": CODE}, {"f": replace(CODE, relocations=("1: 2 schedule",))})
    assert calls.differences == {"f": "f(): refers to __raw_spin_unlock in production, to schedule here"}
    later = functions({"f": CODE}, {"f": replace(CODE, relocations=("a: 2 __raw_spin_unlock",))})
    moved = "f(): refers to __raw_spin_unlock at 0x1 (type 2) in production, at 0xa (type 2) here"
    assert later.differences == {"f": moved}
    fewer = functions({"f": CODE}, {"f": replace(CODE, relocations=())})
    assert fewer.differences == {"f": "f(): refers to __raw_spin_unlock in production only"}


def test_a_function_may_call_another_that_does_the_same() -> None:
    assert functions({"f": CODE}, {"f": replace(CODE, relocations=("1: 2 _raw_spin_unlock",))}).equal == 1


def test_a_function_that_differs_needs_a_reason() -> None:
    comparison = functions({"trace_it": CODE, "f": CODE}, {"trace_it": replace(CODE, digest="bb")})
    assert comparison.explained == {"trace_it": "events are not for modules"}
    assert comparison.differences == {"f": "f(): is not inlined any more"}


def test_macros_are_equal_by_their_text() -> None:
    before = {"DEPTH": " 8", "init(lock)": " do { } while (0)", "trace_it": "(x)", "GONE": ""}
    after = {**before, "DEPTH": " 16", "trace_it": "(x) traced(x)", "MORE": ""}
    del after["GONE"]
    comparison = compare_macros(before, after, {}, differing=STUBS)
    assert (comparison.equal, comparison.compared, comparison.beside) == (1, 4, 1)
    assert comparison.explained == {"trace_it": "events are not for modules"}
    assert comparison.differences == {"DEPTH": "DEPTH 8 is 16 here", "GONE": "GONE is not defined here"}


def test_enumerators_keep_their_values() -> None:
    allowed = Allowance("LAST_BIT", "it only counts them", lacking="DEBUG")
    before = {"FLAG": 3, "LAST": 4, "GONE": 5, "LAST_BIT": 6}
    after = {"FLAG": 3, "DEBUG": 4, "LAST": 5, "LAST_BIT": 7}
    comparison = compare_texts("enumerators", before, after, {}, differing=[allowed])
    assert (comparison.equal, comparison.beside) == (1, 1)
    assert comparison.explained == {"LAST_BIT": "it only counts them"}
    assert "LAST_BIT" in compare_texts("enumerators", before, after, {"DEBUG": "y"}, differing=[allowed]).differences
    assert comparison.differences == {
        "LAST": "LAST is 4 in production, and 5 here",
        "GONE": "GONE is 5 in production, and missing here",
    }


def test_exports_keep_their_licence_and_namespace(tmp_path: Path) -> None:
    file = tmp_path / "Module.symvers"
    file.write_text(
        "0x00000000\tkfree\tvmlinux\tEXPORT_SYMBOL\t\n0x00000000\tget_net\tvmlinux\tEXPORT_SYMBOL_GPL\tNET\n"
    )
    exports = read_exports(file)
    assert exports == {"kfree": Export("EXPORT_SYMBOL", ""), "get_net": Export("EXPORT_SYMBOL_GPL", "NET")}
    assert compare_exports(exports, {**exports, "more": Export("EXPORT_SYMBOL", "")}).differences == {}
    worse = compare_exports(exports, {"kfree": Export("EXPORT_SYMBOL_GPL", "")})
    assert worse.differences == {
        "kfree": "kfree is EXPORT_SYMBOL_GPL, and in production EXPORT_SYMBOL",
        "get_net": "get_net is not exported",
    }


def test_a_file_that_is_no_list_of_exports_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("nothing of the kind\n")
    with pytest.raises(ValueError, match=r"not a Module\.symvers"):
        read_exports(tmp_path / "other")


def test_every_allowance_has_a_reason() -> None:
    allowances = (
        *allowed_differences.GROWN,
        *allowed_differences.UNREACHABLE,
        *allowed_differences.DIFFERING,
        *allowed_differences.MACROS,
        *allowed_differences.ENUMERATORS,
    )
    assert all(len(entry.reason.split()) > 3 for entry in allowances)


@pytest.mark.parametrize(("first", "kept"), [(32, False), (37, True)])
def test_bits_may_follow_those_of_production_in_what_the_kernel_initialises(first: int, kept: bool) -> None:  # noqa: FBT001
    flags = Member("on", 4, 4, "unsigned int", bits=(32, 5))
    before = layouts(task(PID, flags, size=8))
    comparison = compared(
        task(PID, flags, Member("foreign", 4, 4, "unsigned int", bits=(first, 1)), size=8), before=before
    )
    assert (not comparison.differences) is kept
    other = {"struct mine": replace(before["struct task"], name="struct mine")}
    added = replace(
        task(PID, flags, Member("foreign", 4, 4, "unsigned int", bits=(first, 1)), size=8), name="struct mine"
    )
    assert compare_layouts(other, {"struct mine": added}, {}, grown=OWN, unreachable=()).differences
