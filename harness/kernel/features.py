# SPDX-License-Identifier: Apache-2.0
"""The debug features. To add one, add an entry here, a Kconfig fragment, and a proof in images/proof."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from harness.kernel.arch import Architecture
from harness.kernel.kconfig import in_fragments
from harness.support.errors import ModcompatError
from harness.support.paths import IMAGES, KCONFIG


class Isolation(StrEnum):
    """How the isolation series treats a feature that changes the module ABI."""

    KEPT = "kept"  # the module ABI stays as it is without the feature
    # it stays if production counts preemption (PREEMPT_COUNT), and otherwise modules are not loaded
    KEPT_WITH_PREEMPTION = "kept-with-preemption"
    REFUSED = "refused"  # the ABI cannot be kept: modules that were built without the feature are not loaded


@dataclass(frozen=True)
class Feature:
    """One debug capability."""

    name: str
    symbols: tuple[str, ...]  # that the fragment switches on, and that must be on in the running guest
    follows: dict[str, str] = field(default_factory=dict)  # further symbols that may change -> why Kconfig changes them
    # Kind and words (a regular expression) of the report about the proof module's violation; None for a feature that is
    # proved by using it
    violation: tuple[str, str] | None = None
    parts: tuple[str, ...] = ()  # features that this one consists of, each with its own proof
    boot: str = ""  # further kernel parameters
    is_detector: bool = False  # production has it on, so its cells start from the bare baseline, without it
    isolation: Isolation | None = None  # how the isolation series treats it, None if it does not change the module ABI
    patches_code: bool = False  # when it is used, the kernel changes its own code

    @property
    def has_kasan(self) -> bool:
        """Whether its kernels have KASAN, and need memory for it."""
        return "KASAN" in self.symbols

    @property
    def fragment(self) -> Path:
        return KCONFIG / "feature" / f"{self.name}.config"

    @property
    def where_possible(self) -> tuple[str, ...]:
        """Further symbols of the fragment, which a kernel has only if its architecture and its version have them."""
        return tuple(name for name in in_fragments([self.fragment]) if name not in self.symbols)

    @property
    def proof(self) -> Path:
        """The folder of its proof: a module that commits the violation, or a script that uses the feature."""
        return IMAGES / "proof" / self.name

    def always_on(self, arch: Architecture) -> str:
        """The reason why it cannot be switched off on an architecture, "" if it can."""
        known = dict(arch.always_on)
        reasons = [known.get(symbol, "") for symbol in self.symbols]
        return "; ".join(dict.fromkeys(reasons)) if all(reasons) else ""

    def proofs(self) -> "list[Feature]":
        """The features to prove: its parts, or itself if it has none."""
        return [FEATURES[part] for part in self.parts] or [self]


def _because(reason: str, *symbols: str) -> dict[str, str]:
    return dict.fromkeys(symbols, reason)


_SPINLOCK = {
    "UNINLINE_SPIN_UNLOCK": "lib/Kconfig.debug: selected by DEBUG_SPINLOCK",
    **_because(
        "kernel/Kconfig.locks: every INLINE_* lock function needs !DEBUG_SPINLOCK",
        *(
            f"INLINE_{kind}_{call}"
            for kind in ("SPIN", "READ", "WRITE")
            for call in (
                "TRYLOCK", "TRYLOCK_BH", "LOCK", "LOCK_BH", "LOCK_IRQ", "LOCK_IRQSAVE",
                "UNLOCK", "UNLOCK_BH", "UNLOCK_IRQ", "UNLOCK_IRQRESTORE",
            )
        ),
    ),
}  # fmt: skip
_STACKS = {
    **_because("mm/Kconfig.debug: SLUB_DEBUG selects the stack depot", "STACKDEPOT", "STACKTRACE"),
    **_because("lib/Kconfig: a setting of STACKDEPOT", "STACKDEPOT_MAX_FRAMES"),
}
_TASKS_RCU = _because(
    "kernel/trace/Kconfig, arch/Kconfig: tracing and kprobes wait for preempted tasks",
    "TASKS_RCU", "TASKS_RCU_GENERIC", "TASKS_RUDE_RCU", "NEED_TASKS_RCU",
)  # fmt: skip
_MODULE_TREE = _because(
    "kernel/module/Kconfig: default y if PERF_EVENTS || TRACING; x86 always has it", "MODULES_TREE_LOOKUP"
)
_TRACING = {
    **_because(
        "kernel/trace/Kconfig: the infrastructure that TRACING selects",
        "TRACING", "NOP_TRACER", "RING_BUFFER", "EVENT_TRACING", "CONTEXT_SWITCH_TRACER", "TRACEPOINTS",
        "BINARY_PRINTF", "TRACE_CLOCK", "GLOB", "STACKTRACE",
    ),
    **_because("kernel/trace/Kconfig: the default of a choice in the FTRACE menu", "BRANCH_PROFILE_NONE"),
    **_MODULE_TREE,
    **_TASKS_RCU,
}  # fmt: skip
_KPROBES_ON_FTRACE = _because(
    "arch/Kconfig: def_bool y if kprobes and the function tracer are both on", "KPROBES_ON_FTRACE"
)
_FTRACE = {
    **_TRACING,
    **_KPROBES_ON_FTRACE,
    **_because("kernel/trace/Kconfig: selected by FUNCTION_TRACER", "GENERIC_TRACER"),
    **_because("kernel/trace/Kconfig: depends on !GENERIC_TRACER", "ENABLE_DEFAULT_TRACERS"),
    **_because(
        "kernel/trace/Kconfig: how DYNAMIC_FTRACE finds and patches the calls on this architecture",
        "FTRACE_MCOUNT_RECORD", "FTRACE_MCOUNT_USE_CC", "FTRACE_MCOUNT_USE_RECORDMCOUNT",
        "FTRACE_MCOUNT_USE_PATCHABLE_FUNCTION_ENTRY", "BUILDTIME_MCOUNT_SORT", "DYNAMIC_FTRACE_WITH_REGS",
        "DYNAMIC_FTRACE_WITH_ARGS", "DYNAMIC_FTRACE_WITH_DIRECT_CALLS", "HAVE_FUNCTION_GRAPH_TRACER",
        "HAVE_FUNCTION_GRAPH_FREGS", "DYNAMIC_FTRACE_WITH_CALL_OPS", "HAVE_DYNAMIC_FTRACE_WITH_CALL_OPS",
        "HAVE_DYNAMIC_FTRACE_WITH_DIRECT_CALLS",
    ),
    **_because(
        "arch/arm64/Kconfig: the alignment that DYNAMIC_FTRACE_WITH_CALL_OPS needs", "FUNCTION_ALIGNMENT",
        "FUNCTION_ALIGNMENT_8B",
    ),
}  # fmt: skip
_KPROBES = {
    **_because(
        "arch/Kconfig: the parts of KPROBES on this architecture",
        "KRETPROBES", "KRETPROBE_ON_RETHOOK", "RETHOOK", "OPTPROBES",
    ),
    **_KPROBES_ON_FTRACE,
    **_TASKS_RCU,
}  # fmt: skip
_PERF = {
    **_because("arch/arm/Kconfig, arch/arm64/Kconfig: selected if PERF_EVENTS", "HAVE_HW_BREAKPOINT"),
    **_because("arch/arm64/kvm/Kconfig: selected by KVM if PERF_EVENTS", "GUEST_PERF_EVENTS"),
    **_MODULE_TREE,
}
_PROBE_EVENTS = {
    **_because("kernel/trace/Kconfig: selected by KPROBE_EVENTS", "PROBE_EVENTS", "DYNAMIC_EVENTS"),
    **_because("kernel/trace/Kconfig: default y; kprobe and perf events with BPF_SYSCALL", "BPF_EVENTS"),
}
_PREEMPT_COUNT = _because("lib/Kconfig.debug: selected; production with PREEMPT has it anyway", "PREEMPT_COUNT")

_OBJECTS = _because("lib/Kconfig.debug: a setting of DEBUG_OBJECTS", "DEBUG_OBJECTS_ENABLE_DEFAULT")
_LATENCY = {
    **_TRACING,
    **_because(
        "kernel/trace/Kconfig: selected by IRQSOFF_TRACER",
        "TRACE_IRQFLAGS", "GENERIC_TRACER", "TRACER_MAX_TRACE", "RING_BUFFER_ALLOW_SWAP", "TRACER_SNAPSHOT",
        "TRACER_SNAPSHOT_PER_CPU_SWAP",
    ),
    **_because("kernel/trace/Kconfig: default y if TRACE_IRQFLAGS", "PREEMPTIRQ_TRACEPOINTS"),
    **_because("kernel/trace/Kconfig: selected by PREEMPT_TRACER", "TRACE_PREEMPT_TOGGLE"),
    **_because("lib/Kconfig.debug: def_bool y if TRACE_IRQFLAGS", "TRACE_IRQFLAGS_NMI"),
}  # fmt: skip
_MEMBERS = {
    **_STACKS,
    **_because("lib/Kconfig.debug: selected by SCHEDSTATS", "SCHED_INFO"),
    **_because("lib/Kconfig.debug: selected by LATENCYTOP", "KALLSYMS_ALL"),
    **_because("mm/Kconfig.debug: selected by PAGE_OWNER", "PAGE_EXTENSION"),
    **_because("kernel/irq/Kconfig: selected by GENERIC_IRQ_DEBUGFS", "GENERIC_IRQ_INJECTION"),
    **_because("net/Kconfig.debug: selected by the trackers of references", "REF_TRACKER"),
    **_because("drivers/acpi/Kconfig: selected by ACPI_DEBUGGER", "ACPI_DEBUG"),
    **_because("drivers/iommu/intel/Kconfig: selected by INTEL_IOMMU_DEBUGFS", "DMAR_DEBUG", "DMAR_PERF"),
    **_because("drivers/net/wireless/realtek/rtw89/Kconfig: selected by its two debug options", "RTW89_DEBUG"),
}
_KASAN = {
    **_because(
        "lib/Kconfig.kasan: selected by KASAN, or a setting of it",
        "CONSTRUCTORS", "STACKDEPOT", "STACKDEPOT_ALWAYS_INIT", "KASAN_OUTLINE", "KASAN_INLINE", "KASAN_SHADOW_OFFSET",
        "KASAN_STACK",
    ),
    **_because("lib/Kconfig.kasan: selected by KASAN_GENERIC", "SLUB_DEBUG"),
    **_because("arch/x86/Kconfig: def_bool y if KASAN", "GENERIC_CSUM"),
    **_because(
        "arch/x86/Kconfig: not with KASAN, unless the compiler is new enough (Linux 6.10)",
        "USE_X86_SEG_SUPPORT", "CC_HAS_NAMED_AS_FIXED_SANITIZERS",
    ),
    **_because("lib/Kconfig.debug: its default is higher with KASAN; only a warning", "FRAME_WARN"),
    **_STACKS,
}  # fmt: skip

_LOCKDEP = {
    **_because(
        "lib/Kconfig.debug: selected by PROVE_LOCKING or by LOCKDEP",
        "LOCKDEP", "DEBUG_LOCK_ALLOC", "DEBUG_SPINLOCK", "DEBUG_MUTEXES", "DEBUG_RT_MUTEXES",
        "DEBUG_RWSEMS", "DEBUG_WW_MUTEX_SLOWPATH", "PROVE_RCU", "TRACE_IRQFLAGS", "TRACE_IRQFLAGS_NMI",
        "KALLSYMS_ALL",
    ),
    **_because(
        "lib/Kconfig.debug: a setting of LOCKDEP",
        "LOCKDEP_BITS", "LOCKDEP_CHAINS_BITS", "LOCKDEP_CIRCULAR_QUEUE_BITS", "LOCKDEP_STACK_TRACE_BITS",
        "LOCKDEP_STACK_TRACE_HASH_BITS",
    ),
    **_because("kernel/trace/Kconfig: default y if TRACE_IRQFLAGS, and selects TRACING",
               "PREEMPTIRQ_TRACEPOINTS"),
    **_SPINLOCK, **_TRACING, **_PREEMPT_COUNT,
}  # fmt: skip
_KMEMLEAK = {
    **_because("lib/Kconfig.debug: selected by DEBUG_KMEMLEAK",
               "CRC32", "CRC32_SLICEBY8", "BITREVERSE", "STACKDEPOT_ALWAYS_INIT"),
    **_because("lib/Kconfig.debug: a setting of DEBUG_KMEMLEAK", "DEBUG_KMEMLEAK_MEM_POOL_SIZE"),
}  # fmt: skip
_DISTRO = {
    **_because("mm/Kconfig.debug: selected by DEBUG_PAGEALLOC, PAGE_TABLE_CHECK", "PAGE_EXTENSION"),
    **_because("mm/Kconfig.debug: def_bool DEBUG_VM && !PREEMPT_RT", "DEBUG_VM_IRQSOFF"),
    **_because("mm/Kconfig.debug: selected by PTDUMP_DEBUGFS", "PTDUMP_CORE", "PTDUMP"),
    **_because("kernel/irq/Kconfig: selected by GENERIC_IRQ_DEBUGFS", "GENERIC_IRQ_INJECTION"),
    **_because("net/Kconfig.debug: selected by the trackers of references", "REF_TRACKER"),
    **_because("drivers/acpi/Kconfig: selected by ACPI_DEBUGGER", "ACPI_DEBUG"),
    **_because("drivers/iommu/intel/Kconfig: selected by INTEL_IOMMU_DEBUGFS", "DMAR_DEBUG", "DMAR_PERF"),
    **_because("drivers/net/wireless/realtek/rtw89/Kconfig: selected by its two debug options", "RTW89_DEBUG"),
}

FEATURES = {
    feature.name: feature
    for feature in (
        # The core features, and all of them at once
        Feature(
            name="spinlock",
            symbols=("DEBUG_SPINLOCK",),
            follows=_SPINLOCK,
            violation=("lock", "spinlock already unlocked"),
            isolation=Isolation.KEPT,
        ),
        Feature(
            name="slub",
            symbols=("SLUB_DEBUG",),
            follows=_STACKS,
            violation=("slub", "Right Redzone overwritten|Object corrupt"),  # the latter in Linux 6.12.y
            is_detector=True,
            isolation=Isolation.KEPT,
        ),
        Feature(
            name="ftrace",
            symbols=("FTRACE", "FUNCTION_TRACER", "DYNAMIC_FTRACE", "FUNCTION_GRAPH_TRACER"),
            follows=_FTRACE,
            isolation=Isolation.KEPT,
            patches_code=True,
        ),
        Feature(
            name="kprobes", symbols=("KPROBES",), follows=_KPROBES, isolation=Isolation.KEPT, patches_code=True
        ),
        Feature(name="perf", symbols=("PERF_EVENTS",), follows=_PERF, isolation=Isolation.KEPT),
        Feature(
            name="all",
            symbols=(
                "DEBUG_SPINLOCK", "SLUB_DEBUG", "FTRACE", "FUNCTION_TRACER", "DYNAMIC_FTRACE",
                "FUNCTION_GRAPH_TRACER", "KPROBES", "KPROBE_EVENTS", "PERF_EVENTS",
            ),
            follows={
                **_SPINLOCK, **_STACKS, **_FTRACE, **_KPROBES, **_PERF,
                **_PROBE_EVENTS,
            },
            parts=("spinlock", "slub", "ftrace", "kprobes", "perf"),
            is_detector=True,
            isolation=Isolation.KEPT,
        ),
        # The core features, mutexes and rwsems
        Feature(
            name="hidden",
            symbols=(
                "DEBUG_SPINLOCK", "DEBUG_MUTEXES", "DEBUG_RWSEMS", "SLUB_DEBUG", "FTRACE", "FUNCTION_TRACER",
                "DYNAMIC_FTRACE", "FUNCTION_GRAPH_TRACER", "KPROBES", "KPROBE_EVENTS", "PERF_EVENTS",
            ),
            follows={
                **_SPINLOCK, **_STACKS, **_FTRACE, **_KPROBES, **_PERF,
                **_PROBE_EVENTS,
            },
            parts=("spinlock", "mutexes", "rwsems", "slub", "ftrace", "kprobes", "perf"),
            is_detector=True,
            isolation=Isolation.KEPT,
        ),
        # Features that are often switched on together with these
        Feature(name="tracing", symbols=("FTRACE", "ENABLE_DEFAULT_TRACERS"), follows=_TRACING, patches_code=True),
        Feature(
            name="mutexes",
            symbols=("DEBUG_MUTEXES",),
            violation=("lock", "WARNING: .*mutex"),
            isolation=Isolation.KEPT,
        ),
        Feature(
            name="rwsems",
            symbols=("DEBUG_RWSEMS",),
            violation=("lock", "WARNING: .*rwsem"),
            isolation=Isolation.KEPT,
        ),
        Feature(
            name="list",
            symbols=("DEBUG_LIST",),
            follows=_because("lib/Kconfig.debug: selected by DEBUG_LIST (Linux 6.6)", "LIST_HARDENED"),
            violation=("list", "list_add corruption"),
            is_detector=True,
        ),
        Feature(
            name="pagealloc",
            symbols=("DEBUG_PAGEALLOC",),
            # Pages that cannot be unmapped are poisoned: mm/page_alloc.c, init_mem_debugging_and_hardening()
            violation=("access|slub", "page fault|paging request|memory corruption|single bit error"),
            boot="debug_pagealloc=on",
        ),
        Feature(
            name="kmemleak",
            symbols=("DEBUG_KMEMLEAK",),
            follows=_KMEMLEAK,
            violation=("kmemleak", "new suspected memory leaks"),
        ),
        Feature(
            name="kfence",
            symbols=("KFENCE",),
            follows=_because("lib/Kconfig.kfence: a setting of KFENCE",
                             "KFENCE_NUM_OBJECTS", "KFENCE_SAMPLE_INTERVAL", "KFENCE_STRESS_TEST_FAULTS"),
            violation=("kfence", "out-of-bounds"),
            boot="kfence.sample_interval=1",
        ),
        Feature(
            name="atomic-sleep",
            symbols=("DEBUG_ATOMIC_SLEEP",),
            follows=_PREEMPT_COUNT,
            violation=("atomic-sleep", "sleeping function called from invalid context"),
            isolation=Isolation.KEPT_WITH_PREEMPTION,
        ),
        Feature(
            name="objects",
            symbols=(
                "DEBUG_OBJECTS", "DEBUG_OBJECTS_FREE", "DEBUG_OBJECTS_TIMERS", "DEBUG_OBJECTS_WORK",
                "DEBUG_OBJECTS_RCU_HEAD", "DEBUG_OBJECTS_PERCPU_COUNTER",
            ),
            follows=_OBJECTS,
            violation=("odebug", "ODEBUG: free active"),
            isolation=Isolation.KEPT,
        ),
        Feature(
            name="kobject-release",
            symbols=("DEBUG_OBJECTS", "DEBUG_OBJECTS_TIMERS", "DEBUG_KOBJECT_RELEASE"),
            follows=_OBJECTS,
            isolation=Isolation.KEPT,
        ),
        Feature(
            name="latency",
            symbols=("FTRACE", "IRQSOFF_TRACER"),
            follows=_LATENCY,
            isolation=Isolation.KEPT,
        ),
        # Options that add members to structures, and little else
        Feature(
            name="members",
            symbols=(
                "SCHEDSTATS", "FAULT_INJECTION", "FAILSLAB", "FAIL_PAGE_ALLOC", "FAULT_INJECTION_DEBUG_FS",
                "PAGE_OWNER", "GENERIC_IRQ_DEBUGFS", "WATCH_QUEUE", "SHRINKER_DEBUG",
            ),
            follows=_MEMBERS,
            boot="page_owner=on",
            isolation=Isolation.KEPT,
        ),
        Feature(
            name="lockdep",
            symbols=("PROVE_LOCKING",),
            follows=_LOCKDEP,
            violation=("lockdep", "possible circular locking dependency"),
            isolation=Isolation.KEPT_WITH_PREEMPTION,
        ),
        Feature(
            name="kasan",
            symbols=("KASAN", "KASAN_GENERIC", "KASAN_VMALLOC"),
            follows=_KASAN,
            violation=("kasan", "slab-out-of-bounds"),
            isolation=Isolation.KEPT,
            boot="kasan_multi_shot",
        ),
        # All that the isolation series hides of what one switches on in a kernel for debugging
        Feature(
            name="debug-set",
            symbols=(
                "DEBUG_SPINLOCK", "DEBUG_MUTEXES", "DEBUG_RWSEMS", "FTRACE", "FUNCTION_TRACER", "DYNAMIC_FTRACE",
                "FUNCTION_GRAPH_TRACER", "IRQSOFF_TRACER", "KPROBES", "KPROBE_EVENTS", "PERF_EVENTS",
                "DEBUG_ATOMIC_SLEEP", "DEBUG_OBJECTS", "DEBUG_OBJECTS_FREE", "DEBUG_OBJECTS_TIMERS",
                "DEBUG_OBJECTS_WORK", "DEBUG_OBJECTS_RCU_HEAD", "DEBUG_OBJECTS_PERCPU_COUNTER", "SCHEDSTATS",
                "FAULT_INJECTION", "FAILSLAB", "FAIL_PAGE_ALLOC",
                "FAULT_INJECTION_DEBUG_FS", "PAGE_OWNER", "GENERIC_IRQ_DEBUGFS", "WATCH_QUEUE", "SHRINKER_DEBUG",
                "KASAN", "KASAN_GENERIC", "KASAN_VMALLOC",
            ),
            follows={
                **_SPINLOCK, **_FTRACE, **_KPROBES, **_PERF, **_PREEMPT_COUNT, **_OBJECTS, **_LATENCY, **_MEMBERS,
                **_KASAN,
                **_PROBE_EVENTS,
            },
            parts=(
                "spinlock", "mutexes", "rwsems", "ftrace", "kprobes", "perf", "atomic-sleep", "objects", "members",
                "kasan",
            ),
            boot="kasan_multi_shot page_owner=on",
            isolation=Isolation.KEPT_WITH_PREEMPTION,
        ),
        # What openSUSE's debug flavour has more than its default one, without lockdep and KASAN
        Feature(
            name="opensuse",
            symbols=(
                "DEBUG_SPINLOCK", "DEBUG_MUTEXES", "DEBUG_RT_MUTEXES", "DEBUG_ATOMIC_SLEEP", "DEBUG_SHIRQ",
                "FAULT_INJECTION", "FAILSLAB", "FAIL_PAGE_ALLOC",
            ),
            follows={**_SPINLOCK, **_PREEMPT_COUNT},
            parts=("spinlock", "mutexes", "atomic-sleep"),
            isolation=Isolation.KEPT_WITH_PREEMPTION,
        ),
        # What the debug kernels of Fedora and RHEL have in common, and their production kernels have not
        Feature(
            name="distro",
            symbols=(
                "DEBUG_SPINLOCK", "DEBUG_MUTEXES", "DEBUG_RT_MUTEXES", "DEBUG_RWSEMS", "DEBUG_LOCK_ALLOC",
                "PROVE_LOCKING", "DEBUG_ATOMIC_SLEEP", "DEBUG_OBJECTS", "DEBUG_OBJECTS_FREE", "DEBUG_OBJECTS_TIMERS",
                "DEBUG_OBJECTS_WORK", "DEBUG_OBJECTS_RCU_HEAD", "DEBUG_OBJECTS_PERCPU_COUNTER", "DEBUG_PAGEALLOC",
                "DEBUG_VM", "FAULT_INJECTION", "FAILSLAB", "FAIL_PAGE_ALLOC", "KASAN", "KASAN_GENERIC",
                "KASAN_INLINE", "KASAN_VMALLOC",
            ),
            follows={**_LOCKDEP, **_OBJECTS, **_KASAN, **_KMEMLEAK, **_DISTRO},
            parts=("atomic-sleep", "objects", "kasan", "lockdep"),
            boot="kasan_multi_shot",
            isolation=Isolation.KEPT_WITH_PREEMPTION,
        ),
    )
}  # fmt: skip

CORE_FEATURES = ("spinlock", "slub", "ftrace", "kprobes", "perf")


def features_named(names: Iterable[str]) -> tuple[Feature, ...]:
    """Features by name. Raises ModcompatError with the known names if one is unknown."""
    wanted = list(names)
    unknown = [name for name in wanted if name not in FEATURES]
    if unknown:
        raise ModcompatError(f"there is no feature {', '.join(unknown)}", next_step=f"known are {', '.join(FEATURES)}")
    return tuple(FEATURES[name] for name in wanted)
