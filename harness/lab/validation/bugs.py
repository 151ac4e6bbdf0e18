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
from harness.support.paths import IMAGES

FOLDER = IMAGES / "bugs"


class Where(StrEnum):
    """Where a bug is committed: kernel and build of the module."""

    STOCK = "stock"
    REBUILT = "isolated, rebuilt"
    BESIDE = "isolated, rebuilt, beside a module built for production"
    VENDOR = "isolated, module built for production"


ISOLATED = (Where.REBUILT, Where.BESIDE, Where.VENDOR)


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
        """The feature whose kernels it is committed on: "all" if that contains the bug's feature."""
        together = FEATURES["all"]
        return together if self.feature in together.parts else FEATURES[self.feature]


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
_WATCHDOG = "echo 1 >/proc/sys/kernel/watchdog_thresh"


def _spinlock(
    name: str, what: str, words: str, given_up: _Lost | None = None, given_up_on: Mapping[str, _Lost] | None = None
) -> Bug:
    report, on = ("lock", f"BUG: spinlock {words}"), {**_ON_INLINING, **(given_up_on or {})}
    return Bug("spinlock", "spinlocks", name, what, report, given_up=given_up or {}, given_up_on=on)


def _rwlock(name: str, what: str, words: str, given_up: Mapping[Where, str] | None = None) -> Bug:
    report = ("lock", f"BUG: rwlock {words}")
    return Bug("spinlock", "rwlocks", name, what, report, given_up=given_up or {}, given_up_on=_ON_INLINING)


def _mutex(name: str, what: str, words: str, given_up: Mapping[Where, str] | None = None) -> Bug:
    report = ("lock", rf"DEBUG_LOCKS_WARN_ON\(.*{words}")
    return Bug("mutexes", "mutexes", name, what, report, given_up=given_up or {})


def _rwsem(name: str, what: str, words: str) -> Bug:
    return Bug("rwsems", "rwsems", name, what, ("lock", rf"DEBUG_RWSEMS_WARN_ON\(.*{words}"))


def _slab(name: str, what: str, words: str) -> Bug:
    return Bug("slub", "slabs", name, what, ("slub", words))


def _tool(feature: str, name: str, what: str, given_up: Mapping[Where, str] | None = None) -> Bug:
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
    _tool("ftrace", "function", "function tracer: calls of the module's function", _NO_CALL_SITES),
    _tool("ftrace", "function_graph", "function graph: calls of the module's function", _NO_CALL_SITES),
    _tool("kprobes", "kprobe", "kprobe: calls of the module's function"),
    _tool("kprobes", "kretprobe", "kretprobe: returns from the module's function"),
    _tool("perf", "perf", "perf: samples of the module's code"),
)  # fmt: skip
