# SPDX-License-Identifier: Apache-2.0
"""What a person would call a report: its title, and the function in it."""

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import pairwise

from harness.detect.kinds import FunctionSource, Wording
from harness.detect.stacks import HELD, INTERRUPT, MAIN, OTHER, Frame, Trace
from harness.support.module_name import MODULE_NAME

UNKNOWN = "corrupted"  # stands for a function that a torn report does not tell


# Functions that only serve the one that called them: it is the caller that people look for.
_HELPER = re.compile(
    r"""
    # what reports: lib/dump_stack.c, lib/bug.c, mm/kasan, mm/kmsan, kernel/kcsan, mm/kfence, lib/ubsan.c
    ^(?:__)?dump_stack | ^show_(?:stack|regs|trace) | ^dump_backtrace | ^unwind_(?!start) | ^walk_stackframe
    | ^_*panic | ^nmi_panic | ^_*warn_slowpath | ^__warn | ^warn_alloc | ^warn_bogus | ^report_bug | ^fixup_bug
    | ^debug_object | ^__debug_object | ^debug_print | kasan | ^__asan | ^__hwasan | ^kmsan | ^__msan | ^kcsan
    | ^__tsan | ^__kcsan | ^kfence | ^__kfence | ubsan | ^__sanitizer | ^check_memory_region | ^print_ | ^hex_dump
    | ^end_report | ^check_region | ^object_err | ^slab_err | ^print_trailer | ^check_poison | ^bad_page
    | ^stack_trace_ | ^save_(?:stack|trace) | ^__save_stack | ^arch_stack_walk | ^stack_depot | ^read_word_at_a_time
    | ^kcov
    # what enters the kernel on a fault: arch/*/mm/fault.c, traps.c, entry*.S
    | ^(?:asm_)?exc_
    | ^do_(?:error|trap|invalid|int3|general|page_fault|translation|mem_abort|tag_check|undefinstr|bad_area)
    | ^do_(?:DataAbort|PrefetchAbort|sp_pc_abort|debug_exception|report_stack)
    | ^__do_(?:kernel_fault|page_fault|user_fault) | ^die$ | ^__die | ^(?:async_)?page_fault$ | ^invalid_op$
    | ^(?:handle_)?bug$ | ^handle_invalid_op | ^error_entry | ^error_code | _trap$ | ^trap_ | ^el[01]t?h?_
    | ^arm64_notify_die | ^bug_handler | ^call_break_hook | ^brk_handler | ^die_kernel_fault | ^arm_notify_die
    | ^__(?:und|dabt|pabt)_svc | ^program_check | ^oops_ | ^crash_ | ^no_context | ^bad_area | ^handle_bad_stack
    | ^__bad_stack | ^mutex_optimistic
    # lib/string.c, lib/vsprintf.c, lib/hexdump.c, lib/crc*.c, arch/*/lib
    | ^_*mem(?:cpy|cmp|set|chr|move|dup|scan|zero) | ^_*mem_?(?:cpy|set|move)
    | ^_*str(?:n|l|r|s|p|c|case)?\w*(?:cmp|cpy|len|chr|str|cat|dup|sep) | ^(?:hex_)?string(?:_nocheck)?$
    | ^v?s[cn]*printf | ^k?v?asprintf | ^_*v?printk | ^_*dev_(?:v?printk|info|warn|err|notice|dbg) | ^pointer$
    | ^number$ | ^format_decode | ^va_format | ^device_string | ^crc\d+ | ^_find_ | ^find_(?:next|first)_
    | ^sort(?:_r)?$ | ^siphash
    # kernel/locking, include/linux/{spinlock,mutex,rwsem,seqlock,refcount,kref,list,rculist}.h
    | ^_?_?lock_(?:acquire|release|class|map|is_held|pin|contended|acquired|downgrade) | lockdep
    | ^register_lock_class | ^__lock_ | ^mark_ | ^validate_chain
    | ^check_(?:prev|noncircular|wait_context|usage|deadlock|irq_usage) | ^look_up_lock | ^reacquire_held
    | ^valid_state | ^static_obj | ^is_bpf_text | ^assign_lock_key | ^find_held_lock | ^match_held_lock | ^hlock_class
    | ^lookup_chain | (?:spin|raw_(?:read|write)|read|write)_(?:try)?(?:un)?lock | ^queued_ | ^native_queued
    | ^do_raw_ | ^__pv_queued | ^pv_ | ^osq_ | ^spin_ | mutex_(?:try)?(?:un)?lock | ^mutex_(?:remove|add|is)
    | ^(?:__)?(?:down|up)(?:_read|_write|_timeout|_interruptible|_killable|_trylock|grade_\w+|_common)*$ | ^rwsem_
    | ^__?(?:down|up)_ | ^rt_mutex | ^rtmutex | ^ww_mutex | ^percpu_(?:down|up) | ^call_rwsem | ^seqcount | ^refcount_
    | ^__refcount | ^kref_ | ^atomic\w*_(?:inc|dec|add|sub|read|set) | ^instrument_ | ^arch_atomic | ^raw_atomic
    | ^_*list_(?:add|del|replace|move|splice|empty|cut|rotate) | ^_*hlist_ | ^llist_ | ^__rb_
    | ^rb_(?:erase|insert|next|first) | ^lock_sock | ^release_sock | ^_*wake_up | ^autoremove_wake | ^finish_wait
    | ^prepare_to_wait | ^add_wait_queue | ^remove_wait_queue | ^__init_wait
    # what gives and takes memory and numbers: mm/slab*, mm/page_alloc.c, mm/vmalloc.c, lib/idr.c, lib/xarray.c
    | ^_*k[mzc]alloc | ^_*kv?[mz]?free | ^_*krealloc | ^_*kmem_cache_ | ^_*(?:slab|slub)_ | ^_*vmalloc
    | ^_*alloc_pages? | ^_*get_free_page | ^_*alloc_frozen | ^kmemdup | ^cache_(?:from_obj|alloc|free) | ^_*ida_
    | ^_*idr_ | ^_*xas?_ | ^radix_tree | ^_*devres_ | ^release_nodes | ^get_page_from | ^_*cache_free | ^qlink
    | ^virt_to_ | ^new_slab | ^allocate_slab | ^_atomic_dec_and | ^_*(?:wait_for_)?complet(?:e|ion)(?:_\w+)?$
    | ^_*queue_(?:delayed_)?work | ^insert_work | ^mod_delayed | ^swake_up | ^check_panic_on_warn | ^__kmalloc
    | ^device_release$ | ^_?_?folio_(?:un)?lock | ^(?:un)?lock_page
    | ^skb_(?:pull|push|put|panic|over_panic|under_panic)$ | ^[id]put$ | ^put_device$
    # include/linux/uaccess.h
    | copy_(?:to|from)_user | ^_*(?:get|put)_user | ^_*might_(?:sleep|fault|resched) | ^___might | ^copy_user_
    | ^raw_copy | ^copyin | ^copyout
    # timers, work, kobjects and devices that are taken away: kernel/time/timer.c, kernel/workqueue.c, drivers/base
    | ^_*(?:try_to_)?del_timer | ^timer_(?:delete|is_static) | ^_*timer_delete | ^lock_timer_base | ^try_to_grab
    | ^work_is_static | ^_*(?:flush|cancel|drain|destroy)_(?:delayed_)?work\w* | ^__cancel_work | ^__flush
    | ^start_flush | ^kthread_stop | ^debug_check_no | ^kobject_(?:del|put|add|uevent|get|cleanup|release|init)
    | ^add_uevent_var
    | ^device_(?:add|del|unregister|register|destroy|create|for_each_child|remove_file|release_driver)
    | ^get_device_parent | ^sysfs_(?:remove|create|add) | ^unregister_netdev | ^rollback_registered | ^kfree_skb
    | ^consume_skb$ | ^skb_release | ^_?_?kfree_skb | ^__x86_indirect | ^__x86_return | _indirect_thunk | ^perf_trace
    | ^return_to_handler$ | ^ftrace_ | ^trace_event_ | ^__bpf_trace | ^__traceiter | ^__this_module
    | ^usb_(?:hcd_submit|kill_(?:anchored_)?urb|control_msg|submit_urb) | ^dummy_urb | ^rcu_read_
    """,
    re.VERBOSE,
)
# Inline functions of include/linux/refcount.h that the compiler may leave out of line
_INLINE = re.compile(r"_*refcount_(?:add|sub|inc|dec)(?:_not_zero|_and_test)?\b")
# Functions that call through a pointer: what stands above one of them is what was called. Entry code, work
# queues, timers, soft interrupts, file and socket operations, debugfs, faults.
_DISPATCHER = re.compile(
    r"""
    ^process_one_work | ^worker_thread | ^kthread$ | ^kthread_worker | ^ret_from_fork | ^smpboot_thread
    | ^run_ksoftirqd | ^start_secondary | ^cpu_startup | ^do_syscall_ | ^do_fast_syscall | ^__do_fast_syscall
    | ^do_int80 | ^entry_ | ^sysenter | ^system_call | ^ia32_sys | ^tracesys | ^int_ret_from | ^x64_sys_call
    | ^ret_fast_syscall | ^el0_svc | ^do_el0_svc | ^invoke_syscall | ^__sys_trace | ^syscall_common | ^ret_to_user
    | ^syscall_(?:return|exit|trace) | ^rtnetlink_rcv_msg | ^_*netlink_dump | ^_*netif_receive_skb | ^_*do_softirq
    | ^handle_softirqs | ^call_timer_fn | ^_*expire_timers | ^_*run_timer | ^_*run_hrtimer | ^_*hrtimer_run
    | ^tasklet_action | ^irq_exit | ^do_idle | ^default_idle | ^rest_init | ^start_kernel | ^task_work_run
    | ^exit_to_user | ^_*prepare_exit_to | ^_*fput | ^get_signal
    | ^_*vfs_(?:read|write|ioctl|open|iter|fsync|mknod|fallocate) | ^do_vfs_ioctl | ^ksys_ioctl | ^file_ioctl
    | ^_*blkdev_(?:driver_)?ioctl | ^call_(?:read|write)_iter | ^call_mmap | ^do_iter_ | ^_*mmap_region | ^do_mmap
    | ^do_dentry_open | ^new_sync_ | ^_*do_loop_readv | ^compat_(?:SyS|SYSC)_ioctl
    | ^_*(?:se|do|x64|ia32|arm64)_?(?:compat_)?sys_ioctl | ^SyS_ioctl | ^SYSC_ioctl
    | ^_*sock_(?:sendmsg|recvmsg|release|mmap|do_ioctl|ioctl|common_setsockopt) | ^compat_sock_ioctl
    | ^full_proxy_(?:read|write|unlocked_ioctl|poll|llseek)$
    | ^__sys_(?:setsockopt|listen|accept|connect|bind|socketpair|getsockopt) | ^kernel_(?:setsockopt|listen|accept)
    | ^sk_common_release | ^nfnetlink_rcv_msg | ^genl_(?:family_)?rcv_msg
    | ^(?:SYSC|SyS)_(?:connect|bind|socketpair|accept) | ^_*do_fault | ^handle_mm_fault | ^(?:asm_exc_)?page_fault$
    | ^do_page_fault | ^exc_page_fault | ^do_user_addr_fault | ^do_DataAbort
    """,
    re.VERBOSE,
)
# The timer interrupt, in which stalls are noticed
_INTERRUPT = re.compile(
    r"""
    apic_timer_interrupt | ^__irq_(?:svc|usr) | ^el[01]t?h?(?:_64)?_irq | ^(?:asm_)?sysvec_ | ^handle_arch_irq
    | ^ret_from_except | ^asm_common_interrupt | ^hyperv_ | ^timer_interrupt$
    """,
    re.VERBOSE,
)
# What a task sleeps in: kernel/sched, kernel/locking, kernel/rcu, block
_WAITS = re.compile(
    r"""
    sched | _lock | _slowlock | ^_*down | rwsem | completion | wait | synchronize | context_switch | __switch_to
    | ^kthread | cancel_(?:delayed_)?work | ^_*flush_(?:work|delayed) | ^folio_ | ^dump_stack | preempt | ^usb_\w*msg$
    """,
    re.VERBOSE,
)
# Waits that are known by themselves, whoever waits: net/core/rtnetlink.c, kernel/rcu
_WAIT_NAMES = ((re.compile(r"rtnl_lock"), ""), (re.compile(r"synchronize_(?:s?rcu|net|sched)"), "synchronize_rcu"))
_STALL_NAMES = ((re.compile(r"smp_call_function"), "smp_call_function"),)
_ENTRY = re.compile(
    r"^(?:__(?:x64|ia32|arm64|riscv|s390x?)_(?=(?:compat_)?sys_)|__(?:se|do)_(?=(?:compat_)?sys_)|(?:compat_)?(?:SYSC|SyS)_)"
)
_SUFFIX = re.compile(r"\.(?:isra|constprop|part|cold|llvm|lto_priv|localalias)(?:\.\d+)*|\.cold|\.\d+$")
_LOCK_LINE = re.compile(r".*\bat:?\s+(?:\[<(?:0x)?[0-9a-f]+>\]\s+)?(?P<at>[A-Za-z_][\w.$]*)(?:\+0x|$)")
_RELEASED = re.compile(r"\s*(?:\[<(?:0x)?[0-9a-f]+>\] )?(?P<at>[A-Za-z_][\w.$]*)\+0x")
_OWNER = re.compile(rf"\S* \[({MODULE_NAME})\]")
# What differs from one time that a line is printed to the next, and what stands for it
_VARIES = (
    (re.compile(rf"\+0x[0-9a-f]+(?:/0x[0-9a-f]+)?(?: \[{MODULE_NAME}\])?"), ""),
    (re.compile(r"\b(?:0x)?[0-9a-f]{8,}\b"), "ADDR"),
    (re.compile(r"\b(?:0x[0-9a-f]+|\d+)\b"), "NUM"),
)
_WORK = re.compile(r"\s+last function: (?P<at>[\w.$]+)")


def plain(function: str) -> str:
    """A function without what the compiler added to its name."""
    return _SUFFIX.sub("", function)


def normal(text: str) -> str:
    """A piece of a headline without what differs from one time to the next."""
    for pattern, word in _VARIES:
        text = pattern.sub(word, text)
    return text.strip(" !.:")


def title(wording: Wording, found: re.Match[str], access: str, function: str) -> str:
    """The title. function: "" where the report does not tell it."""
    form = wording.title
    if "{access}" in form and not access:
        # Without the line that tells the access, the report is torn: its first line is all there is
        return normal(found.string.strip()).removeprefix("BUG: ")
    words = {"access": access, "function": function or UNKNOWN}
    words |= {name: normal(value or "") for name, value in found.groupdict().items() if f"{{{name}}}" in form}
    if "{form}" in form:
        words["form"] = "WARNING" if words["form"] == "WARNING" else "BUG"
    if "{line}" in form:
        words["line"] = normal(found.string)
    return " ".join(form.format_map(words).split())


def function(wording: Wording, found: re.Match[str], texts: list[str], site: Frame | None, traces: list[Trace]) -> str:
    """The function that a report is about, or ""."""
    return plain(_FINDERS[wording.where](_Facts(wording, found, texts, site, traces)))


@lru_cache(maxsize=4096)
def _serves(name: str) -> bool:
    return _HELPER.search(plain(name)) is not None


@lru_cache(maxsize=4096)
def _dispatches(name: str) -> bool:
    return _DISPATCHER.search(name) is not None


class _Facts:
    def __init__(
        self, wording: Wording, found: re.Match[str], texts: list[str], site: Frame | None, traces: list[Trace]
    ) -> None:
        head: str = found.groupdict().get("at") or ""
        owned = _OWNER.match(found.string, found.end("at")) if head else None
        self.head = Frame(head, -1, -1, owned[1] if owned else "", reliable=True)
        self.skip = wording.skip
        self.texts = texts
        self.site = site or Frame("", -1, -1, "", reliable=True)
        self.traces = traces

    def serves(self, frame: Frame) -> bool:
        """Whether it only serves its caller. What a module has is its own, whatever its name, but for what it

        has out of the kernel's headers.
        """
        name = frame.function
        if frame.module:
            return _INLINE.match(name) is not None
        return _serves(name) or (self.skip is not None and self.skip.search(name) is not None)

    def frames(self, *roles: str) -> Iterator[Frame]:
        return (frame for trace in self.traces if trace.role in roles for frame in trace.believed())

    def first(self, frames: Iterable[Frame]) -> str:
        return next((frame.function for frame in frames if frame.function and not self.serves(frame)), "")

    def line(self, pattern: re.Pattern[str]) -> str:
        return next((match["at"] for text in self.texts[1:] if (match := pattern.match(text))), "")


def _headline(facts: _Facts) -> str:
    return facts.first([facts.head, *facts.frames(MAIN, INTERRUPT)])


def _site(facts: _Facts) -> str:
    return facts.first([facts.site, *facts.frames(MAIN, INTERRUPT), facts.head])


def _trace(facts: _Facts) -> str:
    return facts.first([*facts.frames(MAIN, INTERRUPT), facts.site])


def _lock(facts: _Facts) -> str:
    taken = _released(facts.texts) or facts.line(_LOCK_LINE)
    if taken and not facts.serves(Frame(taken, -1, -1, "", reliable=True)):
        return taken
    return _trace(facts) or taken


def _released(texts: list[str]) -> str:
    """print_unlock_imbalance_bug() ends a line with "at:", and the place is on the next."""
    for text, following in pairwise(texts):
        if text.endswith(" at:") and (found := _RELEASED.match(following)):
            return found["at"]
    return ""


def _held(facts: _Facts) -> str:
    return next((frame.function for frame in facts.frames(HELD)), "") or facts.line(_LOCK_LINE) or _trace(facts)


def _stall(facts: _Facts) -> str:
    for trace in _joined(facts.traces):
        names = [frame.function for frame in trace]
        below = _below_interrupt(names)
        if below and (called := _called(below)):
            return called
    # kernel/rcu/tree_stall.h, print_cpu_stall(), shows the registers and the stack of what was interrupted
    return _loop(facts) if facts.site.function else ""


def _below_interrupt(names: list[str]) -> list[str]:
    """What the interrupt stands on in which the stall was noticed: of nested interrupts, the innermost."""
    place = next((place for place, name in enumerate(names) if _INTERRUPT.search(name)), len(names))
    while place < len(names) and _INTERRUPT.search(names[place]):
        place += 1
    return names[place:]


def _loop(facts: _Facts) -> str:
    frames = [facts.site, *(list(facts.frames(MAIN, INTERRUPT)) or facts.frames(OTHER))]
    names = [frame.function for frame in frames if frame.function and not facts.serves(frame)]
    return _called(_below_interrupt(names)) or _called(names)


def _hung(facts: _Facts) -> str:
    names = [frame.function for frame in facts.frames(MAIN)]
    for name in names:
        for pattern, known in _WAIT_NAMES:
            if pattern.match(name):
                return known or name
    return next((name for name in names if not _WAITS.search(name)), "")


def _work(facts: _Facts) -> str:
    return facts.line(_WORK) or _trace(facts)


def _joined(traces: list[Trace]) -> Iterator[list[Frame]]:
    """Traces with what they interrupted, one list each."""
    frames: list[Frame] = []
    for trace in traces:
        if trace.role not in (MAIN, INTERRUPT, OTHER):
            continue
        if trace.starts and frames:
            yield frames
            frames = []
        frames = frames + trace.believed()
    if frames:
        yield frames


def _called(names: list[str]) -> str:
    """What a dispatcher called: the function before the first of them."""
    before = ""
    for name in names:
        for pattern, known in _STALL_NAMES:
            if pattern.match(name):
                return known
        if before and _dispatches(name):
            return _ENTRY.sub("", before)
        before = name
    return ""


_FINDERS = {
    FunctionSource.NOWHERE: _site,
    FunctionSource.HEADLINE: _headline,
    FunctionSource.SITE: _site,
    FunctionSource.TRACE: _trace,
    FunctionSource.LOCK: _lock,
    FunctionSource.HELD: _held,
    FunctionSource.STALL: _stall,
    FunctionSource.LOOP: _loop,
    FunctionSource.HUNG: _hung,
    FunctionSource.WORK: _work,
}
