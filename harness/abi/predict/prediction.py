# SPDX-License-Identifier: Apache-2.0
"""A predicted verdict, with its reason, from facts alone: the module's file, and both kernels' layouts and options."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from harness.abi.compare.layout_diff import Difference
from harness.abi.elf.exported_types import Surface
from harness.abi.elf.module_file import ModuleFacts
from harness.abi.predict.loader import Finding, KernelFacts, Outcome, When, simulate
from harness.abi.predict.member_accesses import Access
from harness.abi.predict.reachability import Reached, reached

_LOCKS = re.compile(r"_raw_(spin|read|write)_(try)?lock(_irq)?")
_UNLOCKS = re.compile(r"_raw_(spin|read|write)_unlock(_irq)?")
_CLASSES = {"SPLAT": Outcome.BREAKS, "CORRUPTED": Outcome.BREAKS, "HUNG": Outcome.BREAKS, "DIED": Outcome.BREAKS}


@dataclass(frozen=True)
class Prediction:
    """outcome: the first of the findings, CLEAN without any. differing: structures in reach that differ."""

    outcome: Outcome
    reason: str
    findings: tuple[Finding, ...] = ()
    differing: tuple[Reached, ...] = ()

    def agrees_with(self, verdict: str) -> bool | None:
        """Whether an observed verdict is of the predicted class; None when the run was INVALID."""
        return None if verdict == "INVALID" else outcome_of(verdict) is self.outcome


def outcome_of(verdict: str) -> Outcome:
    """The class of an observed verdict."""
    return _CLASSES.get(verdict) or Outcome(verdict)


def predict(
    module: ModuleFacts,
    production: KernelFacts,
    kernel: KernelFacts,
    difference: Difference,
    surface: Surface,
    *,
    accesses: tuple[Access, ...] | None = (),
) -> Prediction:
    """What will become of a module that was built for `production` on `kernel`.

    difference: from production's layouts to the kernel's. surface: production's. accesses: what its code touches, None
    where it was not read.
    """
    differing = reached([symbol.name for symbol in module.imports], surface, difference.changes)
    findings = [
        *simulate(module, kernel),
        *_counting(module, production, kernel),
        *_owned(differing, difference),
        *_read(accesses or (), difference),
    ]
    findings.sort(key=lambda finding: finding.when)
    if not findings:
        return Prediction(Outcome.CLEAN, _clean(differing, was_read=accesses is not None), (), tuple(differing))
    return Prediction(findings[0].outcome, findings[0].reason, tuple(findings), tuple(differing))


def _clean(differing: list[Reached], *, was_read: bool) -> str:
    if not differing:
        return "the loader finds init and exit, and nothing differs that its imports lead to"
    names = ", ".join(found.change.name for found in differing[:3])
    more = f" and {len(differing) - 3} more" if len(differing) > 3 else ""
    differ = "differs" if len(differing) == 1 else "differ"
    seen = "not seen to use what moved" if was_read else "too long to be read"
    return f"the loader finds init and exit; {names}{more} {differ}, and its code was {seen}"


def _counting(module: ModuleFacts, production: KernelFacts, kernel: KernelFacts) -> Iterator[Finding]:
    """Locks that count in the kernel and unlocks that do not where they were inlined: include/linux/preempt.h."""
    if production.has("PREEMPT_COUNT") or not kernel.has("PREEMPT_COUNT"):
        return
    names = {symbol.name for symbol in module.imports}
    taken = sorted(name for name in names if _LOCKS.fullmatch(name))
    if taken and not any(_UNLOCKS.fullmatch(name) for name in names):
        text = f"PREEMPT_COUNT: {taken[0]}() counts in this kernel, the unlock that the module inlined does not"
        yield Finding(When.USE, Outcome.BREAKS, text)


def _owned(differing: list[Reached], difference: Difference) -> Iterator[Finding]:
    for found in differing:
        if found.owned and found.grew:
            what = difference.explain_place(found.change.name)
            yield Finding(
                When.USE, Outcome.BREAKS, f"{what}: {found.via}() writes behind the one in the module's memory"
            )


def _read(accesses: tuple[Access, ...], difference: Difference) -> Iterator[Finding]:
    for access in accesses:
        if stale := difference.explain_offset(access.struct, access.offset):
            text = f"{stale}: {access.function}() has the old offset compiled in"
            yield Finding(When.USE, Outcome.BREAKS, text)
