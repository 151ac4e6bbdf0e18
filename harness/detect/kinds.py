# SPDX-License-Identifier: Apache-2.0
"""The kinds of kernel report, in one ordered table. The first wording that matches a line determines its kind.

A wording has a pattern for the kernel's line, a title for readers, the place in the report that names the function, and
real examples, each of which is a test. Titles follow the conventions of public kernel fuzzing. If a
comment names a file, that file of Linux prints the line.
"""

import re
from dataclasses import dataclass, field
from enum import Enum, StrEnum

from harness.detect.roles import Role
from harness.support.module_name import MODULE_NAME


class Severity(Enum):
    """The meaning of a report for the kernel."""

    FAULT = "fault"  # the kernel or its memory was damaged
    WARNING = "warning"  # the kernel noticed that something is wrong
    REFUSAL = "refusal"  # a module was not loaded; the kernel is intact
    FOLLOW_UP = "follow-up"  # the consequence of an earlier report


class FunctionSource(StrEnum):
    """The part of a report that names the function in its title."""

    NOWHERE = "nowhere"  # the title has no function
    LINE = "line"  # the first line; no trace follows
    HEADLINE = "headline"  # the first line; the trace if that names a helper
    SITE = "site"  # the faulting instruction, then the trace
    TRACE = "trace"  # the trace
    OWNER = "owner"  # the trace, without functions that return the memory that they allocate
    LOCK = "lock"  # the place where the lock was taken: "at: function"
    HELD = "held"  # the place where a lock that is still held was taken
    STALL = "stall"  # the function that the dispatcher below the interrupt called
    LOOP = "loop"  # the function that a dispatcher called, without an interrupt
    HUNG = "hung"  # the function that waits
    WORK = "work"  # "last function: function"
    CALL_SITE = "call site"  # the call site that ftrace could not change


class Priority(Enum):
    """If several lines announce one report, the one with the highest priority names it, the first among equals."""

    FORM = 0  # how it was reported: WARNING, BUG, Oops
    HINT = 1
    NAME = 2  # what it was


@dataclass(frozen=True)
class Wording:
    """One way in which the kernel announces a kind of report."""

    pattern: re.Pattern[str]  # matches at the beginning of a message
    title: str  # a format string for the pattern's groups, and for {function}, {access}, {form} and {line}
    where: FunctionSource
    skip: tuple[Role, ...]  # roles of functions that do not tell, in addition to those of titles.SERVES_CALLER
    priority: Priority
    examples: tuple[str, ...]
    follows_fault: bool  # it may be the second line of a fault: die() prints it, after what a handler printed
    warns_later: bool  # the kernel prints up to ten lines, and then a WARNING of the same event
    concludes: bool  # a caller of the code that reported prints it, behind the trace of a report of the same kind


@dataclass(frozen=True)
class Kind:
    """A kind of report. To add one, add an entry to KINDS, and a golden case (tests/unit/golden/console)."""

    name: str
    severity: Severity
    wordings: tuple[Wording, ...]
    triggers: tuple[str, ...] = field(kw_only=True)  # every line that a wording matches contains one of these
    taint: str = ""  # flags that the kernel sets when it has printed the report
    is_plain: bool = False  # believed without the kernel's time stamp
    is_silent: bool = False  # recognized, but not a report; the lines that follow it are skipped
    continues: bool = False  # part of a report that comes just before it
    ends_in_warning: bool = False  # its trace may be that of a WARNING which the same code prints behind it


_F, _W = Severity.FAULT, Severity.WARNING
# lib/vsprintf.c prints function+0xoffset/0xsize [module] for %pS, a bare address if it finds no function, and the same
# without the offset for %ps
_FUNCTION = (
    r"(?!(?:[0-9a-f]{8}){1,2}\b)(?P<at>[A-Za-z_$][\w.$]*)(?:\+0x[0-9a-f]+(?:/0x[0-9a-f]+)?)?"
    rf"(?: \[{MODULE_NAME}\])?"
)
# %p, until random numbers are there to hash addresses with; 4.15 padded it
_POINTER = r"(?:0x)?(?: *\((?:____)?ptrval(?:____)?\)|[0-9a-f]+)"


def wording(
    pattern: str,
    title: str,
    *examples: str,
    where: FunctionSource = FunctionSource.NOWHERE,
    skip: tuple[Role, ...] = (),
    priority: Priority = Priority.NAME,
    follows_fault: bool = False,
    warns_later: bool = False,
    concludes: bool = False,
) -> Wording:
    """A wording. In its pattern `{f}` matches a function, as the group `at`, `{m}` a module's name, `{p}` a pointer.

    A group `module` is the module that the kernel names as the one that is refused.

    skip: roles of further functions that only serve their caller.
    """
    compiled = re.compile(pattern.replace("{f}", _FUNCTION).replace("{m}", MODULE_NAME).replace("{p}", _POINTER))
    return Wording(compiled, title, where, skip, priority, examples, follows_fault, warns_later, concludes)


def _warning(place: str) -> str:
    """The line of __warn() in kernel/panic.c, also in the form of newer kernels: "WARNING: file:line at function"."""
    return rf"WARNING: (?:(?:CPU: \d+ (?:UID: \d+ )?PID: \S+ )?at )?(?:\[.*\] )?{place}"


_DEADLOCK = "possible deadlock in {function}"
# What user space prints for errors of the module loader: strerror() of ENOEXEC, ENOKEY, EKEYREJECTED and others, and
# the words of kmod (tools/insmod.c) and busybox (modutils.c, moderror()) for ENOENT and ESRCH
_LOADED = r"(?:module )?'?(?:\S*/)?(?P<module>{m}?)(?:\.ko(?:\.\w+)?)?'?(?: \(\S*\))?"
_REFUSED = (
    r": (?:-1 )?(?:Exec format error|[Ii]nvalid module format|[Uu]nknown symbol in module|[Mm]odule has wrong symbol "
    r"version|"
    r"Invalid (?:parameters|argument)|Key was rejected by service|Required key not available|Key has (?:expired|been "
    r"revoked))"
)
_SITE, _TRACE, _LOCK = FunctionSource.SITE, FunctionSource.TRACE, FunctionSource.LOCK
# arch/x86/kernel/dumpstack.c, __die_header(): "text: error code [#count] flags"; "Oops: " since 6.10. The text of a
# general protection fault ends with an address (traps.c)
_DIES = r"(?:Oops: |traps: )?"
_DIE = r"(?:(?:,| for) [a-z].*?)?: [0-9a-f]{4} \[#"

KINDS = (
    Kind("kasan", _F, (  # mm/kasan/report.c
        wording(r"\s?BUG: KASAN: (?:double-free or invalid-free|double-free|invalid-free) in {f}",
            "KASAN: invalid-free in {function}",
            "BUG: KASAN: double-free in kvfree+0x36/0x60",
            "BUG: KASAN: double-free or invalid-free in kmalloc_double_kzfree+0x1b7/0x4c0 [test_kasan]",
            where=FunctionSource.HEADLINE),
        wording(r"\s?BUG: KASAN: (?P<what>[\w-]+) in {f}", "KASAN: {what} {access} in {function}",
            "BUG: KASAN: slab-out-of-bounds in kmalloc_oob_right+0xac/0xc3 [test_kasan]",
            "BUG: KASAN: use-after-free in do_con_write.part.23+0x1c50/0x1cb0 at addr ffff88000012c43a",
            where=FunctionSource.HEADLINE),
        wording(r"\s?BUG: KASAN: (?P<what>[\w-]+) on (?:address|unknown)", "KASAN: {what} {access}",
            "BUG: KASAN: wild-memory-access on address ffe70854000000"),
        wording(r"\s?BUG: KASAN: (?P<rest>.*)", "KASAN: {rest}", "BUG: KASAN: "),
    ), triggers=("BUG",), taint="B"),
    Kind("kfence", _F, (  # mm/kfence/report.c
        wording(r"\s?BUG: KFENCE: (?P<what>out-of-bounds|use-after-free|memory corruption|invalid free|invalid)"
            r"(?: read| write)? in {f}", "KFENCE: {what} in {function}",
            "BUG: KFENCE: out-of-bounds read in test_out_of_bounds_read+0xa3/0x22b",
            "BUG: KFENCE: invalid free in test_invalid_addr_free+0xb4/0x17e",
            "BUG: KFENCE: memory corruption in test_corruption+0x98/0x19b",
            where=FunctionSource.HEADLINE),
        wording(r"\s?BUG: KFENCE: (?P<rest>.*)", "KFENCE: {rest}", "BUG: KFENCE: out-of-bounds"),
    ), triggers=("BUG",), taint="B"),
    Kind("kmsan", _F, (  # mm/kmsan/report.c
        wording(r"\s?BUG: KMSAN: (?P<what>[\w-]+) in {f}", "KMSAN: {what} in {function}",
            "BUG: KMSAN: uninit-value in strstr+0xb8/0x2f0",
            "BUG: KMSAN: kernel-infoleak in _copy_to_iter+0x376/0x1c60",
            where=FunctionSource.HEADLINE,
            skip=(Role.BUS, Role.CIPHER)),
        wording(r"\s?BUG: KMSAN: (?P<rest>.*)", "KMSAN: {rest}", "BUG: KMSAN: uninit-value"),
    ), triggers=("BUG",), taint="B"),
    Kind("kcsan", _W, (  # kernel/kcsan/report.c
        wording(r"\s?BUG: KCSAN: (?P<rest>.*)", "KCSAN: {rest}",
            "BUG: KCSAN: data-race in e1000_clean_rx_irq+0x551/0xb10",
            "BUG: KCSAN: data-race in __fput / tun_chr_open",
            "BUG: KCSAN: assert: race in test_kernel_assert_writer"),
    ), triggers=("BUG",)),
    Kind("ubsan", _W, (  # lib/ubsan.c
        wording(r"UBSAN: Undefined behaviour in \S+", "UBSAN: undefined-behaviour in {function}",
            "UBSAN: Undefined behaviour in net/sunrpc/xprt.c:597:14", where=_TRACE),
        wording(r"UBSAN: (?P<what>[\w-]+) in \S+", "UBSAN: {what} in {function}",
            "UBSAN: array-index-out-of-bounds in drivers/net/a.c:12:3",
            "UBSAN: shift-out-of-bounds in net/sched/sch_choke.c:408:12", where=_TRACE),
        wording(r"UBSAN: (?P<rest>.*)", "UBSAN: {rest}", "UBSAN: integer-overflow"),
    ), triggers=("UBSAN: ",)),
    Kind("lock", _F, (
        # kernel/locking/spinlock_debug.c: spin_dump(), rwlock_bug(), __spin_lock_debug()
        wording(r"BUG: (?P<what>(?:spinlock|rwlock)(?: cpu)? (?:bad magic|already unlocked|recursion|wrong owner|"
            r"wrong CPU|"
            r"trylock failure on UP|lockup suspected|lockup|uninitialized|recursion on UP))",
            "BUG: {what} in {function}",
            "BUG: spinlock bad magic on CPU#1, sh/53", "BUG: spinlock already unlocked on CPU#0, insmod/47",
            "BUG: spinlock cpu recursion on CPU#0, insmod/47", "BUG: spinlock wrong CPU on CPU#0, swapper/0/1",
            "BUG: rwlock bad magic on CPU#1, sh/53, ffffffffc0003000",
            "BUG: spinlock lockup suspected on CPU#0, sh/53", where=_TRACE),
        # kernel/locking/mutex.c, mutex-debug.c, rwsem.c, rtmutex.c, ww_mutex.h; semaphores have no checks
        wording(_warning(r"\S*kernel/locking/(?:mutex|rwsem|rtmutex|rwbase|ww_mutex|semaphore|osq|qspinlock|"
            r"percpu-rwsem)[^ ]*"
                     r" (?:at )?{f}"), "WARNING: locking bug in {function}",
            "WARNING: CPU: 0 PID: 54 at kernel/locking/mutex.c:579 __mutex_lock+0x5d2/0x9e0",
            "WARNING: CPU: 1 PID: 53 at kernel/locking/rwsem.c:1364 up_write+0xa4/0xb0",
            where=FunctionSource.HEADLINE, priority=Priority.NAME),
        wording(r"DEBUG_(?:LOCKS|RWSEMS)_WARN_ON\((?P<rest>.*)", "WARNING: locking bug in {function}",
            "DEBUG_LOCKS_WARN_ON(lock->magic != lock)",
            "DEBUG_RWSEMS_WARN_ON(sem->magic != sem): count = 0x0, magic = 0x0, owner = 0x0, curr 0xffff8880",
            where=_SITE, priority=Priority.HINT),
        wording(r"rtmutex deadlock detected|WARNING: circular locking deadlock detected",
            "WARNING: rtmutex deadlock in {function}",
            "rtmutex deadlock detected", "WARNING: circular locking deadlock detected!",
            where=_TRACE),
    ), triggers=("BUG", "WARNING:", "DEBUG_LOCKS", "DEBUG_RWSEMS", "deadlock detected")),
    Kind("slub", _F, (
        # mm/slub.c, slab_bug(): "BUG cache (taint): what"
        wording(r"BUG \S.* \((?:Not tainted|Tainted: .*?) *\): (?P<what>.*)", "BUG: {what}",
            "BUG kmalloc-64 (Tainted: G           O      ): Right Redzone overwritten",
            "BUG kmalloc-32 (Not tainted): Poison overwritten", "BUG kmalloc-32 (Not tainted): Object already free",
            "BUG modcompat_cache (Tainted: G    B): Objects remaining in modcompat_cache on __kmem_cache_shutdown()",
            "BUG kmalloc-128 (Tainted: G           O      ): Object corrupt",
            "BUG kmalloc-8 (Not tainted): Freepointer corrupt", "BUG x (Not tainted): Freechain corrupt"),
        # kmem_cache_destroy() of mm/slab_common.c, cache_from_obj() of mm/slab.h
        wording(r"kmem_cache_destroy \S.*[Ss]till has objects|kmem_cache_destroy .*: Slab cache still has objects",
            "kmem_cache_destroy: Slab cache still has objects",
            "kmem_cache_destroy vendor: Slab cache still has objects when called from vendor_exit+0x10/0x20 [vendor]"),
        wording(r"cache_from_obj: (?:Wrong slab cache|.* is wrong cache)|virt_to_cache: Object is not a Slab page",
            "WARNING in {function}",
            "cache_from_obj: Wrong slab cache. kmalloc-64 but object is from kmalloc-96",
            "cache_from_obj: kmalloc-64 is wrong cache", "virt_to_cache: Object is not a Slab page!", where=_SITE),
        # object_err() and __slab_err() of mm/slub.c, since 6.15 in place of a trace
        wording(_warning(r"\S*mm/slub\.c:\d+ (?:at )?(?:object_err|__slab_err)\b"),
            "BUG: slab corruption in {function}",
            "WARNING: CPU: 0 PID: 40 at mm/slub.c:1146 object_err+0x1d/0x30", where=_TRACE, priority=Priority.FORM,
            concludes=True),
        wording(r"(?P<what>pagealloc: (?:memory corruption|single bit error))", "{what} in {function}",
            "pagealloc: memory corruption", "pagealloc: single bit error", where=_TRACE),
        wording(r"BUG: mempool element poison mismatch", "BUG: mempool element poison mismatch",
            "BUG: mempool element poison mismatch"),
        wording(r"(?P<rest>INFO: (?:Freed|Allocated) in .*)", "{rest}",
            "INFO: Freed in fasync_free_rcu+0x14/0x20 age=624 cpu=0 pid=3", priority=Priority.HINT),
        wording(r"INFO: (?:{p}-{p}|Slab {p}|Object {p})", "BUG: slab corruption in {function}",
            "INFO: 0x00000000-0x00000001. First byte 0x6a instead of 0x6b", where=_TRACE, priority=Priority.HINT),
    ), triggers=("BUG", "INFO:", "Slab page", "lab cache", " corruption", "kmem_cache_destroy ", "single bit error",
    "wrong cache", "WARNING:"), taint="B", ends_in_warning=True),
    Kind("list", _F, (  # lib/list_debug.c
        wording(r"(?:list: )?(?:list_(?:add|del) (?:double add|corruption)|list_del corruption|slub corruption)",
            "BUG: corrupted list in {function}",
            "list_add corruption. prev->next should be next (ffffffffc000a040), but was 0000000000000000.",
            "list_del corruption, ffff88800566a800->next is LIST_POISON1 (dead000000000100)",
            "list_add double add: new=ffff888, prev=ffff888, next=ffff888.", where=_TRACE),
        wording(_warning(r"\S*lib/list_debug\.c:\d+ (?:at )?{f}"), "BUG: corrupted list in {function}",
            "WARNING: CPU: 0 PID: 47 at lib/list_debug.c:26 __list_add_valid+0x92/0xa0", where=_TRACE),
        wording(r"[kK]ernel BUG at \S*lib/list_debug\.c", "BUG: corrupted list in {function}",
            "kernel BUG at lib/list_debug.c:59!", where=_TRACE),
    ), triggers=("BUG", "WARNING:", " corruption", " double add")),
    Kind("refcount", _F, (  # lib/refcount.c
        wording(r"refcount_t(?: \S+)?: (?:[a-z].*)", "WARNING: refcount bug in {function}",
            "refcount_t: underflow; use-after-free.", "refcount_t: addition on 0; use-after-free.",
            "refcount_t: saturated; leaking memory.", where=_SITE),
        wording(_warning(r"\S*lib/refcount\.c:\d+ (?:at )?{f}"), "WARNING: refcount bug in {function}",
            "WARNING: CPU: 1 PID: 53 at lib/refcount.c:28 refcount_warn_saturate+0xba/0x110",
            where=_SITE),
    ), triggers=("WARNING:", "refcount_t"), taint="W"),
    Kind("bad-page", _F, (  # mm/page_alloc.c bad_page(), mm/memory.c print_bad_pte(), kernel/fork.c check_mm()
        wording(r"BUG: Bad rss-counter state", "BUG: Bad rss-counter state",
            "BUG: Bad rss-counter state mm:ffff88005fac4300 type:MM_FILEPAGES val:15"),
        wording(r"BUG: Bad page (?P<what>state|map|cache)(?! *: \d+ messages)", "BUG: Bad page {what} in {function}",
            "BUG: Bad page state in process sh  pfn:199e0",
            "BUG: Bad page map in process sh  pte:ffff pmd:ffff", where=_TRACE),
        wording(r"BUG: (?P<what>non-zero (?:pgtables_bytes|nr_ptes|nr_pmds) on freeing mm)", "BUG: {what}",
            "BUG: non-zero pgtables_bytes on freeing mm: 4096"),
        # mm/pgtable-generic.c, arch/arm/kernel/traps.c
        wording(r"\S*pgtable-generic\.c:\d+: bad (?P<what>p[g4um]d|pte) ", "bad {what}",
            "mm/pgtable-generic.c:50: bad pmd ffff888007a20000(80000000)."),
        wording(r"page dumped because: ", "BUG: Bad page state in {function}",
            "page dumped because: VM_BUG_ON_PAGE(page_ref_count(page) == 0)", where=_TRACE, priority=Priority.HINT),
    ), triggers=("BUG", "dumped because", "pgtable-generic.c:"), taint="B"),
    Kind("stack", _F, (
        # arch/x86/kernel/traps.c handle_stack_overflow(); arch/arm*/kernel/traps.c handle_bad_stack()
        wording(r"BUG: (?:\S+ )?stack guard page was hit", "BUG: stack guard page was hit in {function}",
            "BUG: TASK stack guard page was hit at ffffc900054afff8 (stack is ffffc900054b0000..ffffc900054b8000)",
            where=_SITE),
        wording(r"Insufficient stack space to handle exception", "kernel stack overflow in {function}",
            "Insufficient stack space to handle exception!", where=_SITE),
        # kernel/sched/core.c schedule_debug(); kernel/panic.c __stack_chk_fail()
        wording(r"Kernel panic - not syncing: corrupted stack end", "kernel panic: corrupted stack end in {function}",
            "Kernel panic - not syncing: corrupted stack end detected inside scheduler", where=FunctionSource.LOOP),
        wording(r"corrupted stack end detected", "kernel panic: corrupted stack end in {function}",
            "corrupted stack end detected inside scheduler", where=FunctionSource.LOOP),
        wording(r"Kernel panic - not syncing: stack-protector: Kernel stack is corrupted in: {f}",
            "kernel panic: stack is corrupted in {function}",
            "Kernel panic - not syncing: stack-protector: Kernel stack is corrupted in: vendor_run+0x10/0x20 [vendor]",
            where=FunctionSource.HEADLINE),
        wording(r"BUG: stack (?:overflow|corruption)|(?:Thread|kernel) (?:stack )?overran stack|kernel stack overflow",
            "kernel stack overflow in {function}", "kernel stack overflow (double-fault): 0000 [#1]",
            "Thread overran stack, or stack corrupted", where=_SITE, follows_fault=True),
    ), triggers=("BUG", "Kernel panic", "Insufficient stack", " overflow", "overran stack", "stack end detected")),
    Kind("atomic-sleep", _F, (
        # kernel/sched/core.c: __schedule_bug(), __might_resched(); lib/smp_processor_id.c; kernel/workqueue.c
        wording(r"BUG: scheduling while atomic", "BUG: scheduling while atomic in {function}",
            "BUG: scheduling while atomic: sh/53/0x00000002", where=_TRACE),
        wording(r"BUG: scheduling in a non-blocking section", "BUG: scheduling in a non-blocking section in {function}",
            "BUG: scheduling in a non-blocking section: sh/53/1", where=_TRACE),
        wording(r"BUG: sleeping function called from invalid context",
            "BUG: sleeping function called from invalid context in {function}",
            "BUG: sleeping function called from invalid context at kernel/locking/mutex.c:580",
            "BUG: sleeping function called from invalid context at include/linux/sched/mm.h:201", where=_TRACE),
        wording(r"BUG: assuming (?P<what>atomic|non migratable) context", "BUG: assuming {what} context in {function}",
            "BUG: assuming atomic context at drivers/x.c:5", where=_TRACE),
        wording(r"BUG: using (?P<what>\w+)\(\) in preemptible", "BUG: using {what}() in preemptible code in {function}",
            "BUG: using smp_processor_id() in preemptible [00000000] code: dhcpcd/4088",
            "BUG: using __this_cpu_read() in preemptible [00000000] code: sh/53", where=_TRACE),
        wording(r"BUG: workqueue leaked (?P<what>lock or atomic|atomic, lock or RCU)",
            "BUG: workqueue leaked {what} in {function}",
            "BUG: workqueue leaked lock or atomic: kworker/0:1/0x00000000/353", where=FunctionSource.WORK),
        # init/main.c do_one_initcall(); kernel/softirq.c; kernel/time/timer.c call_timer_fn()
        wording(r"initcall {f} returned with (?P<what>preemption imbalance|disabled interrupts)",
            "initcall returned with {what} in {function}", "initcall vendor_init returned with preemption imbalance ",
            "initcall vendor_init+0x0/0x20 returned with disabled interrupts ",
            "initcall vendor_init+0x0/0x1000 [vendor] returned with preemption imbalance ",
            where=FunctionSource.HEADLINE),
        wording(r"(?:softirq: )?huh, entered softirq \d+ \S+ {p}(?: {f})? with preempt_count",
            "preemption imbalance in {function}",
            "huh, entered softirq 1 TIMER ffffffff81000000 run_timer_softirq+0x0/0x20 with preempt_count 00000101, "
            "exited with 00000102?",
            "softirq: huh, entered softirq 1 TIMER 00000000deadbeef with preempt_count 00000101, exited with 00000102?",
            where=FunctionSource.LINE),
        wording(r"(?:timer: )?{f} preempt leak", "preemption imbalance in {function}",
            "timer: vendor_timer+0x0/0x20 [vendor] preempt leak: 00000101 -> 00000102", where=FunctionSource.HEADLINE),
    ), triggers=("BUG", "preempt", "disabled interrupts"), taint="W"),
    Kind("rcu-usage", _W, (  # kernel/locking/lockdep.c lockdep_rcu_suspicious()
        wording(r"WARNING: suspicious RCU usage", "WARNING: suspicious RCU usage in {function}",
            "WARNING: suspicious RCU usage", where=_TRACE),
        wording(r"(?:\[ )?INFO: suspicious RCU usage", "INFO: suspicious RCU usage in {function}",
            "[ INFO: suspicious RCU usage. ]", where=_TRACE),
    ), triggers=("WARNING:", "INFO:")),
    Kind("lockdep", _W, (  # kernel/locking/lockdep.c; "[ INFO: ... ]" and "[ BUG: ... ]" until 4.11
        wording(r"(?:\[ INFO|WARNING): (?P<rest>possible (?:circular|recursive|irq lock inversion|"
            r"irq-unsafe)[\w -]*)", _DEADLOCK, "WARNING: possible circular locking dependency detected",
            "WARNING: possible recursive locking detected", "WARNING: possible irq lock inversion dependency detected",
            "[ INFO: possible circular locking dependency detected ]", where=_LOCK),
        wording(r"(?:\[ INFO|WARNING): \S+-safe -> \S+-unsafe lock order", _DEADLOCK,
            "WARNING: HARDIRQ-safe -> HARDIRQ-unsafe lock order detected",
            "[ INFO: SOFTIRQ-safe -> SOFTIRQ-unsafe lock order detected ]", where=_LOCK),
        wording(r"(?:\[ INFO|WARNING): inconsistent lock state", "inconsistent lock state in {function}",
            "WARNING: inconsistent lock state", where=_LOCK),
        wording(r"(?P<form>\[ BUG|WARNING): bad (?P<what>unlock balance|contention) detected",
            "{form}: bad {what} in {function}",
            "WARNING: bad unlock balance detected!", "[ BUG: bad unlock balance detected! ]", where=_LOCK),
        wording(r"(?P<form>\[ BUG|WARNING): held lock freed", "{form}: held lock freed in {function}",
            "WARNING: held lock freed!", "[ BUG: held lock freed! ]", where=_LOCK),
        wording(r"(?P<form>\[ BUG|WARNING): \S.*/\d+ still has locks held",
            "{form}: still has locks held in {function}",
            "WARNING: sh/6054 still has locks held!", "[ BUG: sh/6054 still has locks held! ]",
            where=FunctionSource.HELD),
        wording(r"(?P<form>\[ BUG|WARNING): lock held when returning to user space",
            "{form}: lock held when returning to user space in {function}",
            "WARNING: lock held when returning to user space!", where=FunctionSource.HELD),
        wording(r"(?P<form>\[ BUG|WARNING): [Nn]ested lock was not taken",
            "WARNING: nested lock was not taken in {function}",
            "WARNING: Nested lock was not taken", where=_LOCK),
        wording(r"\[ BUG: Invalid wait context", "BUG: invalid wait context in {function}",
            "[ BUG: Invalid wait context ]", where=_LOCK),
        wording(r"INFO: trying to register non-static key", "INFO: trying to register non-static key in {function}",
            "INFO: trying to register non-static key.", where=_TRACE),
        wording(r"WARNING: chain_key collision|BUG: (?:MAX_\w+ too low|looking up invalid)",
            "lockdep: {line}", "BUG: MAX_LOCKDEP_CHAINS too low!"),
        # lockdep_init_map_type(); DEBUG_LOCKS_WARN_ON(1) follows
        wording(r"BUG: key {p} has not been registered", "lockdep: {line}",
            "BUG: key ffff8ea2f2c7eb18 has not been registered!", warns_later=True),
        wording(_warning(r"\S*kernel/locking/lockdep\.c:\d+ (?:at )?{f}"), "WARNING: locking bug in {function}",
            "WARNING: CPU: 0 PID: 4073 at kernel/locking/lockdep.c:734 register_lock_class+0xe10/0x1860",
            where=_SITE),
        wording(r"\[ (?:BUG|INFO): (?P<rest>.*?) ?\]", "lockdep: {rest}", "[ BUG: lock held at task exit time! ]"),
    ), triggers=("WARNING:", "INFO:", "BUG")),
    Kind("lockup", _F, (  # kernel/watchdog.c, kernel/watchdog_hld.c, kernel/workqueue.c show_workqueue_state
        wording(r"(?:NMI watchdog: |watchdog: )?BUG: soft lockup", "BUG: soft lockup in {function}",
            "watchdog: BUG: soft lockup - CPU#1 stuck for 134s! [sh:53]",
            "NMI watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [sh:53]", where=FunctionSource.LOOP),
        wording(r"(?:NMI watchdog: |watchdog: )?(?:BUG: hard lockup|(?:CPU\d+: )?Watchdog detected hard LOCKUP|"
            r"CPU ?\d+ (?:self-)?detected hard LOCKUP)", "BUG: hard lockup in {function}",
            "watchdog: Watchdog detected hard LOCKUP on cpu 1", "CPU0: Watchdog detected hard LOCKUP on cpu 1",
            "watchdog: CPU 0 detected hard LOCKUP on other CPUs 1",
            "watchdog: CPU 0 self-detected hard LOCKUP @ vendor_run+0x8/0x20",
            "NMI watchdog: Watchdog detected hard LOCKUP on cpu 0", where=FunctionSource.LOOP),
        # kernel/smp.c csd_lock_wait_toolong()
        wording(r"smp: csd: Detected non-responsive CSD lock", "non-responsive CSD lock",
            "smp: csd: Detected non-responsive CSD lock (#1) on CPU#0, waiting 5000000000 ns for CPU#01 "
            "vendor_ipi+0x0/0x20 [vendor]"
            "(0x0)."),
        wording(r"BUG: workqueue lockup", "BUG: workqueue lockup",
            "BUG: workqueue lockup - pool cpus=0 node=0 flags=0x0 nice=0 stuck for 32s!"),
    ), triggers=("BUG", "CSD lock", "LOCKUP"), taint="L"),
    Kind("workqueue", _W, (
        # kernel/workqueue.c wq_cpu_intensive_report(), since 6.5. Work of the kernel itself is slow on a busy machine
        wording(r"workqueue: (?P<at>[A-Za-z_$][\w.$]*) \[{m}\] hogged CPU for >\d+us .*WQ_UNBOUND",
            "workqueue: {function} hogged CPU",
            "workqueue: vendor_work [vendor] hogged CPU for >10000us 4 times, consider switching to WQ_UNBOUND",
            where=FunctionSource.LINE),
        # kernel/workqueue.c, since 6.6
        wording(r"WARNING: Flushing system-wide workqueues", "WARNING: flushing system-wide workqueues in {function}",
            "WARNING: Flushing system-wide workqueues will be prohibited in near future.", where=_TRACE),
    ), triggers=("WARNING:", "WQ_UNBOUND")),
    Kind("hung-task", _F, (  # kernel/hung_task.c; "can't die" is of linux-next
        wording(r"INFO: task .*? blocked (?:in I/O wait )?for more than \d+ seconds|INFO: task \S*[^\x00-\x7f\\].*|"
            r"INFO: task .*\\x.*",
            "INFO: task hung in {function}", "INFO: task kworker/u4:6:10032 blocked for more than 143 seconds.",
            where=FunctionSource.HUNG),
        wording(r"INFO: task .* can't die for more than \d+ seconds", "INFO: task can't die in {function}",
            "INFO: task sh:21128 can't die for more than 143 seconds.", where=FunctionSource.HUNG),
    ), triggers=("INFO:",)),
    Kind("rcu-stall", _F, (  # kernel/rcu/tree_stall.h, tree_exp.h, tasks.h
        wording(r"(?:rcu: )?INFO: \w+ (?:self-)?detected (?:expedited )?stalls?\b",
            "INFO: rcu detected stall in {function}",
            "rcu: INFO: rcu_preempt self-detected stall on CPU",
            "rcu: INFO: rcu_sched detected stalls on CPUs/tasks:",
            "rcu: INFO: rcu_preempt detected expedited stalls on CPUs/tasks: { 1-... } 3 jiffies s: 9 root: 0x2/.",
            "INFO: rcu_tasks detected stalls on tasks:", where=FunctionSource.STALL),
        wording(r"rcu: \S+ kthread (?:starved for|timer wakeup didn't happen)", "INFO: rcu kthread starved",
            "rcu: rcu_preempt kthread starved for 9651 jiffies! g45941 f0x2 RCU_GP_WAIT_FQS(3) ->state=0x0 ->cpu=1",
            priority=Priority.HINT),
    ), triggers=("INFO:", " kthread ", "preempt")),
    Kind("access", _F, (
        # arch/x86/mm/fault.c show_fault_oops(), with the words of older kernels and of powerpc
        wording(r"BUG: (?:[uU]nable to handle (?:kernel )?)?[kK]ernel NULL pointer dereference|"
            r"BUG: [uU]nable to handle kernel NULL|Unable to handle kernel NULL pointer dereference",
            "BUG: unable to handle kernel NULL pointer dereference in {function}",
            "BUG: kernel NULL pointer dereference, address: 0000000000000008",
            "BUG: unable to handle kernel NULL pointer dereference at 0000000000000010",
            "Unable to handle kernel NULL pointer dereference at virtual address 00000008", where=_SITE),
        wording(r"(?:BUG: [uU]|(?:CPU \d+ )?U)nable to handle (?:kernel )?(?:paging request|page fault|data access|"
            r"pointer dereference|"
            r"read from unreadable|write to read-only|execute from non-executable|execution of|unknown (?:paging "
            r")?fault|"
            r"instruction fetch)",
            "BUG: unable to handle kernel paging request in {function}",
            "BUG: unable to handle page fault for address: ffffebde00002008",
            "Unable to handle kernel paging request at virtual address 5ca1ab1e5ca1ab1e",
            "Unable to handle kernel write to read-only memory at virtual address ffff800008010000",
            "BUG: Unable to handle kernel data access at 0x8000000041a25f20",
            "CPU 2 Unable to handle kernel paging request at virtual address 00000070, epc == 803a653c, ra == 803a6848",
            "Unable to handle kernel pointer dereference in virtual kernel address space", where=_SITE),
        wording(r"(?:BUG: [uU]|U)nable to handle kernel access to user memory",
            "BUG: unable to handle kernel access to user memory in {function}",
            "Unable to handle kernel access to user memory outside uaccess routines at virtual address "
            "0000000000001000",
            where=_SITE),
        wording(r"(?:BUG: [uU]|U)nable to (?:handle kernel|execute)(?P<rest>.*)", "BUG: unable to handle kernel",
            "BUG: unable to handle kernel "),
        # arch/x86/kernel/traps.c
        wording(rf"{_DIES}(?:segment-related )?general protection (?:fault|maybe)(?:{_DIE}|: [0-9a-f]{{4}}$)",
            "general protection fault in {function}",
            "general protection fault, probably for non-canonical address 0x5ca1ab1e5ca1aeae: 0000 [#1] SMP",
            "general protection fault, maybe for address 0xffffb06f02227ae0: 0000 [#1] PREEMPT SMP NOPTI",
            "segment-related general protection fault: fff8 [#1] PREEMPT SMP",
            "Oops: general protection fault, kernel NULL pointer dereference 0x8: 0000 [#1] SMP NOPTI",
            "general protection fault for non-canonical address 0xdead000000000122: 0000 [#1] SMP",
            "general protection fault: 0000 [#1] SMP KASAN",
            "Oops: general protection fault, probably for non-canonical address 0xdffffc0000000001: 0000 [#1] SMP",
            where=_SITE),
        wording(rf"{_DIES}stack[ -]segment{_DIE}", "stack segment fault in {function}",
            "stack segment: 0000 [#1] PREEMPT SMP", where=_SITE),
        wording(rf"{_DIES}divide[ _]error{_DIE}", "divide error in {function}", "divide error: 0000 [#1] SMP",
            "Oops: divide error: 0000 [#1] PREEMPT SMP", "divide_error: 0000 [#1] PREEMPT SMP", where=_SITE),
        wording(rf"{_DIES}int3{_DIE}", "int3 in {function}", "Oops: int3: 0000 [#1] SMP", where=_SITE),
        wording(r"(?:traps: )?PANIC: double fault,", "PANIC: double fault in {function}",
            "traps: PANIC: double fault, error_code: 0x0", where=_SITE),
        # die() behind it: arch/x86/kernel/traps.c exc_double_fault()
        wording(rf"{_DIES}(?:PANIC: )?double fault{_DIE}", "PANIC: double fault in {function}",
            "PANIC: double fault: 0000 [#1] SMP", "Oops: double fault: 0000 [#1] PREEMPT SMP", where=_SITE,
            follows_fault=True),
        # Any other text of die(): an error code of four digits, the count of such events and flags follow it
        wording(rf"(?=.* \[#){_DIES}(?!invalid opcode|kernel stack overflow|Oops|[0-9a-f]{{4}} "
            rf"\[#)(?P<what>[a-zA-Z#][\w #/.()-]*?){_DIE}",
            "{what} in {function}", "alignment check: 0000 [#1] SMP", "fpu exception: 0000 [#1] PREEMPT SMP",
            "Oops: control protection fault: 0000 [#1] SMP", "simd exception: 0000 [#1] SMP",
            "stack guard page: 0000 [#1] PREEMPT SMP KASAN", where=_SITE, follows_fault=True),
        # arch/x86/kernel/cet.c do_kernel_cp_fault(), traps.c before 6.4
        wording(r"(?:traps: )?Missing ENDBR: {f}", "CFI failure in {function}",
            "traps: Missing ENDBR: vendor_run+0x0/0x20 [vendor]", "Missing ENDBR: vendor_run+0x0/0x20 [vendor]",
            where=FunctionSource.HEADLINE),
        # arch/arm/kernel/traps.c __div0()
        wording(r"Division by zero in kernel\.", "division by zero in {function}", "Division by zero in kernel.",
            where=_TRACE),
        # arch/arm/mm/fault.c do_DataAbort(), do_PrefetchAbort(); arch/arm/mm/alignment.c; arch/arm64/kernel/traps.c
        wording(r"Unhandled fault", "Unhandled fault in {function}",
            "Unhandled fault: page domain fault (0x01b) at 0x00000e30", where=_SITE),
        wording(r"Unhandled prefetch abort", "Unhandled prefetch abort in {function}",
            "Unhandled prefetch abort: breakpoint debug exception (0x002) at 0x00000000", where=_SITE),
        wording(r"Unhandled (?P<what>\d+-bit .* exception|exception|trap)", "Unhandled exception in {function}",
            "Unhandled 64-bit el1h sync exception on CPU0, ESR 0x0000000002000000 -- Unknown/Uncategorized",
            where=_SITE),
        wording(r"Alignment trap: not handling", "alignment trap in {function}",
            "Alignment trap: not handling instruction e1b3e000 at [<c0008000>]", where=_SITE),
        wording(r"Bad mode in ", "bad mode in {function}", "Bad mode in data abort handler detected", where=_SITE),
        wording(r"SError Interrupt on CPU", "SError in {function}",
            "SError Interrupt on CPU0, code 0x00000000be000411 -- SError", where=_SITE),
        # arch/x86/mm/fault.c; arch/powerpc/mm/fault.c
        wording(r"kernel tried to execute (?:NX-protected|exec-protected|user) page|BUG: unable to execute|"
            r"Kernel attempted to \w+ user page \(|\S.*: Corrupted page table at address ",
            "BUG: unable to handle kernel paging request in {function}",
            "kernel tried to execute NX-protected page - exploit attempt? (uid: 0)",
            "Kernel attempted to read user page (10) - exploit attempt? (uid: 0)",
            "insmod: Corrupted page table at address 7f0000000000",
            where=_SITE, priority=Priority.HINT),
    ), triggers=(
        "BUG", "Oops", "PANIC", " [#", "Alignment trap", "Bad mode in", "Corrupted page table", "Division by zero",
        "Kernel attempted", "Missing ENDBR", "SError", "Unable to", "Unhandled ", "general protection ",
        "tried to execute",
    ), taint="D"),
    Kind("msr", _W, (  # arch/x86/mm/extable.c ex_handler_msr()
        wording(r"unchecked MSR access error: (?:RDMSR|WRMSR) .* at rIP: 0x[0-9a-f]+ \({f}\)",
            "unchecked MSR access error in {function}",
            "unchecked MSR access error: RDMSR from 0x1b0 at rIP: 0xffffffffc0002010 (vendor_run+0x10/0x20 [vendor])",
            "unchecked MSR access error: WRMSR to 0x38f (tried to write 0x000f000f000000ff) at rIP: 0xffffffff810106a8 "
            "(native_write_msr+0x8/0x30)", where=FunctionSource.HEADLINE),
        wording(r"unchecked MSR access error: ", "unchecked MSR access error in {function}",
            "unchecked MSR access error: RDMSR from 0x1b0", where=_TRACE),
    ), triggers=("MSR access",), taint=""),
    Kind("ftrace", _W, (  # kernel/trace/ftrace.c ftrace_bug()
        wording(r"-+\[ ftrace bug \]-+$", "ftrace bug in {function}", "------------[ ftrace bug ]------------",
            where=FunctionSource.CALL_SITE, warns_later=True),
    ), triggers=("ftrace bug",), taint="W"),
    Kind("fortify", _F, (  # lib/string_helpers.c, mm/usercopy.c, include/linux/fortify-string.h, kernel/cfi.c
        wording(r"detected buffer overflow in ", "kernel BUG in {function}", "detected buffer overflow in strnlen",
            where=_TRACE),
        wording(r"\w+: detected buffer overflow: \d+ byte", "WARNING in {function}",
            "memcpy: detected buffer overflow: 9 byte write of buffer size 8", where=_SITE),
        wording(r"mem\w+: detected field-spanning write", "WARNING in {function}",
            'memcpy: detected field-spanning write (size 16) of single field "&a->b" at drivers/x.c:5 (size 8)',
            where=_SITE),
        wording(r"usercopy: (?:BUG: )?[kK]ernel memory (?:exposure|overwrite) attempt",
            "BUG: bad usercopy in {function}",
            "usercopy: Kernel memory exposure attempt detected from SLUB object 'kmalloc-64' (offset 0, size 65)!",
            where=_TRACE),
        wording(r"[kK]ernel BUG at \S*mm/usercopy\.c", "BUG: bad usercopy in {function}",
            "kernel BUG at mm/usercopy.c:101!",
            where=_TRACE),
        wording(r"(?:Kernel panic - not syncing: )?CFI failure (?:at {f}|\(target)", "CFI failure in {function}",
            "CFI failure at vendor_run+0x10/0x20 [vendor] (target: x+0x0/0x10; expected type: 0x12345678)",
            "Kernel panic - not syncing: CFI failure (target: 0x0)",
            where=FunctionSource.HEADLINE),
    ), triggers=("BUG", "CFI failure", "Kernel memory", " overflow", "field-spanning")),
    Kind("odebug", _W, (  # lib/debugobjects.c debug_print_object(); object_is_on_stack
        wording(r"ODEBUG: (?:\S.* \(active state \d+\)|object {p} is (?:NOT )?on stack)",
            "WARNING: ODEBUG bug in {function}",
            "ODEBUG: free active (active state 0) object: ffff88807b3c4490 object type: timer_list hint: x+0x0/0x350",
            "ODEBUG: object ffff888 is on stack ffff888, but NOT annotated.",
            "ODEBUG: object (____ptrval____) is NOT on stack (____ptrval____), but annotated.", where=_SITE),
        wording(_warning(r"\S*lib/debugobjects\.c:\d+ (?:at )?{f}"), "WARNING: ODEBUG bug in {function}",
            "WARNING: CPU: 0 PID: 53 at lib/debugobjects.c:505 debug_print_object+0x16a/0x250",
            where=_SITE),
    ), triggers=("ODEBUG: ", "WARNING:")),
    Kind("kobject", _W, (  # lib/kobject.c, fs/sysfs/dir.c, fs/proc/generic.c
        wording(_warning(r"\S*lib/kobject\.c:\d+ (?:at )?kobject_\S*"), "WARNING: kobject bug in {function}",
            "WARNING: CPU: 0 PID: 53 at lib/kobject.c:718 kobject_put+0x1d4/0x240", where=_SITE),
        # Since 4.20 without a trace of its own: kobject_add_internal() prints it behind that of sysfs_warn_dup()
        wording(r"(?:kobject: )?kobject_add_internal failed for .* with -EEXIST", "WARNING: kobject bug in {function}",
            "kobject_add_internal failed for x with -EEXIST, don't try to register things with the same name in "
            "the same directory.", where=_TRACE, concludes=True),
        wording(r"(?:(?:kobject: )?kobject[:_ ].*(?:failed for|tried to (?:init|add) an|is not initialized|"
            r"something is|must have a ktype|invalid kobject pointer)|"
            r"kobject: (?:must have a ktype to be initialized|'[^']*' \({p}\): is not initialized))",
            "WARNING: kobject bug in {function}",
            "kobject: kobject_add_internal failed for x (error: -12 parent: y)",
            "kobject: '(null)' (ffff8880): is not initialized, yet kobject_put() is being called.",
            "kobject (ffff8880): tried to init an initialized object, something is seriously wrong.",
            "kobject: kobject (ffff8880): tried to init an initialized object, something is seriously wrong.",
            "kobject: must have a ktype to be initialized properly!",
            "kobject: '(null)' ((____ptrval____)): is not initialized, yet kobject_get() is being called.",
            where=_TRACE),
        wording(r"sysfs: cannot create duplicate filename", "sysfs: cannot create duplicate filename in {function}",
            "sysfs: cannot create duplicate filename '/devices/x'", where=_TRACE),
        wording(_warning(r"\S*fs/proc/generic\.c:\d+ (?:at )?proc_register\S*"),
            "WARNING: proc registration bug in {function}",
            "WARNING: CPU: 1 PID: 53 at fs/proc/generic.c:377 proc_register+0x30e/0x4e0", where=_SITE),
        wording(r"proc_dir_entry '.*' already registered", "WARNING: proc registration bug in {function}",
            "proc_dir_entry 'net/vendor' already registered", where=_SITE, priority=Priority.HINT),
    ), triggers=("WARNING:", " already", "duplicate filename", "kobject")),
    Kind("dma-api", _W, (  # kernel/dma/debug.c err_printk()
        wording(r"DMA-API: (?P<rest>\S+ \S+: .*|.*(?:driver |device |cacheline tracking EEXIST|exceeded \d+ "
            r"overlapping).*)",
            "DMA-API: {rest}",
            "DMA-API: e1000 0000:00:03.0: device driver tries to free DMA memory it has not allocated [device "
            "address=0x0]",
            "DMA-API: exceeded 7 overlapping mappings of cacheline 0x0000000000052b1c"),
        wording(_warning(r"\S*kernel/dma/debug\.c:\d+ (?:at )?{f}"), "DMA-API: {function}",
            "WARNING: CPU: 0 PID: 1 at kernel/dma/debug.c:1012 check_unmap+0x4a2/0x8e0", where=FunctionSource.HEADLINE,
            priority=Priority.HINT),
    ), triggers=("DMA-API: ", "WARNING:")),
    Kind("irq", _W, (  # kernel/irq/spurious.c, arch/*/kernel/irq.c, kernel/irq/manage.c
        wording(r"irq \d+: nobody cared", "irq: nobody cared",
            'irq 17: nobody cared (try booting with the "irqpoll" option)'),
        wording(r"genirq: Flags mismatch irq \d+", "genirq: Flags mismatch",
            "genirq: Flags mismatch irq 16. 00000000 (vendor) vs. 00000080 (i801_smbus)"),
        wording(r"unexpected IRQ trap|Trying to free already-free IRQ|irq event \d+: bogus return value", "irq: {line}",
            "unexpected IRQ trap at vector 55",
            "Trying to free already-free IRQ 17", "irq event 17: bogus return value 7"),
        # kernel/time/tick-sched.c report_idle_softirq(): a softirq was raised where nothing runs it. Older kernels have
        # other words
        wording(r"NOHZ(?: tick-stop error: (?:Non-RCU )?local softirq work is pending, handler #|: "
            r"local_softirq_pending )",
            "NOHZ tick-stop error: local softirq work is pending",
            "NOHZ tick-stop error: local softirq work is pending, handler #08!!!",
            "NOHZ tick-stop error: Non-RCU local softirq work is pending, handler #02!!!",
            "NOHZ: local_softirq_pending 08"),
    ), triggers=("NOHZ", "Flags mismatch", "IRQ trap", " already", "bogus return value", "nobody cared")),
    Kind("kmemleak", _W, (  # mm/kmemleak.c; /sys/kernel/debug/kmemleak, as it is read
        wording(r"kmemleak: (?P<n>\d+) new suspected memory leaks?", "memory leak",
            "kmemleak: 1 new suspected memory leaks (see /sys/kernel/debug/kmemleak)"),
        wording(r"(?:kmemleak: )?unreferenced object {p} \((?:percpu|size \d+)", "memory leak in {function}",
            "unreferenced object 0xffff888012345678 (size 64):", "unreferenced object (____ptrval____) (size 64):",
            "unreferenced object 0x607fd312a0c8 (percpu):", where=FunctionSource.OWNER),
        # kernel/module/main.c free_module(), 6.12 with MEM_ALLOC_PROFILING
        wording(r"(?P<module>{m}): memory allocation\(s\) from the module still alive", "memory leak",
            "vendor: memory allocation(s) from the module still alive, cannot unload cleanly"),
        wording(r"BUG: memory leak", "memory leak in {function}", "BUG: memory leak", where=FunctionSource.OWNER,
            priority=Priority.HINT),
        wording(r"kmemleak: (?:Freeing unknown object|Trying to color|Cannot insert|Object already exists|"
            r"Freeing unknown|Partially freeing unknown|Found object by alias)", "kmemleak: {line}",
            "kmemleak: Cannot insert 0xffff888 into the object search tree (overlaps existing)"),
    ), triggers=("BUG", "kmemleak: ", "memory allocation(s) from", "unreferenced object"), is_plain=True),
    Kind("module-load", Severity.REFUSAL, (
        # kernel/module/main.c, version.c, signing.c, strict_rwx.c, decompress.c, kernel/params.c,
        # arch/*/kernel/module*.c
        wording(r"(?P<module>{m}): version magic '.*' should be '", "module: version magic",
            "spinlock: version magic '6.1.191 SMP mod_unload ' should be '6.1.192 SMP mod_unload '"),
        wording(r"(?P<module>{m}): (?:disagrees about version of symbol|no symbol version for) \S+",
            "module: symbol version",
            "vendor: disagrees about version of symbol module_layout", "vendor: no symbol version for module_layout"),
        wording(r"(?P<module>{m}): Unknown symbol \S+(?: \(err |$)", "module: unknown symbol",
            "vendor: Unknown symbol vendor_call (err -2)", "vendor: Unknown symbol vendor_call"),
        # "protected" symbols: kernel/module of Android's kernels (GKI)
        wording(r"(?P<module>{m}): (?:exports (?:duplicate|protected) symbol|Protected symbol:|"
            r"Symbol \S+ has an invalid section index|module uses symbol \(.*\) from namespace \S+, but does not|"
            r"module tries to import module namespace|no flags for exported symbols|"
            r"module using GPL-only symbols uses symbols)",
            "module: symbol", "vendor: exports duplicate symbol vendor_call (owned by other)",
            "vendor: module tries to import module namespace: module:kvm",
            "vendor: Symbol x has an invalid section index 9 (max 8)",
            "vendor: module uses symbol (dma_buf_get) from namespace DMA_BUF, but does not import it.",
            "vendor: Protected symbol: cfg80211_scan_done (err -13)",
            "vendor: exports protected symbol cfg80211_scan_done"),
        # kernel/module/main.c, since 6.4
        wording(r"module (?P<module>{m}): (?:Exactly one )?\.gnu\.linkonce\.this_module (?:section )?must (?:exist|"
            r"have|occupy|match)|"
            r"module (?P<module_of_size>{m}): \.gnu\.linkonce\.this_module section size must match",
            "module: struct module",
            "module vendor: .gnu.linkonce.this_module section must have a size set",
            "module vendor: Exactly one .gnu.linkonce.this_module section must exist.",
            "module vendor: .gnu.linkonce.this_module section size must match the kernel's built struct module size "
            "at run time"),
        wording(r"Invalid (?:ELF (?:header|section|sh_|symbol)|(?:module )?architecture in ELF)|"
            r"Only one \.modinfo section must exist|(?:empty )?symbol string table|symbol name out of bounds in "
            r"string table|"
            r"(?:more )?extended version crc|module_32: Module doesn't contain \.plt|Module has invalid ELF "
            r"structures|empty section name table|ELF Spec violation: ",
            "module: exec format",
            "Invalid ELF section header overflow", "ELF Spec violation: section name table isn't null terminated",
            "module_32: Module doesn't contain .plt or .init.plt sections.", "symbol string table isn't NUL terminated",
            "Only one .modinfo section must exist.", "more extended version crcs than names"),
        wording(r"(?:module )?(?P<module>(?!module\b){m}): (?:No module found in object|module has no symbols|"
            r"has both \.ctors and \.init_array|please compile with -fno-common|section \S+ \(index \d+\) has "
            r"invalid WRITE\|EXEC|"
            r"module \S+ section(?:\(s\))? missing|module is marked as livepatch module|module sysfs not initialized|"
            r"no symbol table)|"
            r"(?:Modules: )?module (?P<patched>{m}): error occurred (?:when applying alternatives|during dynamic SCS "
            r"patching)",
            "module: exec format",
            "vendor: No module found in object", "vendor: section .text (index 1) has invalid WRITE|EXEC flags",
            "vendor: module PLT section(s) missing", "vendor: has both .ctors and .init_array.",
            "vendor: please compile with -fno-common", "vendor: module sysfs not initialized",
            "module vendor: error occurred when applying alternatives",
            "vendor: module is marked as livepatch module, but livepatch support is disabled"),
        wording(r"not an? (?:gzip|xz|zstd) compressed module|failed to initialize decompressor: |Can't initialize "
            r"ZSTD stream|"
            r"ZSTD-(?:compressed data has|decompression failed)|decompression failed with status \d+$",
            "module: decompression",
            "not a gzip compressed module", "failed to initialize decompressor: 1",
            "decompression failed with status 7",
            "ZSTD-compressed data has an incomplete frame header"),
        wording(r"(?:module: )?x86/modules: (?:Skipping i|I)nvalid relocation target|(?:module: )?overflow in "
            r"relocation type |"
            r"(?:Modules: )?(?:Invalid \d+-bit data relocation|Invalid length \(\d+\) for data|do_reloc: unknown "
            r"relocation)",
            "module: relocation",
            "module: x86/modules: Skipping invalid relocation target, existing value is nonzero for type 1, loc "
            "ffffffffa0010308, val ffffffffa000d352", "overflow in relocation type 10 val ffff"),
        wording(r"(?:module: )?`(?P<module>{m})' likely not compiled with -mcmodel=kernel", "module: relocation",
            "module: `vendor' likely not compiled with -mcmodel=kernel", priority=Priority.HINT),
        # arch/{arm,arm64,riscv,mips,s390,x86,loongarch}/kernel/module*.c
        wording(r"(?:(?:module|Modules): )?(?:module )?(?P<module>(?!module\b){m}): (?:section \d+ reloc \d+\b|"
            r"[Uu]nknown (?:\w+ )?relocation|(?:unsupported \w+|overflow in|bad \S+|dangerous \w+) relocation|"
            r"relocation (?:error|overflow)|module contains bad GOT relocation|Unsupported GOTPCREL relocation|"
            r"value \S+ out of range for (?:32-bit|\d+-bit reloc)|Can not find HI20 relocation|The unexpected "
            r"relocation type)",
            "module: relocation", "vendor: section 4 reloc 12 sym 'x': relocation 28 out of range",
            "module vendor: unsupported RELA relocation: 275", "vendor: Unknown rela relocation: 42",
            "Modules: module vendor: overflow in relocation type 275 val ffff",
            "vendor: Can not find HI20 relocation information",
            "vendor: value 0000000180000000 out of range for 32-bit field"),
        wording(r"(?P<module>{m}): (?:target \S+ can not be addressed by .*|can not generate the GOT entry .*|"
            r"(?:Dynamic linking|Thread local storage) not supported in kernel modules) PC = ",
            "module: relocation",
            "vendor: target 0000000000000010 can not be addressed by the 32-bit offset from PC = ffffffff00000000",
            "vendor: Thread local storage not supported in kernel modules PC = ffffffff00000000"),
        # arch/powerpc/kernel/module_{32,64}.c
        wording(r"module_\d\d: (?P<module>{m}): (?:doesn't contain \.|.* out of range|Address of stub entry is not|"
            r"Expected nop after call|(?:bad magic|fault reading \w+) for stub|stub \S+ not in module|"
            r"[Uu]nknown ADD relocation|bad \w+ relocation)",
            "module: relocation", "module_64: vendor: REL24 33554432 out of range!",
            "module_64: vendor: Expected nop after call, got 60000000 at vendor_run+0x8/0x20 [vendor]",
            "module_64: vendor: stub c0000000 not in module vendor", "module_64: vendor: doesn't contain .stubs."),
        # images/isolation: kernel/module/abi.c of the isolation series
        wording(r"(?:module: )?(?P<module>{m}): (?:(?:has trace events, and )?was built with(?:out)? CONFIG_\w+, "
            r"which this kernel has |has \S+ at 0x[0-9a-f]+ of its struct module|"
            r"struct module of \d+ bytes is too small|a relocation of its struct module is)",
            "module: ABI",
            "module: vendor: was built without CONFIG_KASAN, which this kernel has on, and which changes the "
            "module ABI",
            "module: vendor: has init at 0x150 of its struct module, this kernel at 0x138: was built for another ABI",
            "module: vendor: struct module of 64 bytes is too small"),
        # kernel/bpf/btf.c btf_module_notify()
        wording(r"failed to validate module \[(?P<module>{m})\] BTF: ", "module: BTF",
            "failed to validate module [vendor] BTF: -22"),
        # kernel/params.c parse_args(); a kernel's own parameters are those of "Booting kernel"
        wording(r"(?P<module>{m}): (?:Unknown parameter `|`.*' (?:invalid|too large) for parameter `)",
            "module: parameter",
            "vendor: Unknown parameter `speed'", "vendor: `fast' invalid for parameter `speed'"),
        wording(r"Loading of .* is rejected|Module hash .* is blacklisted|Lockdown: .* unsigned module loading|"
            r"module: (?:not signed with expected PKCS#7 message|PKCS#7 signature info has unexpected non-zero params)|"
            r"LoadPin: kernel-module (?:\S*denied|pinning-failed) ",
            "module: signature", "Loading of unsigned module is rejected",
            "Lockdown: insmod: unsigned module loading is restricted; see man kernel_lockdown.7",
            "module: not signed with expected PKCS#7 message",
            'LoadPin: kernel-module denied obj="/tmp/vendor.ko" pid=53 cmdline="insmod vendor.ko"'),
        # kernel/livepatch/core.c klp_module_coming()
        wording(r"livepatch: patch '.*' failed for module '(?P<module>{m})', refusing to load", "module: livepatch",
            "livepatch: patch 'fix' failed for module 'vendor', refusing to load module 'vendor'"),
        wording(r"Module (?P<module>{m}) is blacklisted", "module: signature", "Module vendor is blacklisted"),
        wording(r"(?P<module>{m}): (?:per-cpu alignment \d+ > \d+|Could not allocate \d+ bytes percpu data|"
            r"module is already loaded)",
            "module: not loaded", "vendor: Could not allocate 65536 bytes percpu data",
            "vendor: per-cpu alignment 8192 > 4096", "vendor: module is already loaded"),
    ), triggers=(
        "BTF: ", "ELF ", "Invalid ", "LoadPin", "Loading of", "Lockdown", "Module ", "Only one ", "PC = ", "Symbol ",
        "ZSTD", "`",
        "Could not allocate", "compile with -fno-common", "decompression failed", "extended version crc",
        "has both .ctors and .init_array", "initialize decompressor", "invalid WRITE|EXEC", "module",
        "out of range for 32-bit",
        "per-cpu alignment", "reloc", "section name table", "symbol", "version magic", "was built with",
    )),
    # Programs that load modules, for kernels that print no reason, and logs that no longer have it. kmod:
    # tools/insmod.c and modprobe.c; busybox: modutils/modutils.c; toybox: toys/other/insmod.c; systemd:
    # src/shared/module-util.c; Android: libmodprobe. They print errors of the module loader, and others of a module's
    # init, which are no refusals
    Kind("module-tool", Severity.REFUSAL, (
        wording(r"(?:\S+: )?(?:insmod|modprobe): (?:ERROR: |FATAL: )?(?:could not insert|can't (?:insert|load)|"
            r"failed to load|Error inserting) "
            + _LOADED + _REFUSED, "module: not loaded",
            "modprobe: ERROR: could not insert 'vendor': Exec format error",
            "insmod: Error inserting './vendor.ko': -1 Invalid module format",
            "insmod: ERROR: could not insert module ./vendor.ko: Invalid module format",
            "insmod: can't insert '/lib/modules/5.15.32/extra/vendor.ko': unknown symbol in module, or unknown "
            "parameter",
            "modprobe: ERROR: could not insert 'vendor': Key was rejected by service",
            "modprobe: ERROR: could not insert 'vendor': Required key not available",
            "modprobe: can't load module vendor (extra/vendor.ko): invalid module format",
            "insmod: failed to load /vendor/lib/modules/vendor.ko: Exec format error",
            priority=Priority.HINT),
        wording(r"(?:\S+: )?Failed to (?:insmod|insert module) " + _LOADED + r"(?: with args '.*')?" + _REFUSED,
            "module: not loaded",
            "systemd-modules-load[120]: Failed to insert module 'vendor': Exec format error",
            "init: Failed to insmod '/vendor/lib/modules/vendor.ko' with args '': Exec format error",
            priority=Priority.HINT),
    ), triggers=("Exec format", "Invalid ", "Key ", "Required key", "module", "symbol"), is_plain=True),
    Kind("module-init", _W, (  # kernel/module/main.c do_init_module()
        wording(r"(?:\S+: )?(?:'(?P<module>{m})'->|(?P<named>{m}): )init suspiciously returned",
            "module: init suspiciously returned",
            "do_init_module: 'vendor'->init suspiciously returned 1, it should follow 0/-E convention",
            "vendor: init suspiciously returned 1, it should follow 0/-E convention"),
    ), triggers=("suspiciously",)),
    Kind("netdev", _W, (  # net/core/dev.c netdev_wait_allrefs_any(); drivers/net, net/sched/sch_generic.c
        wording(r"unregister_netdevice: waiting for \S+ to become free",
            "unregister_netdevice: waiting for DEV to become free",
            "unregister_netdevice: waiting for lo to become free. Usage count = 5"),
        # net/core/dev.c __napi_poll()
        wording(r"(?:\S+ \S+ \S+: )?NAPI poll function {f} returned \d+, exceeding its budget",
            "NAPI poll function {function} exceeds its budget",
            "NAPI poll function vendor_poll+0x0/0x20 [vendor] returned 65, exceeding its budget of 64.",
            where=FunctionSource.LINE),
        # net/sched/sch_generic.c dev_watchdog(): the text of a WARN_ONCE() until 6.5, then behind driver and device
        wording(r"(?:(?P<driver>{m}) \S+ \S+?(?: \(.*?\))?: )?NETDEV WATCHDOG: (?:CPU: \d+: |\S+ "
            r"\((?P<module>{m})\): )?transmit queue",
            "NETDEV WATCHDOG: transmit queue timed out",
            "NETDEV WATCHDOG: eth0 (vendor_net): transmit queue 0 timed out",
            "vendor_net 0000:00:03.0 eth0: NETDEV WATCHDOG: CPU: 0: transmit queue 0 timed out 5000 ms",
            priority=Priority.HINT),
    ), triggers=("NAPI poll", "NETDEV WATCHDOG", "unregister_netdevice")),
    Kind("vfs", _W, (  # fs/super.c generic_shutdown_super(), fs/dcache.c umount_check()
        wording(r"VFS: Busy inodes after unmount", "VFS: Busy inodes after unmount (use-after-free)",
            "VFS: Busy inodes after unmount of tmpfs. Self-destruct in 5 seconds.  Have a nice day..."),
        # fs/open.c filp_close(), filp_flush()
        wording(r"VFS: Close: file count is 0", "VFS: Close: file count is zero (use-after-free)",
            "VFS: Close: file count is 0", "VFS: Close: file count is 0 (f_op=vendor_fops [vendor])"),
        # fs/file.c alloc_fd()
        wording(r"alloc_fd: slot \d+ not NULL!", "alloc_fd: slot not NULL", "alloc_fd: slot 5 not NULL!"),
        wording(r"BUG: Dentry .* still in use .*\[(?P<what>unmount of [^\]]*)\]", "BUG: Dentry still in use [{what}]",
            "BUG: Dentry ffff880175978600{i=8bb9,n=lo}  still in use (1) [unmount of proc proc]"),
    ), triggers=("VFS: Busy", "VFS: Close", "BUG", "alloc_fd: slot"), is_plain=True),
    Kind("bug", _F, (  # lib/bug.c report_bug(); arch/arm/kernel/traps.c do_undefinstr()
        wording(r"[kK]ernel BUG at {f} verbose debug info unavailable|[kK]ernel BUG (?:at )?(?:\[verbose|ffff)",
            "kernel BUG in {function}", "kernel BUG at vendor_run+0x10/0x20 [verbose debug info unavailable]",
            where=_SITE, priority=Priority.FORM),
        # rust/kernel/lib.rs panic(), in the words of core::panic::PanicInfo
        wording(r"(?:\w+: )?panicked at (?:'.*', )?(?P<place>\S+\.rs:\d+:\d+)", "Rust panic",
            "rust_kernel: panicked at drivers/vendor/vendor.rs:12:9:",
            "rust_kernel: panicked at 'index out of bounds: the len is 1 but the index is 2', samples/vendor.rs:12:9",
            where=_SITE),
        wording(r"[kK]ernel BUG at (?P<place>\S+?)!?(?:\s|$)", "kernel BUG in {function}",
            "kernel BUG at kernel/module/main.c:656!", where=_SITE, priority=Priority.FORM),
        wording(r"BUG: (?P<rest>(?!no syscalls|arch topology|not (?:creating|updating) mapping|map for|mapping for|"
            r".*unexpected failures|integer encode|recode|Bad page \w+ *: \d+ messages)\S.*)", "BUG: {rest}",
            "BUG: something new went wrong",
            priority=Priority.HINT),
    ), triggers=("BUG", "panicked at"), taint="D"),
    Kind("oops", _F, (  # the lines before registers, on every architecture
        wording(rf"{_DIES}invalid opcode{_DIE}", "invalid opcode in {function}",
            "invalid opcode: 0000 [#1] SMP",
            where=_SITE, priority=Priority.FORM),
        # arm: arch/arm/kernel/traps.c; x86 without a text, powerpc, s390: arch/*/kernel/{dumpstack,traps}.c
        wording(r"Internal error: (?:Oops|.*\[#\d)|Oops: (?:[0-9a-f]{4}\b|.*\[#\d|.*, sig: \d)|Oops(?: -.*)?:? .*\[#\d|"
            r"Oops#: [0-9a-f]{4}",
            "Internal error in {function}",
            "Internal error: Oops: 17 [#1] SMP ARM",
            "Internal error: synchronous external abort: 0000000096000210 [#1] SMP",
            "Internal error: Oops - BUG: 00000000f2000800 [#1] SMP", "Oops: 0002 [#1] PREEMPT SMP",
            "Oops: Kernel access of bad area, sig: 11 [#1]", "Oops: Exception in kernel mode, sig: 4",
            "Oops - undefined instruction: 0 [#1] ARM", "Oops [#1]", "Oops#: 0002", where=_SITE,
            priority=Priority.FORM),
        # die() of mips and loongarch prints "text[#count]:", of riscv, csky and sparc "text [#count]", of s390
        # "text: code ilc:length [#count]", of xtensa "text: sig: number [#count]"
        wording(r"(?=.*\[#)(?:\S+\(\d+\): )?(?P<what>[A-Za-z][\w #()!,./'-]*?)(?:: [0-9a-f]{4,16})?(?: ilc:\d)?(?:: "
            r"sig: "
            r"\d+)? ?\[#\d+\](?::? ?$|:? [A-Z])",
            "{what} in {function}", "Oops[#1]:", "Reserved instruction in kernel code[#1]:", "Kernel BUG [#1]",
            "illegal operation: 0001 ilc:1 [#1] SMP", "Unhandled Exception in Kernel: sig: 9 [#1] PREEMPT SMP",
            "swapper(1): Oops [#1]", where=_SITE, priority=Priority.FORM),
    ), triggers=("Internal error", "Oops", "[#"), taint="D", continues=True),
    Kind("warning", _W, (  # kernel/panic.c __warn()
        wording(_warning(r"\S*mm/\S+\.c:\d+ (?:at )?(?:k.?)?.?malloc\S*"), "WARNING: kmalloc bug in {function}",
            "WARNING: CPU: 1 PID: 27333 at mm/slab_common.c:1012 kmalloc_slab+0x5d/0x70", where=_SITE,
            priority=Priority.FORM),
        wording(_warning(r"\S+ (?:at )?usb_submit_urb\S*"), "WARNING in {function}/usb_submit_urb",
            "WARNING: CPU: 1 PID: 53 at drivers/usb/core/urb.c:478 usb_submit_urb+0x1188/0x13b0", where=_SITE,
            skip=(Role.BUS,),
            priority=Priority.FORM),
        wording(_warning(r"\S*mm/usercopy\.c:\d+ (?:at )?usercopy_warn\S*"), "WARNING: bad usercopy in {function}",
            "WARNING: CPU: 0 PID: 3 at mm/usercopy.c:81 usercopy_warn+0xd7/0x100", where=_SITE,
            priority=Priority.FORM),
        wording(r"WARNING: (?:CPU: \d+ (?:UID: \d+ )?PID: |(?:\[.*\] )?(?:\./)?[\w/.-]+\.[chS]:\d+ at |at |"
            r"\S+\.[chS]:\d+)",
            "WARNING in {function}",
            "WARNING: CPU: 1 PID: 2 at drivers/b.c:6 second_function+0x1/0x2 [two]",
            "WARNING: drivers/b.c:6 at second_function+0x1/0x2 [two], CPU#1: sh/53",
            "WARNING: at kernel/a.c:5 x+0x1/0x2()",
            where=_SITE, priority=Priority.FORM),
        # arch/x86/kernel/unwind_frame.c
        wording(r"WARNING: kernel stack (?:regs|frame pointer) at \S+ in \S+ has bad (?:'(?P<what>\w+)' )?value",
            "WARNING: kernel stack regs has bad '{what}' value",
            "WARNING: kernel stack regs at ffff888 in sh:53 has bad 'bp' value 0000000000000000"),
        wording(r"WARNING: stack recursion on stack type", "WARNING: stack recursion",
            "WARNING: stack recursion on stack type 2", priority=Priority.HINT),
    ), triggers=("WARNING:",), taint="W"),
    Kind("panic", Severity.FOLLOW_UP, (  # kernel/panic.c
        wording(r"Kernel panic - not syncing: (?:\w+: )*(?P<what>Fatal exception|panic_on_warn set|"
            r"hung_task: blocked tasks)",
            "kernel panic: {what}", "Kernel panic - not syncing: Fatal exception in interrupt"),
        wording(r"Kernel panic - not syncing: Attempted to kill init!", "kernel panic: Attempted to kill init!",
            "Kernel panic - not syncing: Attempted to kill init! exitcode=0x0000000b"),
        wording(r"Kernel panic - not syncing:? ?(?P<rest>.*)", "kernel panic: {rest}",
            "Kernel panic - not syncing: this is the end"),
    ), triggers=("Kernel panic",)),
    Kind("oom", _W, (  # mm/oom_kill.c, mm/page_alloc.c warn_alloc()
        wording(r"(?:Out of memory|Memory cgroup out of memory): |.* invoked oom-killer: ", "out of memory",
            "sh invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0",
            "Out of memory: Killed process 53 (sh) total-vm:1000kB",
            "Memory cgroup out of memory: Killed process 53 (sh) total-vm:1000kB"),
        wording(r".*: page allocation (?:failure|stall for \d+ secs): order:", "page allocation failure in {function}",
            "insmod: page allocation failure: order:9, mode:0xcc0(GFP_KERNEL), nodemask=(null)",
            "insmod: page allocation stall for 10 secs: order:9, mode:0xcc0(GFP_KERNEL) nodemask=(null)",
            where=FunctionSource.OWNER),
        # mm/vmalloc.c, through warn_alloc() as well; "allocation failure" in older kernels
        wording(r".*: vmalloc(?: error: size \d+, |(?:: | size \d+ )allocation failure)",
            "vmalloc failure in {function}",
            "insmod: vmalloc error: size 1073741824, failed to allocate pages, mode:0xcc0(GFP_KERNEL), nodemask=(null)",
            "insmod: vmalloc error: size 4096, page order 0, failed to allocate pages, mode:0xcc0(GFP_KERNEL), "
            "nodemask=(null)",
            "insmod: vmalloc error: size 1099511627776, exceeds total pages, mode:0xcc0(GFP_KERNEL), nodemask=(null)",
            "insmod: vmalloc: allocation failure: 1099511627776 bytes, mode:0xcc0(GFP_KERNEL), nodemask=(null)",
            "insmod: vmalloc size 4096 allocation failure: vm_struct allocation failed, mode:0xcc0(GFP_KERNEL), "
            "nodemask=(null)",
            where=FunctionSource.OWNER),
    ), triggers=("Memory cgroup out", "Out of memory", ": vmalloc", "page allocation ", "invoked oom-killer")),
    Kind("reboot", _F, (  # init/version.c: the banner of a kernel, after the lines of another one
        wording(r"Linux version \d+\.\d+", "unexpected kernel reboot",
            "Linux version 6.1.192 (user@host) (gcc ...) #1 SMP"),
        wording(r"(?:Decompressing Linux\.\.\..*)?Booting (?:the kernel\.$|Linux on physical CPU)",
            "unexpected kernel reboot",
            "Booting the kernel.", "Booting Linux on physical CPU 0x0"),
    ), triggers=("Booting ", "Linux version "), is_plain=True),
    # Traces that a user requested: lib/fault-inject.c, drivers/tty/sysrq.c, kernel/panic.c panic_print. Traces of CPUs
    # that stop because another one panicked: arch/arm/kernel/smp.c, ipi_cpu_stop()
    Kind("asked-for", _W, (
        wording(r"FAULT_INJECTION: forcing a failure|sysrq: (?:Show|HELP)|CPU ?\d+: stopping$|"
            r"FAULT_FLAG_ALLOW_RETRY missing", "", "FAULT_INJECTION: forcing a failure.",
            "sysrq: Show Blocked State", "CPU1: stopping"),
    ), triggers=("FAULT_", ": stopping", "sysrq: "), is_silent=True),
    Kind("unclaimed", _W, (
        # arch/arm/kernel/unwind.c prints no heading until 6.10
        wording(r"Call [Tt]race:|Backtrace: ?$|(?: |\[<[0-9a-f]+>\] \()unwind_backtrace(?:\+0x\S+)?\)? from ",
            "unclaimed call trace in {function}", "Call Trace:", "Call trace:", "Backtrace: ",
            " unwind_backtrace from show_stack+0x10/0x14",
            "[<c0110000>] (unwind_backtrace) from [<c010b000>] (show_stack+0x10/0x14)",
            "[<c0110000>] (unwind_backtrace+0x0/0xf0) from [<c010b000>] (show_stack+0x10/0x14)",
            where=_TRACE, priority=Priority.FORM),
        wording(r"(?P<rest>BUG|WARNING|INFO): *$", "{rest}: corrupted", "BUG:", "WARNING: ", "INFO:",
            priority=Priority.HINT),
    ), triggers=("BUG", "INFO:", "WARNING:", "Backtrace:", "Call Trace:", "Call trace:", "unwind_backtrace")),
)  # fmt: skip

_OPENING = re.compile(r"-{8,}\[ cut here \]-|8<--- cut here ---")


def is_opening(text: str) -> bool:
    """Whether a line opens a report before its headline: CUT_HERE of include/asm-generic/bug.h, arch/arm/mm/fault.c."""
    return " cut here " in text and _OPENING.search(text) is not None


def _any_of(*words: bytes) -> re.Pattern[bytes]:
    """An expression for words, grouped by their first letters: one comparison rejects most places in a log."""
    endings: dict[bytes, list[bytes]] = {}
    for word in words:
        endings.setdefault(word[:1], []).append(re.escape(word[1:]))
    return re.compile(b"|".join(first + b"(?:" + b"|".join(rest) + b")" for first, rest in endings.items()))


# Words of lines that announce no report: of is_opening(), and of a kernel that restarts on request
_OTHER_TRIGGERS = (" cut here ", "reboot: ", "Rebooting ")
_TRIGGERS = sorted({*_OTHER_TRIGGERS, *(word for kind in KINDS for word in kind.triggers)})

# A log is searched for these before its lines are read. Words that begin with a small letter or a space are kept apart:
# a plain search for each of them is faster, and the longer the word, the faster.
TRIGGER = _any_of(*(word.encode() for word in _TRIGGERS if word[0].isupper()))
WORDS = tuple(word.encode() for word in _TRIGGERS if not word[0].isupper())
