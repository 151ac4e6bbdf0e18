# SPDX-License-Identifier: Apache-2.0
"""Reports in logs of every form in which people hand them in, and prefixes that nobody has seen before."""

import json
from collections.abc import Callable
from itertools import chain, pairwise
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from harness.detect.kernel_report import Report
from harness.detect.learned_prefix import JsonPrefix, as_learned, json_object, parts
from harness.detect.scan import scan, scan_stream

# As lib/refcount.c, kernel/panic.c and arch/x86/kernel/dumpstack.c print it
REFCOUNT = """------------[ cut here ]------------
refcount_t: underflow; use-after-free.
WARNING: CPU: 1 PID: 4711 at lib/refcount.c:28 refcount_warn_saturate+0xba/0x110
Modules linked in: vendor(O)
CPU: 1 PID: 4711 Comm: vendord Tainted: G           O       6.1.170 #1
Hardware name: Vendor Board (DT)
RIP: 0010:refcount_warn_saturate+0xba/0x110
Code: 01 01 e8 36 29 5c 00 0f 0b c3
RSP: 0018:ffffc900001d7e58 EFLAGS: 00010286
Call Trace:
 <TASK>
 vendor_put+0x2c/0x40 [vendor]
 vendor_release+0x18/0x30 [vendor]
 __fput+0x8c/0x250
 </TASK>
---[ end trace 0000000000000000 ]---
""".splitlines()
# As __schedule_bug() of kernel/sched/core.c prints it
ATOMIC = """BUG: scheduling while atomic: vendord/4711/0x00000002
Modules linked in: vendor(O)
CPU: 1 PID: 4711 Comm: vendord Tainted: G           O       6.1.170 #1
Hardware name: Vendor Board (DT)
Call trace:
 dump_backtrace+0xe0/0x130
 show_stack+0x18/0x30
 dump_stack_lvl+0x64/0x80
 __schedule_bug+0x58/0x70
 __schedule+0x8c4/0x9f0
 schedule+0x5c/0xd0
 vendor_wait+0x3c/0x60 [vendor]
 vendor_ioctl+0x24/0x50 [vendor]
 el0_svc+0x2c/0x80
""".splitlines()
# kernel/module/main.c
REFUSAL = ["vendor: loading out-of-tree module taints kernel.", "vendor: Unknown symbol vendor_call (err -2)"]
BOOT = [
    "usb 1-1: new high-speed USB device number 2 using xhci_hcd",
    "vendor: loading out-of-tree module taints kernel.",
    "a line that nobody knows",
]

Format = Callable[[int, str], str]


def _seconds(n: int) -> float:
    return 95.5 + n * 0.75  # the integer part gets longer


def _stamp(n: int) -> str:
    return f"[{_seconds(n):12.6f}]"


def _journal_json(n: int, text: str) -> str:
    fields = [("__CURSOR", f"s=6e;i={n:x}"), ("_TRANSPORT", "kernel"), ("PRIORITY", "4")]
    fields.insert(n % 4, ("MESSAGE", text))  # the order of the fields differs from record to record
    return json.dumps(dict(fields))


def _journal_verbose(n: int, text: str) -> str:
    head = f"Mon 2025-09-01 08:00:{n:02d}.000123 UTC [s=6e;i={n:x};b=9a;m={n:x};t=5f;x=77]"
    fields = ["_TRANSPORT=kernel", "PRIORITY=4", "SYSLOG_IDENTIFIER=kernel", "_BOOT_ID=9a", "_HOSTNAME=board"]
    return "\n".join([head, *(f"    {field}" for field in fields), f"    MESSAGE={text}"])


FORMATS: dict[str, Format] = {
    # kernel/printk/printk.c
    "no stamp": lambda _, text: text,
    "level": lambda n, text: f"<4>{_stamp(n)} {text}",
    "caller": lambda n, text: f"{_stamp(n)}[ T4711] {text}",
    "UART": lambda n, text: f"{_stamp(n)} {text}\r",
    "kmsg": lambda n, text: f"4,{n + 98},{int(_seconds(n) * 1e6)},-,caller=T4711;{text}",
    # pstore_dump() of fs/pstore/platform.c
    "pstore": lambda n, text: "Oops#1 Part1\n" * (not n) + f"<4>{_stamp(n)} {text}",
    # Documentation/networking/netconsole.rst
    "netconsole with release": lambda n, text: f"6.1.170,4,{n + 98},{int(_seconds(n) * 1e6)},-;{text}",
    "netconsole through syslog": lambda n, text: f"Sep  1 08:00:00 10.0.0.7 4,{n + 98},{n},-;{text}",
    # the program dmesg
    "dmesg with caller": lambda n, text: f"{_stamp(n)} [ T4711] {text}",
    "dmesg --decode": lambda n, text: f"kern  :warn  : {_stamp(n)} {text}",
    "dmesg --human": lambda n, text: (f"[  +0.{n:06d}] " if n % 9 else "[Sep 1 08:00] ") + text,
    "dmesg --show-delta": lambda n, text: f"[{_seconds(n):12.6f} <    0.750000>] {text}",
    "dmesg --ctime": lambda _, text: f"[Mon Sep  1 08:00:00 2025] {text}",
    "dmesg --json": lambda n, text: f'   }},{{\n      "pri": 4,\n      "time": {n},\n      "msg": {json.dumps(text)}',
    # the program journalctl
    "journal short": lambda _, text: f"Sep 01 08:00:00 board kernel: {text}",
    "journal short-precise": lambda n, text: f"Sep 01 08:00:00.{n:06d} board kernel: {text}",
    "journal short-full": lambda _, text: f"Mon 2025-09-01 08:00:00 UTC board kernel: {text}",
    "journal short-monotonic": lambda n, text: f"{_stamp(n)} board kernel: {text}",
    "journal short-unix": lambda n, text: f"17567136{n:02d}.000000 board kernel: {text}",
    "journal verbose": _journal_verbose,
    "journal export": lambda n, text: f"__CURSOR=s=6e;i={n:x}\n_TRANSPORT=kernel\nPRIORITY=4\nMESSAGE={text}\n",
    "journal json": _journal_json,
    "journal json-pretty": lambda n, text: f'{{\n\t"__CURSOR" : "{n:x}",\n\t"MESSAGE" : {json.dumps(text)}\n}}',
    "journal cat": lambda _, text: text,
    # RFC 3164, RFC 5424, syslogd(8)
    "syslog with priority": lambda n, text: f"<4>Sep  1 08:00:00 board kernel: {_stamp(n)} {text}",
    "syslog, RFC 5424": lambda n, text: f"<4>1 2025-09-01T08:00:00.{n:06d}Z board kernel - - - {_stamp(n)} {text}",
    "syslog on all terminals": lambda n, text: f"\nMessage from syslogd@board at ...\n kernel:{_stamp(n)} {text}",
    "logread": lambda n, text: f"Mon Sep  1 08:00:00 2025 kern.warn kernel: {_stamp(n)} {text}",
    # vendors' changes of print_prefix()
    "phone: CPU, task": lambda n, text: f"{_stamp(n)} -(1)[4711:vendord]{text}",
    "phone: atomic or not": lambda n, text: f"<4>{_stamp(n)} {' .-'[n % 3]}(1)[4711:vendord]{text}",
    "phone: padded task": lambda n, text: f"{_stamp(n)}  [1:        vendord: 4711] {text}",
    "phone: words": lambda n, text: f"{_stamp(n)} (CPU:1-pid:4711:vendord) {text}",
    "TV box: CPU": lambda n, text: f"[{_seconds(n):12.6f}@1] {text}",
    "tablet: columns": lambda n, text: f"{_stamp(n)} c1  4711 {text}",
    "logcat threadtime": lambda n, text: f"09-01 08:00:00.{n:03d}     0     0 W         : {text}",
    "logcat brief": lambda n, text: f"W/        (    0): <4>{_stamp(n)} {text}",
    # programs that stamp what they read from a console
    "tio": lambda n, text: f"[08:00:{n:02d}.{n:03d}] {_stamp(n)} {text}\r",
    "minicom": lambda n, text: f"[2025-09-01 08:00:{n:02d}] {_stamp(n)} {text}",
    "grabserial": lambda n, text: f"[{_seconds(n):.6f} 0.750000] {_stamp(n)} {text}",
    "ts": lambda n, text: f"Sep 01 08:00:{n:02d} {text}",
    "Xen": lambda n, text: f"(XEN) [2025-09-01 08:00:{n:02d}] d1v0 {text}",
    # test labs and CI
    "LAVA columns": lambda n, text: f"2025-09-01T08:00:{n:02d}.000000\ttarget\t{_stamp(n)} {text}",
    "LAVA YAML": lambda n, text: f'- {{"dt": "2025-09-01T08:00:{n:02d}", "lvl": "target", "msg": {json.dumps(text)}}}',
    "GitLab": lambda n, text: f"2025-09-01T08:00:{n:02d}.000000Z 00O {_stamp(n)} {text}",
    "GitHub": lambda n, text: f"boot\tRun\t2025-09-01T08:00:{n:02d}.0000000Z {text}",
    "docker compose": lambda n, text: f"guest-1  | {_stamp(n)} {text}",
    "docker json-file": lambda n, text: json.dumps({"log": f"{_stamp(n)} {text}\n", "stream": "stdout"}),
    "docker json-file of a phone": lambda n, text: json.dumps({"log": f"{_stamp(n)} -(1)[4711:vendord]{text}\n"}),
    "Python logging": lambda n, text: f"2025-09-01 08:00:{n:02d},000 - DEBUG - console - {_stamp(n)} {text}",
    "logfmt": lambda n, text: f"time=08:00:{n:02d} level=info msg={json.dumps(text)}",
    # bug reports
    "quoted mail": lambda n, text: f"> > {_stamp(n)} {text}",
    "indented": lambda n, text: f"    {_stamp(n)} {text}",
    "indented without stamp": lambda _, text: f"    {text}",
    "grep -n": lambda n, text: f"logs/console.log:{n + 98}:{_stamp(n)} {text}",
    "less -N": lambda n, text: f"{n + 98:7d} {_stamp(n)} {text}",
    "diff": lambda n, text: f"+{_stamp(n)} {text}",
    "HTML": lambda n, text: f"{_stamp(n)} {text}".replace("<", "&lt;").replace(">", "&gt;"),
    "coloured": lambda n, text: f"\x1b[1;37m[08:00:{n:02d}]\x1b[0m \x1b[32m{_stamp(n)} \x1b[0m{text}",
}  # fmt: skip


def _log(form: Format, lines: list[str]) -> bytes:
    return "".join(f"{form(number, line)}\n" for number, line in enumerate(lines)).encode()


def _facts(report: Report) -> dict[str, Any]:
    fields = ("kind", "title", "headline", "function", "module", "culprit", "rule", "torn_because", "task")
    return {field: getattr(report, field) for field in fields}


@pytest.mark.parametrize("lines", [REFCOUNT, ATOMIC], ids=["warning", "fault"])
@pytest.mark.parametrize("form", FORMATS.values(), ids=FORMATS)
def test_a_report_is_the_same_in_each_format(form: Format, lines: list[str]) -> None:
    (wanted,) = scan("\n".join(lines).encode())
    assert (wanted.module, wanted.torn, wanted.task.pid) == ("vendor", False, 4711)
    (first,) = scan(_log(form, lines))  # the report itself teaches the prefix
    (later,) = scan(_log(form, BOOT + lines + BOOT))
    for found in (first, later):
        assert _facts(found) == _facts(wanted)


@pytest.mark.parametrize("form", FORMATS.values(), ids=FORMATS)
def test_a_refusal_has_no_lines_of_its_own_but_is_found(form: Format) -> None:
    (found,) = scan(_log(form, BOOT + REFUSAL))
    assert found.headline == REFUSAL[1]


@pytest.mark.parametrize("form", FORMATS.values(), ids=FORMATS)
def test_how_a_log_of_any_format_is_cut_makes_no_difference(form: Format) -> None:
    log = _log(form, BOOT + REFCOUNT + ATOMIC + BOOT)
    wanted = scan(log)
    assert wanted
    for size in (1, 7, 1000):
        assert list(scan_stream(log[start : start + size] for start in range(0, len(log), size))) == wanted


_NAMES = st.sampled_from(["board-3", "qemu", "ttyS0", "console", "kern.warn", "lab.example.org", "DEBUG"])
_GAPS = st.sampled_from([" ", "  ", " | ", ": ", "\t", ", ", " - ", "|", "> ", "; "])
_FIELDS: dict[str, Format] = {
    "number": lambda n, _: str(n + 98),
    "padded": lambda n, _: f"{n + 98:6d}",
    "time": lambda n, _: f"08:00:{n:02d}.{n * 7 % 1000:03d}",
    "date": lambda n, _: f"2025-09-01T08:00:{n:02d}Z",
    "seconds": lambda n, _: f"{_seconds(n):.3f}",
    "hexadecimal": lambda n, _: f"{0xA90C + n * 7:x}1f",
    "task": lambda *_: "4711:vendord",
    "name": lambda _, name: name,
}
_BRACKETS = st.sampled_from(["", "[]", "()", "<>"])
PREFIXES = st.lists(st.tuples(st.sampled_from([*_FIELDS]), _NAMES, _BRACKETS, _GAPS), min_size=1, max_size=4)


@settings(max_examples=300)
@given(PREFIXES, st.booleans(), st.integers(0, 3))
def test_a_prefix_that_nobody_knows_is_learned(fields: list[tuple[str, ...]], stamped: bool, before: int) -> None:  # noqa: FBT001
    def form(n: int, text: str) -> str:
        words = (f"{around[:1]}{_FIELDS[kind](n, name)}{around[1:]}{gap}" for kind, name, around, gap in fields)
        return "".join(words) + f"{_stamp(n)} " * stamped + text

    assume(any(kind != "name" for kind, *_ in fields))
    (report,) = scan(_log(form, ["a line that nobody knows"] * before + ATOMIC))
    assert (report.headline, report.module, report.torn_because) == (ATOMIC[0], "vendor", "")


OTHER = [line.replace("4711", "4712").replace("vendord", "otherd").replace("CPU: 1", "CPU: 0") for line in ATOMIC]


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("{stamp} -(1)[4711:vendord]{text}", "{stamp} -(0)[4712:otherd]{text}"),
        ("{stamp} [1:  vendord: 4711] {text}", "{stamp} [0:   otherd: 4712] {text}"),
        ("{stamp} c1  4711 {text}", "{stamp} c0  4712 {text}"),
        ("{stamp} [ T4711] {text}", "{stamp} [ T4712] {text}"),
        ("board-1 | {stamp}[ T4711] {text}", "board-1 | {stamp}[ T4712] {text}"),
        ("board-1 | {stamp} {text}", "board-2 | {stamp} {text}"),
        ("Sep  1 08:00:00 one kernel: {text}", "Sep  1 08:00:00 two kernel: {text}"),
        ("{stamp} {text}", "board-1 | {stamp} {text}"),
    ],
)
@pytest.mark.parametrize("before", [[], BOOT], ids=["first", "later"])
def test_sources_and_callers_are_kept_apart(one: str, two: str, before: list[str]) -> None:
    both = list(chain.from_iterable(zip([*before, *ATOMIC], [*before, *OTHER], strict=True)))
    lines = [
        form.format(stamp=_stamp(number), text=text)
        for number, (form, text) in enumerate(zip((one, two) * (len(both) // 2), both, strict=True))
    ]
    found = scan("\n".join(lines).encode())
    assert [(report.headline, report.torn_because) for report in found] == [(ATOMIC[0], ""), (OTHER[0], "")]


def test_a_caller_behind_a_foreign_prefix_is_the_callers() -> None:
    (report,) = scan(_log(FORMATS["phone: CPU, task"], ATOMIC))
    assert report.caller == "T4711"


def test_lines_of_another_program_do_not_end_a_report() -> None:
    noise = [f"web-1    | GET /{number} 200" for number in range(30)]
    mixed = chain.from_iterable((line, *noise) for line in _log(FORMATS["docker compose"], ATOMIC).decode().split("\n"))
    (report,) = scan("\n".join(mixed).encode())
    assert (report.module, report.torn_because) == ("vendor", "")


@pytest.mark.parametrize(
    "sentence",
    [
        "the customer wrote: BUG: kernel NULL pointer dereference, address: 0000000000000008",
        "BUG: soft lockup - CPU#1 stuck for 23s! [sh:55]",
        "WARNING: possible circular locking dependency detected",
        "found 3 lines with Call Trace: in them",
        "matched 'vendor: Unknown symbol foo (err -2)'",
        "------------[ cut here ]------------",
    ],
)
@pytest.mark.parametrize("form", ["Python logging", "GitLab", "syslog, RFC 5424", "docker compose", "logfmt", "level"])
def test_a_sentence_about_the_kernel_is_no_report(form: str, sentence: str) -> None:
    def program(number: int, text: str) -> str:
        return FORMATS[form](number, f"app[55]: {text}")

    lines = [f"job {number} of worker {number % 3} is done" for number in range(120)]
    for number in range(20, 120, 7):
        lines[number] = f"{sentence} {number}"
    assert scan(_log(program, lines)) == []


def test_the_rest_of_a_fragmented_message_is_part_of_it() -> None:
    """netconsole splits a message that does not fit into a packet; the list of modules rarely does."""
    names = [f"module_{number}" for number in range(150)]
    lines = list(ATOMIC)
    lines[1] = f"Modules linked in: {' '.join(names)} vendor(O)"
    sent: list[str] = []
    for number, line in enumerate(lines):
        head = f"4,{number},{number},-"
        if len(line) < 900:
            sent.append(f"{head};{line}")
        else:
            cuts = pairwise([*range(0, len(line), 900), len(line)])
            sent += [f"{head},ncfrag={start}/{len(line)};{line[start:end]}" for start, end in cuts]
    (report,) = scan("\n".join(sent).encode())
    assert report.modules == [*names, "vendor"]
    assert report.torn_because == ""


@pytest.mark.parametrize(
    ("prefix", "same", "others"),
    [
        ("[    9.5] ", ["[   10.25] ", "[1000.5] "], ["[   x.5] ", "[    9.5]"]),
        ("board-1  | ", ["board-1  | "], ["board-2  | ", "web-1  | "]),
        ("10.0.0.7 5: ", ["10.0.0.7 123: "], ["10.0.0.8 5: "]),
        ("2025-09-01T08:00:00Z 00O ", ["2026-12-31T23:59:59Z 01O "], ["2025-09-01 08:00:00 00O "]),
    ],
)
def test_numbers_may_change_and_names_may_not(prefix: str, same: list[str], others: list[str]) -> None:
    learned = as_learned(parts(prefix), set(), set(), stamped=False)
    for line in same:
        stripped = learned.strip(f"{line}text")
        assert stripped
        assert stripped.text == "text"
    assert [line for line in others if learned.strip(f"{line}text")] == []


def test_json_that_is_none_is_no_prefix() -> None:
    assert json_object('{"a": 1') is None
    assert json_object("[1]") is None
    assert json_object("{" * 5000 + "}") is None
    strip = JsonPrefix(("a", "b")).strip
    assert strip('{"a": {"b": 5}}') is None
    bytes_ = strip('{"a": {"b": [66, 85, 71]}}')
    assert bytes_
    assert bytes_.text == "BUG"
