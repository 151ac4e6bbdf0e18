"""The kinds of kernel report: one ordered table. A kind is an entry; the first that matches names the report.

Patterns are matched at the start of a message. Where a pattern has the group `title` (or none), that text
is the title. Sources are kernel files of Linux 6.1 that print the line.
"""

import re
from dataclasses import dataclass
from enum import Enum


class Severity(Enum):
    """What a report says of the kernel."""

    FAULT = "fault"  # the kernel, or memory, came to harm
    WARNING = "warning"  # the kernel says that something is wrong
    REFUSAL = "refusal"  # a module was not loaded; the kernel is well
    FOLLOW_UP = "follow-up"  # the end of something reported before


@dataclass(frozen=True)
class Kind:
    name: str
    severity: Severity
    pattern: re.Pattern[str]


def _kind(name: str, severity: Severity, *patterns: str) -> Kind:
    return Kind(name, severity, re.compile("|".join(f"(?:{pattern})" for pattern in patterns)))


_F, _W = Severity.FAULT, Severity.WARNING

KINDS = (
    # mm/kasan/report.c, mm/kfence/report.c, mm/kmsan/report.c, kernel/kcsan/report.c, lib/ubsan.c
    _kind("kasan", _F, r"BUG: KASAN: .*"),
    _kind("kfence", _F, r"BUG: KFENCE: .*"),
    _kind("kmsan", _F, r"BUG: KMSAN: .*"),
    _kind("kcsan", _W, r"BUG: KCSAN: .*"),
    _kind("ubsan", _W, r"UBSAN: .*"),
    # kernel/locking/spinlock_debug.c; rtmutex and lockdep assertions are WARNINGs
    _kind("lock", _F,
          r"BUG: (?:spinlock|rwlock) (?:bad magic|already unlocked|recursion|cpu recursion|wrong owner|wrong CPU|"
          r"trylock failure on UP|lockup suspected|lockup).*"),
    # mm/slub.c slab_bug(), cache_from_obj(); mm/slab_common.c kmem_cache_destroy(); mm/page_poison.c
    _kind("slub", _F,
          r"BUG \S.* \((?:Not tainted|Tainted: ).*\): .*",
          r"kmem_cache_destroy .*still has objects.*",
          r"cache_from_obj: Wrong slab cache.*",
          r"pagealloc: (?:memory corruption|single bit error).*"),
    # lib/list_debug.c, lib/refcount.c
    _kind("list", _F, r"list_(?:add|del) corruption.*"),
    _kind("refcount", _F, r"refcount_t: .*"),
    # mm/page_alloc.c bad_page(), mm/memory.c, kernel/sched/core.c, kernel/panic.c
    _kind("bad-page", _F, r"BUG: Bad (?:page|rss-counter).*"),
    _kind("stack", _F,
          r"BUG: .*stack (?:overflow|guard page was hit|corruption).*", r"corrupted stack end detected.*",
          r"Insufficient stack space to handle exception.*"),
    _kind("atomic-sleep", _F,
          r"BUG: scheduling while atomic.*", r"BUG: sleeping function called from invalid context.*",
          r"BUG: using .* in preemptible.*", r"BUG: workqueue leaked lock or atomic.*",
          r"initcall \S+ returned with (?:preemption imbalance|disabled interrupts).*"),
    # kernel/locking/lockdep.c
    _kind("lockdep", _W,
          r"WARNING: (?:possible |inconsistent |bad unlock|held lock|lock held|suspicious RCU|Nested lock).*",
          r"INFO: trying to register non-static key.*", r"BUG: MAX_LOCK.*", r"\[ BUG: .*"),
    # arch/x86/mm/fault.c, arch/x86/kernel/traps.c, arch/arm/mm/fault.c, arch/arm64/mm/fault.c
    _kind("access", _F,
          r"BUG: (?:kernel NULL pointer dereference|unable to handle|unable to execute).*",
          r"Unable to handle kernel .*",
          r"general protection fault.*", r"stack segment.*: \d{4} \[#.*", r"invalid opcode: .*", r"int3: .*",
          r"divide error: .*", r"double fault: .*", r"PANIC: double fault.*", r"alignment check: .*",
          r"Unhandled (?:prefetch abort|fault|exception).*", r"Alignment trap: not handling.*",
          r"Bad mode in .*", r"SError Interrupt on CPU.*", r"Internal error: .*", r"Oops(?: -|:).*",
          r"kernel tried to execute NX-protected page.*"),
    # lib/bug.c
    _kind("bug", _F, r"kernel BUG at .*", r"BUG: .*"),
    _kind("fortify", _F, r"detected buffer overflow in .*", r"usercopy: .*", r"CFI failure at .*"),
    # kernel/watchdog.c, kernel/hung_task.c, kernel/workqueue.c, kernel/rcu/tree_stall.h
    _kind("lockup", _F, r"watchdog: BUG: (?:soft|hard) lockup.*", r"watchdog: Watchdog detected hard LOCKUP.*",
          r"BUG: workqueue lockup.*", r"NMI watchdog: .*LOCKUP.*"),
    _kind("hung-task", _F, r"INFO: task .* blocked for more than .*"),
    _kind("rcu-stall", _F, r"(?:rcu: )?INFO: rcu\w* (?:self-)?detected (?:expedited )?stall.*",
          r"(?:rcu: )?INFO: \w+ (?:self-)?detected (?:expedited )?stalls?.*", r"rcu: .*kthread starved for.*"),
    _kind("odebug", _W, r"ODEBUG: .*"),
    _kind("kobject", _W, r"kobject(?:_add_internal|:)? .*(?:failed|tried to init|is not initialized).*",
          r"sysfs: cannot create duplicate filename.*"),
    _kind("dma-api", _W, r"DMA-API: .*"),
    _kind("irq", _W, r"irq \d+: nobody cared.*", r"unexpected IRQ trap.*"),
    _kind("kmemleak", _W, r"kmemleak: \d+ new suspected memory leaks.*"),
    # kernel/module/main.c, kernel/module/version.c; arch/*/kernel/module.c
    _kind("module-load", Severity.REFUSAL,
          r"\S+: version magic .* should be .*", r"\S+: disagrees about version of symbol .*",
          r"\S+: no symbol version for .*", r"\S+: Unknown symbol .*", r"\S+: exports duplicate symbol .*",
          r"Invalid (?:ELF|architecture in ELF|\d+-bit data relocation|length) .*", r"empty section name table",
          r"ELF Spec violation: .*", r"\S+: (?:No module found in object|module has no symbols).*",
          r"(?:module: )?x86/modules: Skipping invalid relocation target.*", r"overflow in relocation type .*",
          r"module \S+: (?:unsupported RELA|overflow in) relocation.*", r"\S+: [Uu]nknown (?:rela )?relocation.*",
          r"\S+: section \d+ reloc \d+ .*", r"Module \S+ is blacklisted", r"Loading of .* is rejected.*"),
    _kind("module-init", _W, r"\S+: '.*'->init suspiciously returned .*"),
    # kernel/panic.c __warn(): "WARNING: CPU: 0 PID: 1 at file:line function" or "WARNING: file:line at function"
    _kind("warning", _W, r"WARNING: .*"),
    _kind("panic", Severity.FOLLOW_UP, r"Kernel panic - not syncing.*"),
    _kind("oom", _W, r"Out of memory: .*", r"\S+ invoked oom-killer.*"),
    _kind("stack-trace", _W, r"Call [Tt]race:.*", r"Backtrace:.*"),
)  # fmt: skip
