# SPDX-License-Identifier: Apache-2.0
"""The catalogue of deliberate bugs. To add one, add an entry here and a function in images/bugs.

Each bug is committed on the stock kernel of its feature, and three times on the isolated one: by a module that was
rebuilt for that kernel, by the same while a module built for production is loaded, and by a module built for
production.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from harness.kernel.arch import ARCHITECTURES
from harness.kernel.features import FEATURES, Feature
from harness.kernel.variants import Preemption, Variant, variant_of
from harness.support.paths import IMAGES

FOLDER = IMAGES / "bugs"


class Where(StrEnum):
    """Where a bug is committed: kernel and build of the module."""

    STOCK = "stock"
    REBUILT = "isolated, rebuilt"
    BESIDE = "isolated, rebuilt, beside a module built for production"
    VENDOR = "isolated, module built for production"


ISOLATED = (Where.REBUILT, Where.BESIDE, Where.VENDOR)

# Features whose bugs are committed on the kernels of debug-set
_OF_DEBUG_SET = ("kasan", "objects", "atomic-sleep")
# Features whose bugs are committed on kernels that count preemption
_COUNTING = (*_OF_DEBUG_SET, "lockdep")


@dataclass(frozen=True)
class Bug:
    """A deliberate bug, or something that a tool must see."""

    # the feature that reports it
    feature: str
    # the module in images/bugs that commits it
    source: str
    # value of the module's parameter `bug`, or argument of images/bugs/watch
    name: str
    # description
    what: str
    # regular expressions for kind and words of the kernel's report; None if a tool must see the module instead
    report: tuple[str, str] | None
    # shell command that runs first
    before: str = ""
    # where it is not reported, and why
    given_up: Mapping[Where, str] = field(default_factory=dict)
    # architecture -> further places where it is not reported
    given_up_on: Mapping[str, Mapping[Where, str]] = field(default_factory=dict)

    def lost_on(self, arch: str) -> Mapping[Where, str]:
        """Where it is not reported on an architecture, and why."""
        return {**self.given_up, **self.given_up_on.get(arch, {})}

    @property
    def id(self) -> str:
        return f"{self.source}/{self.name}"

    @property
    def kernel(self) -> Feature:
        """The feature whose kernels it is committed on: one that contains the bug's feature, or that itself."""
        if self.feature in _OF_DEBUG_SET:
            return FEATURES["debug-set"]
        together = FEATURES["all"]
        return together if self.feature in together.parts else FEATURES[self.feature]

    @property
    def preemption(self) -> Preemption:
        """The preemption model of these kernels."""
        return Preemption.FULL if self.feature in _COUNTING else Preemption.NONE

    def variant(self, where: Where) -> Variant:
        """The kernel that it is committed on."""
        return variant_of(self.kernel, self.preemption, isolated=where in ISOLATED)


_Lost = Mapping[Where, str]

_INLINED = {Where.VENDOR: "the unlock is compiled into the module, so no code of the kernel runs"}
_ZERO = dict.fromkeys(
    ISOLATED, "a lock that is all zero is an unlocked lock; without a magic number, nothing distinguishes it from one"
)
_ON_TICKETS = {
    arch.name: dict.fromkeys(
        ISOLATED, "every value is a valid ticket lock, and the pattern that poisons freed memory is an unlocked one"
    )
    for arch in ARCHITECTURES.values()
    if arch.quirks.has_ticket_locks
}
_ON_INLINING = {
    arch.name: {Where.VENDOR: "every lock operation is compiled into the module, so no code of the kernel runs"}
    for arch in ARCHITECTURES.values()
    if arch.quirks.inlines_locks
}
_NOT_DESTROYED = {Where.VENDOR: "mutex_destroy() is an empty inline function in the module"}
_NO_RED_ZONE = {Where.VENDOR: "the compiler left no red zones between the module's variables"}
_SMALL_STACKS = dict.fromkeys(
    ISOLATED, "stacks have production's size; there is no room for red zones between variables (KASAN_STACK is off)"
)
_UNKNOWN_WORK = dict.fromkeys(
    (Where.BESIDE, Where.VENDOR),
    "a module built for production does not tell which work items it initialises; once one is loaded, none is reported",
)
_UNKNOWN_ON_STACK = dict.fromkeys(
    (Where.BESIDE, Where.VENDOR),
    "a module built for production does not tell which objects are on its stack; once one is loaded, none is reported",
)
_UNKNOWN_STATE = {
    Where.VENDOR: "the module does not tell where it changes the task's state, so the kernel does not know whether it "
    "still means it"
}
_NOT_COMPILED = {Where.VENDOR: "the option's check is not compiled into the module, and no code of the kernel runs it"}
_ON_INLINED_COPY = {
    arch.name: {Where.VENDOR: "copies from and to user space are compiled into the module, without the check"}
    for arch in ARCHITECTURES.values()
    if arch.quirks.inlines_user_copies
}
_OF_ITS_OWN = {
    Where.VENDOR: "a module built for production does not tell which locks are of one kind, so each is one of its own"
}
_WHICH_OF_MANY = {
    Where.VENDOR: "the module takes a lock of the kernel itself, and does not tell which of several it means to nest"
}
_FOR_ANOTHER = {
    Where.VENDOR: "a module of production has down_read() for down_read_non_owner(), so another task may release it"
}
_ON_OWN_ENTRY = dict.fromkeys(
    ("arm", "arm64"),
    dict.fromkeys(
        Where, "only kernel/entry/common.c asks lockdep, and the architecture has its own code (GENERIC_ENTRY)"
    ),
)
_ON_NO_HOTPLUG = dict.fromkeys(
    ("arm", "arm64"), dict.fromkeys(Where, "production has no HOTPLUG_CPU, so that cpus_read_lock() does nothing")
)
_WATCHDOG = "echo 1 >/proc/sys/kernel/watchdog_thresh"


def _spinlock(
    name: str, what: str, words: str, given_up: _Lost | None = None, given_up_on: Mapping[str, _Lost] | None = None
) -> Bug:
    report, on = ("lock", f"BUG: spinlock {words}"), {**_ON_INLINING, **(given_up_on or {})}
    return Bug("spinlock", "spinlocks", name, what, report, given_up=given_up or {}, given_up_on=on)


def _rwlock(name: str, what: str, words: str, given_up: _Lost | None = None) -> Bug:
    report = ("lock", f"BUG: rwlock {words}")
    return Bug("spinlock", "rwlocks", name, what, report, given_up=given_up or {}, given_up_on=_ON_INLINING)


def _mutex(name: str, what: str, words: str, given_up: _Lost | None = None) -> Bug:
    report = ("lock", rf"DEBUG_LOCKS_WARN_ON\(.*{words}")
    return Bug("mutexes", "mutexes", name, what, report, given_up=given_up or {})


def _rwsem(name: str, what: str, words: str) -> Bug:
    return Bug("rwsems", "rwsems", name, what, ("lock", rf"DEBUG_RWSEMS_WARN_ON\(.*{words}"))


def _slab(name: str, what: str, words: str) -> Bug:
    return Bug("slub", "slabs", name, what, ("slub", words))


def _memory(
    name: str, what: str, words: str, given_up: _Lost | None = None, given_up_on: Mapping[str, _Lost] | None = None
) -> Bug:
    report = ("kasan", f"KASAN: .*{words}")
    return Bug("kasan", "memory", name, what, report, given_up=given_up or {}, given_up_on=given_up_on or {})


def _object(name: str, what: str, words: str, given_up: _Lost | None = None) -> Bug:
    return Bug("objects", "objects", name, what, ("odebug", f"ODEBUG: .*{words}"), given_up=given_up or {})


def _sleep(name: str, what: str, given_up: _Lost | None = None, given_up_on: Mapping[str, _Lost] | None = None) -> Bug:
    report = ("atomic-sleep", "BUG: sleeping function called from invalid context")
    return Bug("atomic-sleep", "sleeping", name, what, report, given_up=given_up or {}, given_up_on=given_up_on or {})


def _order(
    name: str, what: str, words: str, given_up: _Lost | None = None, given_up_on: Mapping[str, _Lost] | None = None
) -> Bug:
    report = ("lockdep", words)
    return Bug("lockdep", "dependencies", name, what, report, given_up=given_up or {}, given_up_on=given_up_on or {})


def _tool(feature: str, name: str, what: str, given_up: _Lost | None = None) -> Bug:
    return Bug(feature, "watched", name, what, None, given_up=given_up or {})


_NO_CALL_SITES = {Where.VENDOR: "the compiler left no call of the tracer in the module; a probe sees the function"}

BUGS = (
    _spinlock("recursion", "lock a spinlock that this task holds", "recursion"),
    _spinlock("cpu-recursion", "lock a spinlock that another task holds on this CPU", "cpu recursion"),
    _spinlock("already-unlocked", "unlock a spinlock that nobody holds", "already unlocked", _INLINED),
    _spinlock("already-unlocked-irqrestore", "the same with spin_unlock_irqrestore()", "already unlocked"),
    _spinlock("wrong-owner", "unlock a spinlock that another task holds", "wrong owner", _INLINED),
    _spinlock("wrong-owner-irqrestore", "the same with spin_unlock_irqrestore()", "wrong owner"),
    _spinlock("wrong-cpu", "unlock a spinlock on another CPU", "wrong CPU", _INLINED),
    _spinlock("wrong-cpu-irqrestore", "the same with spin_unlock_irqrestore()", "wrong CPU"),
    _spinlock("zeroed", "lock a spinlock that is all zero", "bad magic", _ZERO),
    _spinlock("uninitialised", "unlock a spinlock in memory that was never written to",
              "(?:bad magic|already unlocked)"),  # poison is an unlocked ticket lock
    _spinlock("freed", "lock a spinlock in memory that was freed", "bad magic", given_up_on=_ON_TICKETS),
    Bug("spinlock", "spinlocks", "lockup", "wait for ever for a spinlock (a watchdog's report)",
        ("lockup", "soft lockup"), before=_WATCHDOG),
    _rwlock("recursion", "lock a rwlock for writing that this task holds", "recursion"),
    _rwlock("cpu-recursion", "lock a rwlock for writing that another task holds on this CPU", "cpu recursion"),
    _rwlock("not-locked", "release a rwlock for writing that nobody holds", "wrong owner", _INLINED),
    _rwlock("not-locked-irqrestore", "the same with write_unlock_irqrestore()", "wrong owner"),
    _rwlock("wrong-owner", "release a rwlock for writing that another task holds", "wrong owner", _INLINED),
    _rwlock("wrong-owner-irqrestore", "the same with write_unlock_irqrestore()", "wrong owner"),
    _rwlock("wrong-cpu-irqrestore", "release a rwlock for writing on another CPU", "wrong CPU"),
    _rwlock("zeroed", "lock a rwlock that is all zero", "bad magic", _ZERO),
    _rwlock("freed", "unlock a rwlock in memory that was freed", "bad magic"),
    _mutex("not-locked", "unlock a mutex that nobody holds", "owner.* != "),
    _mutex("wrong-owner", "unlock a mutex that another task holds", "owner.* != "),
    _mutex("zeroed", "lock a mutex that is all zero", "magic"),
    _mutex("freed", "lock a mutex in memory that was freed", "magic"),
    _mutex("destroyed-locked", "destroy a mutex that is locked", "mutex_is_locked", _NOT_DESTROYED),
    _mutex("destroyed", "lock a mutex that was destroyed", "magic", _NOT_DESTROYED),
    _rwsem("not-read-locked", "release a rw-semaphore for reading that nobody holds", "reader_owned"),
    _rwsem("not-write-locked", "release a rw-semaphore for writing that nobody holds", "current"),
    _rwsem("wrong-writer", "release a rw-semaphore for writing that another task holds", "current"),
    _rwsem("wrong-downgrade", "downgrade a rw-semaphore that another task holds", "current"),
    _rwsem("read-for-write", "release a rw-semaphore for reading that is held for writing", "reader_owned"),
    _rwsem("zeroed", "lock a rw-semaphore that is all zero", "magic"),
    _rwsem("freed", "lock a rw-semaphore in memory that was freed", "magic"),
    _slab("overflow", "write behind an object", "Right Redzone overwritten"),
    _slab("underflow", "write in front of an object", "Left Redzone overwritten"),
    _slab("used-after-free", "write to an object that was freed", "Poison overwritten"),
    _slab("double-free", "free an object twice", "Object already free"),
    _slab("wrong-cache", "free an object into another cache", "Wrong slab cache"),
    _slab("wrong-pointer", "free what is no object", "Invalid object pointer"),
    _slab("left-over", "destroy a cache that has an object", "Objects remaining"),
    _slab("free-list", "overwrite the list of free objects", "Freepointer corrupt|Freechain corrupt"),
    _memory("memcpy-behind", "memcpy() to behind an object", "out-of-bounds"),
    _memory("memcpy-from-behind", "memcpy() from behind an object", "out-of-bounds"),
    _memory("memmove-behind", "memmove() to behind an object", "out-of-bounds"),
    _memory("memset-behind", "memset() behind an object", "out-of-bounds"),
    _memory("memset-in-front", "memset() in front of an object", "out-of-bounds"),
    _memory("memcmp-behind", "memcmp() with what is behind an object", "out-of-bounds"),
    _memory("strcpy-behind", "strcpy() of a string that is longer than the object", "out-of-bounds"),
    _memory("strscpy-behind", "strscpy() with a size that is larger than the object", "out-of-bounds"),
    _memory("snprintf-behind", "snprintf() with a size that is larger than the object", "out-of-bounds"),
    _memory("dump-behind", "print_hex_dump() of what is behind an object", "out-of-bounds"),
    _memory("copy-to-user-behind", "copy_to_user() from behind an object", "out-of-bounds",
            given_up_on=_ON_INLINED_COPY),
    _memory("copy-from-user-behind", "copy_from_user() to behind an object", "out-of-bounds",
            given_up_on=_ON_INLINED_COPY),
    _memory("store-behind", "write behind an object, by the module's own code", "out-of-bounds"),
    _memory("load-behind", "read behind an object, by the module's own code", "out-of-bounds"),
    _memory("store-behind-in-loop", "write a byte too many, in a loop of the module", "out-of-bounds"),
    _memory("load-across-end", "read two bytes, of which one is behind an object, by the module's own code",
            "out-of-bounds"),
    _memory("memcpy-freed", "memcpy() from an object that was freed", "use-after-free"),
    _memory("strlen-freed", "strlen() of a string that was freed", "use-after-free"),
    _memory("kstrdup-freed", "kstrdup() of a string that was freed", "use-after-free"),
    _memory("printk-freed", "print a string that was freed", "use-after-free"),
    _memory("list-add-freed", "list_add() to a list whose head was freed", "use-after-free"),
    _memory("wake-up-freed", "wake_up() on a wait queue that was freed", "use-after-free"),
    _memory("complete-freed", "complete() on a completion that was freed", "use-after-free"),
    _memory("mutex-lock-freed", "lock a mutex that was freed", "use-after-free"),
    _memory("kobject-get-freed", "kobject_get() of a kobject that was freed", "use-after-free"),
    _memory("mod-timer-freed", "arm a timer that was freed", "use-after-free"),
    _memory("queue-work-freed", "queue a work item that was freed", "use-after-free"),
    _memory("krealloc-freed", "krealloc() of an object that was freed", "use-after-free"),
    _memory("store-freed", "write to an object that was freed, by the module's own code", "use-after-free"),
    _memory("load-freed", "read from an object that was freed, by the module's own code", "use-after-free"),
    _memory("double-free", "free an object twice", "double-free"),
    _memory("free-middle", "free an address in the middle of an object", "invalid-free"),
    _memory("double-free-to-cache", "kmem_cache_free() an object twice", "double-free"),
    _memory("memcpy-freed-pages", "memcpy() from pages that were freed", "use-after-free"),
    _memory("memset-behind-vmalloc", "memset() behind memory of vmalloc()", "vmalloc-out-of-bounds"),
    _memory("memcpy-vfreed", "memcpy() from memory after vfree()", "vmalloc-out-of-bounds"),
    _memory("load-freed-pages", "read from pages that were freed, by the module's own code", "use-after-free"),
    _memory("store-behind-vmalloc", "write behind memory of vmalloc(), by the module's own code",
            "vmalloc-out-of-bounds"),
    _memory("memcpy-from-behind-stack", "memcpy() from behind a variable on the stack", "stack-out-of-bounds",
            _SMALL_STACKS),
    _memory("memcpy-from-behind-variable", "memcpy() from behind a variable of the module", "global-out-of-bounds",
            _NO_RED_ZONE),
    _memory("load-behind-stack", "read from behind a variable on the stack, by the module's own code",
            "stack-out-of-bounds", _SMALL_STACKS),
    _memory("load-behind-variable", "read from behind a variable of the module, by its own code",
            "global-out-of-bounds", _NO_RED_ZONE),
    _object("free-timer", "free a timer that is armed", "free active"),
    _object("free-pages-with-timer", "free a page that contains an armed timer", "free active"),
    _object("init-timer-armed", "initialise a timer that is armed", "init active"),
    _object("mod-timer-zeroed", "arm a timer that is all zero", "assert_init not available"),
    _object("timer-on-stack", "initialise a timer on the stack as one that is not", "NOT annotated",
            _UNKNOWN_ON_STACK),
    _object("timer-not-on-stack", "initialise a timer as one on the stack that is not", "NOT on stack",
            _NOT_COMPILED),
    _object("leave-stack-with-timer", "destroy a timer on the stack that is armed", "free active", _NOT_COMPILED),
    _object("free-hrtimer", "free an hrtimer that is armed", "free active"),
    _object("init-hrtimer-armed", "initialise an hrtimer that is armed", "init active"),
    _object("free-delayed-work", "free a delayed work item that waits for its timer", "free active"),
    _object("init-delayed-work-queued", "initialise a delayed work item that waits for its timer", "init active"),
    _object("free-work", "free a work item that is queued", "free active"),
    _object("init-work-queued", "initialise a work item that is queued", "init active", _NOT_COMPILED),
    _object("work-zeroed", "queue a work item that INIT_WORK() did not initialise", "activate not available",
            _UNKNOWN_WORK),
    _object("call-rcu-twice", "call_rcu() twice with one head", "activate active"),
    _object("kfree-rcu-twice", "kfree_rcu() an object twice", "activate active"),
    _object("free-rcu-head", "free an object that call_rcu() still needs", "free active"),
    _object("free-counter", "free a percpu_counter that was not destroyed", "free active"),
    _sleep("mutex-under-spinlock", "mutex_lock() while holding a spinlock"),
    _sleep("mutex-without-preemption", "mutex_lock() with preemption disabled"),
    _sleep("mutex-by-timer", "mutex_lock() in the function of a timer"),
    Bug("atomic-sleep", "sleeping", "mutex-not-running", "mutex_lock() after set_current_state(TASK_INTERRUPTIBLE)",
        ("warning", "WARNING: .* __might_sleep"), given_up=_UNKNOWN_STATE),
    _sleep("kmalloc-under-spinlock", "kmalloc(GFP_KERNEL) while holding a spinlock"),
    _sleep("kmalloc-by-interrupt", "kmalloc(GFP_KERNEL) in an interrupt"),
    _sleep("pages-without-softirqs", "__get_free_page(GFP_KERNEL) with softirqs disabled"),
    _sleep("vfree-under-spinlock", "vfree() while holding a spinlock"),
    _sleep("semaphore-without-interrupts", "down() with interrupts disabled"),
    _sleep("completion-in-rcu", "wait_for_completion() in an RCU read-side critical section"),
    _sleep("event-in-rcu", "wait_event() in an RCU read-side critical section", _NOT_COMPILED),
    _sleep("cancel-work-under-spinlock", "cancel_work_sync() while holding a spinlock"),
    _sleep("copy-from-user-without-preemption", "copy_from_user() with preemption disabled",
           given_up_on=_ON_INLINED_COPY),
    _sleep("get-user-without-preemption", "get_user() with preemption disabled", _NOT_COMPILED),
    _sleep("might-sleep-without-preemption", "might_sleep() with preemption disabled", _NOT_COMPILED),
    _sleep("cond-resched-under-spinlock", "cond_resched() while holding a spinlock", _NOT_COMPILED),
    Bug("atomic-sleep", "sleeping", "cpu-with-preemption", "smp_processor_id() with preemption enabled",
        ("atomic-sleep", r"BUG: using smp_processor_id\(\) in preemptible"), given_up=_NOT_COMPILED),
    _order("static-spinlocks", "two spinlocks of the module, in both orders", "circular"),
    _order("static-mutexes", "two mutexes of the module, in both orders", "circular"),
    _order("three-mutexes", "three mutexes, in a circle", "circular"),
    _order("spinlock-and-rwlock", "a spinlock and a rwlock, in both orders", "circular"),
    _order("mutex-and-rwsem", "a mutex and a rw-semaphore, in both orders", "circular"),
    _order("spinlocks-of-object", "two spinlocks of one object, in both orders", "circular"),
    _order("mutexes-of-object", "two mutexes of one object, in both orders", "circular"),
    _order("mutexes-of-two-objects", "two mutexes of each of two objects, in one order each", "circular", _OF_ITS_OWN),
    _order("mutexes-of-one-kind", "the same mutex of two objects, one in the other", "recursive", _OF_ITS_OWN),
    _order("rwsem-twice", "down_read() twice on one rw-semaphore", "recursive", _FOR_ANOTHER),
    _order("mutex-and-hotplug", "a mutex and the kernel's lock of CPU hotplug, in both orders", "circular",
           given_up_on=_ON_NO_HOTPLUG),
    _order("mutex-and-mmap-lock", "a mutex and the task's mmap_lock, in both orders", "circular", _WHICH_OF_MANY),
    _order("softirq-and-process", "a spinlock of a timer, elsewhere with softirqs enabled", "inconsistent"),
    _order("softirq-through-another", "a spinlock of a timer around one that is held with softirqs enabled",
           "irq lock inversion|unsafe lock order"),
    _order("interrupt-and-process", "a spinlock of an interrupt, elsewhere with interrupts enabled", "inconsistent"),
    _order("cancel-timer-with-its-lock", "del_timer_sync() with a lock that the timer takes", "circular|inconsistent"),
    _order("flush-work-with-its-lock", "flush_work() with a mutex that the work takes", "circular"),
    _order("flush-queue-with-its-lock", "flush_workqueue() with a mutex that its work takes", "circular"),
    _order("free-with-lock", "free an object with a spinlock that is held", "held lock freed"),
    _order("return-with-mutex", "return to user space with a mutex", "lock held when returning",
           given_up_on=_ON_OWN_ENTRY),
    Bug("lockdep", "dependencies", "task-without-rcu", "pid_task() without rcu_read_lock()",
        ("rcu-usage", "suspicious RCU usage")),
    _tool("ftrace", "function", "function tracer: calls of the module's function", _NO_CALL_SITES),
    _tool("ftrace", "function_graph", "function graph: calls of the module's function", _NO_CALL_SITES),
    _tool("kprobes", "kprobe", "kprobe: calls of the module's function"),
    _tool("kprobes", "kretprobe", "kretprobe: returns from the module's function"),
    _tool("perf", "perf", "perf: samples of the module's code"),
)  # fmt: skip
