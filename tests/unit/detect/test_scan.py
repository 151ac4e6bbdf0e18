# SPDX-License-Identifier: Apache-2.0
"""Finding reports: golden cases from real logs, and lines that must not be taken for reports."""

import json
import sys
from dataclasses import replace
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.detect.behaviour import comparable_messages
from harness.detect.blame import suspects
from harness.detect.initcalls import InitCall, find_initcall
from harness.detect.kernel_report import Report, as_json_object
from harness.detect.kinds import KINDS, TRIGGER, WORDS, Kind, Severity
from harness.detect.scan import Scanner, identify, reports_fault, scan, scan_stream

CASES = Path(__file__).parents[1] / "golden/console"
PRINTED = CASES.parent / "printed"
FIELDS = (
    "kind",
    "title",
    "headline",
    "function",
    "module",
    "culprit",
    "rule",
    "first_line",
    "last_line",
    "torn_because",
)
# Kinds that can be provoked with the kernels of the project
_PROVOKED = {
    "access", "atomic-sleep", "bug", "hung-task", "kasan", "kfence", "kmemleak", "list", "lock", "lockdep", "lockup",
    "module-load", "panic", "rcu-stall", "refcount", "slub", "stack", "warning",
}  # fmt: skip
LOGS = [(case / "console.log").read_bytes() for case in sorted(CASES.iterdir())]


def printed(report: Report) -> dict[str, Any]:
    """The facts about a report in a case of `golden/printed`."""
    task = report.task
    facts = {"suspects": list(report.suspects), "symbols": report.symbols}
    return _golden(report) | facts | {"task": f"{task.comm}/{task.pid} on CPU {task.cpu}"}


def _golden(report: Report) -> dict[str, Any]:
    facts = {field: getattr(report, field) for field in FIELDS}
    children = [child.headline for child in report.children]
    return {**facts, "severity": report.severity.value, "torn": report.torn, "children": children}


@pytest.mark.parametrize("case", sorted(CASES.iterdir()), ids=lambda case: case.name)
def test_golden(case: Path) -> None:
    """To add a case, run benchmarks/golden.py on a log. It makes a folder with `console.log` and `reports.json`."""
    found = [_golden(report) for report in scan((case / "console.log").read_bytes())]
    assert found == json.loads((case / "reports.json").read_text())


@pytest.mark.parametrize("case", sorted(PRINTED.iterdir()), ids=lambda case: case.name)
def test_printed(case: Path) -> None:
    """Logs that were written after the kernel's source; the comment in benchmarks/golden.py says why."""
    found = [printed(report) for report in scan((case / "console.log").read_bytes())]
    assert found == json.loads((case / "reports.json").read_text())


def test_golden_cases_are_many_and_small() -> None:
    reports = [report for case in CASES.iterdir() for report in json.loads((case / "reports.json").read_text())]
    assert len(list(CASES.iterdir())) >= 120
    assert {case.name.split("-")[0] for case in CASES.iterdir()} == {"x86_64", "arm", "arm64"}
    assert {report["kind"] for report in reports} >= _PROVOKED
    assert sum(path.stat().st_size for path in CASES.rglob("*.*")) < 3_000_000


EXAMPLES = [(kind, example) for kind in KINDS for wording in kind.wordings for example in wording.examples]


@pytest.mark.parametrize(("kind", "example"), EXAMPLES, ids=range(len(EXAMPLES)))
def test_every_example_is_of_its_kind(kind: Kind, example: str) -> None:
    head = identify(example)
    assert head
    assert head.kind.name == kind.name
    line = example.encode()
    assert TRIGGER.search(line) or any(word in line for word in WORDS)
    if kind.name != "reboot":  # a reboot is reported only after an earlier boot
        found = [report.kind for report in scan(b"[    1.5][   T45] " + line)]
        assert found == ([] if kind.is_silent else [kind.name])


def test_every_wording_has_an_example() -> None:
    assert all(wording.examples for kind in KINDS for wording in kind.wordings)
    assert len({kind.name for kind in KINDS}) == len(KINDS)


BUG = "BUG: spinlock bad magic on CPU#1, sh/45"


@pytest.mark.parametrize(
    "prefix",
    [
        "",
        "[    1.5] ",
        "[    1.539628][   T45] ",
        "[    1.539628][    C1] ",
        "<3>[    1.5] ",
        "<3>",
        "\x1b[1;31m",
        "[   T45] ",
        "\r",
        "busybox login: ",
        "busybox login: [    1.539628][   T45] ",
        "** 12 printk messages dropped ** [    1.539628] ",
        "kern  :err   : [    1.539628] ",
        "3,512,1539628,-,caller=T45;",
        "Nov 23 04:17:00 box kernel: [    1.539628] ",
        "2026-11-23T04:17:00+00:00 box kernel: ",
        "[Mon Nov 23 04:17:00 2026] ",
        "2026-11-23T04:17:00,539628+00:00 ",
        ".539628] ",
    ],
)
def test_a_report_is_found_behind_any_prefix(prefix: str) -> None:
    assert [report.headline for report in scan(f"{prefix}{BUG}\r\n".encode())] == [BUG]


@pytest.mark.parametrize(
    "line",
    [
        "Kernel command line: oops=panic panic_on_warn=1",
        "modcompat: BUG: not the kernel's words",
        "vendor: check heap.plain FAILED got 0x1 want 0x0",
        "ata1: BUGfix applied",
        "systemd[1]: Started Kernel Oops reporter.",
        "ODEBUG: 213 of 213 active objects replaced",
        "ODEBUG: Out of memory. ODEBUG disabled",
        "Oops: efitime: can't read time!",
        "BUG: Bad page map: 3 messages suppressed",
        "DMA-API: preallocated 65536 debug entries",
        "modprobe: FATAL: Module vendor not found in directory /lib/modules/6.1.170",
        "modprobe: ERROR: could not insert 'vendor': No such device",
        "vendor: module verification failed: signature and/or required key missing - tainting kernel [#1]",
        "usb 1-1: firmware [#3] loaded",
        "raid6: using algorithm avx2x4 gen() 22345 MB/s [#1 of 3]",
        "usb 1-1: no warning: here",
        "WARNING: /etc/ssh/moduli does not exist, using fixed modulus",
        "traps: app[3615] general protection fault ip:7feb96eb56a1 sp:20000fd0 error:0 in libc.so",
        "app[1]: segfault at 8 ip 00000000004cb420 sp 00007f27fd37a250 error 15",
        "Spectre V2 : WARNING: kernel not compiled with CPU_SRSO.",
        "INFO: lockdep is turned off.",
        "INFO: NMI handler (perf_event_nmi_handler) took too long to run: 2.277 msecs",
        "xfs: Unknown parameter 'Booting the kernel.'",
        "Linux version 6.1.192 (user@host) #1 SMP",
        "vendor: loading out-of-tree module taints kernel.",
        "vendor: module verification failed: signature and/or required key missing - tainting kernel",
        "random: crng init done",
        "Run /init as init process",
    ],
    ids=range(28),
)
def test_words_in_passing_are_no_report(line: str) -> None:
    assert scan(f"[    1.0][    T1] {line}\n".encode()) == []


def test_an_echo_of_user_space_is_no_report() -> None:
    splats = f"{BUG}\nWARNING: CPU: 1 PID: 2 at a.c:1 f+0x1/0x2\nKernel panic - not syncing: x\n"
    log = f"[    1.0][    T1] Run /init\n{splats}"
    relayed = f"[    1.0][    T1] Run /init\nNov 23 04:17:00 box kernel: [    1.539628] {BUG}\n"
    assert scan(log.encode()) == []
    assert scan(relayed.encode()) == []


def test_two_cpus_that_speak_at_once_are_kept_apart() -> None:
    log = (
        "[ 1.0][ T1] WARNING: CPU: 0 PID: 1 at drivers/a.c:5 first_function+0x1/0x2 [one]\n"
        "[ 1.0][ T2] WARNING: CPU: 1 PID: 2 at drivers/b.c:6 second_function+0x1/0x2 [two]\n"
        "[ 1.0][ T1] Modules linked in: one two\n"
        "[ 1.0][ T2] Modules linked in: one two\n"
    )
    assert [report.module for report in scan(log.encode())] == ["one", "two"]


CUT = "------------[ cut here ]------------"
TEXT = "list_add corruption. prev->next should be next (c1), but was c2. (prev=c3)."
SITE = "WARNING: CPU: 0 PID: 47 at lib/list_debug.c:26 __list_add_valid+0x92/0xa0"
REST = """CPU: 0 PID: 47 Comm: sh Tainted: G           O       6.1.192 #1
Call Trace:
 <TASK>
 vendor_add+0x1/0x2 [vendor]
 </TASK>
"""
MUTEX = "WARNING: CPU: 0 PID: 54 at kernel/locking/mutex.c:579 __mutex_lock+0x5d2/0x9e0"


@pytest.mark.parametrize(
    "lines", [(CUT, TEXT, SITE), (CUT, SITE, TEXT), (TEXT, CUT, "kernel BUG at lib/list_debug.c:26!")]
)
def test_a_text_and_its_warning_are_one_report(lines: tuple[str, ...]) -> None:
    (report,) = scan(("\n".join(lines) + "\n" + REST).encode())
    assert (report.kind, report.title, report.first_line) == ("list", "BUG: corrupted list in vendor_add", 1)
    assert report.severity is Severity.FAULT
    assert report.says("list_add corruption")
    assert (report.module, report.culprit) == ("vendor", "vendor_add")
    assert (report.task.comm, report.task.pid, report.task.cpu, report.taint_before) == ("sh", 47, 0, "GO")


def test_a_failed_lock_check_is_of_kind_lock() -> None:
    log = f"{CUT}\nDEBUG_LOCKS_WARN_ON(lock->magic != lock)\n{MUTEX}\n"
    (report,) = scan((log + REST).encode())
    assert (report.kind, report.title) == ("lock", "WARNING: locking bug in vendor_add")
    assert report.says("WARNING: .*mutex")


def test_a_panic_that_follows_is_a_child() -> None:
    log = f"BUG: kernel NULL pointer dereference, address: 0000000000000008\nRIP: 0010:f+0x1/0x2 [m]\n{REST}"
    end = "---[ end trace 0000000000000000 ]---\nKernel panic - not syncing: Fatal exception\n"
    (report,) = scan((log + end).encode())
    assert [child.title for child in report.children] == ["kernel panic: Fatal exception"]
    assert (report.function, report.offset, report.module, report.rule) == ("f", 1, "m", "faulting instruction")
    assert report.access.address == "0000000000000008"
    assert json.dumps(as_json_object(report))


def test_a_second_kernel_is_a_reboot() -> None:
    before, banner = b"[  500.7] vendor: working\n", b"[    0.000000] Linux version 6.1.192 (user@host) #1 SMP\n"
    assert [report.kind for report in scan(before + banner)] == ["reboot"]
    assert scan(before + b"[  500.8] reboot: Restarting system\n" + banner) == []
    assert scan(banner + before) == []


def test_what_is_cut_off_is_torn() -> None:
    log = f"[    1.0] {BUG}\n[    1.0] general protection fault: 0000 [#1] SMP\n[    1.0] RIP: 0010:f+0x1/0x2\n"
    first, second = scan(log.encode())
    assert (first.torn, first.title) == (True, "BUG: spinlock bad magic in corrupted")
    assert (second.torn, second.title) == (False, "general protection fault in f")


def test_blame_follows_its_order() -> None:
    trace = " a+0x1/0x2\n ? guess+0x1/0x2 [guessed]\n b+0x1/0x2 [framed]\n"
    freed = "Freed by task 5:\n kfree+0x1/0x2\n x_exit+0x1/0x2 [owner]\n"
    head = "BUG: KASAN: use-after-free in a+0x1/0x2\nRead of size 8 at addr ffff888012345678 by task sh/53\n"
    framed = scan(f"{head}Call Trace:\n{trace}\n{freed}".encode())[0]
    assert (framed.module, framed.culprit, framed.rule) == ("framed", "b", "first frame with a module")
    memory = scan(f"{head}Call Trace:\n a+0x1/0x2\n\n{freed}".encode())[0]
    assert (memory.module, memory.rule) == ("owner", "where the memory was allocated or freed")
    cache = "BUG vendor_cache (Tainted: G    B      O ): Poison overwritten\nModules linked in: other vendor(O)\n"
    owned = scan(cache.encode())[0]
    assert (owned.module, owned.rule) == ("vendor", "owner of the cache or lock")


def test_positions_are_bytes_of_the_log() -> None:
    log = "gr\u00fcn\n".encode() + b"\xff\xfe\n" + b"x" * 100_000 + b"\n" + BUG.encode()
    (report,) = scan(log)
    assert log[report.start :].startswith(b"BUG")
    assert report.first_line == 4


def test_a_fault_is_told_from_a_warning() -> None:
    assert reports_fault(BUG.encode())
    assert not reports_fault(b"WARNING: CPU: 1 PID: 2 at drivers/b.c:6 f+0x1/0x2 [two]\n")


PIECES = [
    *(example for _, example in EXAMPLES[::3]), "Call Trace:", " f+0x1/0x2 [m]", " ? g+0x1/0x2",
    "---[ end trace 0 ]---",
    "x", "", "RIP: 0010:f+0x1/0x2",
    CUT, "8<--- cut here ---", " <IRQ>", " </IRQ>", "NMI backtrace for cpu 1",
    "Freed by task 1:",
    "Kernel panic - not syncing: Fatal exception", "modcompat: mark",
    "CPU: 0 PID: 1 Comm: sh Not tainted 6.1 #1",
]  # fmt: skip
PREFIXES = ["", "[    1.000000] ", "[    1.000000][   T1] ", "[    2.000000][    C0] ", "login: ", "\x1b[31m", "\r"]
LINES = st.lists(st.tuples(st.sampled_from(PREFIXES), st.sampled_from(PIECES)).map("".join), max_size=60)


@given(st.binary(max_size=3000))
def test_any_bytes_can_be_scanned(log: bytes) -> None:
    scan(log)


@given(LINES)
def test_any_order_of_report_lines_can_be_scanned(lines: list[str]) -> None:
    for report in scan("\n".join(lines).encode()):
        assert 1 <= report.first_line <= report.last_line <= len(lines)
        assert json.dumps(as_json_object(report))


@given(LINES, st.lists(st.integers(0, 4000), max_size=20), st.integers(0, len(LOGS) - 1))
def test_how_a_log_is_cut_makes_no_difference(lines: list[str], cuts: list[int], case: int) -> None:
    real = LOGS[case]
    log = real[: 1000 * len(cuts)] + "\n".join(lines).encode() + b"y" * 20_000 + b"\n" + real[:3000]
    places = [0, *sorted(cut * len(log) // 4000 for cut in cuts), len(log)]
    chunks = [log[start:end] for start, end in pairwise(places)]
    assert list(scan_stream(chunks)) == scan(log)


def test_byte_by_byte_is_the_same_too() -> None:
    log = LOGS[0]
    assert list(scan_stream(bytes([byte]) for byte in log)) == scan(log)


@pytest.mark.parametrize(
    "unit",
    [
        b"BUG: ",
        b"[ 1.000000] ",
        b"WARNING: ",
        b"\r",
        b"[",
        b" at: ",
        b"\x1b[",
        b"f+0x1/0x2 ",
        b"Call Trace:\n f+0x1/0x2\n",
        b"BUG: KASAN: \n",
        b"app: WARNING: x\n",
        b"[ 1.000000] x\nBUG: x\n",
        b"[(<[(< BUG: x\n",
        b'{"a": "BUG: x"}\n',
    ],
)
def test_work_grows_with_the_log_and_no_faster(unit: bytes) -> None:
    """Counts calls, including those into C; benchmarks/hostile_log.py measures time."""

    def calls(size: int) -> int:
        log, counted = unit * (size // len(unit)), count()
        sys.setprofile(lambda *_: next(counted))
        try:
            scan(log)
        finally:
            sys.setprofile(before)
        return next(counted)

    before = sys.getprofile()
    calls(10_000)  # fill the caches of the first scan
    assert calls(80_000) < 8.5 * calls(10_000)


def test_memory_stays_constant() -> None:
    scanner = Scanner()
    for _ in range(200):
        scanner.feed(b"[    1.5] vendor: nothing new\n" * 100 + b"z" * 10_000)
        assert len(scanner._carry) < 20_000
    assert scanner.finish() == []


def test_an_init_that_was_called_is_told_by_the_kernel() -> None:
    log = (
        b"[ 1.5][ T40] calling  other_init+0x0/0x1000 [other] @ 39\n"
        b"[ 1.5][ T40] calling  x_init+0x0/0x1000 [x] @ 40\n"
        b"[ 1.5][ T40] initcall x_init+0x0/0x1000 [x] returned -19 after 10000 usecs\n"
    )
    assert find_initcall(log, "x") == InitCall("x_init", -19)
    assert find_initcall(log, "other") == InitCall("other_init", None)
    assert find_initcall(log, "absent") is None
    again = b"[ 2.5][ T41] calling  x_init+0x0/0x1000 [x] @ 41\n"
    assert find_initcall(log + again, "x") == InitCall("x_init", None)


def test_leaks_are_read_from_a_file_among_stamped_lines() -> None:
    leak = 'unreferenced object 0xffff888012345678 (size 64):\n  comm "insmod", pid 53, jiffies 42\n  backtrace:\n'
    frames = "    [<ffffffff81000000>] kmalloc_trace+0x1/0x2\n    [<ffffffffa0000000>] vendor_init+0x1/0x2 [vendor]\n"
    (report,) = scan(f"[    1.0][    T1] Run /init\n{leak}{frames}# next\n[    2.0][    T1] done\n".encode())
    assert (report.kind, report.title, report.module) == ("kmemleak", "memory leak in vendor_init", "vendor")


def test_a_fault_behind_a_refusal_is_a_report_of_its_own() -> None:
    log = b"[    1.0] other: Unknown symbol foo (err -2)\n[    1.0] BUG: something new went wrong\n"
    refusal, fault = scan(log)
    assert refusal.severity is Severity.REFUSAL
    assert fault.severity is Severity.FAULT


def test_suspects_are_the_foreign_modules_that_the_log_named_since_boot() -> None:
    line = b"[    9.%06d] softirq: huh, entered softirq 6 TASKLET ffff888 with preempt_count 00000100, exited with 3?\n"
    boot = b"[    0.000000] Linux version 6.1.192 (gcc)\n"
    named = (
        b"[    1.000000] vendor-net: loading out-of-tree module taints kernel.\n"
        b"[    1.000001] wl: module license 'Proprietary' taints kernel.\n"
        b"[    1.000002] wl: module verification failed: signature and/or required key missing - tainting kernel\n"
    )
    listed = (
        b"[    2.000000] WARNING: CPU: 0 PID: 1 at kernel/x.c:1 x+0x1/0x2\n"
        b"[    2.000001] Modules linked in: zeta(O) wl(PO) in_tree\n"
    )
    between = b"[    3.000000] eth0: link up\n" * 40
    log = boot + line % 0 + named + line % 1 + between + listed + between + line % 2 + boot + line % 3
    wanted = [(), ("vendor_net", "wl"), ("vendor_net", "wl", "zeta"), ()]
    assert [report.suspects for report in scan(log) if report.kind == "atomic-sleep"] == wanted
    for size in (1, 7, 100):
        chunks = [log[place : place + size] for place in range(0, len(log), size)]
        assert [report.suspects for report in scan_stream(chunks) if report.kind == "atomic-sleep"] == wanted


@pytest.mark.parametrize("at_once", [True, False], ids=["in one line", "in two"])
def test_a_list_of_modules_goes_on_in_another_line(*, at_once: bool) -> None:
    """A record of the kernel's log has 1024 characters: kernel/printk/printk.c, PRINTKRB_RECORD_MAX."""
    stamp = "[    2.000001] "
    names, further = f"Modules linked in: other {' '.join(f'm{n}' for n in range(90))}", " vendor(O+) foo bar"
    listed = f"{stamp}{names}{further}\n" if at_once else f"{stamp}{names}\n{stamp}{further}\n"
    (report,) = scan(
        (
            f"{stamp}WARNING: CPU: 0 PID: 41 at kernel/x.c:1 do_init_module+0x45/0x1d0\n{listed}"
            f"{stamp}CPU: 0 PID: 41 Comm: insmod Tainted: G           O       6.1.192 #1\n"
            f"{stamp}RIP: 0010:do_init_module+0x45/0x1d0\n{stamp}Call Trace:\n{stamp} <TASK>\n"
            f"{stamp} load_module+0x1a00/0x1c00\n{stamp} __do_sys_finit_module+0xac/0x120\n{stamp} </TASK>\n"
            f"{stamp}---[ end trace 0000000000000000 ]---\n"
        ).encode()
    )
    assert (report.module, report.rule) == ("vendor", "load or unload window")
    assert report.modules[-4:] == ["m89", "vendor", "foo", "bar"]
    assert suspects(report.text) == ("vendor",)


@pytest.mark.parametrize(
    ("work", "module"),
    [
        ("vendor_work [vendor]", "vendor"),
        ("vendor_work.part.0 [vendor-net]", "vendor-net"),
        ("psi_avgs_work", None),
        ("0xffffffffc0002000", None),  # of a module that is gone
    ],
)
def test_only_work_of_modules_that_takes_long_is_a_report(work: str, module: str | None) -> None:
    log = f"[   12.0] workqueue: {work} hogged CPU for >10000us 4 times, consider switching to WQ_UNBOUND\n".encode()
    assert [report.module for report in scan(log)] == ([module] if module else [])
    assert bool(comparable_messages(log)) == bool(module), "nor is it compared as a message"


@pytest.mark.parametrize(
    ("cache", "module"),
    [
        ("vendor", "vendor"),
        ("vendor_buffers", "vendor"),
        ("vendor-buffers", "vendor"),
        ("vendor.buffers", "vendor"),
        ("vendor_net_skb", "vendor_net"),
        ("vendor-net-skb", "vendor_net"),
        ("vendor_network", "vendor"),
        ("vendors", ""),
        ("vendor2_buffers", ""),
        ("my_vendor", ""),
    ],
)
def test_a_cache_belongs_to_the_module_with_the_longest_name_that_its_name_begins_with(cache: str, module: str) -> None:
    log = (
        f"[    1.0] BUG {cache} (Not tainted): Objects remaining in {cache} on __kmem_cache_shutdown()\n"
        "[    1.0] -----------------------------------------------------------------------------\n"
        "[    1.0] CPU: 0 PID: 40 Comm: rmmod Not tainted 6.1.0 #1\n"
        "[    1.0] Modules linked in: vendor vendor_net [last unloaded: other]\n"
        "[    1.0] Call Trace:\n"
        "[    1.0]  __kmem_cache_shutdown+0x10/0x20\n"
    )
    (report,) = scan(log.encode())
    assert (report.module, report.culprit) == (module, cache if module else "")


@pytest.mark.parametrize(
    ("lock", "module"),
    [("&vendor->lock", "vendor"), ("vendor_lock", "vendor"), ("&vendors->lock", ""), ("vendors", "")],
)
def test_a_lock_class_belongs_to_a_module_in_the_same_way(lock: str, module: str) -> None:
    log = (
        "WARNING: possible recursive locking detected\n6.1.192 #1 Not tainted\n"
        f"sh/53 is trying to acquire lock:\nffff888003a1b000 ({lock}){{+.+.}}-{{3:3}}, at: take+0x10/0x20\n"
        "CPU: 0 PID: 53 Comm: sh Not tainted 6.1.192 #1\nModules linked in: vendor\nCall Trace:\n take+0x10/0x20\n"
    )
    (report,) = scan(log.encode())
    assert report.module == module


_DUMP = (
    "CPU: 0 PID: 45 Comm: insmod Tainted: G           O       6.1.0 #1\nHardware name: QEMU\nCall Trace:\n <TASK>\n"
    " dump_stack_lvl+0x49/0x60\n {function}+0x10/0x20 [vendor]\n do_one_initcall+0x10/0x20\n </TASK>\n"
)
_WARNED = (
    "------------[ cut here ]------------\nWARNING: CPU: 0 PID: 45 at vendor.c:7 vendor_init+0x10/0x20 [vendor]\n"
    "Modules linked in: vendor(O+)\nCPU: 0 PID: 45 Comm: insmod Tainted: G           O       6.1.0 #1\n"
    "RIP: 0010:vendor_init+0x10/0x20 [vendor]\nCall Trace:\n <TASK>\n do_one_initcall+0x10/0x20\n </TASK>\n"
    "---[ end trace 0000000000000000 ]---\n"
)


@pytest.mark.parametrize("caller", ["", "[   T45]"])
@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        (_WARNED + "vendor: ring is damaged\n" + _DUMP.format(function="vendor_dump"), ["warning", "unclaimed"]),
        (_DUMP.format(function="vendor_a") + _DUMP.format(function="vendor_b"), ["unclaimed", "unclaimed"]),
        (
            "FAULT_INJECTION: forcing a failure.\nname failslab, interval 1, probability 100, space 0, times -1\n"
            + _DUMP.format(function="should_fail")
            + "vendor: ring is damaged\n"
            + _DUMP.format(function="vendor_dump"),
            ["unclaimed"],
        ),
    ],
    ids=["warning", "dump", "injection"],
)
def test_a_trace_behind_a_whole_report_is_another_one(text: str, kinds: list[str], caller: str) -> None:
    log = "".join(f"[    1.0]{caller} {line}\n" for line in text.splitlines()).encode()
    assert [report.kind for report in scan(log)] == kinds


@pytest.mark.parametrize("oops", ["Oops: double fault: 0000 [#1] PREEMPT SMP", "double fault: 0000 [#1] PREEMPT SMP"])
def test_a_double_fault_is_one_report(oops: str) -> None:
    text = (
        f"traps: PANIC: double fault, error_code: 0x0\n{oops}\n"
        "CPU: 0 PID: 45 Comm: insmod Tainted: G           O       6.12.0 #1\nRIP: 0010:vendor_init+0x10/0x20 [vendor]\n"
        "Call Trace:\n <TASK>\n do_one_initcall+0x10/0x20\n </TASK>\n---[ end trace 0000000000000000 ]---\n"
    )
    (report,) = scan("".join(f"[    1.0] {line}\n" for line in text.splitlines()).encode())
    assert (report.module, report.title) == ("vendor", "PANIC: double fault in vendor_init")


_POISON = (
    "=============================================================================\n"
    "BUG kmalloc-64 (Tainted: G           O      ): Poison overwritten\n"
    "-----------------------------------------------------------------------------\n\n"
    "0xffff888000bb3f40-0xffff888000bb3f40 @offset=3904. First byte 0x1 instead of 0x6b\n{tracks}"
    "Slab 0xffffea000002ecc0 objects=32 used=32 fp=0x0000000000000000 flags=0x100000000000200(slab|node=0|zone=1)\n"
    "Object 0xffff888000bb3f40 @offset=3904 fp=0xffff888000bb3f80\n\n"
    "CPU: 0 PID: 45 Comm: insmod Tainted: G           O       6.1.0 #1\nCall Trace:\n <TASK>\n"
    " dump_stack_lvl+0x49/0x60\n check_bytes_and_report+0x10/0x20\n alloc_debug_processing+0x10/0x20\n"
    " __kmem_cache_alloc_node+0x10/0x20\n innocent_write+0x10/0x20 [innocent]\n do_one_initcall+0x10/0x20\n </TASK>\n"
)
_TRACKS = (
    "Allocated in vendor_start+0x10/0x20 [vendor] age=10 cpu=0 pid=40\n __kmem_cache_alloc_node+0x10/0x20\n"
    " vendor_start+0x10/0x20 [vendor]\nFreed in vendor_stop+0x10/0x20 [vendor] age=5 cpu=0 pid=40\n"
    " __kmem_cache_free+0x10/0x20\n vendor_stop+0x10/0x20 [vendor]\n"
)


# Since 6.15, object_err() and __slab_err() of mm/slub.c end in WARN_ON(1), and print no trace themselves
_POISON_WARNED = _POISON.partition("CPU: 0")[0] + (
    "------------[ cut here ]------------\n"
    "WARNING: {form}\n"
    "Modules linked in: innocent(O+) vendor(O)\n"
    "CPU: 0 UID: 0 PID: 45 Comm: insmod Tainted: G    B      O        6.15.0 #1 PREEMPT\n"
    "RIP: 0010:__slab_err+0x1d/0x30\nCall Trace:\n <TASK>\n alloc_debug_processing+0x10/0x20\n"
    " __kmalloc_cache_noprof+0x10/0x20\n innocent_write+0x10/0x20 [innocent]\n do_one_initcall+0x10/0x20\n </TASK>\n"
    "---[ end trace 0000000000000000 ]---\n"
)
_POISONED = (
    _POISON,
    _POISON_WARNED.replace("{form}", "CPU: 0 PID: 45 at mm/slub.c:1146 __slab_err+0x1d/0x30"),
    _POISON_WARNED.replace("{form}", "mm/slub.c:1146 at __slab_err+0x1d/0x30, CPU#0: insmod/45"),  # since 6.19
)


@pytest.mark.parametrize("printed", _POISONED, ids=["6.1", "6.15", "6.19"])
@pytest.mark.parametrize(("tracks", "module"), [(_TRACKS, "vendor"), ("", "")])
def test_who_notices_damage_later_is_not_blamed(printed: str, tracks: str, module: str) -> None:
    text = printed.format(tracks=tracks)
    (report,) = scan("".join(f"[    1.0] {line}\n" for line in text.splitlines()).encode())
    assert report.module == module


@pytest.mark.parametrize(
    "line",
    [
        "genirq: Flags mismatch irq 1. 00000000 (vendor) vs. 00000080 (i8042)",
        "unregister_netdevice: waiting for vendor0 to become free. Usage count = 2",
        "kmemleak: 1 new suspected memory leaks (see /sys/kernel/debug/kmemleak)",
    ],
)
def test_a_warning_behind_a_report_of_one_line_is_another_one(line: str) -> None:
    log = "".join(f"[    1.0] {text}\n" for text in [line, *_WARNED.splitlines()]).encode()
    assert [report.kind for report in scan(log)][1:] == ["warning"]


_INTERRUPTED = {
    "x86": (
        "Call Trace:\n <IRQ>\n dump_stack_lvl+0x49/0x60\n __might_resched+0x10/0x20\n{frame} call_timer_fn+0x10/0x20\n"
        " </IRQ>\n <TASK>\n asm_sysvec_apic_timer_interrupt+0x16/0x20\nRIP: 0010:innocent_loop+0xf/0x20 [innocent]\n"
        " innocent_init+0x10/0x20 [innocent]\n do_one_initcall+0x10/0x20\n </TASK>\n"
    ),
    "arm64": (
        "Call trace:\n dump_backtrace+0x10/0x20\n __might_resched+0x10/0x20\n{frame} call_timer_fn+0x10/0x20\n"
        " gic_handle_irq+0x10/0x20\n call_on_irq_stack+0x10/0x20\n el1_interrupt+0x10/0x20\n el1h_64_irq+0x10/0x20\n"
        " innocent_loop+0xf/0x20 [innocent]\n do_one_initcall+0x10/0x20\n"
    ),
}


@pytest.mark.parametrize("arch", _INTERRUPTED)
@pytest.mark.parametrize(("frame", "module"), [(" vendor_timer+0x10/0x20 [vendor]\n", "vendor"), ("", "")])
def test_the_code_that_an_interrupt_found_is_not_blamed(arch: str, frame: str, module: str) -> None:
    text = (
        "BUG: sleeping function called from invalid context at kernel/locking/mutex.c:283\n"
        "in_atomic(): 1, irqs_disabled(): 0, non_block: 0, pid: 45, name: insmod\n"
        "CPU: 0 PID: 45 Comm: insmod Tainted: G           O       6.1.0 #1\n" + _INTERRUPTED[arch].format(frame=frame)
    )
    (report,) = scan("".join(f"[    1.0] {line}\n" for line in text.splitlines()).encode())
    assert report.module == module


def test_the_code_that_an_interrupt_found_is_blamed_for_a_lockup() -> None:
    text = (
        "watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [insmod:45]\nModules linked in: innocent(O)\n"
        "CPU: 0 PID: 45 Comm: insmod Tainted: G           O       6.1.0 #1\n" + _INTERRUPTED["x86"].format(frame="")
    )
    (report,) = scan("".join(f"[    1.0] {line}\n" for line in text.splitlines()).encode())
    assert report.module == "innocent"


@pytest.mark.parametrize(
    "address",
    ["ffff800000a41010", "ffff800008a41010", "ffff80007a4b1000", "ffffffc07a441010", "ffffffc008a41010"],
)
def test_an_unloaded_module_of_arm64_is_blamed(address: str) -> None:
    """Of 48 and 39 bits; 128 MB for modules up to 6.4, and 2 GB later."""
    log = (
        f"[    1.0] Unable to handle kernel paging request at virtual address {address}\n"
        "[    1.0] Internal error: Oops: 86000007 [#1] PREEMPT SMP\n"
        "[    1.0] Modules linked in: [last unloaded: vendor(O)]\n"
        "[    1.0] CPU: 0 PID: 0 Comm: swapper/0 Tainted: G           O       6.1.0 #1\n"
        f"[    1.0] pc : 0x{address}\n"
        "[    1.0] Call trace:\n"
        f"[    1.0]  0x{address}\n"
        "[    1.0]  call_timer_fn+0x20/0x30\n"
        "[    1.0] ---[ end trace 0000000000000000 ]---\n"
    ).encode()
    (report,) = scan(log)
    assert report.module == "vendor"


def test_the_place_of_a_report_is_that_of_its_culprit() -> None:
    report = Report("access", Severity.FAULT, "x", "read", "x", "read", "", 1, 2, 0, "x\n", culprit_offset=16)
    assert replace(report, places={"read_all+0x10": "a.c:1", "read+0x10": "b.c:2"}).place == "b.c:2"
    assert replace(report, places={"read_all+0x10": "a.c:1"}).place == ""
