"""What may differ between a production kernel and an isolated one, and why no module sees it.

`modcompat isolate check` and its test let nothing through that is not here. What a reason rests on is in the
kernel's source; `lacking` names the option without which it holds.
"""

from harness.abi.sameness import Allowance

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

# Structures that no module of a production kernel without the option can hand to the kernel, or get from it.
UNREACHABLE = (
    Allowance(
        "struct (kprobe|kretprobe|kretprobe_instance|kretprobe_holder|freelist_(node|head)|arch_specific_insn)",
        "register_kprobe() and the like are stubs that fail: include/linux/kprobes.h",
        lacking="KPROBES",
    ),
    Allowance(
        "struct trace_event_(call|class)",
        "no module has a trace event, nor can it come by one: include/trace/trace_events.h makes them",
        lacking="EVENT_TRACING",
    ),
)

# Functions that do what another one does: what is inlined in production, and what the kernel exports in its place.
SAME_FUNCTIONS = {
    r"__raw_((?:spin|read|write)_(?:try)?(?:un)?lock\w*)": r"_raw_\1",  # kernel/locking/spinlock.c
}

# Inlined functions that may differ, or be no inlined functions any more.
DIFFERING = ()
