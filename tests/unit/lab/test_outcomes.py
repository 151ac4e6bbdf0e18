# SPDX-License-Identifier: Apache-2.0
"""Results of the kernel's own tests in a log, and when they count as no worse than on the stock kernel."""

from itertools import count

import pytest

from harness.lab.validation.bugs import Where
from harness.lab.validation.selftests import FOLDER, MODULE_TESTS, SOURCES, SUITES, outcome, passed

TESTS = {test.name: test for suite in SUITES.values() for test in (*suite.boot, *suite.modules)}


@pytest.mark.parametrize(
    ("name", "line", "passed", "failed"),
    [
        ("locking API", "[ 0.1][ T0]  A-A deadlock:failed|failed|  ok  |FAILED|  ok  |", 2, 1),
        ("locking API", "[ 0.1][ T0] BUG:   1 unexpected failures (out of 262) - debugging disabled! |", 0, 1),
        ("locking API", "[ 0.1][ T0]  EDEADLK handling:  ok  |failed|", 0, 0),
        ("locking API, wait/wound contexts", "[ 0.1][ T0]  EDEADLK handling:  ok  |  ok  |failed|", 2, 0),
        ("locking API, wait/wound contexts", "[ 0.1][ T0]  A-A deadlock:failed|failed|  ok  |", 0, 0),
        ("tracers", "[ 0.1][ T1] Testing tracer function: PASSED", 1, 0),
        ("tracers", "[ 0.1][ T1] Testing tracer function: .. no entries found ..FAILED!", 0, 1),
        ("trace events", "[ 0.1][ T1] Testing event module_load: OK", 1, 0),
        ("KUnit, kprobes", "[ 0.1][ T1]     ok 4 - test_kretprobe", 1, 0),
        ("KUnit, kprobes", "[ 0.1][ T1]     ok 5 test_stacktrace_on_kretprobe", 1, 0),
        ("KUnit, kprobes", "[ 0.1][ T1] not ok 1 - kprobes_test", 0, 1),
        ("KUnit, slub", "[ 0.1][ T1]     ok 1 - test_clobber_zone", 1, 0),
        ("KUnit, KASAN", "[ 0.1][ T1]     ok 1 - kmalloc_oob_right\n[ 0.1][ T1]     ok 2 kmalloc_oob_left", 2, 0),
        ("KUnit, KASAN", "[ 0.1][ T1]     ok 3 - rcu_uaf # SKIP Test requires CONFIG_KASAN_HW_TAGS=y", 0, 0),
        ("KUnit, KASAN", "[ 0.1][ T1]     not ok 4 - kmalloc_uaf", 0, 1),
        ("locktorture, spin_lock", "[ 9.1][ T9] spin_lock-torture:--- End of test: SUCCESS [debug]: n=4", 1, 0),
        ("locktorture, spin_lock", "[ 9.1][ T9] spin_lock-torture:--- End of test: FAILURE [debug]: n=4", 0, 1),
    ],
    ids=count(),
)
def test_a_line_is_a_case_that_passed_or_failed(name: str, line: str, passed: int, failed: int) -> None:
    found = outcome(TESTS[name], f"{line}\n")
    assert (found["passed"], found["failed"]) == (passed, failed)


def test_a_report_during_a_test_is_part_of_its_outcome() -> None:
    log = "[ 1.0][ T9] BUG: spinlock recursion on CPU#0, sh/9\n[ 1.0][ T9]  lock: x\n"
    assert outcome(MODULE_TESTS[0], log)["reports"] == ["BUG: spinlock recursion on CPU#N, sh/N"]
    log = "[ 1.0][ T9] BUG: KASAN: slab-out-of-bounds in kmalloc_oob_right+0x5a/0x90\n[ 1.0][ T9] Write of size 1\n"
    assert outcome(MODULE_TESTS[0], log)["reports"] == ["BUG: KASAN: slab-out-of-bounds in kmalloc_oob_right"]


def test_what_counts_is_that_it_passes_as_on_stock() -> None:
    good, bad = {"passed": 2, "failed": 0, "reports": []}, {"passed": 1, "failed": 0, "reports": []}
    row = {"lost": "", "left": 0, Where.STOCK: good, Where.REBUILT: good}
    assert passed(row)
    assert not passed(row | {Where.REBUILT: bad})
    assert not passed(row | {Where.VENDOR: bad})
    assert not passed(row | dict.fromkeys((Where.STOCK, Where.REBUILT), good | {"passed": 0}))
    assert not passed(row | dict.fromkeys((Where.STOCK, Where.REBUILT), good | {"failed": 1}))


def test_where_debugging_is_given_up_fewer_cases_may_pass_and_none_may_fail() -> None:
    good, less = {"passed": 2, "failed": 0, "reports": []}, {"passed": 1, "failed": 0, "reports": []}
    row = {"lost": "no room for it", "left": less["passed"], Where.STOCK: good, Where.REBUILT: less}
    assert passed(row)
    assert not passed(row | {Where.REBUILT: less | {"failed": 1}})


def test_every_module_that_a_test_loads_is_built() -> None:
    objects = (FOLDER / "Kbuild").read_text()
    built = {source.rsplit("/", 1)[1].removesuffix(".c") for source in SOURCES}
    assert all(f"{name}.o" in objects for name in built)
    loaded = {
        word.removesuffix(".ko")
        for test in MODULE_TESTS
        for line in test.commands
        for word in line.split()
        if word.endswith(".ko")
    }
    assert loaded == built
