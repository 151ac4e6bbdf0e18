# SPDX-License-Identifier: Apache-2.0
"""Kernel versions: the isolation series, and the changes of Linux that the harness depends on.

To add an isolation series, add an entry in SERIES and a folder in images/isolation/. The constants are for the loader's
simulation and the memory checks.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

Version = tuple[int, ...]

# Since this version the loader requires that the section .gnu.linkonce.this_module has the size of the kernel's struct
# module (elf_validity_cache_index_mod() of kernel/module/main.c).
STRUCT_MODULE_SIZE_IS_CHECKED: Version = (6, 4)
# Since this version the loader reads symbol versions from __version_ext_crcs and __version_ext_names if a module has
# them, and ignores __versions then (check_version() of kernel/module/version.c).
EXTENDED_VERSIONS_ARE_READ: Version = (6, 14)
# Since this version each kind of a module's memory is allocated separately (struct module_memory of
# include/linux/module.h).
MODULE_MEMORY_IS_SPLIT: Version = (6, 4)


@dataclass(frozen=True)
class Series:
    """The isolation series of a stable kernel. tests/unit/kernel/test_kernel_versions.py compares it with patches."""

    # the stable kernel, and the folder in images/isolation/
    name: str
    # the options whose tags are in include/linux/module_abi.h, in its order: the series does not hide them from
    # modules, and its loader refuses modules that were built with another setting
    blocking_options: tuple[str, ...]
    # the features with an option of the series that says whether production has them (MODULE_ABI_PRODUCTION_HAS_...),
    # in the order of its patches
    production_options: tuple[str, ...]
    # versions from which on the patches of the series itself apply; older trees take those of `before-VERSION`
    forks: tuple[str, ...] = ()
    # types of scripts/checkpatch.pl that do not apply -> why
    checkpatch_exceptions: Mapping[str, str] = field(default_factory=dict)

    @property
    def package(self) -> str:
        """Debian's source package of the kernel."""
        return f"linux-source-{self.name}"


_CHECKPATCH_EXCEPTIONS = {
    "FILE_PATH_CHANGES": "new files are in directories that MAINTAINERS lists",
    "CONFIG_DESCRIPTION": "whether production has an option is all that there is to say of each such symbol",
    "CONSIDER_KSTRTO": "sound/core/pcm.c reads a number as upstream, and stores it in another place",
    "COMPLEX_MACRO": "MODULE_ABI_TAGS is a list of string literals, to be concatenated",
    "LOCKDEP": "lockdep itself may well look for the class that is not validated",
    "EXPORT_SYMBOL": "a macro makes the names of lockdep's maps that are variables",
    "AVOID_BUG": "GFP_SLAB_BUG_MASK is upstream's name",
}
_ALL_SERIES = (
    Series(
        "6.1",
        blocking_options=(
            "USB_MON", "NET_DROP_MONITOR", "DEBUG_LOCK_ALLOC", "LOCK_STAT", "PREEMPT_COUNT", "KASAN_SW_TAGS",
            "KASAN_HW_TAGS", "KCSAN", "KMSAN", "BLK_DEV_IO_TRACE", "GCC_PLUGIN_STACKLEAK", "DEBUG_FS",
            "BLK_DEBUG_FS", "DEBUG_KMAP_LOCAL", "DEBUG_KMAP_LOCAL_FORCE_MAP", "CRYPTO_STATS",
            "CGROUP_PERF", "CGROUP_DEBUG", "NETPOLL", "CONSOLE_POLL", "SUNRPC_DEBUG",
            "MAC80211_DEBUGFS", "VIDEO_ADV_DEBUG", "DEBUG_BUGVERBOSE", "KEY_NOTIFICATIONS", "NL80211_TESTMODE",
            "SND_VERBOSE_PROCFS", "DRM_DEBUG_MM", "DRM_DEBUG_DP_MST_TOPOLOGY_REFS",
        ),
        production_options=(
            "TRACING", "BPF_EVENTS", "FUNCTION_TRACER", "KPROBES", "PERF_EVENTS",
            "FUNCTION_GRAPH_TRACER", "UPROBES", "TASKS_RCU", "DEBUG_SPINLOCK", "DEBUG_MUTEXES",
            "DEBUG_RWSEMS", "CONSTRUCTORS", "FUNCTION_ERROR_INJECTION", "KUNIT", "LIVEPATCH", "PRINTK_INDEX",
            "DETECT_HUNG_TASK", "FAULT_INJECTION", "LATENCYTOP", "PAGE_OWNER", "RV", "SCHED_INFO",
            "SCHEDSTATS", "TASKS_TRACE_RCU", "UBSAN", "KCOV", "DEBUG_CREDENTIALS",
            "DEBUG_KOBJECT_RELEASE", "PAGE_EXTENSION", "GENERIC_IRQ_DEBUGFS", "WATCH_QUEUE",
            "DEBUG_OBJECTS_WORK", "DEBUG_ATOMIC_SLEEP", "DEBUG_PREEMPT", "TRACE_IRQFLAGS", "KASAN",
            "SND_DEBUG", "SND_DEBUG_VERBOSE", "SND_PCM_XRUN_DEBUG", "FAIL_MMC_REQUEST", "NET_DEV_REFCNT_TRACKER",
            "NET_NS_REFCNT_TRACKER", "REF_TRACKER", "PAGE_POOL_STATS", "DEBUG_TLBFLUSH",
            "SHRINKER_DEBUG", "DEBUG_LOCK_ALLOC", "FAULT_INJECTION_DEBUG_FS",
        ),
        forks=("6.1.184", "6.1.190", "6.1.191"),
        checkpatch_exceptions=_CHECKPATCH_EXCEPTIONS,
    ),
    Series(
        "6.12",
        blocking_options=(
            "USB_MON", "NET_DROP_MONITOR", "DEBUG_LOCK_ALLOC", "LOCK_STAT", "PREEMPT_COUNT", "KASAN_SW_TAGS",
            "KASAN_HW_TAGS", "KCSAN", "KMSAN", "BLK_DEV_IO_TRACE", "GCC_PLUGIN_STACKLEAK", "DEBUG_FS",
            "BLK_DEBUG_FS", "DEBUG_KMAP_LOCAL", "DEBUG_KMAP_LOCAL_FORCE_MAP", "CGROUP_PERF",
            "CGROUP_DEBUG", "NETPOLL", "CONSOLE_POLL", "VIRTIO_DEBUG", "DEBUG_CLOSURES", "SCSI_UFS_FAULT_INJECTION",
            "SUNRPC_DEBUG", "MAC80211_DEBUGFS", "VIDEO_ADV_DEBUG", "DEBUG_BUGVERBOSE", "KEY_NOTIFICATIONS",
            "NL80211_TESTMODE", "SND_VERBOSE_PROCFS", "DRM_DEBUG_MM", "DRM_DEBUG_DP_MST_TOPOLOGY_REFS",
            "MEM_ALLOC_PROFILING",
        ),
        production_options=(
            "TRACING", "BPF_EVENTS", "FUNCTION_TRACER", "KPROBES", "PERF_EVENTS",
            "FUNCTION_GRAPH_TRACER", "UPROBES", "TASKS_RCU", "TASKS_TRACE_RCU", "DEBUG_SPINLOCK",
            "DEBUG_MUTEXES", "DEBUG_RWSEMS", "CONSTRUCTORS", "DEBUG_INFO_BTF_MODULES", "FUNCTION_ERROR_INJECTION",
            "KUNIT", "LIVEPATCH", "PRINTK_INDEX", "DETECT_HUNG_TASK", "FAULT_INJECTION", "LATENCYTOP", "PAGE_OWNER",
            "RV", "SCHED_INFO", "SCHEDSTATS", "UBSAN", "USER_EVENTS", "KCOV", "DEBUG_KOBJECT_RELEASE",
            "PAGE_EXTENSION", "GENERIC_IRQ_DEBUGFS", "WATCH_QUEUE", "DEBUG_OBJECTS_WORK",
            "DEBUG_ATOMIC_SLEEP", "DEBUG_PREEMPT", "TRACE_IRQFLAGS", "KASAN", "DEBUG_OBJECTS",
            "FAILSLAB", "KFENCE", "SND_DEBUG", "SND_DEBUG_VERBOSE", "SND_PCM_XRUN_DEBUG", "FAIL_MMC_REQUEST",
            "NET_DEV_REFCNT_TRACKER", "NET_NS_REFCNT_TRACKER", "REF_TRACKER", "PAGE_POOL_STATS",
            "DEBUG_TLBFLUSH", "PER_VMA_LOCK_STATS", "DEBUG_STACK_USAGE", "SHRINKER_DEBUG",
            "DEBUG_LOCK_ALLOC", "FAULT_INJECTION_DEBUG_FS",
        ),
        forks=("6.12.111", "6.12.113", "6.12.115"),
        checkpatch_exceptions={
            **_CHECKPATCH_EXCEPTIONS,
            "MACRO_ARG_UNUSED": "__DEBUG_MUTEX_INITIALIZER(lockname) is as upstream has it, elsewhere",
        },
    ),
)  # fmt: skip
SERIES: Mapping[str, Series] = {series.name: series for series in _ALL_SERIES}


def series_name(release: str) -> str:
    """The name that the series of a kernel has, or would have: `6.1` for 6.1.192."""
    return ".".join(release.split(".")[:2])


def series_of(release: str) -> Series | None:
    """The isolation series of a kernel release (`6.1.192`); None if there is none."""
    return SERIES.get(series_name(release))


def version_in(release: str) -> Version:
    """Major and minor number that a release begins with, to be compared; (0, 0) if it begins with something else."""
    found = re.match(r"(\d+)\.(\d+)", release)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def numbers(version: str) -> Version:
    """All numbers of a version, to be compared: (6, 1, 192)."""
    return tuple(int(part) for part in version.split(".") if part.isdigit())
