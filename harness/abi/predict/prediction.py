# SPDX-License-Identifier: Apache-2.0
"""A predicted verdict, with its reason, from facts alone: the module's file, and both kernels' layouts and options."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from harness.abi.compare.layout_diff import Difference
from harness.abi.elf.exported_types import ExportedTypes
from harness.abi.elf.module_file import ModuleFacts
from harness.abi.predict.loader import KernelFacts, PredictedFailure, PredictedOutcome, Stage, simulate
from harness.abi.predict.member_accesses import MemberAccess
from harness.abi.predict.reachability import ReachableStruct, reachable_structs

_LOCKS = re.compile(r"_raw_(spin|read|write)_(try)?lock(_irq)?")
_UNLOCKS = re.compile(r"_raw_(spin|read|write)_unlock(_irq)?")
_BREAKING_VERDICTS = ("SPLAT", "CORRUPTED", "HUNG", "DIED")


@dataclass(frozen=True)
class Prediction:
    """outcome: the first of the findings, CLEAN without any. differing: structures in reach that differ."""

    outcome: PredictedOutcome
    reason: str
    findings: tuple[PredictedFailure, ...] = ()
    differing: tuple[ReachableStruct, ...] = ()

    def agrees_with(self, verdict: str) -> bool | None:
        """Whether an observed verdict is of the predicted class; None when the run was INVALID."""
        return None if verdict == "INVALID" else outcome_of(verdict) is self.outcome


def outcome_of(verdict: str) -> PredictedOutcome:
    """The class of an observed verdict."""
    return PredictedOutcome.BREAKS if verdict in _BREAKING_VERDICTS else PredictedOutcome(verdict)


def predict(
    module: ModuleFacts,
    production: KernelFacts,
    kernel: KernelFacts,
    difference: Difference,
    exports: ExportedTypes,
    *,
    accesses: tuple[MemberAccess, ...] | None = (),
) -> Prediction:
    """What will become of a module that was built for `production` on `kernel`.

    difference: from production's layouts to the kernel's. exports: production's. accesses: what its code touches, None
    where it was not read.
    """
    differing = reachable_structs([symbol.name for symbol in module.imports], exports, difference.changes)
    findings = [
        *simulate(module, kernel),
        *_counting(module, production, kernel),
        *_owned(differing, difference),
        *_read(accesses or (), difference),
    ]
    findings.sort(key=lambda finding: finding.when)
    if not findings:
        return Prediction(
            PredictedOutcome.CLEAN, _clean(differing, was_read=accesses is not None), (), tuple(differing)
        )
    return Prediction(findings[0].outcome, findings[0].reason, tuple(findings), tuple(differing))


def _clean(differing: list[ReachableStruct], *, was_read: bool) -> str:
    if not differing:
        return "the loader finds init and exit, and nothing differs that its imports lead to"
    names = ", ".join(found.change.name for found in differing[:3])
    more = f" and {len(differing) - 3} more" if len(differing) > 3 else ""
    differ = "differs" if len(differing) == 1 else "differ"
    seen = "not seen to use what moved" if was_read else "too long to be read"
    return f"the loader finds init and exit; {names}{more} {differ}, and its code was {seen}"


def _counting(module: ModuleFacts, production: KernelFacts, kernel: KernelFacts) -> Iterator[PredictedFailure]:
    """Locks that count in the kernel and unlocks that do not where they were inlined: include/linux/preempt.h."""
    if production.has("PREEMPT_COUNT") or not kernel.has("PREEMPT_COUNT"):
        return
    names = {symbol.name for symbol in module.imports}
    taken = sorted(name for name in names if _LOCKS.fullmatch(name))
    if taken and not any(_UNLOCKS.fullmatch(name) for name in names):
        text = f"PREEMPT_COUNT: {taken[0]}() counts in this kernel, the unlock that the module inlined does not"
        yield PredictedFailure(Stage.USE, PredictedOutcome.BREAKS, text)


def _owned(differing: list[ReachableStruct], difference: Difference) -> Iterator[PredictedFailure]:
    for found in differing:
        if found.caller_allocated and found.grew:
            what = difference.explain_place(found.change.name)
            yield PredictedFailure(
                Stage.USE,
                PredictedOutcome.BREAKS,
                f"{what}: {found.via}() writes behind the one in the module's memory",
            )


def _read(accesses: tuple[MemberAccess, ...], difference: Difference) -> Iterator[PredictedFailure]:
    for access in accesses:
        if stale := difference.explain_offset(access.struct, access.offset):
            text = f"{stale}: {access.function}() has the old offset compiled in"
            yield PredictedFailure(Stage.USE, PredictedOutcome.BREAKS, text)
