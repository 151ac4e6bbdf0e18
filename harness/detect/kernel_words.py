# SPDX-License-Identifier: Apache-2.0
"""Words of the kernel that are recognized in a line of any log, to learn what the log puts in front of them.

Both tables map a file of Linux 6.12, or a reason, to patterns, which match at the beginning of a message, and each
pattern to a message that it matches; a test checks that it does. They need not be complete: a report has several lines
of the first table, and a boot has dozens of the second.
"""

import re
from collections.abc import Mapping

_NAME = r"[A-Za-z_$][\w.$]*"
_FRAME = rf"{_NAME}\+0x[0-9a-f]+/0x[0-9a-f]+"

# Lines that only a report of the kernel has
REPORT_WORDS: Mapping[str, Mapping[str, str]] = {
    "lib/dump_stack.c, kernel/panic.c, kernel/module/main.c": {
        r"CPU: \d+ (?:UID: \d+ )?PID: \d+ Comm: ": "CPU: 1 PID: 39 Comm: insmod Not tainted 6.12.0 #1",
        r"Hardware name: ": "Hardware name: linux,dummy-virt (DT)",
        r"Workqueue: \S": "Workqueue: events deferred_probe_timeout_work_func",
        r"Modules linked in:": "Modules linked in: holders(O)",
        r"Call [Tt]race:": "Call trace:",
        r"---\[ end (?:trace|Kernel panic)": "---[ end trace 0000000000000000 ]---",
        r"Kernel panic - not syncing": "Kernel panic - not syncing: Fatal exception",
        r"Kernel Offset: ": "Kernel Offset: disabled",
    },
    "include/asm-generic/bug.h, arch/arm/mm/fault.c": {
        r"-{8,}\[ cut here \]-": "------------[ cut here ]------------",
        r"8<--- cut here ---": "8<--- cut here ---",
    },
    "stack frames of arch/*/kernel": {
        rf" *(?:\[<[0-9a-f]+>\] )?(?:\([0-9a-f]+\) )?(?:\? )?{_FRAME}": " do_one_initcall+0x5a/0x220",
        rf" ?{_NAME}(?: \[\w+\])? from {_NAME}\+0x": " show_stack from dump_stack_lvl+0x40/0x4c",
        rf" *\[<[0-9a-f]+>\] \(?{_NAME}": "[<80110fa8>] (unwind_backtrace) from [<8010c9d0>]",
        r" ?</?(?:TASK|IRQ|NMI|SOFTIRQ|#DF)>": " <TASK>",
    },
    "registers: arch/*/kernel/process.c, traps.c, mm/fault.c": {
        r"(?:RIP|EIP): (?:[0-9a-f]{4}:)?\S": "RIP: 0010:vendor_run+0x10/0x20 [vendor]",
        r"(?:RSP|RAX|RDX|RBP|R10|R13|EAX|ESI): [0-9a-f]{4}": "RAX: 0000000000000000 RBX: ffff888007a20000",
        r"(?:FS|CS|CR2|DS):  ?[0-9a-f]{4}": "CS:  0010 DS: 0000 ES: 0000 CR0: 0000000080050033",
        r"(?:pc|lr|sp|epc|ra) *: ?\[?<?[0-9a-zA-Z_]{4}": "pc : vendor_run+0x10/0x20 [vendor]",
        r"(?:x\d{1,2}|r\d{1,2}) ?: [0-9a-f]{8}": "x29: ffff80000f5b3b50 x28: ffff80000149c380",
        r"pstate: [0-9a-f]{8}": "pstate: 20000005 (nzCv daif -PAN -UAO)",
        r"(?:PC|LR) is at ": "PC is at vendor_run+0x0/0x4 [vendor]",
        r"(?:NIP|LR) (?:\[[0-9a-f]+\]|: )": "NIP [c000000000010a4c] vendor_run+0x1c/0x40",
        r"(?:Mem|Data) abort info:": "Mem abort info:",
        r"\#PF: ": "#PF: supervisor read access in kernel mode",
        r"(?:Oops|Internal error)(?:: | - |\[#)": "Oops: 0002 [#1] SMP",
        r"Code: [0-9a-f(<]+ [0-9a-f(<]": "Code: ff ff ff 48 8d 51 ff",
    },
    "kernel/locking/lockdep.c": {
        r"other info that might help us debug this:": "other info that might help us debug this:",
        r"stack backtrace:": "stack backtrace:",
        r"\d+ locks? held by ": "1 lock held by insmod/40:",
        r"the (?:existing dependency chain|shortest dependencies)":
            "the existing dependency chain (in reverse order) is:",
    },
    "mm/kasan/report.c, mm/slub.c, kernel/hung_task.c": {
        r"(?:Read|Write) of size \d+ at addr ": "Write of size 1 at addr ffff8880008dc500 by task insmod/39",
        r"(?:Allocated|Freed) by task \d+": "Allocated by task 39:",
        r"The buggy address ": "The buggy address is located 0 bytes to the right of",
        r"Memory state around the buggy address": "Memory state around the buggy address:",
        r"\"echo 0 > /proc/sys/kernel": '"echo 0 > /proc/sys/kernel/hung_task_timeout_secs" disables this message.',
        r"task:.{1,16} state:[A-Z]": "task:sh              state:D stack:0     pid:60",
    },
}  # fmt: skip

# Lines of a kernel that works
OTHER_WORDS: Mapping[str, Mapping[str, str]] = {
    "init/main.c, init/version.c": {
        r"Linux version \d+\.\d": "Linux version 6.12.0 (user@host) #1 SMP",
        r"(?:Kernel command|Command) line: ": "Kernel command line: console=ttyS0",
        r"Booting Linux on ": "Booting Linux on physical CPU 0x0",
        r"Freeing (?:unused|initrd|init) ": "Freeing unused kernel image (initmem) memory: 1024K",
        r"Run \S+ as init process": "Run /sbin/init as init process",
        r"(?:calling|initcall) +\w+\+0x": "calling  vendor_init+0x0/0x1000 [vendor] @ 40",
    },
    "kernel/module/main.c, kernel/panic.c": {
        r"[\w-]+: loading out-of-tree module taints kernel": "vendor: loading out-of-tree module taints kernel.",
        r"[\w-]+: module (?:verification failed|license ')": "vendor: module license 'Vendor' taints kernel.",
        r"Disabling lock debugging due to kernel taint": "Disabling lock debugging due to kernel taint",
    },
    "mm/mm_init.c, mm/page_alloc.c, mm/slub.c, lib/*": {
        r"Memory: \d+K/\d+K available": "Memory: 100000K/131072K available (8192K kernel code)",
        r"Zone ranges:": "Zone ranges:",
        r"Built \d+ zonelists": "Built 1 zonelists, mobility grouping on.  Total pages: 32512",
        r"(?:Dentry cache|Inode-cache|Mount-cache|TCP|UDP) \S*.*hash table": "Dentry cache hash table entries: 16384",
        r"SLUB: HWalign": "SLUB: HWalign=64, Order=0-3, MinObjects=0, CPUs=1, Nodes=1",
        r"percpu: Embedded ": "percpu: Embedded 17 pages/cpu s40960 r8192 d20480 u69632",
        r"random: (?:crng|fast init|get_random|uninitialized)": "random: crng init done",
    },
    "kernel/time, kernel/sched, kernel/rcu, kernel/printk, kernel/smp.c": {
        r"(?:rcu|printk|clocksource|sched_clock|smpboot|smp|audit|perf|workqueue|cpuidle|cpufreq)\w*: \S":
            "clocksource: jiffies: mask: 0xffffffff max_cycles: 0xffffffff",
        r"Calibrating delay loop": "Calibrating delay loop... 125.00 BogoMIPS (lpj=625000)",
        r"Console: (?:colour|switching)": "Console: colour dummy device 80x30",
        r"NR_IRQS: \d": "NR_IRQS: 64, nr_irqs: 64, preallocated irqs: 0",
    },
    "firmware tables: drivers/of, drivers/acpi, drivers/firmware, arch/*": {
        r"(?:OF|ACPI|efi|psci|arm_smccc|GICv\d|arch_timer|x86/\w+|PCI|pnp|KASLR)\w*: \S": "psci: PSCIv1.1",
        r"PM: (?:suspend|hibernat|resume|Registered|Adding)": "PM: suspend entry (deep)",
        r"BIOS-(?:provided|e820)": "BIOS-e820: [mem 0x0000000000000000-0x000000000009fbff] usable",
        r"Machine model: |SBI specification |Detected .*CPU features?": "Machine model: linux,dummy-virt",
        r"CPU(?:\d+: |: (?:Testing|ARMv|div|Physical)| features: )": "CPU: Testing write buffer coherency: ok",
    },
    "dev_printk() of drivers/base/core.c: driver, device, text": {
        r"[\w.-]+ (?:[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]|\d+-[\d.]+(?::\d+\.\d+)?|[0-9a-f]{3,}\.[\w-]+)"
        r"(?: \w+)?: ": "usb 1-1: new high-speed USB device number 2 using xhci_hcd",
    },
    "drivers/*, net/*, fs/*": {
        r"(?:usbcore|NET|TCP|VFS|IPv6|Bluetooth|hid-\w+|i2c_\w+|rtc-\w+|thermal_\w+|iommu|cfg80211): \S":
            "NET: Registered PF_INET protocol family",
        r"input: .* as /devices/": "input: Power Button as /devices/LNXSYSTM:00/LNXPWRBN:00/input/input0",
        r"(?:hub|usb|ata|scsi|sd|mmc|mmcblk|nvme|tty\w*|eth|wlan)\d[\w.:-]*:? \S": "mmc0: new high speed SDHC card",
        r"(?:EXT4|XFS|BTRFS|F2FS|SQUASHFS|UBIFS|JBD2)[\w-]* ?(?:\(|\w*: )": "EXT4-fs (vda): mounted filesystem",
        r"io scheduler [\w-]+ registered": "io scheduler mq-deadline registered",
        r"[\w-]+: renamed from \w+": "enp0s1: renamed from eth0",
        r"\w+\[\d+\]: segfault at |traps: \w+\[\d+\]": "app[3615]: segfault at 8 ip 0 sp 0 error 15",
    },
}  # fmt: skip


def _joined(table: Mapping[str, Mapping[str, str]]) -> str:
    return "|".join(pattern for patterns in table.values() for pattern in patterns)


# `lastindex` of a match is the number of the pattern
REPORT_LINE = re.compile("|".join(f"({pattern})" for patterns in REPORT_WORDS.values() for pattern in patterns))
OTHER_LINE = re.compile(_joined(OTHER_WORDS))
# A line of any form that holds a message of the kernel: its stamp of printk (kernel/printk/printk.c, print_time()), its
# record (/dev/kmsg), its tag (syslog, journal), or its words behind anything
KERNEL_LINE = re.compile(
    rb"\[ *\d+\.\d{6}(?!\d)|\bkernel: |^\d+,\d+,\d+,[-\w]*[;,]|<\d{1,3}>\[|[>|\]] ?kern +:\w+ *:|"
    rb"(?:^|(?<=[\]>\"'=;|\t])|(?<=[\]:|>)] ))(?:" + f"{_joined(REPORT_WORDS)}|{_joined(OTHER_WORDS)}".encode() + rb")",
    re.MULTILINE,
)
