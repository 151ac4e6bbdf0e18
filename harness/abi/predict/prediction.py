# SPDX-License-Identifier: Apache-2.0
"""A predicted verdict with its reason, from facts alone: the module file, and both kernels' layouts and options."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from harness.abi.compare.layout_diff import LayoutDiff
from harness.abi.compare.layout_text import explain_offset, explain_place
from harness.abi.elf.exported_types import ExportedTypes
from harness.abi.elf.module_file import ModuleFacts
from harness.abi.predict.loader import KernelFacts, PredictedFailure, PredictedOutcome, Stage, simulate
from harness.abi.predict.member_accesses import MemberAccess
from harness.abi.predict.reachability import ReachableStruct, reachable_structs
from harness.support.text import join_some

_LOCKS = re.compile(r"_raw_(spin|read|write)_(try)?lock(_irq)?")
_UNLOCKS = re.compile(r"_raw_(spin|read|write)_unlock(_irq)?")
_BREAKING_VERDICTS = ("SPLAT", "CORRUPTED", "HUNG", "DIED")
_MAX_NAMES = 3  # structures listed before "and N more"


@dataclass(frozen=True)
class Prediction:
    """How a module is predicted to fare on a kernel."""

    outcome: PredictedOutcome  # that of the first finding, CLEAN if there is none
    reason: str
    findings: tuple[PredictedFailure, ...] = ()  # in the order in which they would happen
    differing: tuple[ReachableStruct, ...] = ()  # structures that differ and that the module can reach

    def agrees_with(self, verdict: str) -> bool | None:
        """Whether an observed verdict belongs to the predicted outcome, None if the run was INVALID."""
        return is_seen(self.outcome, verdict)


def is_seen(outcome: PredictedOutcome, verdict: str) -> bool | None:
    """Whether an observed verdict belongs to an outcome, None if the run was INVALID. Raises ValueError for others."""
    if verdict == "INVALID":
        return None
    if verdict == "DIFFERS":  # from production, where the module does not get to its end either
        return outcome is not PredictedOutcome.CLEAN
    if verdict == "SAME":
        return outcome is PredictedOutcome.CLEAN
    return (PredictedOutcome.BREAKS if verdict in _BREAKING_VERDICTS else PredictedOutcome(verdict)) is outcome


def predict(
    module: ModuleFacts,
    production: KernelFacts,
    kernel: KernelFacts,
    difference: LayoutDiff,
    exports: ExportedTypes,
    *,
    accesses: tuple[MemberAccess, ...] | None = (),
) -> Prediction:
    """How a module that was built for `production` will fare on `kernel`.

    difference: from production's layouts to the kernel's. exports: production's. accesses: the members that the
    module's code touches, None if its code was not read.
    """
    differing = reachable_structs([symbol.name for symbol in module.imports], exports, difference.changes)
    findings = [
        *simulate(module, kernel, production),
        *_unbalanced_preempt_count(module, production, kernel),
        *_overwritten_objects(differing, difference),
        *_stale_offsets(accesses or (), difference),
    ]
    findings.sort(key=lambda finding: finding.when)
    if not findings:
        reason = _clean(differing, was_read=accesses is not None)
        return Prediction(PredictedOutcome.CLEAN, reason, (), tuple(differing))
    return Prediction(findings[0].outcome, findings[0].reason, tuple(findings), tuple(differing))


def _clean(differing: list[ReachableStruct], *, was_read: bool) -> str:
    if not differing:
        return "the loader finds init and exit, and no structure that its imports lead to differs"
    names = join_some([found.change.name for found in differing], _MAX_NAMES)
    differ = "differs" if len(differing) == 1 else "differ"
    code = "its code was not seen to use a member that moved" if was_read else "its code is too long to be read"
    return f"the loader finds init and exit; {names} {differ}, and {code}"


def _unbalanced_preempt_count(
    module: ModuleFacts, production: KernelFacts, kernel: KernelFacts
) -> Iterator[PredictedFailure]:
    """Lock functions of the kernel count preemption, but inlined unlocks do not: include/linux/preempt.h."""
    if production.has("PREEMPT_COUNT") or not kernel.has("PREEMPT_COUNT"):
        return
    names = {symbol.name for symbol in module.imports}
    taken = sorted(name for name in names if _LOCKS.fullmatch(name))
    if taken and not any(_UNLOCKS.fullmatch(name) for name in names):
        text = f"PREEMPT_COUNT: {taken[0]}() counts in this kernel, the unlock that the module inlined does not"
        yield PredictedFailure(Stage.USE, PredictedOutcome.BREAKS, text)


def _overwritten_objects(differing: list[ReachableStruct], difference: LayoutDiff) -> Iterator[PredictedFailure]:
    """Objects in the module's memory that the kernel initialises, and that are larger in the kernel."""
    for found in differing:
        if found.caller_allocated and found.grew:
            what = explain_place(difference, found.change.name)
            text = f"{what}: {found.via}() writes behind the one in the module's memory"
            yield PredictedFailure(Stage.USE, PredictedOutcome.BREAKS, text)


def _stale_offsets(accesses: tuple[MemberAccess, ...], difference: LayoutDiff) -> Iterator[PredictedFailure]:
    for access in accesses:
        if stale := explain_offset(difference, access.struct, access.offset):
            text = f"{stale}: {access.function}() has the old offset compiled in"
            yield PredictedFailure(Stage.USE, PredictedOutcome.BREAKS, text)
