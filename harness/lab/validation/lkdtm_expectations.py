# SPDX-License-Identifier: Apache-2.0
"""The outcome that each of LKDTM's crash points must have on a production kernel, and why some are not reported.

The reasons name the option, or the processor's feature, that would report the bug: drivers/misc/lkdtm,
images/kconfig/common.config.
"""

from dataclasses import dataclass

from harness.kernel.arch import ARM, ARM64, RISCV64, X86_64

_STALL = "rcu-stall|lockup"
_WATCHED = {_STALL, "hung-task"}


@dataclass(frozen=True)
class Outcome:
    """The required outcome of a crash point."""

    # regular expression for the kind of the first report; "" if there must be no report
    kind: str
    # of the guest: alive, hung or died
    fate: str = "alive"
    # why there is no report
    why: str = ""

    @property
    def within(self) -> float:
        """Seconds of the guest's clock in which it must be reported: watchdogs look every now and then."""
        return 30.0 if self.kind in _WATCHED else 5.0


def _each(outcome: Outcome, *points: str) -> dict[str, Outcome]:
    return dict.fromkeys(points, outcome)


def _unseen(why: str, *points: str) -> dict[str, Outcome]:
    return _each(Outcome("", why=why), *points)


OUTCOMES: dict[str, Outcome] = {
    **_each(Outcome("panic", "died"), "PANIC"),
    **_each(Outcome("bug"), "BUG"),
    **_each(Outcome("warning"), "WARNING", "WARNING_MESSAGE"),
    **_each(Outcome(_STALL, "hung"), "LOOP", "SOFTLOCKUP", "HARDLOCKUP", "SPINLOCKUP"),
    **_each(Outcome("hung-task", "hung"), "HUNG_TASK"),
    **_each(Outcome("stack", "died"), "EXHAUST_STACK", "CORRUPT_STACK", "CORRUPT_STACK_STRONG"),
    **_each(Outcome("list"), "CORRUPT_LIST_ADD", "CORRUPT_LIST_DEL"),
    **_each(
        Outcome("slub"),
        "SLAB_LINEAR_OVERFLOW", "WRITE_AFTER_FREE", "SLAB_FREE_DOUBLE", "SLAB_FREE_CROSS", "USERCOPY_SLAB_SIZE_FROM",
    ),
    **_each(
        Outcome("access"),
        "EXCEPTION", "VMALLOC_LINEAR_OVERFLOW", "SLAB_FREE_PAGE", "WRITE_RO", "WRITE_RO_AFTER_INIT", "WRITE_KERN",
        "EXEC_DATA", "EXEC_STACK", "EXEC_KMALLOC", "EXEC_VMALLOC", "EXEC_RODATA", "EXEC_USERSPACE", "EXEC_NULL",
        "ACCESS_NULL",
    ),
    **_each(
        Outcome("refcount"),
        *(
            f"REFCOUNT_{name}"
            for name in (
                "INC_OVERFLOW", "ADD_OVERFLOW", "INC_NOT_ZERO_OVERFLOW", "ADD_NOT_ZERO_OVERFLOW", "DEC_ZERO",
                "DEC_NEGATIVE", "DEC_AND_TEST_NEGATIVE", "SUB_AND_TEST_NEGATIVE", "INC_ZERO", "ADD_ZERO",
                "INC_SATURATED", "DEC_SATURATED", "ADD_SATURATED", "INC_NOT_ZERO_SATURATED",
                "ADD_NOT_ZERO_SATURATED", "DEC_AND_TEST_SATURATED", "SUB_AND_TEST_SATURATED",
            )
        ),
    ),
    # Four billion steps without giving the CPU up: a minute and more under emulation
    **_each(Outcome(_STALL, "hung"), "ATOMIC_TIMING", "REFCOUNT_TIMING"),
    **_unseen("only tells where the stack is", "REPORT_STACK", "REPORT_STACK_CANARY"),
    **_unseen("HAVE_EFFICIENT_UNALIGNED_ACCESS: the processor does it", "UNALIGNED_LOAD_STORE_WRITE"),
    **_unseen("UBSAN is off, and the kernel is built with -fno-strict-overflow", "OVERFLOW_SIGNED"),
    **_unseen("defined behaviour", "OVERFLOW_UNSIGNED"),
    **_unseen("UBSAN_BOUNDS is off", "ARRAY_BOUNDS"),
    **_unseen("VMAP_STACK is off: no guard pages", "STACK_GUARD_PAGE_LEADING", "STACK_GUARD_PAGE_TRAILING"),
    **_unseen("x86_64 only", "UNSET_SMEP"),
    **_unseen("i386 only", "DOUBLE_FAULT"),
    **_unseen("arm64 only", "CORRUPT_PAC"),
    **_unseen("a read; what is read is SLUB's poison", "READ_AFTER_FREE", "SLAB_INIT_ON_ALLOC"),
    **_unseen("pages are not poisoned (page_poison=1 is not given)", "WRITE_BUDDY_AFTER_FREE", "READ_BUDDY_AFTER_FREE"),
    **_unseen("INIT_ON_ALLOC_DEFAULT_ON is off", "BUDDY_INIT_ON_ALLOC"),
    **_unseen("the architecture has no function descriptors", "WRITE_OPD"),
    **_unseen("the emulated processor keeps the kernel from no user memory (SMAP, PAN)", "ACCESS_USERSPACE"),
    **_unseen(
        "HARDENED_USERCOPY is off",
        "USERCOPY_SLAB_SIZE_TO", "USERCOPY_SLAB_WHITELIST_TO", "USERCOPY_SLAB_WHITELIST_FROM",
        "USERCOPY_STACK_FRAME_TO", "USERCOPY_STACK_FRAME_FROM", "USERCOPY_STACK_BEYOND", "USERCOPY_VMALLOC",
        "USERCOPY_FOLIO", "USERCOPY_KERNEL",
    ),
    **_unseen("GCC_PLUGIN_STACKLEAK is off", "STACKLEAK_ERASING"),
    **_unseen("CFI_CLANG is off", "CFI_FORWARD_PROTO"),
    **_unseen("neither SHADOW_CALL_STACK nor ARM64_PTR_AUTH_KERNEL is on", "CFI_BACKWARD"),
    **_unseen(
        "FORTIFY_SOURCE is off",
        "FORTIFY_STR_OBJECT", "FORTIFY_STR_MEMBER", "FORTIFY_MEM_OBJECT", "FORTIFY_MEM_MEMBER", "FORTIFY_STRSCPY",
    ),
}  # fmt: skip

# Where an architecture differs
ON: dict[tuple[str, str], Outcome] = {
    (X86_64.name, "UNSET_SMEP"): Outcome("", why="the emulated processor has no SMEP"),
    (X86_64.name, "EXEC_USERSPACE"): Outcome("", why="the emulated processor has no SMEP"),
    (ARM64.name, "CORRUPT_PAC"): Outcome("", why="ARM64_PTR_AUTH_KERNEL is off"),
    # Without guard pages a stack runs over what lies below it, which may be noticed first: once in seven
    (ARM.name, "EXHAUST_STACK"): Outcome("stack|refcount", "died"),
    # The copy itself runs into the unmapped page
    (ARM.name, "USERCOPY_VMALLOC"): Outcome("access"),
    (ARM64.name, "USERCOPY_VMALLOC"): Outcome("access"),
    # A fault in the area of modules or of vmalloc() is taken for a page that is not mapped yet: what is forbidden is
    # tried again for ever (arch/riscv/mm/fault.c, vmalloc_fault())
    **{
        (RISCV64.name, point): Outcome(_STALL, "hung")
        for point in ("WRITE_RO", "WRITE_RO_AFTER_INIT", "WRITE_KERN", "EXEC_DATA", "EXEC_VMALLOC", "EXEC_RODATA")
    },
    # Without the SUM bit of its status register the kernel does not get at user memory (asm/uaccess.h)
    (RISCV64.name, "ACCESS_USERSPACE"): Outcome("access"),
}
TIMES = {"SPINLOCKUP": 2, "REPORT_STACK_CANARY": 2}  # number of calls until the point has its effect

# A small sample for a quick run
REPRESENTATIVE = ("WARNING", "BUG", "CORRUPT_STACK", "WRITE_AFTER_FREE", "REFCOUNT_DEC_ZERO", "HARDLOCKUP")


def outcome(arch: str, point: str) -> Outcome:
    """The outcome that a point must have. Raises KeyError for an unknown point."""
    return ON.get((arch, point)) or OUTCOMES[point]
