# SPDX-License-Identifier: Apache-2.0
"""What may differ between a production kernel and an isolated one, and why no module sees it.

`modcompat isolate check` and its test let nothing through that is not here. What a reason rests on is in the
kernel's source; `lacking` names the option without which it holds.
"""

from harness.abi.compare.equivalence import Allowance
from harness.kernel.arch import ARM64

# Structures that only the kernel allocates: they may grow behind all that production has.
GROWN = (
    Allowance("struct module", "the loader gives each module a full one: kernel/module/abi.c, module_fit_struct()"),
    Allowance("struct task_struct", "tasks are allocated in kernel/fork.c, and init_task is the kernel's"),
    Allowance("struct thread_struct", "it is in task_struct, and there in front of members of isolated features only"),
    Allowance("union thread_union", "it is the kernel's first stack, and its size is that of the stack"),
    Allowance("struct user_struct", "kernel/user.c, alloc_uid() allocates it"),
    Allowance("struct perf_event", "kernel/events/core.c, perf_event_alloc() allocates it"),
    Allowance(
        "struct rpc_task", "the number is in what was padding, and net/sunrpc/sched.c, rpc_init_task() clears it"
    ),
    Allowance("struct mod_tree_node", "it is the loader's, at the end of struct module"),
)

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
        "who unwinds has all of it compiled in, and nothing that takes one is exported: asm/stacktrace/common.h",
        lacking="KPROBES",
        having=ARM64.config,
    ),
    Allowance(
        "struct trace_event_(call|class)",
        "no module has a trace event, nor can it come by one: include/trace/trace_events.h makes them",
        lacking="EVENT_TRACING",
    ),
    Allowance(
        "struct (security_hook_heads|lsm_static_calls_table)|union security_list_options",
        "no module has hooks of a security module: security/security.c, security_add_hooks() is not exported",
        lacking="PERF_EVENTS",
    ),
    Allowance("struct rapl_package", _RAPL, lacking="INTEL_RAPL_CORE"),
)

# Functions that do what another one does: what is inlined in production, and what the kernel has in its place.
SAME_FUNCTIONS = {
    r"__raw_((?:spin|read|write)_(?:try)?(?:un)?lock\w*)": r"_raw_\1",  # kernel/locking/spinlock.c exports them
    r"(__compiletime_assert)_\d+": r"\1",  # numbered within a compilation, and never there in what is linked
}

_TRACER = "in production it does nothing, and the tracers can do without a module"

# Inlined functions that may differ, or be no inlined functions any more.
DIFFERING = (
    Allowance(
        r"\w*",
        "the module does not trace it: the tracepoint, which the kernel has, is never reached from there",
        lacking="TRACEPOINTS",
        uses=r"__tracepoint_\w+|__SC[KT]__tp_func_\w+|__traceiter_\w+|do_trace_\w+",
    ),
    Allowance(
        r"\w*",
        "the module has the lock initialised in place, to what spinlock_track.c takes for an unlocked lock",
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
        "in production it fails or says no, since there are no probes, and the module goes on without",
        lacking="KPROBES",
    ),
    Allowance(
        r"\w*fprobe\w*",
        "in production register_fprobe() fails, so that a module's fprobe is a structure of its own",
        lacking="FPROBE",
    ),
    Allowance(
        r"unwind_(init_common|find_next_stack|consume_stack|next_common|next_frame_record|recover_return_address)",
        "who unwinds has all of it compiled in, and a struct unwind_state of its own: asm/stacktrace/common.h",
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
        "KVM calls it, which is no module there: arch/arm64/kvm/Kconfig",
        lacking="PERF_EVENTS",
        having=ARM64.config,
    ),
    Allowance(r"rapl_package_(add|remove)_pmu", _RAPL, lacking="INTEL_RAPL_CORE"),
    Allowance(
        r"mutex_destroy|__devm_mutex_init|dma_resv_reset_max_fences",
        "in production it does nothing, and the checks do without what the module does not tell",
        lacking="DEBUG_MUTEXES",
    ),
    Allowance(
        r"consume_skb",
        "in production it is kfree_skb(), which does the same but for what a tracepoint is told",
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
    Allowance("cond_resched_rcu", "it hands on its line number in the header, which only a message would print"),
)

# Macros that may differ, or be none any more. Those that differ because of others are not here.
MACROS = (
    Allowance(
        r"(raw_)?spin_lock_init|rwlock_init|do_raw_(spin|read|write)_\w+|_raw_(spin|read|write)_\w+",
        "the module works on the same word without the checks; spinlock_track.c expects that of modules",
        lacking="DEBUG_SPINLOCK",
    ),
    Allowance(
        r"DEFINE_TRACE(_FN)?|__DECLARE_TRACE|EXPORT_TRACEPOINT_SYMBOL(_GPL)?|tracepoint_enabled",
        "the module has no tracepoint, nor does it reach one of the kernel",
        lacking="TRACEPOINTS",
    ),
    Allowance(
        r"(__)?tracepoint_string|trace_rb_cpu_prepare",
        "the strings are for who reads traces, and the tracers can do without a module",
        lacking="TRACING",
    ),
    Allowance(
        r"ARCH_SUPPORTS_FTRACE_OPS|MCOUNT_ADDR|notrace|__notrace_funcgraph|(un)?register_ftrace_(function|graph)"
        r"|ftrace_(direct_func_count|free_filter|ops_set_global_filter|regex_open|set_(early_)?filter\w*|set_notrace)",
        "the module has no call sites, and in production what it asks of the tracer does nothing or fails",
        lacking="FUNCTION_TRACER",
    ),
    Allowance(
        r"NOKPROBE_SYMBOL|__kprobes|nokprobe_inline|kprobe_busy_(begin|end)|rethook_flush_task",
        "there are no probes in production; which functions of the module no probe may be in is not known then",
        lacking="KPROBES",
    ),
    Allowance(
        r"perf_event_(init|exit)_cpu", "it is for the kernel's own table of what CPUs start", lacking="PERF_EVENTS"
    ),
    Allowance(
        r"rcu_tasks(_classic)?_qs|rcu_note_voluntary_context_switch",
        "the kernel sees by itself where the task schedules: kernel/rcu/tree_plugin.h",
        lacking="TASKS_RCU_GENERIC",
    ),
    Allowance(
        r"(call|synchronize)_rcu_tasks",
        "what the module waits for is what it waits for in production: an ordinary grace period",
        lacking="TASKS_RCU",
    ),
)
