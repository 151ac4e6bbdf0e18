# SPDX-License-Identifier: Apache-2.0
"""The function in a title: which frame tells what went wrong, by the rules of each kind.

The reports are put together from the formats of the kernel: kernel/locking/lockdep.c, kernel/hung_task.c,
kernel/rcu/tree_stall.h, arch/*/kernel/dumpstack.c of Linux 6.12.
"""

import re

import pytest

from harness.detect.scan import scan


def title(*lines: str, stamp: str = "[   12.345678][   T42] ") -> str:
    """The title of the only report in a log with these lines."""
    (report,) = scan("".join(f"{stamp}{line}\n" for line in lines).encode())
    return report.title


def trace(*functions: str) -> list[str]:
    return [
        "Call Trace:",
        *(f" {function}+0x10/0x20" if function.isidentifier() else f" {function}" for function in functions),
    ]


def deadlock(at: str, *functions: str) -> str:
    return title(
        "============================================",
        "WARNING: possible recursive locking detected",
        "6.12.0 #1 Not tainted",
        "--------------------------------------------",
        "sh/42 is trying to acquire lock:",
        f"ffff888003c6e2c0 (&vendor->lock){{+.+.}}-{{3:3}}, at: {at}",
        "",
        "stack backtrace:",
        "CPU: 0 UID: 0 PID: 42 Comm: sh Not tainted 6.12.0 #1",
        *trace("dump_stack_lvl", "print_deadlock_bug", "__lock_acquire", "lock_acquire", *functions),
    )


def test_a_deadlock_is_named_by_the_function_that_takes_the_lock() -> None:
    named = deadlock("ext4_xattr_get+0x10/0x20", "_raw_spin_lock", "ext4_xattr_get", "vfs_getxattr")
    assert named == "possible deadlock in ext4_xattr_get"


def test_a_function_that_locks_what_its_caller_names_does_not_name_a_deadlock() -> None:
    named = deadlock("lock_sock_nested+0x10/0x20", "lock_sock_nested", "do_ip_getsockopt", "ip_getsockopt")
    assert named == "possible deadlock in do_ip_getsockopt"


def test_an_allocator_that_takes_the_lock_names_a_deadlock() -> None:
    """fs_reclaim_acquire() of mm/page_alloc.c passes the address of its caller to lockdep."""
    named = deadlock("__kmalloc_cache_noprof+0x10/0x20", "fs_reclaim_acquire", "__kmalloc_cache_noprof", "xfs_log_sort")
    assert named == "possible deadlock in fs_reclaim_acquire"


def test_a_module_names_a_deadlock_with_whatever_function_it_has() -> None:
    named = deadlock("mutex_lock_nested+0x10/0x20 [vendor]", "mutex_lock_nested+0x10/0x20 [vendor]", "vfs_write")
    assert named == "possible deadlock in mutex_lock_nested"


def test_the_first_use_of_a_lock_does_not_name_a_report_about_it() -> None:
    named = title(
        "================================",
        "WARNING: inconsistent lock state",
        "6.12.0 #1 Not tainted",
        "--------------------------------",
        "inconsistent {SOFTIRQ-ON-W} -> {IN-SOFTIRQ-W} usage.",
        "ksoftirqd/1/19 [HC0[0]:SC1[1]:HE1:SE0] takes:",
        "ffff888003c6e2c0 (&vendor->lock){+.?.}-{2:2}, at: ipv6_frag_rcv+0x10/0x20",
        "{SOFTIRQ-ON-W} state was registered at:",
        "  lock_acquire+0x10/0x20",
        "  _raw_spin_lock+0x10/0x20",
        "  ipv6_frag_init+0x10/0x20",
        "",
        "stack backtrace:",
        *trace("dump_stack_lvl", "print_usage_bug", "lock_acquire", "_raw_spin_lock", "ipv6_frag_rcv"),
    )
    assert named == "inconsistent lock state in ipv6_frag_rcv"


def oops(site: str, *functions: str) -> str:
    return title(
        "BUG: kernel NULL pointer dereference, address: 0000000000000008",
        "Oops: Oops: 0000 [#1] PREEMPT SMP",
        "CPU: 0 UID: 0 PID: 42 Comm: sh Not tainted 6.12.0 #1",
        *(f"RIP: 0010:{line}" for line in site.split("\n")),
        *trace(*functions),
    ).partition(" in ")[2]


@pytest.mark.parametrize(
    ("site", "functions", "named"),
    [
        ("ext4_iget+0x1/0x2", ["vfs_read"], "ext4_iget"),
        ("__list_del_entry_valid_or_report+0x1/0x2", ["kobject_put", "ext4_kill_sb"], "ext4_kill_sb"),
        ("memcpy+0x1/0x2", ["_raw_spin_lock", "kfree", "refcount_warn_saturate", "ext4_iget"], "ext4_iget"),
        ("vendor_memcpy+0x1/0x2 [vendor]", ["ext4_iget"], "vendor_memcpy"),
        ("memcpy+0x1/0x2 [vendor]", ["ext4_iget"], "memcpy"),
        ("refcount_inc_not_zero+0x1/0x2 [vendor]", ["vendor_run+0x1/0x2 [vendor]"], "vendor_run"),
        ("memcpy+0x1/0x2", ["kthread", "ret_from_fork"], "memcpy"),  # the function of the thread
        ("mystery_of_a_driver+0x1/0x2", ["ext4_iget"], "mystery_of_a_driver"),
        ("rhashtable_lookup+0x1/0x2", ["ext4_iget"], "rhashtable_lookup"),
        ("kfree+0x1/0x2", ["ext4_panics+0x0/0x2", "ext4_iget"], "ext4_iget"),  # a return past a function of no return
    ],
)
def test_a_fault_is_named_by_the_first_function_that_does_more_than_serve(
    site: str, functions: list[str], named: str
) -> None:
    assert oops(site, *functions) == named


def test_a_decoded_log_has_the_same_title() -> None:
    plain = oops("kfree+0x1/0x2", "ext4_xattr_get+0x10/0x20", "vfs_read")
    decoded = oops(
        "virt_to_head_page include/linux/mm.h:1200 [inline]\nkfree+0x1/0x2 mm/slub.c:4700",
        "ext4_free_xattr fs/ext4/xattr.c:12 [inline]",
        "ext4_xattr_get+0x10/0x20 fs/ext4/xattr.c:44",
        "vfs_read+0x10/0x20 fs/read_write.c:300",
    )
    assert plain == decoded == "ext4_xattr_get"


def test_a_function_of_a_later_kernel_has_the_role_of_its_file_in_a_decoded_log() -> None:
    named = oops(
        "slab_of_a_later_kernel+0x1/0x2 mm/slub.c:4700",
        "lock_of_a_later_kernel+0x10/0x20 kernel/locking/mutex.c:44",
        "ext4_iget+0x10/0x20 fs/ext4/inode.c:4",
    )
    assert named == "ext4_iget"


def hung(*functions: str) -> str:
    return title(
        "INFO: task sh:42 blocked for more than 143 seconds.",
        "      Not tainted 6.12.0 #1",
        '"echo 0 > /proc/sys/kernel/hung_task_timeout_secs" disables this message.',
        "task:sh              state:D stack:0     pid:42    tgid:42    ppid:1      flags:0x00004004",
        *trace("__schedule", "schedule", *functions, "do_syscall_64"),
    ).removeprefix("INFO: task hung in ")


@pytest.mark.parametrize(
    ("functions", "named"),
    [
        (["schedule_timeout", "wait_for_completion", "__flush_work", "ext4_put_super"], "ext4_put_super"),
        (["schedule_preempt_disabled", "__mutex_lock", "rtnl_lock", "rtnetlink_rcv_msg"], "rtnl_lock"),
        (["schedule_timeout", "__wait_rcu_gp", "synchronize_rcu", "ext4_put_super"], "synchronize_rcu"),
        (["mutex_lock+0x10/0x20 [vendor]", "vendor_run+0x1/0x2 [vendor]"], "mutex_lock"),
        (["io_schedule", "folio_wait_bit_common", "__wait_on_buffer", "ext4_bread"], "ext4_bread"),
    ],
)
def test_a_hung_task_is_named_by_the_function_that_waits(functions: list[str], named: str) -> None:
    assert hung(*functions) == named


STALL = [
    "rcu: INFO: rcu_preempt self-detected stall on CPU",
    "rcu: \t0-....: (10499 ticks this GP)",
    "NMI backtrace for cpu 0",
]
TICK = (
    "dump_stack_lvl", "nmi_cpu_backtrace", "rcu_dump_cpu_stacks", "rcu_sched_clock_irq", "update_process_times",
    "tick_nohz_handler", "__hrtimer_run_queues", "hrtimer_interrupt", "__sysvec_apic_timer_interrupt",
    "sysvec_apic_timer_interrupt",
)  # fmt: skip


@pytest.mark.parametrize(
    ("below", "named"),
    [
        (["memcpy", "snd_pcm_oss_write3", "snd_pcm_oss_write", "vfs_write", "ksys_write"], "snd_pcm_oss_write"),
        (["sctp_transport_put", "sctp_timer", "call_timer_fn", "__run_timers", "handle_softirqs"], "sctp_timer"),
        (
            ["ext4_iget", "path_mount", "__x64_sys_mount", "do_syscall_64", "entry_SYSCALL_64_after_hwframe"],
            "sys_mount",
        ),
        (["csd_lock_wait", "smp_call_function_many_cond", "on_each_cpu_cond_mask", "vfs_write"], "smp_call_function"),
        (["rtnl_newlink", "rtnetlink_rcv_msg", "netlink_rcv_skb"], "rtnl_newlink"),
        (["vendor_loop+0x1/0x2 [vendor]", "process_one_work", "worker_thread"], "vendor_loop"),
    ],
)
def test_a_stall_is_named_by_the_handler_below_the_interrupt(below: list[str], named: str) -> None:
    lines = [*STALL, *trace(*TICK, "asm_sysvec_apic_timer_interrupt", *below)]
    assert title(*lines) == f"INFO: rcu detected stall in {named}"


def test_a_task_that_sleeps_does_not_name_a_stall() -> None:
    lines = [
        *STALL,
        *trace("__schedule", "schedule", "schedule_timeout", "rcu_gp_fqs_loop", "rcu_gp_kthread", "kthread"),
        "NMI backtrace for cpu 1",
        *trace("ext4_iget", "ext4_ioctl", "vfs_ioctl"),
    ]
    assert title(*lines) == "INFO: rcu detected stall in ext4_ioctl"


def test_a_soft_lockup_in_an_interrupt_is_named_by_its_handler() -> None:
    named = title(
        "watchdog: BUG: soft lockup - CPU#1 stuck for 134s! [sh:42]",
        "RIP: 0010:__sanitizer_cov_trace_switch+0xe/0x70",
        *trace(
            "jhash", "sta_info_get", "ieee80211_tasklet_handler", "tasklet_action_common", "handle_softirqs",
            "irq_exit_rcu", "sysvec_apic_timer_interrupt", "asm_sysvec_apic_timer_interrupt", "ext4_iget", "vfs_read",
        ),
    )  # fmt: skip
    assert named == "BUG: soft lockup in ieee80211_tasklet_handler"


def test_a_leak_is_named_by_the_function_that_keeps_the_memory() -> None:
    named = title(
        "unreferenced object 0xffff888012345678 (size 64):",
        '  comm "sh", pid 42, jiffies 4294937296',
        "  backtrace (crc 0):",
        *(
            f"    {name}+0x10/0x20"
            for name in ("__kmalloc_cache_noprof", "bpf_map_area_alloc", "array_map_alloc", "map_create", "vfs_write")
        ),
    )
    assert named == "memory leak in map_create"


def test_guesses_of_the_unwinder_do_not_outweigh_the_function_that_the_kernel_names() -> None:
    (report,) = scan(
        b"[    1.5] BUG: KASAN: slab-out-of-bounds in memcpy+0x2d/0x330\n"
        b"[    1.5] Write of size 88 at addr ffff8801d818fe98 by task sh/42\n"
        b"[    1.5] Call Trace:\n[    1.5]  ? ext4_iget+0x1/0x2\n[    1.5]  ? kthread+0x37a/0x440\n"
    )
    assert report.title == "KASAN: slab-out-of-bounds Write in corrupted"
    assert re.search("no frame", report.torn_because)
