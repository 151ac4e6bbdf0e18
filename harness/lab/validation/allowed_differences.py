# SPDX-License-Identifier: Apache-2.0
"""The differences that are allowed between a production kernel and an isolated one, and why no module sees them.

`modcompat isolate check` and its test report every other difference. The reasons refer to the kernel's source. A reason
with `lacking` holds only if production lacks that option.
"""

from harness.abi.compare.equivalence import Allowance
from harness.kernel.arch import ARM, ARM64

# Structures that only the kernel allocates: they may grow at their end.
GROWN = (
    Allowance("struct module", "the loader gives each module a full one: kernel/module/abi.c, module_fit_struct()"),
    Allowance("struct task_struct", "tasks are allocated in kernel/fork.c, and init_task is the kernel's"),
    Allowance("struct thread_struct", "it is in task_struct, and there in front of members of isolated features only"),
    Allowance("union thread_union", "it is the kernel's first stack, and its size is that of the stack"),
    Allowance("struct user_struct", "kernel/user.c, alloc_uid() allocates it"),
    Allowance("struct perf_event", "kernel/events/core.c, perf_event_alloc() allocates it"),
    Allowance("struct rpc_task", "the number is in former padding, and net/sunrpc/sched.c, rpc_init_task() clears it"),
    Allowance("struct cred", "kernel/cred.c allocates credentials, and init_cred is the kernel's"),
    Allowance("struct irq_desc", "kernel/irq/irqdesc.c allocates all descriptors"),
    Allowance("struct pipe_inode_info", "fs/pipe.c, alloc_pipe_info() allocates it"),
    Allowance("struct pglist_data", "mm/page_alloc.c has the nodes"),
    Allowance("struct mod_tree_node", "it is the loader's, at the end of struct module"),
    Allowance("struct block_device", "block/bdev.c allocates it, and alone knows what follows it"),
    Allowance("struct net", "net/core/net_namespace.c allocates namespaces, and init_net is the kernel's"),
    Allowance("struct page_pool", "net/core/page_pool.c, page_pool_create() allocates it"),
    Allowance(
        "struct shrinker",
        "mm/shrinker.c allocates shrinkers; in older kernels, which lack the symbol, a module does that",
        having="PER_VMA_LOCK",
    ),
    Allowance("struct request_queue", "block/blk-core.c, blk_alloc_queue() allocates it from a cache"),
    Allowance("struct kobject", "the bit is behind production's last one, and lib/kobject.c, kobject_init() sets it"),
    Allowance("struct snd_card", "sound/core/init.c allocates cards, and puts a driver's data behind"),
    Allowance("struct snd_pcm", "sound/core/pcm.c, _snd_pcm_new() allocates it"),
)

_HOOKS = "struct (security_hook_heads|lsm_static_calls_table)|union security_list_options"
_NO_HOOKS = "no module has hooks of a security module: security/security.c, security_add_hooks() is not exported"
_SCHED_DOMAIN = "no exported function hands one out, or takes one: kernel/sched/topology.c"
_EVENTS = "the counters of hidden events are the last, and modules are not given any of them: mm/vmstat.c"
_COUNTS_EVENTS = ("DEBUG_TLBFLUSH", "PER_VMA_LOCK_STATS", "DEBUG_STACK_USAGE")
_RAPL = "Intel's power capping is for x86, which always has perf events: drivers/powercap/Kconfig"

# Structures that no module of a production kernel without the option can hand to the kernel, or get from it.
UNREACHABLE = (
    Allowance(
        "struct (kprobe|kretprobe|kretprobe_instance|kretprobe_holder|freelist_(node|head)|arch_specific_insn)",
        "register_kprobe() and the like are stubs that fail: include/linux/kprobes.h",
        lacking="KPROBES",
    ),
    Allowance("struct fprobe", "register_fprobe() is a stub that fails: include/linux/fprobe.h", lacking="FPROBE"),
    Allowance(
        "struct unwind_state",
        "unwinders are inlined completely, and no exported function takes one: asm/stacktrace/common.h",
        lacking="KPROBES",
        having=ARM64.config,
    ),
    Allowance(
        "struct trace_event_(call|class)",
        "no module has a trace event, nor can it get one: include/trace/trace_events.h makes them",
        lacking="EVENT_TRACING",
    ),
    Allowance(_HOOKS, _NO_HOOKS, lacking="PERF_EVENTS"),
    Allowance(_HOOKS, _NO_HOOKS, lacking="WATCH_QUEUE"),
    Allowance("struct rapl_package", _RAPL, lacking="INTEL_RAPL_CORE"),
    Allowance(
        "struct (irq_stack|exception_stacks|cea_exception_stacks|cpu_entry_area)",
        "what modules use of them (KVM: descriptors, TSS) is in front of the CPU's stacks, which grow: "
        "asm/cpu_entry_area.h",
        lacking="KASAN",
    ),
    Allowance(
        "spinlock_t|struct spinlock",
        "its padding is another name for the word of the lock: include/linux/spinlock_types.h",
        lacking="DEBUG_LOCK_ALLOC",
    ),
    Allowance(
        "struct sched_domain",
        _SCHED_DOMAIN,
        lacking="SCHEDSTATS",
    ),
    *(Allowance("struct vm_event_state", _EVENTS, lacking=option) for option in _COUNTS_EVENTS),
)

# Functions that do the same: the one that is inlined in production -> the one that the kernel exports.
SAME_FUNCTIONS = {
    r"__raw_((?:spin|read|write)_(?:try)?(?:un)?lock\w*)": r"_raw_\1",  # kernel/locking/spinlock.c exports them
    r"(__compiletime_assert)_\d+": r"\1",  # numbered within a compilation, and never linked
    r"(__UNIQUE_ID_\w+?)\d+": r"\1",  # numbered likewise
    r"(\.altinstr_aux)\+\d+": r"\1",  # the same code, and where it is depends on the functions before it
}

# Messages (strings), and functions and variables by which a check reports, or is checked itself
REPORTS = (
    r"b'.*'|__warned|__already_done|warn_slowpath_fmt|__warn_printk|__kcsan_\w+|kcsan_check_access|kasan_check_read"
    r"|__stack_chk_fail|__compiletime_assert_\d+"
)

# What functions of production use where a debug option has them call something that checks as well; the strings name
# an access to per-CPU data (include/linux/percpu-defs.h)
_UNCHECKED = (
    r"__preempt_count\w*|(const_)?pcpu_hot|this_cpu_off|__kern_my_cpu_offset|cpu_number|__this_cpu_preempt_check"
    r"|b'(read|write|add|and|or|add_return|xchg|cmpxchg)'|might_fault|__local_bh_disable_ip|lockdep_hardirqs_on_prepare"
)
# How a kernel with lockdep calls it, and what it calls instead in production
_TELLS_LOCKDEP = (
    r"lock_(acquire|release|sync|is_held(_type)?|set_class|set_subclass|downgrade|(re|un)?pin_lock)|lockdep_\w+"
    r"|debug_lockdep_rcu_enabled|debug_(locks|check_no_locks_freed)|\w+_map_variable|\w+_(nested|nest_lock|non_owner)"
    r"|rcu_\w*lock_(any_)?held|rcu_lock_(acquire|release)|init_srcu_struct|__init_srcu_struct|(__?|lock_|request_)?key"
    r"|seqcount_lockdep_reader_access|\w+_(is_held|held)|srcu_lock_(acquire|release)"
    r"|srcu_check_nmi_safety|class_raw_spinlock_irqsave_constructor"
)
_CHECKS_OF_LOCKDEP = (
    r"put_task_map|rcu_is_watching|refcount_read|module_abi_foreign_\w+|(hlist_bl|rwsem)_is_locked"
    r"|__seqprop_(const_)?ptr"
)
_WITHOUT_LOCKDEP = (
    rf"{_UNCHECKED}|(rt_)?mutex_lock\w*|(ld)?(sem_)?(down|up)_(read|write)\w*|_raw_\w+|init_srcu_struct|lockdep_is_held"
)
# Where the count of disabled preemption and per-CPU data are
_COUNT = (
    r"__per_cpu_offset|should_resched|test_ti_thread_flag|\w*preempt_count\w*|preempt_schedule_notrace|__percpu_read_\w+"
    r"|__kern_my_cpu_offset"
)
_NOT_TOLD = "the module does not tell lockdep what it does: kernel/locking/lockdep_outside.c and lockdep.c know that"
_OTHER_INSTRUCTION = "it uses the same per-CPU variable by another instruction: arch/x86/include/asm/percpu.h"
_LINEAR_MAP = "the linear map ends earlier, and between its end and production's there is KASAN's shadow: asm/memory.h"
_USER_SPACE = (
    "user space ends earlier, where KASAN's shadow begins: a module takes a pointer there for one of user space, which "
    "only a program that is wrong passes"
)
_NO_ATOMIC_CHECKS = (
    "the module does without checks for atomic context and without the place where the task's state was changed"
)
_SAME_COUNT = "the module changes the same preemption count and reads the same per-CPU data, without the checks"
_UNTRACKED = "the module changes the same reference count and does not tell of it: lib/ref_tracker.c puts up with that"
_QUIET_SOUND = "the module goes on in the same way, and prints what it prints in production"
_TRACER = "in production it does nothing, and the tracers can do without a module"
_NO_PAGE_CHECKS = (
    "the module does without this check of pages; include/linux/mmdebug.h has them stop, and do nothing else"
)
_PAGE_REFERENCES = "the module changes the same count, and never reaches the kernel's tracepoint"
_PAGE_TABLES = "what the module sets is not counted, and mm/page_table_check.c puts up with that"
_PAGEALLOC = "only the memory management asks, and maps and unmaps pages: include/linux/mm.h"
_UNTOLD_LEAKS = (
    "the allocators tell kmemleak of all memory, and the module does not tell what is no leak: mm/kmemleak.c"
)
_DMA = "the module maps and unmaps by exported functions, which check; what it does not tell, kernel/dma/debug.c knows"

# Inlined functions that may differ, or may not be inlined any more.
DIFFERING = (
    Allowance(
        r"\w*",
        "the module does not trace it: it never reaches the kernel's tracepoint",
        lacking="TRACEPOINTS",
        uses=r"__tracepoint_\w+|__SC[KT]__tp_func_\w+|__traceiter_\w+|do_trace_\w+",
        beside=r"tracepoint_probe_(un)?register|__mmap_lock_do_trace_\w+",
    ),
    Allowance(
        r"\w*",
        "the module initialises the lock inline, to a value that spinlock_track.c treats as unlocked",
        lacking="DEBUG_SPINLOCK",
        uses="__raw_spin_lock_init|__rwlock_init",
    ),
    Allowance(
        r"_?_raw_(spin|read|write)_\w+|do_raw_(spin|read|write)_\w+|(__)?bit_spin_unlock",
        "the module locks and unlocks the same word without the checks; spinlock_track.c expects that of modules",
        lacking="DEBUG_SPINLOCK",
    ),
    Allowance(
        r"(register|unregister|modify)_ftrace_\w+|(set_|is_|early_|__)?f?trac(e|ing|er)_\w+|(un)?pause_graph_tracing"
        r"|skip_trace|disable_trace_on_warning|arch_ftrace_set_direct_caller|(syscall_)?tracepoint_\w+|do_trace_\w+|is_ftrace_trampoline",
        _TRACER,
        lacking="TRACING",
    ),
    Allowance(
        r"\w*(kprobe|kretprobe|rethook)\w*",
        "in production it fails or returns false, since there are no probes, and the module goes on without them",
        lacking="KPROBES",
    ),
    Allowance(
        r"\w*fprobe\w*",
        "in production register_fprobe() fails, so the kernel never uses a module's fprobe",
        lacking="FPROBE",
    ),
    Allowance(
        r"unwind_(init_common|find_next_stack|consume_stack|next_common|next_frame_record|recover_return_address)",
        "unwinders are inlined completely, and each has its own struct unwind_state: asm/stacktrace/common.h",
        lacking="KPROBES",
        having=ARM64.config,
    ),
    Allowance(
        r"(__)?perf_\w+|\w*(uprobe|hw_breakpoint)\w*|(un)?register_nvdimm_pmu|(reserve|release)_bp_slot"
        r"|(reinstall|try_step)_suspended_b(ps|reakpoints)|ptrace_hw_copy_thread|counter_arch_bp",
        "in production it does nothing or fails, and counting events can do without a module",
        lacking="PERF_EVENTS",
    ),
    Allowance(
        "kvm_(un)?register_perf_callbacks|kvm_arch_pmi_in_guest",
        "only KVM calls it, which cannot be a module on arm64: arch/arm64/kvm/Kconfig",
        lacking="PERF_EVENTS",
        having=ARM64.config,
    ),
    Allowance(r"rapl_package_(add|remove)_pmu", _RAPL, lacking="INTEL_RAPL_CORE"),
    Allowance(
        r"mutex_destroy|__devm_mutex_init|dma_resv_reset_max_fences",
        "in production it does nothing, and the checks work without the module's calls",
        lacking="DEBUG_MUTEXES",
    ),
    Allowance(
        r"consume_skb",
        "in production it is kfree_skb(), which does the same except for the tracepoint",
        lacking="TRACEPOINTS",
    ),
    Allowance(
        r"rcu_init_tasks_generic|exit_tasks_rcu_\w+|rcu_tasks_\w+",
        "it is for the kernel's own start and for tasks that exit: kernel/rcu/tasks.h does not export it",
        lacking="TASKS_RCU_GENERIC",
    ),
    Allowance(
        r"stack_depot_\w+|stack_trace_\w+",
        "in production it does nothing or fails, and the kernel keeps its stack traces without a module",
        lacking="STACKDEPOT",
    ),
    Allowance(
        r"sched_domain_span",
        _SCHED_DOMAIN,
        lacking="SCHEDSTATS",
    ),
    Allowance(
        "sched_info_on",
        "a module that asks is told that nobody counts, as in production, and the scheduler counts without it",
        lacking="SCHED_INFO",
    ),
    Allowance(
        r"(clear_tsk|account_scheduler)_latency\w*",
        "the scheduler calls it, and is not a module: kernel/sched/stats.c",
        lacking="LATENCYTOP",
    ),
    Allowance(
        r"\w*page_ext_\w+",
        "it is for the memory management itself, and no module has data for each page: mm/page_ext.c",
        lacking="PAGE_EXTENSION",
    ),
    Allowance(
        r"validate_(process_)?creds\w*|(get|put)_cred(_rcu)?",
        "the module counts references as in production, and does without the checks",
        lacking="DEBUG_CREDENTIALS",
    ),
    Allowance(
        "pipe_has_watch_queue|watch_queue_init|security_post_notification",
        "no pipe has one in production, and those that have are read by fs/pipe.c and fs/splice.c",
        lacking="WATCH_QUEUE",
    ),
    Allowance(
        "is_ksym_addr",
        "it tells which addresses kallsyms knows: include/linux/kallsyms.h",
        lacking="KALLSYMS_ALL",
    ),
    Allowance(
        "virt_to_(phys|hvpfn)|efi_range_is_wc",
        _LINEAR_MAP,
        lacking="KASAN",
        having=ARM64.config,
    ),
    Allowance(
        "__access_ok|__uaccess_mask_range_ptr|epoll_put_uevent|put_user_mtpos",
        _USER_SPACE,
        lacking="KASAN",
        having=ARM.config,
    ),
    Allowance(
        r"\w*",
        _OTHER_INSTRUCTION,
        lacking="KASAN",
        having="USE_X86_SEG_SUPPORT",
        uses="pcpu_hot",
        instead=_UNCHECKED,
    ),
    Allowance(
        r"preempt_count_set|should_resched|rcu_read_lock_(sched|any)_held|dev_recursion_level|arch_exit_to_user_mode_prepare"
        r"|drm_can_sleep|proto_memory_pcpu_drain|objpool_(pop|push)|switch_ldt|native_load_tr_desc|(invalidate|refresh)_tss_limit"
        r"|srcu_(up|down)_read|guest_exit|scheduler_ipi|current_clr_polling|netdev_xmit_more|dev_xmit_recursion"
        r"|hw_breakpoint_active",
        _OTHER_INSTRUCTION,
        lacking="KASAN",
        having="USE_X86_SEG_SUPPORT",
    ),
    Allowance(
        r"setup_fault_attr|should_fail\w*|fault_create_debugfs_attr",
        "in production it never fails, and a module that asks is told so",
        lacking="FAULT_INJECTION",
    ),
    Allowance(
        r"_*kasan_\w+",
        "the module does not check its loads and stores, and has the kernel do all that concerns objects",
        lacking="KASAN",
    ),
    Allowance(
        r"\w*",
        _SAME_COUNT,
        lacking="DEBUG_PREEMPT",
        having="PREEMPT_COUNT",
        uses=r"preempt_count_(add|sub)|debug_smp_processor_id|__this_cpu_preempt_check",
        beside=_COUNT,
        instead=_UNCHECKED,
    ),
    Allowance(
        "this_cpu_ksoftirqd|dev_recursion_level",
        "it adds the same address and offset of this CPU in the other order: asm-generic/percpu.h, arch_raw_cpu_ptr()",
        lacking="DEBUG_PREEMPT",
        having=ARM.config,
    ),
    Allowance(
        r"\w*",
        "the module switches the same interrupt flag and changes the same count, and the tracers are not told",
        lacking="TRACE_IRQFLAGS",
        uses=r"trace_hardirqs_(on|off)\w*|__local_bh_disable_ip",
        beside=r"arch_irqs_disabled(_flags)?|arch_local_irq_\w+",
        instead=_UNCHECKED,
    ),
    Allowance(
        r"\w*",
        "the module does without this check; the kernel's own code checks the same state when the module calls it",
        lacking="DEBUG_ATOMIC_SLEEP",
        uses=r"__might_(sleep|resched|fault)|__cant_\w+",
        instead=_UNCHECKED,
    ),
    Allowance(
        r"__might_(sleep|resched|fault)|might_fault|(__)?clear_user|user_access_begin|copy_regset_from_user"
        r"|blk_wake_io_task|kernel_signal_stop|memalloc_retry_wait",
        _NO_ATOMIC_CHECKS,
        lacking="DEBUG_ATOMIC_SLEEP",
    ),
    Allowance(
        r"(init|destroy)_rcu_head(_on_stack)?|debug_(object|check_no_obj)\w+|__init_work|destroy_\w+_on_stack"
        r"|init_timer_on_stack_key|hrtimer_init_(sleeper_)?on_stack",
        "the module does not announce its objects; kernel/workqueue.c and lib/debugobjects.c put up with that",
        lacking="DEBUG_OBJECTS",
    ),
    Allowance(
        r"\w*",
        _NOT_TOLD,
        lacking="DEBUG_LOCK_ALLOC",
        uses=_TELLS_LOCKDEP,
        beside=rf"{_CHECKS_OF_LOCKDEP}|{_COUNT}|arch_irqs_disabled(_flags)?|arch_local_save_flags",
        instead=_WITHOUT_LOCKDEP,
    ),
    Allowance(
        r"(rcu_|irq_set_)?lockdep_\w+|print_irqtrace_events|debug_(show|check)_\w+|rcu_irq_exit_check_preempt|rcu_\w*_held"
        r"|(__)?fs_reclaim_(acquire|release)|(__)?dma_fence_(\w+_signalling|might_wait)|\w+_is_held|gfp_nested_mask|debug_lockdep_\w+"
        r"|srcu_(check_nmi_safety|read_(un)?lock(_nmisafe)?)|rwsem_assert_held(_write)?|hrtimer_update_function",
        "its annotations are not in the module, and lockdep does not rely on them",
        lacking="DEBUG_LOCK_ALLOC",
    ),
    Allowance(
        "rt_mutex_debug_task_free", "only kernel/fork.c calls it, for a task that is gone", lacking="DEBUG_RT_MUTEXES"
    ),
    Allowance(
        "__this_cpu_preempt_check", "it checks and does nothing else: lib/smp_processor_id.c", lacking="DEBUG_PREEMPT"
    ),
    Allowance(
        "stack_tracer_(en|dis)able|__bpf_xdp_redirect_map",
        "the module uses the same per-CPU variable, without the check",
        lacking="DEBUG_PREEMPT",
    ),
    Allowance("__local_bh_disable_ip", "the module changes the same count: kernel/softirq.c", lacking="TRACE_IRQFLAGS"),
    Allowance("ring_buffer_swap_cpu", _TRACER, lacking="RING_BUFFER_ALLOW_SWAP"),
    Allowance(
        "__should_failslab",
        "only the allocator calls it: mm/slab_common.c",
        lacking="FAILSLAB",
    ),
    Allowance(
        r"shrinker_debugfs_\w+",
        "in production it does nothing, and the directories do not depend on a module's calls",
        lacking="SHRINKER_DEBUG",
    ),
    Allowance("stack_not_used", "a module that asks is told 0, as in production", lacking="DEBUG_STACK_USAGE"),
    Allowance(
        r"page_pool_ethtool_stats_\w+",
        "a driver shows no statistics of its pools, as in production",
        lacking="PAGE_POOL_STATS",
    ),
    Allowance(r"ref_tracker_\w+", "the module's own directories are empty, as in production", lacking="REF_TRACKER"),
    Allowance(r"(__)?netdev_tracker_\w+", _UNTRACKED, lacking="NET_DEV_REFCNT_TRACKER"),
    Allowance(r"(__)?netns_tracker_\w+", _UNTRACKED, lacking="NET_NS_REFCNT_TRACKER"),
    Allowance(r"_?snd_printd\w*|snd_pcm_debug_name|snd_compr_drain_notify", _QUIET_SOUND, lacking="SND_DEBUG"),
    Allowance(
        r"\w*",
        "the module switches the same flag, without the check",
        lacking="DEBUG_IRQFLAGS",
        uses="warn_bogus_irq_restore",
        beside="arch_irqs_disabled",
        instead=_UNCHECKED,
    ),
    Allowance(
        r"\w*",
        _NO_PAGE_CHECKS,
        lacking="DEBUG_VM",
        uses=r"b'VM_(BUG|WARN)_\w+\(.*'|dump_(page|mm)",
        beside=r"rwsem_is_locked|page_(count|fixed_fake_head)|_compound_head|PageHuge|is_zero_folio|(const_)?folio_flags"
        r"|folio_(test_(hugetlb|large)|ref_count|nr_pages)",
    ),
    Allowance(
        "cond_resched_rcu",
        "in production it does nothing, since readers can be preempted: include/linux/sched.h",
        lacking="DEBUG_ATOMIC_SLEEP",
        having="PREEMPT_RCU",
    ),
    Allowance(
        r"gfp_(zone|migratetype)|page_init_poison|put_page_testzero|(folio_)?get(_page)?|folio_(entire_mapcount|get|lru_list)"
        r"|global_node_page_state|page_movable_ops|folio_start_fscache|swp_offset_pfn|__folio_clear_lru_flags"
        r"|page_(try_share|try_dup)_anon_rmap|page_needs_cow_for_dma|mem(zero|set)_page|memcpy_(to_|from_)?page"
        r"|__readahead_folio|anon_vma_merge|pgtable_p(md|te)_page_[cd]tor|balloon_page_insert"
        r"|__(folio_alloc|alloc_pages)_node(_noprof)?|encode_nr_pages|vma_assert_write_locked|folio_movable_ops"
        r"|folio_needs_cow_for_dma|folio_fill_tail|memcpy_(to|from)_folio|check_pgprot|__check_(racy|safe)_pte_update"
        r"|mapping_large_folio_support|__folio_rmap_sanity_checks",
        _NO_PAGE_CHECKS,
        lacking="DEBUG_VM",
    ),
    Allowance(
        "phys_to_virt|pmd_page_vaddr|p[4u]d_pgtable|p[4u]d_offset_lockless|xlate_dev_mem_ptr|(__)?cpu_install_idmap"
        "|cpu_enable_swapper_cnp|ioremap_cache",
        "the module does without the check of memstart_addr: asm/memory.h, PHYS_OFFSET",
        lacking="DEBUG_VM",
        having=ARM64.config,
    ),
    Allowance(
        r"arch_vmap_p[mu]d_supported",
        "only vmalloc() asks: mm/vmalloc.c",
        lacking="PTDUMP_DEBUGFS",
        having=ARM64.config,
    ),
    Allowance(r"__page_ref_\w+", _PAGE_REFERENCES, lacking="DEBUG_PAGE_REF"),
    Allowance(
        r"\w*", _PAGE_REFERENCES, lacking="DEBUG_PAGE_REF", uses=r"__tracepoint_page_ref_\w+", beside=r"__page_ref_\w+"
    ),
    Allowance(
        "fpregs_assert_state_consistent", "it checks and does nothing else: asm/fpu/api.h", lacking="X86_DEBUG_FPU"
    ),
    Allowance(r"page_table_check_\w+", _PAGE_TABLES, lacking="PAGE_TABLE_CHECK"),
    Allowance(
        r"debug_(pagealloc|guardpage)_\w+|page_is_guard|(set|clear)_page_guard", _PAGEALLOC, lacking="DEBUG_PAGEALLOC"
    ),
    Allowance(
        r"sg_(assign_)?page|sg_set_buf", "the module does without checks of the list's entries", lacking="DEBUG_SG"
    ),
    Allowance(r"debug_dma_\w+|dma_debug_\w+", _DMA, lacking="DMA_API_DEBUG"),
    Allowance(
        "dma_dev_need_sync",
        "the module leaves out what the device does not need, and kernel/dma/debug.c does not miss it",
        lacking="DMA_API_DEBUG",
    ),
    Allowance(
        "csd_lock_is_stuck",
        "a module that asks is told that nothing is stuck, as in production",
        lacking="CSD_LOCK_WAIT_DEBUG",
    ),
    Allowance(r"kmemleak_\w+", _UNTOLD_LEAKS, lacking="DEBUG_KMEMLEAK"),
)

# Macros that may differ, or may not be macros any more. Macros that differ only through other macros are not listed.
MACROS = (
    Allowance(
        r"\w*(lockdep|LOCKDEP|DEP_MAP)\w*|lock_(acquired?|contended|release|downgrade|set_\w+)|LOCK_CONTENDED(_RETURN)?"
        r"|(STATIC_|__)?\w*_MAP_INIT\w*"
        r"|read_lock_is_recursive|might_lock\w*|NIL_COOKIE|DEFINE_WAIT_OVERRIDE_MAP|rcu_lock_(acquire|release)"
        r"|RCU_LOCKDEP_WARN|rcu_sleep_check|\w+_(nested|nest_lock|non_owner)|seqcount_init|__local_lock_init"
        r"|mt_(lock_is_held|set_external_lock)|MTREE_INIT_EXT|device_lock_set_class|___GFP_NOLOCKDEP"
        r"|lock_map_(acquire_try|release)|rcu_try_lock_acquire|srcu_lock_(acquire|release|sync)|__spinlock_nested_bh_init",
        _NOT_TOLD,
        lacking="DEBUG_LOCK_ALLOC",
    ),
    Allowance(
        "sock_lock_init_class_and_name",
        "debug_check_no_locks_freed() comes earlier, and does nothing in the module",
        lacking="DEBUG_LOCK_ALLOC",
    ),
    Allowance(
        "raw_check_bogus_irq_restore", "the module switches the same flag, without the check", lacking="DEBUG_IRQFLAGS"
    ),
    Allowance(r"VM_(BUG|WARN)\w*", _NO_PAGE_CHECKS, lacking="DEBUG_VM"),
    Allowance("page_ref_tracepoint_active", _PAGE_REFERENCES, lacking="DEBUG_PAGE_REF"),
    Allowance(
        "__TASK_FREEZABLE_UNSAFE",
        "it spares a task a check when it freezes, which is not made beside such a module: kernel/freezer.c",
        lacking="LOCKDEP",
    ),
    Allowance("__GFP_BITS_SHIFT", "it is 27 in both: include/linux/gfp_types.h", lacking="LOCKDEP"),
    Allowance(
        r"DECLARE_\w+_ONSTACK(_MAP)?|__init_timer(_on_stack)?|__INIT_WORK_KEY|(devm_)?gpiochip_add_data"
        r"|v4l2_ctrl_handler_init",
        "the module passes no key: lockdep_init_map_type() takes its locks for locks without class",
        lacking="DEBUG_LOCK_ALLOC",
    ),
    Allowance(
        r"(raw_)?spin_lock_init|rwlock_init|do_raw_(spin|read|write)_\w+|_raw_(spin|read|write)_\w+",
        "the module works on the same word without the checks; spinlock_track.c expects that of modules",
        lacking="DEBUG_SPINLOCK",
    ),
    Allowance(
        r"DEFINE_TRACE(_FN)?|__DECLARE_TRACE|EXPORT_TRACEPOINT_SYMBOL(_GPL)?|tracepoint_enabled",
        "the module has no tracepoint, and never reaches one of the kernel",
        lacking="TRACEPOINTS",
    ),
    Allowance(
        r"(__)?tracepoint_string|trace_rb_cpu_prepare",
        "the strings are for readers of traces, and the tracers can do without a module",
        lacking="TRACING",
    ),
    Allowance(
        r"ARCH_SUPPORTS_FTRACE_OPS|MCOUNT_ADDR|notrace|__notrace_funcgraph|(un)?register_ftrace_(function|graph)"
        r"|ftrace_(direct_func_count|free_filter|ops_set_global_filter|regex_open|set_(early_)?filter\w*|set_notrace)",
        "the module has no call sites, and its calls of the tracer do nothing or fail in production",
        lacking="FUNCTION_TRACER",
    ),
    Allowance(
        r"NOKPROBE_SYMBOL|__kprobes|nokprobe_inline|kprobe_busy_(begin|end)|rethook_flush_task",
        "production has no probes, so the module does not list its functions that must not be probed",
        lacking="KPROBES",
    ),
    Allowance(r"perf_event_(init|exit)_cpu", "only the kernel's own CPU hotplug table uses it", lacking="PERF_EVENTS"),
    Allowance(
        r"rcu_tasks(_classic)?_qs|rcu_note_voluntary_context_switch",
        "the kernel itself sees where the task sleeps; until it does, tracers wait for a module that loops",
        lacking="TASKS_RCU_GENERIC",
    ),
    Allowance(
        r"__HAVE_ARCH_(STR|MEM)\w+",
        "KASAN has strings handled by other functions of the same names, which are exported as well: lib/string.c",
        lacking="KASAN",
    ),
    Allowance(
        "PAGE_END|KASAN_SHADOW_SCALE_SHIFT",
        _LINEAR_MAP,
        lacking="KASAN",
        having=ARM64.config,
    ),
    Allowance(
        "TASK_SIZE",
        _USER_SPACE,
        lacking="KASAN",
        having=ARM.config,
    ),
    Allowance(r"__raw_cpu_\w+", _OTHER_INSTRUCTION, lacking="KASAN", having="USE_X86_SEG_SUPPORT"),
    Allowance(
        "DECLARE_FAULT_ATTR",
        "the attribute of a module is empty, and it never asks the kernel whether to fail",
        lacking="FAULT_INJECTION",
    ),
    Allowance(
        "__no_(kasan|sanitize)_or_inline|__underlying_mem(cpy|move|set)",
        "the module has no instrumentation that such a function would have to do without",
        lacking="KASAN",
    ),
    Allowance(
        "SLAB_KASAN",
        "the allocator sets it itself, for every cache: mm/kasan/common.c",
        lacking="KASAN",
    ),
    Allowance(
        "KASAN_STACK_ORDER|THREAD_SIZE_ORDER",
        "the size of a task's stack is the same, those of interrupts and exceptions are the kernel's own",
        lacking="KASAN",
    ),
    Allowance(
        r"might_sleep|cant_(sleep|migrate)|sched_annotate_sleep|non_block_(start|end)|WARN_ON_IN_IRQ"
        r"|debug_(normal|special)_state_change|debug_rtlock_wait_\w+",
        _NO_ATOMIC_CHECKS,
        lacking="DEBUG_ATOMIC_SLEEP",
    ),
    Allowance(
        r"this_cpu_ptr|my_cpu_offset|smp_processor_id|preempt_count_(add|sub|dec_and_test)|trace_preempt_(on|off)",
        _SAME_COUNT,
        lacking="DEBUG_PREEMPT",
        having="PREEMPT_COUNT",
    ),
    Allowance(
        r"trace_hardirqs_\w+|lockdep_(hard|soft)irqs?_\w+|lockdep_(hrtimer|posixtimer|irq_work)_\w+"
        r"|(start|stop)_critical_timings|local_irq_(enable|disable|save|restore)|safe_halt",
        "the module switches the same interrupt flag, and the tracers are not told",
        lacking="TRACE_IRQFLAGS",
    ),
    Allowance(
        r"count_vm_tlb_events?",
        "only the kernel flushes TLBs, and counts it: arch/x86/mm/tlb.c",
        lacking="DEBUG_TLBFLUSH",
    ),
    Allowance(
        "count_vm_vma_lock_event", "only the kernel handles page faults, and counts it", lacking="PER_VMA_LOCK_STATS"
    ),
    Allowance(r"__snd_printk|snd_BUG(_ON)?", _QUIET_SOUND, lacking="SND_DEBUG"),
    Allowance(
        "SLAB_DEBUG_OBJECTS",
        "it is for the cache of debug objects themselves: lib/debugobjects.c",
        lacking="DEBUG_OBJECTS",
    ),
    Allowance(
        "SLAB_FAILSLAB",
        "the module's caches are without the flag, so that no allocation from them fails on purpose unless all do",
        lacking="FAILSLAB",
    ),
    Allowance(
        r"(call|synchronize)_rcu_tasks",
        "the module waits for an ordinary grace period, as in production",
        lacking="TASKS_RCU",
    ),
)

# Enumerators that may have another value.
ENUMERATORS = (
    Allowance("_SLAB_FLAGS_LAST_BIT", "it counts the flags of caches, of which the hidden ones are the last"),
    Allowance(r"LD_WAIT_\w+", _NOT_TOLD, lacking="DEBUG_LOCK_ALLOC"),
    *(Allowance("NR_VM_EVENT_ITEMS", _EVENTS, lacking=option) for option in _COUNTS_EVENTS),
)

# Exported functions that may be declared in another way.
PROTOTYPES = (Allowance(r"rcu_(\w+_)?map", "production declares these maps and has none", lacking="DEBUG_LOCK_ALLOC"),)
