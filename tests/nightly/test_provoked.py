# SPDX-License-Identifier: Apache-2.0
"""The kernel's own words about the mistakes of a module, provoked in a guest: each is found, named and blamed.

Their logs are golden cases of the unit tests (`*-provoked-*`), captured with `MODCOMPAT_PROVOKED=FOLDER pytest
tests/nightly/test_provoked.py` and benchmarks/golden.py.
"""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.detect.scan import scan
from harness.guest.boards import BOARDS
from harness.guest.failure import GuestFailure
from harness.guest.guest import Guest, Timing
from harness.kernel.module_build import build_modules
from harness.kernel.variants import PRODUCTION
from harness.lab.execution.guest_pool import Guests
from harness.lab.execution.kernel_pool import Kernels
from harness.lab.plan.settings import Settings
from harness.lab.plan.vendor_modules import VendorModule
from tests.system.conftest import GUESTS, SCALE

SOURCES = Path(__file__).parent / "provoked"
MODULE = "provoked"
X86 = ("x86_64-q35",)
KEPT = os.environ.get("MODCOMPAT_PROVOKED")
_QUIET_SECONDS, _LONGEST_SECONDS = 0.3, 3.0  # of the console, after the commands


@dataclass(frozen=True)
class Mistake:
    """A mistake, and the first report about it."""

    # a name in provoked.c, or that of a shell command in COMMANDS
    name: str
    kind: str
    # a pattern for the whole title
    title: str
    # the module that is blamed; "" if the report names none
    blamed: str = MODULE
    boards: tuple[str, ...] = GUESTS


COMMANDS = {
    "notifier": f"insmod /modules/{MODULE}.ko init=notifier; insmod /modules/newcomer.ko",
    "irqs_off": f"insmod /modules/{MODULE}.ko init=irqs_off",
    "positive": f"insmod /modules/{MODULE}.ko init=positive",
    "wrong_parameter": "insmod /modules/newcomer.ko number=many",
}
MISTAKES = (
    Mistake("divide", "access", "divi(de error|sion by zero) in divide", boards=(*X86, "arm-virt")),
    Mistake("undefined", "oops", "(invalid opcode|Internal error) in undefined"),
    Mistake("noncanonical", "access", "general protection fault in noncanonical", boards=X86),
    Mistake("unaligned", "access", "general protection fault in unaligned", boards=X86),
    Mistake("segment", "access", "general protection fault in segment", boards=X86),
    # a stack-segment fault on a CPU, a general protection fault in QEMU 7.2
    Mistake("stack_segment", "access", "(general protection fault|stack segment) in stack_segment", boards=X86),
    Mistake("floating_point", "access", "fpu exception in floating_point", boards=X86),
    Mistake("breakpoint", "access", "int3 in breakpoint", boards=X86),
    Mistake("work", "atomic-sleep", "BUG: workqueue leaked lock or atomic in leak_in_work"),
    Mistake("timer", "atomic-sleep", "preemption imbalance in leak_in_timer"),
    Mistake("softirq", "atomic-sleep", "preemption imbalance in .*", blamed=""),  # the line has addresses only
    Mistake("sleep_in_softirq", "atomic-sleep", "BUG: scheduling while atomic in sleep_in_softirq"),
    Mistake("close", "vfs", "VFS: Close: file count is zero .*"),
    Mistake("put_kobject", "kobject", "WARNING: kobject bug in put_kobject"),
    Mistake("same_kobject", "kobject", "sysfs: cannot create duplicate filename in same_kobject"),
    Mistake("same_proc", "kobject", "WARNING: proc registration bug in .*"),
    Mistake("no_proc", "warning", "WARNING in remove_proc_entry"),
    Mistake("free_irq_of_nobody", "irq", "irq: Trying to free already-free IRQ NUM"),
    Mistake("nobody", "irq", "irq: nobody cared"),
    Mistake("free_middle", "warning", "WARNING in free_middle"),
    Mistake("full_cache", "slub", "BUG: Objects remaining in provoked on .*"),
    Mistake("put_module", "warning", "WARNING in module_put"),
    Mistake("own_trace", "unclaimed", "unclaimed call trace in own_trace"),
    Mistake("notifier", "warning", "WARNING in warn_of_others"),
    Mistake("irqs_off", "atomic-sleep", "initcall returned with disabled interrupts in provoked_init"),
    Mistake("positive", "module-init", "module: init suspiciously returned"),
    Mistake("wrong_parameter", "module-load", "module: parameter", blamed="newcomer"),
)


class Provocations:
    """Guests with the modules, which are built for their kernels."""

    def __init__(self) -> None:
        self._guests: dict[str, Guests] = {}

    def guest(self, board_name: str) -> Guest:
        """A pristine guest of a board."""
        board = BOARDS[board_name]
        if board_name not in self._guests:
            kernels = Kernels(Settings(timing=Timing(command=20.0).scaled(SCALE)))
            files = build_modules(SOURCES, kernels.kernel(board, PRODUCTION), kernels.store)
            self._guests[board_name] = Guests(kernels, [VendorModule(name, file=file) for name, file in files.items()])
        guest = self._guests[board_name].guest(board, PRODUCTION)
        guest.make_pristine()
        return guest

    def close(self) -> None:
        for guests in self._guests.values():
            guests.close()


@pytest.fixture(scope="module")
def provocations() -> Iterator[Provocations]:
    provocations = Provocations()
    yield provocations
    provocations.close()


def log_of(mistake: Mistake, guest: Guest) -> bytes:
    """The kernel log of a mistake."""
    make = f"insmod /modules/{MODULE}.ko; echo {mistake.name} >/sys/module/{MODULE}/parameters/make; sleep 0.2"
    start = guest.mark(f"provoke {mistake.name}")
    with suppress(GuestFailure):
        guest.run(COMMANDS.get(mistake.name, make))
        guest.mark("provoked")
    guest.console.settle(quiet=_QUIET_SECONDS, longest=_LONGEST_SECONDS)
    return guest.console.read(start)


@pytest.mark.parametrize(
    ("board", "mistake"),
    [
        pytest.param(board, mistake, id=f"{board}-{mistake.name}")
        for board in GUESTS
        for mistake in MISTAKES
        if board in mistake.boards
    ],
)
def test_a_mistake_is_found_named_and_blamed(board: str, mistake: Mistake, provocations: Provocations) -> None:
    log = log_of(mistake, provocations.guest(board))
    if KEPT:
        arch = BOARDS[board].arch.name
        (Path(KEPT) / f"{arch}-provoked-{mistake.name.replace('_', '-')}.log").write_bytes(log)
    first = next(iter(scan(log)), None)
    assert first, "nothing was found"
    assert (first.kind, first.module) == (mistake.kind, mistake.blamed)
    assert re.fullmatch(mistake.title, first.title), first.title
    assert not first.torn or not mistake.blamed
