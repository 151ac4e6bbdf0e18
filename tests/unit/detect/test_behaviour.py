# SPDX-License-Identifier: Apache-2.0
"""Debug kernels are judged by what the module does on production."""

from dataclasses import replace
from typing import Any

import pytest

from harness.detect.behaviour import comparable_messages, differences, reached
from harness.detect.evidence import Check, Command, Counters, Evidence, GuestLoss, Loss, Phase
from harness.detect.initcalls import InitCall
from harness.detect.kernel_report import Report
from harness.detect.kinds import Severity
from harness.detect.scan import scan
from harness.detect.verdict import Verdict, judge, judge_against


def without_hardware(**changes: Any) -> Evidence:
    """A driver whose init returns -ENODEV."""
    evidence = Evidence(
        module="x",
        feature_proof="DEBUG_SPINLOCK off",
        load=Command("insmod x.ko", 1, "can't insert 'x.ko': No such device", 0.1),
        initcall=InitCall("x_init", -19),
        integrity=[Check("slabs", held=True)],
        liveness_checks=[Check("fork", held=True)],
        before=Counters(0, 0, 0),
        after=Counters(0, 0, 0),
        scanned=True,
        observed=True,
        messages={Phase.LOAD: ["x: no card found"]},
    )
    return replace(evidence, **changes)


def loading(**changes: Any) -> Evidence:
    """A module that is CLEAN."""
    ours = {
        "load": Command("insmod x.ko", 0, "", 0.1), "initcall": InitCall("x_init", 0), "loaded": True,
        "exercise_ended": True, "unload": Command("rmmod x", 0, "", 0.1), "removed": True,
        "after_load": ["+/proc/x", "+/sys/module/x"],
    }  # fmt: skip
    return without_hardware(**(ours | changes))


def warning(title: str = "WARNING in x_probe") -> dict[Phase, list[Report]]:
    return {Phase.LOAD: [Report("warning", Severity.WARNING, title, "x_probe", "x", "", "", 1, 2, 0, f"{title}\n")]}


def test_the_same_failure_as_on_production_passes() -> None:
    judgement = judge_against([without_hardware()], [without_hardware()])
    assert judgement.verdict is Verdict.SAME
    assert "REFUSED (its own init, x_init, returned -19" in judgement.reason
    assert "reached: the load, the end of its init" in judgement.reason
    assert "not reached: its exit" in judgement.reason


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"initcall": InitCall("x_init", -12)}, "its init: production `returned -19`, here `returned -12`"),
        ({"messages": {Phase.LOAD: ["x: bad state"]}}, "messages in the load: production `x: no card found`, here"),
        ({"after_load": ["+/proc/x"]}, "names after the load: production nothing, here `+/proc/x`"),
        ({"reports": warning()}, "reports in the load: production nothing, here `WARNING in x_probe`"),
        ({"loss": GuestLoss(Loss.DIED, Phase.LOAD, "panic")}, "the guest: production nothing, here `died in the load`"),
        ({"integrity": [Check("code", held=False, detail="8 bytes")]}, "checks of memory: production nothing, here"),
        (
            {"load": Command("insmod x.ko", 2, "no", 0.1)},
            "the load: production `ended with 1 (can't insert 'x.ko': No such",
        ),
        ({"unload": Command("rmmod x", 1, "busy", 0.1)}, "the unload: production nothing, here `ended with 1`"),
        ({"after_unload": ["+/proc/x"]}, "names after the unload: production nothing, here `+/proc/x`"),
        ({"announced": [Check("exit", held=False)]}, "announced words: production nothing, here `exit: failed`"),
        ({"checks": [Check("answer", held=True)]}, "the exercise: production nothing, here `answer: held`"),
        (
            {"liveness_checks": [Check("fork", held=False)]},
            "checks that the guest works: production nothing, here `fork`",
        ),
        ({"after": Counters(0, 0, 1)}, "the kernel's counters: production nothing, here"),
    ],
)
def test_a_difference_is_a_finding_with_both_sides(change: dict[str, Any], what: str) -> None:
    judgement = judge_against([without_hardware()], [without_hardware(**change)])
    assert judgement.verdict not in (Verdict.SAME, Verdict.CLEAN)
    assert any(step.verdict is Verdict.DIFFERS and what in step.reason for step in judgement.steps)


def test_a_module_that_warns_on_production_may_warn_here() -> None:
    production = loading(reports=warning())
    assert judge(production).verdict is Verdict.SPLAT
    assert judge_against([production], [loading(reports=warning())]).verdict is Verdict.SAME
    assert judge_against([production], [loading()]).verdict is Verdict.SAME, "the debug kernel may be right"
    other = judge_against([production], [loading(reports=warning("WARNING in x_other"))])
    assert other.verdict is Verdict.DIFFERS


def reported(log: str) -> dict[str, Any]:
    """The reports in the lines of a log, as evidence of the load."""
    return {"reports": {Phase.LOAD: scan("".join(f"[    1.0] {line}\n" for line in log.splitlines()).encode())}}


def warned(text: str, place: str, *, registers: str = "RIP: 0010:") -> str:
    """A warning at a place, as x86 prints it; as arm does without registers."""
    site = place.partition(" ")[2]
    texts = ["------------[ cut here ]------------", *text.splitlines(), f"WARNING: CPU: 1 PID: 53 at {place}"]
    if not registers:
        texts[1:] = texts[:0:-1]
    texts += ["Modules linked in: x(O+)", "CPU: 1 PID: 53 Comm: insmod Tainted: G           O       6.1.192 #1"]
    texts += [f"{registers}{site}"] if registers else []
    return "\n".join([*texts, "Call Trace:", f" {site}", " x_probe+0x40/0x80 [x]", " do_one_initcall+0x50/0x200"])


IN_KERNEL, IN_MODULE = "refcount_warn_saturate+0xba/0x110", "x_probe+0x40/0x80 [x]"
UNDERFLOW, SATURATED = "refcount_t: underflow; use-after-free.", "refcount_t: saturated; leaking memory."


@pytest.mark.parametrize("registers", ["RIP: 0010:", ""], ids=["x86", "arm"])
def test_a_warning_is_compared_by_what_it_says(registers: str) -> None:
    there = loading(**reported(warned(UNDERFLOW, f"lib/refcount.c:28 {IN_KERNEL}", registers=registers)))
    (report,) = there.reports[Phase.LOAD]
    assert (report.kind, report.title) == ("refcount", "WARNING: refcount bug in x_probe")
    same = loading(**reported(warned(UNDERFLOW, "lib/refcount.c:31 refcount_warn_saturate+0xc4/0x120")))
    assert judge_against([there], [same]).verdict is Verdict.SAME, "the kernel's lines and offsets are not compared"
    other = loading(**reported(warned(SATURATED, f"lib/refcount.c:22 {IN_KERNEL}", registers=registers)))
    judgement = judge_against([there], [other])
    assert judgement.verdict is Verdict.DIFFERS
    assert f"here `WARNING: refcount bug in x_probe: {SATURATED}`" in judgement.reason


def test_a_text_of_a_warning_that_varies_is_the_same() -> None:
    there, here = (
        reported(warned(f"x: port {port} at {port}f0a\nmore", f"net/core/dev.c:{port} x_up+0x{port}/0x90"))
        for port in (47, 53)
    )
    assert judge_against([loading(**there)], [loading(**here)]).verdict is Verdict.SAME
    other = reported(warned("x: port 47 at 47f0a\nless", "net/core/dev.c:47 x_up+0x47/0x90"))
    assert judge_against([loading(**there)], [loading(**other)]).verdict is Verdict.DIFFERS


def test_lines_of_the_modules_own_files_are_compared() -> None:
    there = loading(**reported(warned("", f"drivers/x.c:12 {IN_MODULE}")))
    assert judge_against([there], [there]).verdict is Verdict.SAME
    here = loading(**reported(warned("", "drivers/x.c:20 x_probe+0x51/0x80 [x]")))
    judgement = judge_against([there], [here])
    assert judgement.verdict is Verdict.DIFFERS
    sides = "production `WARNING in x_probe at drivers/x.c:12`, here `WARNING in x_probe at drivers/x.c:20`"
    assert sides in judgement.reason
    others = (replace(run, module="y") for run in (there, here))
    assert not differences(*([run] for run in others)), "another module need not be the same file"


def test_lines_of_bugs_in_the_module_are_compared() -> None:
    lines = (
        "------------[ cut here ]------------", "kernel BUG at drivers/x.c:{}!", "invalid opcode: 0000 [#1] SMP{}",
        "CPU: 1 PID: 53 Comm: insmod Tainted: G           O       6.1.192 #1", "RIP: 0010:x_probe+0x40/0x80 [x]",
        "Call Trace:", " do_one_initcall+0x50/0x200",
    )  # fmt: skip
    there, same, other = (
        loading(**reported("\n".join(lines).format(*facts))) for facts in ((12, ""), (12, " KASAN"), (20, ""))
    )
    assert not differences([there], [same])
    (difference,) = differences([there], [other])
    assert difference.debug == ("kernel BUG in x_probe at drivers/x.c:20",)


def test_on_arm_a_line_of_the_kernel_beside_an_address_of_the_module_is_not_compared() -> None:
    """A function of the kernel jumps to warn_slowpath_fmt() at its end, so that the module seems to call it."""
    there, same = (
        loading(**reported(warned(UNDERFLOW, f"lib/refcount.c:{line} {IN_MODULE}", registers=""))) for line in (28, 31)
    )
    assert there.reports[Phase.LOAD][0].rule == "site of the warning"
    assert not differences([there], [same])
    other = loading(**reported(warned(UNDERFLOW, "lib/refcount.c:28 x_probe+0x51/0x80 [x]", registers="")))
    assert differences([there], [other])


def test_names_of_caches_in_warnings_are_not_compared() -> None:
    """SLUB merges caches unless it checks them, so that production's have other names."""
    text = "cache_from_obj: Wrong slab cache. {} but object is from kmalloc-96"
    there, here = (
        loading(**reported(warned(text.format(name), "mm/slab.h:665 kmem_cache_free+0x27b/0x290")))
        for name in ("kmalloc-64", "x")
    )
    assert there.reports[Phase.LOAD][0].kind == "slub"
    assert not differences([there], [here])


def test_a_clean_module_has_to_be_clean_and_to_do_the_same() -> None:
    assert judge_against([loading()], [loading()]).verdict is Verdict.CLEAN
    assert judge_against([loading()], [loading(after_load=[])]).verdict is Verdict.DIFFERS
    assert judge_against([loading()], [without_hardware()]).verdict is Verdict.REFUSED
    assert judge_against([loading()], [loading(reports=warning())]).verdict is Verdict.SPLAT


@pytest.mark.parametrize(
    "missing", [{"feature_proof": ""}, {"integrity": []}, {"liveness_checks": []}, {"scanned": False}, {"after": None}]
)
def test_the_same_needs_every_proof_that_production_has(missing: dict[str, Any]) -> None:
    judgement = judge_against([without_hardware()], [without_hardware(**missing)])
    assert judgement.verdict is Verdict.INVALID
    assert "no proof that" in judgement.reason


def test_a_module_that_takes_production_down_has_to_do_so_here() -> None:
    lost = {"loss": GuestLoss(Loss.DIED, Phase.LOAD, "reset"), "scanned": False, "integrity": [], "after": None}
    production = without_hardware(**lost)
    assert judge_against([production], [without_hardware(**lost)]).verdict is Verdict.SAME
    assert judge_against([production], [without_hardware()]).verdict is Verdict.DIFFERS


def test_a_module_that_production_refuses_proves_nothing() -> None:
    refused = without_hardware(initcall=None)
    judgement = judge_against([refused], [refused])
    assert judgement.verdict is Verdict.INVALID
    assert "production itself refuses the module" in judgement.reason
    because_of_another = replace(refused, companion_failed="bus.ko, which it needs, did not load")
    assert judge_against([because_of_another], [because_of_another]).verdict is Verdict.SAME


def test_a_module_without_an_init_is_compared_although_nothing_proves_its_exit() -> None:
    production = loading(has_init=False, initcall=None)
    assert judge(production).verdict is Verdict.INVALID
    assert judge_against([production], [production]).verdict is Verdict.SAME
    assert judge_against([production], [replace(production, removed=False)]).verdict is not Verdict.SAME


def test_further_runs_tell_chance_from_a_difference() -> None:
    fast, slow = ({Phase.LOAD: [f"raid6: using algorithm {name}"]} for name in ("avx2x4", "sse2x2"))
    once = judge_against([loading(messages=fast)], [loading(messages=slow)])
    assert once.verdict is Verdict.DIFFERS
    again = judge_against(
        [loading(messages=fast), loading(messages=slow)], [loading(messages=slow), loading(messages=fast)]
    )
    assert again.verdict is Verdict.CLEAN
    always = judge_against([loading(messages=fast)] * 3, [loading(messages=slow)] * 3)
    assert always.verdict is Verdict.DIFFERS


def test_only_what_all_runs_of_one_side_do_and_none_of_the_other_is_a_difference() -> None:
    fast, slow = (loading(messages={Phase.LOAD: [f"raid6: using {name}"]}) for name in ("avx2", "sse2"))
    assert judge_against([fast, slow], [slow, slow]).verdict is Verdict.CLEAN
    assert judge_against([slow, fast], [fast, fast]).verdict is Verdict.CLEAN
    assert judge_against([slow, slow], [fast, slow]).verdict is Verdict.CLEAN
    assert judge_against([slow, slow], [slow, fast]).verdict is Verdict.CLEAN
    assert judge_against([slow, slow], [fast, fast]).verdict is Verdict.DIFFERS


def test_less_damage_than_on_production_is_known_there() -> None:
    both = {Phase.LOAD: [*warning("WARNING in x_a")[Phase.LOAD], *warning("WARNING in x_b")[Phase.LOAD]]}
    production = [loading(), loading(reports=both)]
    assert judge_against(production, [loading(reports=warning("WARNING in x_a"))] * 2).verdict is not Verdict.CLEAN
    assert judge_against(production, [loading(), loading(reports=warning("WARNING in x_a"))]).verdict is Verdict.CLEAN


def test_a_production_run_that_lacks_more_than_the_proof_of_an_exit_is_no_reference() -> None:
    production = loading(has_init=False, initcall=None, integrity=[])
    judgement = judge_against([production], [production])
    assert judgement.verdict is Verdict.INVALID
    assert "the production control is INVALID" in judgement.reason


def test_a_report_in_one_of_several_runs_stays_a_finding() -> None:
    judgement = judge_against([loading()] * 3, [loading(reports=warning()), loading(), loading()])
    assert judgement.verdict is Verdict.SPLAT
    assert "in 1 of 3 runs" in judgement.reason


@pytest.mark.parametrize("production", [loading(), without_hardware()], ids=["clean", "without-hardware"])
def test_a_breakage_counts_in_whatever_run_it_is(production: Evidence) -> None:
    broken = replace(production, reports=warning())
    judgement = judge_against([production] * 3, [production, production, broken])
    assert judgement.verdict is Verdict.SPLAT
    assert "in 1 of 3 runs" in judgement.reason
    lost = replace(production, loss=GuestLoss(Loss.DIED, Phase.LOAD, "the guest panicked", []))
    assert judge_against([production] * 2, [production, lost]).verdict is Verdict.DIED


@pytest.mark.parametrize("order", [1, -1])
def test_a_clean_run_does_not_make_up_for_one_that_failed(order: int) -> None:
    """An odd message in the first run leads to a second one."""
    odd = loading(messages={Phase.LOAD: ["x: odd"]})
    for failed in (without_hardware(), loading(removed=False), loading(feature_proof="")):
        own = judge(failed).verdict
        assert own is not Verdict.CLEAN
        assert judge_against([loading()] * 2, [odd, failed][::order]).verdict is own


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ({"loss": GuestLoss(Loss.DIED, Phase.LOAD, "reset")}, {"loss": GuestLoss(Loss.DIED, Phase.UNLOAD, "reset")}),
        ({"integrity": [Check("slabs", held=False)]}, {"checks": [Check("answer", held=False)]}),
        ({"integrity": [Check("slabs", held=False)]}, {"integrity": [Check("constants", held=False)]}),
        ({"integrity": [Check("slabs", held=False)]}, {"liveness_checks": [Check("fork", held=False)]}),
        ({"announced": [Check("init", held=False)]}, {"initcall": None}),
        ({"announced": [Check("init", held=False)]}, {"announced": [Check("exit", held=False)]}),
        ({"after": Counters(0, 1, 0)}, {"after": Counters(1 << 7, 0, 1)}),
    ],
    ids=["in another phase", "another kind of check", "another check", "liveness", "init", "exit", "another counter"],
)
def test_another_breakage_than_that_of_production_counts(theirs: dict[str, Any], ours: dict[str, Any]) -> None:
    """Production breaks now and then, too, so that the module is CLEAN there."""
    production = [loading(), loading(**theirs)]
    wanted = judge(loading(**ours)).verdict
    assert judge_against(production, [loading(), loading(**ours)]).verdict is wanted
    assert judge_against(production, [loading(), loading(**theirs)]).verdict is Verdict.CLEAN


@pytest.mark.parametrize("order", [1, -1])
def test_what_production_does_now_and_then_is_no_finding_in_any_order(order: int) -> None:
    runs = [loading(), loading(reports=warning())]
    assert judge_against(runs, runs[::order]).verdict is Verdict.CLEAN


def test_a_log_that_lost_messages_shows_no_difference_and_no_sameness() -> None:
    """Printk drops messages if a console is slow (cell_log.py)."""
    lost = without_hardware(scanned=False, messages={})
    for production, debug in ((without_hardware(), lost), (lost, without_hardware()), (lost, lost)):
        judgement = judge_against([production], [debug])
        assert judgement.verdict is Verdict.INVALID
        assert "the whole log was scanned" in judgement.reason
    broken = replace(lost, reports=warning())
    assert judge_against([without_hardware()], [broken]).verdict is Verdict.SPLAT


def test_a_fault_that_leaves_the_rest_of_a_cell_out_may_be_that_of_production() -> None:
    """Its log has no end mark then, and nobody reads the counters."""
    oops = [replace(warning("BUG: kernel NULL pointer dereference")[Phase.LOAD][0], severity=Severity.FAULT)]
    cut: dict[str, Any] = {"stopped": "stopped in the load", "scanned": False, "after": None, "integrity": []}
    stopped = without_hardware(reports={Phase.LOAD: oops}, liveness_checks=[], **cut)
    assert judge(stopped).verdict is Verdict.SPLAT
    assert judge_against([stopped], [stopped]).verdict is Verdict.SAME


def test_counters_that_nobody_read_are_not_the_same() -> None:
    unread = without_hardware(after=None)
    assert judge_against([unread], [unread]).verdict is Verdict.INVALID


def test_another_report_than_that_of_production_counts() -> None:
    """Production itself warns now and then."""
    production = [loading(), loading(reports=warning())]
    assert judge_against(production, [loading(), loading(reports=warning())]).verdict is Verdict.CLEAN
    other = loading(reports=warning("BUG: KASAN: use-after-free in x_probe"))
    assert judge_against(production, [loading(), other]).verdict is Verdict.SPLAT


def test_a_run_that_could_not_be_made_is_not_taken_for_chance() -> None:
    other, blocked = loading(after_load=["+/proc/y"]), loading(blockers=["the disk is full"], after_load=[])
    assert judge_against([loading()], [other]).verdict is Verdict.DIFFERS
    assert judge_against([loading()] * 2, [other, blocked]).verdict is Verdict.DIFFERS
    assert judge_against([loading(), blocked], [other] * 2).verdict is Verdict.DIFFERS
    assert judge_against([loading()], [blocked]).verdict is Verdict.INVALID


@pytest.mark.parametrize(
    "damage",
    [
        {"liveness_checks": [Check("fork", held=False)]},
        {"after": Counters(1 << 7, 0, 1)},
        {"announced": [Check("exit", held=False)]},
    ],
    ids=["dead", "counted", "silent"],
)
def test_damage_at_the_end_is_not_the_same_as_on_production(damage: dict[str, Any]) -> None:
    judgement = judge_against([without_hardware()], [without_hardware(**damage)])
    assert judgement.verdict not in (Verdict.SAME, Verdict.CLEAN)
    assert judge_against([without_hardware(**damage)], [without_hardware(**damage)]).verdict is Verdict.SAME


def test_numbers_of_a_counter_that_never_goes_back_are_ranks() -> None:
    """How many input devices there were before depends on how long the kernel took to find the mouse."""
    production = loading(after_load=["+/sys/class/input/input2", "+/sys/class/input/input3", "+/dev/input/event1"])
    later = loading(after_load=["+/sys/class/input/input3", "+/sys/class/input/input10", "+/dev/input/event1"])
    fewer = loading(after_load=["+/sys/class/input/input3", "+/dev/input/event1"])
    other = loading(after_load=["+/sys/class/input/input2", "+/sys/class/input/input3", "+/dev/input/event2"])
    assert judge_against([production], [later]).verdict is Verdict.CLEAN
    assert judge_against([production], [fewer]).verdict is Verdict.DIFFERS
    assert judge_against([production], [other]).verdict is Verdict.DIFFERS


def test_the_algorithm_of_the_debug_kernels_own_key_is_no_difference() -> None:
    crypto = "+/proc/crypto: driver       : "
    production = loading(after_load=["+/proc/x", f"{crypto}pkcs1pad(rsa-generic,sha256)"])
    assert judge_against([production], [loading(after_load=["+/proc/x"])]).verdict is Verdict.CLEAN
    other = loading(after_load=["+/proc/x", f"{crypto}authenc(hmac(sha256-generic),cbc(aes-generic))"])
    assert judge_against([other], [loading(after_load=["+/proc/x"])]).verdict is Verdict.DIFFERS


def test_numbers_of_processes_in_an_exercise_are_no_difference() -> None:
    def used(pid: int, *, held: bool) -> Evidence:
        return loading(checks=[Check(f"ip link set veth0 netns {pid}", held=held)])

    assert differences([used(70, held=True)], [used(93, held=True)]) == []
    assert differences([used(70, held=True)], [used(70, held=False)])


def test_reports_that_only_production_has_are_no_difference() -> None:
    assert not differences([loading(reports=warning())], [loading()])


def test_messages_are_compared_without_what_differs_from_run_to_run() -> None:
    log = (
        b"[    1.000000] modcompat: load\n[    1.100000] calling  x_init+0x0/0x1000 [x] @ 99\n"
        b"[    1.200000] x: 3 cards at 0xffff888003a1b000, irq 17\n"
        b"[    1.300000] x: 3 cards at 0xffff8880deadbeef, irq 9\n"
        b"[    1.400000] x: module verification failed: signature and/or required key missing - tainting kernel\n"
        b"[    1.450000] unwind: Index not found c0123456\n"
        b"[    1.500000] initcall x_init+0x0/0x1000 [x] returned 0 after 12 usecs\n"
    )
    assert comparable_messages(log) == ["x: N cards at N, irq N"]


@pytest.mark.parametrize(
    "message",
    [
        "x: probe of 1-1:1.0 failed with error {}",
        "x 0000:00:03.0: cannot map registers: {}",
        "x: reset timed out ({})",
        "x: cannot start, ret={}",
        "x: init failed {}.",
    ],
)
@pytest.mark.parametrize(("one", "other"), [("-19", "-12"), ("-1", "-133"), ("-517", "-512")])
def test_numbers_of_errors_are_compared(message: str, one: str, other: str) -> None:
    there, here = (comparable_messages(f"[    1.0] {message.format(number)}\n".encode()) for number in (one, other))
    assert there != here
    assert one in there[0]
    assert other in here[0]
    assert judge_against(
        [without_hardware(messages={Phase.LOAD: there})], [without_hardware(messages={Phase.LOAD: here})]
    ).verdict is Verdict.DIFFERS  # fmt: skip


@pytest.mark.parametrize(
    "message",
    ["x: error {}", "x: reading failed: {}", "x: no answer (err {})", "x: ret={}", "x: errno={}", "x: error code: {}"],
)
def test_a_word_tells_that_a_number_is_one_of_an_error(message: str) -> None:
    there, here = (comparable_messages(f"[    1.0] {message.format(number)}\n".encode()) for number in (5, 110))
    assert there != here


@pytest.mark.parametrize(
    ("there", "here"),
    [
        ("x: irq 17, pid=47, size=64 at 0xffff888003a1b000", "x: irq 9, pid=53, size=96 at 0xffff8880deadbee0"),
        ("x: failed 3 times", "x: failed 5 times"),
        ("x: error 3 of 12", "x: error 2 of 11"),
        ("x: error at 17", "x: error at 19"),
        ("x: errors: 17", "x: errors: 19"),
        ("x: error 0x13", "x: error 0x14"),
        ("x: called from y+0xc/0x80", "x: called from y+0x10/0x80"),
        ("x: err 4711", "x: err 815"),
        ("x: offset -4096", "x: offset -8192"),
        ("x: signal -56 dBm", "x: signal -61 dBm"),
        ("x: clock is -12 ms off", "x: clock is -15 ms off"),
        ("usb 1-17: x-19 in 2026-11-28", "usb 1-19: x-17 in 2026-10-27"),
        ("x: range 10-19", "x: range 12-18"),
        ("x: failed after 12 usecs", "x: failed after 17 usecs"),
        ("x: -1.5 degrees", "x: -2.5 degrees"),
    ],
)
def test_other_numbers_are_not_compared(there: str, here: str) -> None:
    one, other = (comparable_messages(f"[    1.0] {message}\n".encode()) for message in (there, here))
    assert one == other


def test_the_text_of_an_awaited_report_is_not_compared() -> None:
    (here,) = warning("WARNING in x_use")[Phase.LOAD]
    ours = loading(awaited=[here], messages={Phase.EXERCISE: ["WARNING in x_use"]})
    assert not differences([loading(messages={})], [ours])


@pytest.mark.parametrize(
    "measured", ["raid6: sse2x2   gen()  4123 MB/s", "xor: using function: avx (31337 MB/sec)", "link is 54 Mbps"]
)
def test_measured_speeds_are_not_compared(measured: str) -> None:
    assert not comparable_messages(f"[    1.000000] {measured}\n".encode())
    assert comparable_messages(b"[    1.000000] raid6: using sse2 recovery algorithm\n")


def test_what_a_run_reached_depends_on_what_the_module_has() -> None:
    assert reached(loading()) == (["the load", "the end of its init", "its exit"], [])
    assert reached(without_hardware(has_exit=False)) == (["the load", "the end of its init"], [])


@pytest.mark.parametrize(
    "message",
    [
        "hrtimer: interrupt took 8994896 ns",
        "amba 100f0000.wdt: deferred probe pending: (reason unknown)",
        "perf: interrupt took too long (2504 > 2500), lowering kernel.perf_event_max_sample_rate to 79750",
        "clocksource: timekeeping watchdog on CPU1: hpet wd-wd read-back delay of 194425ns",
        "clocksource:                       'tsc' is current clocksource.",
        "sched: RT throttling activated",
    ],
    ids=range(6),
)
def test_the_speed_of_the_machine_is_not_compared(message: str) -> None:
    assert not comparable_messages(f"[    3.625093][    C0] {message}\n".encode())


def test_a_clock_of_the_module_is_compared() -> None:
    line = b"[    1.0] clocksource: vendor: mask: 0xffffffff max_cycles: 0xffffffff, max_idle_ns: 62215505635 ns\n"
    assert comparable_messages(line)


@pytest.mark.parametrize(
    ("production", "debug"),
    [
        (
            " slab rcuscale start {} pointer offset 0",
            " slab x start {} data offset 8 pointer offset 0 allocated at x_init",
        ),
        (
            " slab kmalloc-16 start {} pointer offset 8 size 16",
            " slab kmalloc-16 (kfence) start {} pointer offset 8 size 16",
        ),
        (" slab x start {} pointer offset 8", " NULL pointer"),
    ],
)
def test_what_only_a_debug_kernel_knows_of_objects_is_not_compared(production: str, debug: str) -> None:
    """The messages of rcutorture's mem_dump_obj(), mm/slab_common.c."""
    there, here = (
        comparable_messages(f"[    1.0] dump({address}):{text.format(address)}\n".encode())
        for address, text in (("ffff88800667d008", production), ("ffff88800653be88", debug))
    )
    assert (there == here) == ("NULL" not in debug)


def test_stacks_of_objects_are_not_compared() -> None:
    log = b"[    1.0]     x_probe+0x41e/0x4d6 [x]\n[    1.0]  Free path:\n[    1.0]     kfree+0x1e5/0x2f0\n"
    assert not comparable_messages(log)
    assert comparable_messages(b"[    1.0] x: called from x_probe+0x41e/0x4d6 [x]\n")


@pytest.mark.parametrize(
    "message",
    [
        "i2c-core: driver [lm87] registered",
        "i2c-core: driver [lm87] unregistered",
        "i2c i2c-0: adapter [SMBus I801 adapter at 0700] registered",
        "i2c i2c-1: client [dummy] registered with bus id 1-0050",
        "i801_smbus 0000:00:1f.3: vgaarb: pci_notify",
        "i801_smbus 0000:00:1f.3: runtime IRQ mapping not provided by arch",
        "i801_smbus 0000:00:1f.3: saving config space at offset 0x0 (reading 0x29308086)",
        "e1000 0000:00:02.0: enabling bus mastering",
        "kobject: 'holders' (ffff888003d3a800): kobject_release, parent ffff888003d3a850 (delayed 1000)",
        "Disabling lock debugging due to kernel taint",
        "vendor: module_layout: kernel tainted.",
        "rcu_tasks: RTGS_WAIT_CBS(11) since 3932 g:8 i:0/0 k. ",
    ],
)
def test_what_an_option_lets_the_kernel_print_about_drivers_is_not_compared(message: str) -> None:
    assert comparable_messages(f"[    3.618598] {message}\n".encode()) == []


@pytest.mark.parametrize(
    "message",
    ["i2c i2c-0: SMBus base address uninitialized", "i801_smbus 0000:00:1f.3: SMBus using PCI interrupt"],
)
def test_what_a_driver_prints_about_its_device_is_compared(message: str) -> None:
    assert len(comparable_messages(f"[    3.618598] {message}\n".encode())) == 1
