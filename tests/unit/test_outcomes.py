"""What the kernel's own tests leave in a log, and when that is as good as on the stock kernel."""

import pytest

from harness.isolation.bugs import Where
from harness.isolation.selftests import BOOT_TESTS, FOLDER, MODULE_TESTS, SOURCES, is_well, outcome

TESTS = {test.source: test for test in (*BOOT_TESTS, *MODULE_TESTS)}


@pytest.mark.parametrize(
    ("source", "line", "passed", "failed"),
    [
        ("lib/locking-selftest.c", "[ 0.1][ T0]  A-A deadlock:failed|failed|  ok  |FAILED|  ok  |", 2, 1),
        (
            "lib/locking-selftest.c",
            "[ 0.1][ T0] BUG:   1 unexpected failures (out of 262) - debugging disabled! |",
            0,
            1,
        ),
        ("kernel/trace/trace_selftest.c", "[ 0.1][ T1] Testing tracer function: PASSED", 1, 0),
        ("kernel/trace/trace_selftest.c", "[ 0.1][ T1] Testing tracer function: .. no entries found ..FAILED!", 0, 1),
        ("kernel/trace/trace_events.c", "[ 0.1][ T1] Testing event module_load: OK", 1, 0),
        ("lib/test_kprobes.c", "[ 0.1][ T1]     ok 4 - test_kretprobe", 1, 0),
        ("lib/test_kprobes.c", "[ 0.1][ T1] not ok 1 - kprobes_test", 0, 1),
        ("lib/slub_kunit.c", "[ 0.1][ T1]     ok 1 - test_clobber_zone", 1, 0),
        ("kernel/locking/locktorture.c", "[ 9.1][ T9] spin_lock-torture:--- End of test: SUCCESS [debug]: n=4", 1, 0),
        ("kernel/locking/locktorture.c", "[ 9.1][ T9] spin_lock-torture:--- End of test: FAILURE [debug]: n=4", 0, 1),
    ],
    ids=range(10),
)
def test_a_line_is_a_case_that_passed_or_failed(source: str, line: str, passed: int, failed: int) -> None:
    found = outcome(TESTS[source], f"{line}\n")
    assert (found["passed"], found["failed"]) == (passed, failed)


def test_a_report_during_a_test_is_part_of_its_outcome() -> None:
    log = "[ 1.0][ T9] BUG: spinlock recursion on CPU#0, sh/9\n[ 1.0][ T9]  lock: x\n"
    assert outcome(MODULE_TESTS[0], log)["reports"] == ["BUG: spinlock recursion on CPU#N, sh/N"]


def test_what_counts_is_that_it_passes_as_on_stock() -> None:
    good, bad = {"passed": 2, "failed": 0, "reports": []}, {"passed": 1, "failed": 0, "reports": []}
    assert is_well({Where.STOCK: good, Where.REBUILT: good})
    assert not is_well({Where.STOCK: good, Where.REBUILT: bad})
    assert not is_well({Where.STOCK: good, Where.REBUILT: good, Where.VENDOR: bad})
    assert not is_well({Where.STOCK: good | {"passed": 0}, Where.REBUILT: good | {"passed": 0}})
    assert not is_well({Where.STOCK: good | {"failed": 1}, Where.REBUILT: good | {"failed": 1}})


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
