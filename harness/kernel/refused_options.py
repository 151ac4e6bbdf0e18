# SPDX-License-Identifier: Apache-2.0
"""Why the isolation series does not hide an option: docs/reference/refused-options.md is made of this.

The loader refuses modules that were built with another setting of one of these. The tables hold for every series;
harness/kernel/versions.py has the options of each.
"""

from collections.abc import Mapping

# The option cannot be hidden, whatever is done.
IMPOSSIBLE: Mapping[str, str] = {
    "PREEMPT_COUNT": "where production does not count preemption, preempt_disable() and spin_lock() of a module are no "
    "more than barriers for the compiler; the kernel would preempt the module where it must not, and could not know",
    "DEBUG_LOCK_ALLOC": "where production is without PREEMPTION, modules have unlock operations inlined, and lockdep "
    "would not hear of them; with PREEMPTION, it is hidden",
    "LOCK_STAT": "as for DEBUG_LOCK_ALLOC, in whose classes it counts",
    "KASAN_SW_TAGS": "pointers have a tag in their upper bits, which code of a module that computes with addresses "
    "(virt_to_page(), virt_addr_valid()) does not take off",
    "KASAN_HW_TAGS": "as for KASAN_SW_TAGS, and the flags of page allocations and of struct page are other ones",
    "KMSAN": "what code without instrumentation writes counts as not initialised: each use of it would be a false "
    "alarm",
    "DEBUG_KMAP_LOCAL": "with highmem, it doubles the array of mappings in task_struct, and the fixed addresses behind "
    "those of the mappings, which are constants in modules",
    "DEBUG_KMAP_LOCAL_FORCE_MAP": "kmap_local_page() and kunmap_local() of a module use the direct map and unmap "
    "nothing; the kernel's own unmap what they mapped, and each may get an address from the other",
    "CGROUP_PERF": "controllers are numbered, and css_set and cgroup have an element for each in an array in front of "
    "other members",
    "CGROUP_DEBUG": "as for CGROUP_PERF: it is the last controller, and the arrays have other members behind them",
    "CRYPTO_STATS": "the counters are in struct crypto_alg, which is a module's own object and part of others",
    "VIDEO_ADV_DEBUG": "its operations are in the middle of those that a driver fills in, and calls go by their place",
    "NL80211_TESTMODE": "its operations are in the middle of those that a driver fills in, and calls go by their place",
    "CONSOLE_POLL": "its operations are in the middle of those that a driver fills in, and calls go by their place",
    "NETPOLL": "its operations (NET_POLL_CONTROLLER) are in the middle of those that a network driver fills in, and "
    "calls go by their place; struct napi_struct, which drivers embed, has a member for it in front of others",
    "MEM_ALLOC_PROFILING": "each allocation is counted where it was called, by a macro that a module did not use, and "
    "hash tables, which are in modules' own objects, have a pointer for it",
}

# The option may well be hidden, but nobody has done it.
OPEN: Mapping[str, str] = {
    "KCSAN": "accesses of a module would go unseen, as with KASAN; not tried",
    "BLK_DEV_IO_TRACE": "it has a pointer in the middle of request_queue, behind whose last member there is room for "
    "one more object; distributions have it in production",
    "BLK_DEBUG_FS": "an operation of blk_mq_ops, which drivers fill in, and which the kernel would have to do without",
    "GCC_PLUGIN_STACKLEAK": "it protects and does not debug; it needs plugins of the compiler, and has not been tried",
    "DEBUG_FS": "dozens of subsystems have pointers to directories in their structures, some of which drivers embed "
    "(dma_chan, components of sound cards); production nearly always has it",
    "USB_MON": "members at the end of usb_bus, which is the first part of usb_hcd; distributions have it in production",
    "NET_DROP_MONITOR": "a pointer in the middle of net_device; distributions have it in production, and it traces, "
    "rather than debugs",
    "DEBUG_BUGVERBOSE": "each WARN() and BUG() of a module has an entry in the module's own table, and the entry is "
    "longer with the option, except on arm; the loader would have to rewrite it; production nearly always has it",
    "KEY_NOTIFICATIONS": "a pointer in the middle of struct key, whose payload inlined code reads",
    "SND_VERBOSE_PROCFS": "directories in the middle of structures of PCM streams; production nearly always has it",
    "SCSI_UFS_FAULT_INJECTION": "two attributes in the middle of ufs_hba, which drivers of host controllers know",
    "SUNRPC_DEBUG": "members of rpc_task, rpc_clnt and rpc_xprt; the code is a module of production itself as a rule",
    "MAC80211_DEBUGFS": "operations and members of mac80211, which is a module of production itself as a rule",
    "DRM_DEBUG_MM": "each node of drm_mm has its stack trace, and nodes are in drivers' own objects",
    "DRM_DEBUG_DP_MST_TOPOLOGY_REFS": "histories in objects of the helper, which is a module of production as a rule",
    "VIRTIO_DEBUG": "members of virtio_device, which is part of the transports' objects",
    "DEBUG_CLOSURES": "each closure has a magic number and list heads, and closures are in modules' own objects",
}
