# SPDX-License-Identifier: Apache-2.0
"""Run the kernel's own tests of the code that the isolation series touches, on stock and on isolated kernels.

Tests that are modules run on the kernels of a feature. They are built for the running kernel and, on the isolated one,
for production as well. The other tests, most of which run at boot, need separate kernels, with a fragment of
images/kconfig/selftest. The isolated kernel must give the same results as the stock one. To add a test, add an entry.
"""

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.detect.scan import scan
from harness.guest.boards import Board
from harness.guest.failure import GuestFailure
from harness.guest.guest import Guest
from harness.kernel.build import Kernel
from harness.kernel.features import FEATURES
from harness.kernel.module_build import build_modules
from harness.kernel.variants import Preemption, Variant, variant_of
from harness.lab.execution.guest_pool import Guests
from harness.lab.execution.kernel_pool import Kernels
from harness.lab.plan.settings import Settings
from harness.lab.validation.bugs import Where
from harness.support import digest
from harness.support.cache.store import Store
from harness.support.paths import IMAGES
from harness.support.progress import task

FOLDER = IMAGES / "selftests"
PLACES = (Where.STOCK, Where.REBUILT, Where.VENDOR)
SOURCES = (
    "kernel/torture.c", "kernel/locking/locktorture.c", "kernel/locking/test-ww_mutex.c", "lib/test_module.c",
    "lib/test_static_key_base.c", "lib/test_static_keys.c", "lib/test_lockup.c",
    "kernel/trace/kprobe_event_gen_test.c",
)  # fmt: skip
_BOOT_SECONDS = 900.0  # every event and tracer is tested at boot
_TEST_SECONDS = 300.0  # longest wait for a test
_TORTURE_SECONDS = 5
# Offset in a function and its size, after numbers became N
_PLACE = re.compile(r"\+Nx[Na-f]+/Nx[Na-f]+")


@dataclass(frozen=True)
class SelfTest:
    """A test of the kernel."""

    name: str
    # its file in the kernel
    source: str
    # regular expressions for what it prints to the kernel log for each case
    passed: str
    failed: str = r"(?!)"
    # run one after the other; none: it runs at boot
    commands: tuple[str, ...] = ()
    # it tests a feature itself, so that there is no build for production
    for_feature: bool = False
    # regular expression for the lines of the log that count; "" for all
    lines: str = ""
    # regular expression for parts of it that do not
    without: str = "(?!)"
    # why isolated kernels pass fewer cases, if debugging is given up
    lost: str = ""
    # number of cases that they still pass
    left: int = 0


def _torture(name: str, source: str, parameters: str) -> SelfTest:
    """A torture test: load it, let it run for a while, and remove it."""
    module = Path(source).stem
    commands = ("insmod torture.ko", f"insmod {module}.ko {parameters}", f"sleep {_TORTURE_SECONDS}", f"rmmod {module}")
    return SelfTest(name, source, "End of test: SUCCESS", "End of test: (?!SUCCESS)|!!!", commands)


def _locktorture(kind: str) -> SelfTest:
    parameters = f"torture_type={kind} nwriters_stress=4 nreaders_stress=4 stat_interval=2"
    return _torture(f"locktorture, {kind}", "kernel/locking/locktorture.c", parameters)


# Rows of the locking API's table that are about contexts of wait/wound mutexes (ww_tests())
_CONTEXTS = r"(?:ww api failures|ww contexts mixing|finishing ww context|locking mismatches|EDEADLK handling):"
_LOCKING_API = SelfTest(
    "locking API", "lib/locking-selftest.c", r" ok  \|", r"FAILED\||unexpected", lines=rf"(?m)^(?!.*{_CONTEXTS}).*$"
)
_LOCKING_API_CONTEXTS = SelfTest(
    "locking API, wait/wound contexts", "lib/locking-selftest.c", r" ok  \|", r"FAILED\||unexpected",
    lines=rf"(?m)^.*{_CONTEXTS}.*$", left=5,
    lost="DEBUG_MUTEXES' checks of wait/wound contexts need room in what modules lay out",
)  # fmt: skip
_RCUTORTURE = _torture("rcutorture", "kernel/rcu/rcutorture.c", "stat_interval=2 fwd_progress=0")
BOOT_TESTS = (
    _LOCKING_API,
    _LOCKING_API_CONTEXTS,
    SelfTest("tracers", "kernel/trace/trace_selftest.c", r"PASSED", r"Testing .*FAILED|\.\. filter failed"),
    SelfTest("trace events", "kernel/trace/trace_events.c", r"Testing (?:event|all events).*OK", "during self test"),
    SelfTest("KUnit, kprobes", "lib/test_kprobes.c", r"(?<!not) ok \d+ (?:- )?\S*k(?:ret)?probe",
             r"not ok \d+ (?:- )?\S*k(?:ret)?probe"),
    SelfTest("KUnit, slub", "lib/slub_kunit.c", r"(?<!not) ok \d+ (?:- )?(?:test_(?:clobber|next|first)|slub)",
             r"not ok \d+ (?:- )?(?:test_(?:clobber|next|first)|slub)"),
    _RCUTORTURE,
)  # fmt: skip
_LOCK_TESTS = (
    *(_locktorture(kind) for kind in ("spin_lock", "spin_lock_irq", "rw_lock", "rw_lock_irq", "mutex_lock",
                                      "ww_mutex_lock", "rwsem_lock", "percpu_rwsem_lock")),
    SelfTest("wait/wound mutexes", "kernel/locking/test-ww_mutex.c", "modcompat: ww_mutex ok", "test-ww_mutex.*fail",
             ("insmod test-ww_mutex.ko", "rmmod test_ww_mutex", "echo modcompat: ww_mutex ok >/dev/kmsg")),
)  # fmt: skip
MODULE_TESTS = (
    *_LOCK_TESTS,
    SelfTest("module loading", "lib/test_module.c", "test_module: (?:Hello|Goodbye)", "(?!)",
             ("insmod test_module.ko", "rmmod test_module")),
    SelfTest("static keys", "lib/test_static_keys.c", "modcompat: static keys ok", "(?!)",
             ("insmod test_static_key_base.ko", "insmod test_static_keys.ko", "rmmod test_static_keys",
              "rmmod test_static_key_base", "echo modcompat: static keys ok >/dev/kmsg")),
    # Its init returns EAGAIN at the end, so it need not be unloaded.
    SelfTest("lockups on demand", "lib/test_lockup.c", "FINISH", "(?!)",
             ("! insmod test_lockup.ko time_nsecs=1000000 iterations=10 lock_mmap_sem=1 all_cpus=1",)),
    SelfTest("events by probes", "kernel/trace/kprobe_event_gen_test.c", "modcompat: events ok", "(?!)",
             ("mount -t tracefs tracefs /sys/kernel/tracing", "insmod kprobe_event_gen_test.ko",
              "rmmod kprobe_event_gen_test", "echo modcompat: events ok >/dev/kmsg"), for_feature=True),
)  # fmt: skip


# Cases that are about variables on the stack
_STACK_CASES = "kasan_(?:stack|alloca)_oob"
_KASAN_KUNIT = SelfTest(
    "KUnit, KASAN", "mm/kasan/kasan_test.c", r"(?<!not )ok \d+ (?:- )?\w+\b(?! # SKIP)", r"not ok \d+",
    without=rf"(?ms)^[^\n]*BUG: KASAN: [^\n]* in {_STACK_CASES}.*?^[^\n]*={{20}}|^[^\n]*ok \d+ {_STACK_CASES}[^\n]*",
)  # fmt: skip
_KASAN_TESTS = (
    _KASAN_KUNIT,
    replace(
        _KASAN_KUNIT, name="KUnit, KASAN, stacks", lines=rf"(?m)^.*{_STACK_CASES}.*$", without="(?!)",
        lost="stacks have production's size, which has no room for red zones between variables (KASAN_STACK)",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Suite:
    """The tests that run on the kernels of a feature."""

    feature: str
    preemption: Preemption
    # modules
    modules: tuple[SelfTest, ...]
    # tests of kernels with images/kconfig/selftest/FEATURE.config
    boot: tuple[SelfTest, ...]

    def variant(self, where: Where) -> Variant:
        """The kernel of a place."""
        return variant_of(FEATURES[self.feature], self.preemption, isolated=where is not Where.STOCK)


SUITES = {
    suite.feature: suite
    for suite in (
        Suite("all", Preemption.NONE, MODULE_TESTS, BOOT_TESTS),
        Suite(
            "lockdep", Preemption.FULL, _LOCK_TESTS, (_LOCKING_API, replace(_LOCKING_API_CONTEXTS, left=0), _RCUTORTURE)
        ),
        Suite("kasan", Preemption.FULL, (), _KASAN_TESTS),
    )
}


def run_module_tests(board: Board, settings: Settings, suite: Suite) -> list[dict[str, Any]]:
    """Run the tests that are modules. Returns a row for each, with the outcome by place. Raises ModcompatError."""
    chosen = suite.modules
    if not chosen:
        return []
    found: dict[tuple[str, Where], dict[str, Any]] = {}
    with task(f"{len(chosen)} self tests on {board.id}", len(chosen) * len(PLACES)) as running:
        for isolated in (False, True):
            places = PLACES[1:] if isolated else PLACES[:1]
            variant = suite.variant(places[0])
            kernels = Kernels(settings)
            built_for = {
                place: kernels.kernel(board, variant.production if place is Where.VENDOR else variant)
                for place in places
            }
            files = {
                f"selftests/{place.name}/{name}.ko": file
                for place, kernel in built_for.items()
                for name, file in _build_tests(kernel, kernels.store).items()
            }
            with Guests(kernels, files=files) as guests:
                for test in chosen:
                    for place in places:
                        if not (test.for_feature and place is Where.VENDOR):
                            found[test.name, place] = _run_test(guests.guest(board, variant), test, place)
                        running.step()
    return [
        _row(test, {place: found[test.name, place] for place in PLACES if (test.name, place) in found})
        for test in chosen
    ]


def run_boot_tests(board: Board, settings: Settings, suite: Suite) -> list[dict[str, Any]]:
    """Boot kernels that test themselves. Returns a row for each test, by place. Raises ModcompatError."""
    patient = replace(settings, timing=replace(settings.timing, boot=_BOOT_SECONDS * settings.timing.scale))
    found: dict[tuple[str, Where], dict[str, Any]] = {}
    for place in PLACES[:2]:
        variant = replace(suite.variant(place), selftest=True)
        kernels = Kernels(patient)
        modules = kernels.kernel(board, variant).own_modules
        files = {f"selftests/{place.name}/{name}.ko": file for name, file in modules.items()}
        with Guests(kernels, files=files) as guests:
            guest = guests.guest(board, variant)
            log = guest.run("dmesg", _TEST_SECONDS).text
            for test in suite.boot:
                found[test.name, place] = _run_test(guest, test, place) if test.commands else outcome(test, log)
    return [_row(test, {place: found[test.name, place] for place in PLACES[:2]}) for test in suite.boot]


def passed(row: Mapping[str, Any]) -> bool:
    """Whether a test passed everywhere with the outcome of the stock kernel, except for cases that are given up."""
    stock = row[Where.STOCK]
    found = [row[place] for place in PLACES if place in row and place is not Where.STOCK]
    if row["lost"]:
        same = all(one["passed"] == row["left"] and {*one["reports"]} <= {*stock["reports"]} for one in found)
    else:
        same = all(one == stock for one in found)
    return bool(stock["passed"]) and same and not any(one["failed"] for one in [stock, *found])


def outcome(test: SelfTest, log: str) -> dict[str, Any]:
    """How many cases passed and failed according to the log, and the kernel's reports meanwhile."""
    log = re.sub(test.without, "", log)
    if test.lines:
        log = "\n".join(re.findall(test.lines, log))
    return {
        "passed": len(re.findall(test.passed, log)),
        "failed": len(re.findall(test.failed, log)),
        "reports": sorted({_PLACE.sub("", re.sub(r"\d+", "N", report.words)) for report in scan(log.encode())}),
    }


def _row(test: SelfTest, outcomes: Mapping[Where, dict[str, Any]]) -> dict[str, Any]:
    return {"test": test.name, "source": test.source, "lost": test.lost, "left": test.left} | {
        str(place): found for place, found in outcomes.items()
    }


def _run_test(guest: Guest, test: SelfTest, place: Where) -> dict[str, Any]:
    """The outcome of a test. Each command that does not succeed is a case that failed, and so is the loss of a guest.

    Raises GuestFailure if the guest is lost before the test.
    """
    guest.make_pristine()
    guest.mark(test.name)
    problems = []
    try:
        for command in test.commands:
            output = guest.run(f"cd /selftests/{place.name}; {command}", _TEST_SECONDS)
            if output.status:
                problems.append(f"{command}: {output.text}")
        guest.mark("end of the test")
    except GuestFailure as failure:
        problems.append(f"the guest was lost: {failure.headline}")
    found = outcome(test, guest.console.read(guest.log_start).decode(errors="backslashreplace"))
    return found | {"failed": found["failed"] + len(problems), "reports": [*problems, *found["reports"]]}


def _build_tests(kernel: Kernel, store: Store) -> dict[str, Path]:
    """The tests of the kernel's own source, built for the kernel."""
    tree = kernel.spec.source.tree()
    kbuild = FOLDER / "Kbuild"
    inputs = {"source": kernel.spec.source.identity, "Kbuild": digest.of_file(kbuild), "files": list(SOURCES)}

    def collect(folder: Path) -> None:
        for source in (kbuild, *(tree / name for name in SOURCES)):
            shutil.copy(source, folder)

    return build_modules(
        store.get_or_build("selftests", kernel.spec.source.label.replace(" ", "-"), inputs, collect), kernel, store
    )
