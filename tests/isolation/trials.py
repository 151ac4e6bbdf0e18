# SPDX-License-Identifier: Apache-2.0
"""Options outside the matrix, each of which needs a particular patch."""

from dataclasses import dataclass
from pathlib import Path

from harness.kernel.features import FEATURES, Feature


@dataclass(frozen=True)
class Trial(Feature):
    """A set of such options; its fragment is beside this file."""

    @property
    def fragment(self) -> Path:
        return Path(__file__).with_name(f"{self.name}.config")


UPROBES = Trial(
    name="uprobes",
    symbols=("FTRACE", "PERF_EVENTS", "UPROBE_EVENTS", "UPROBES"),
    follows={
        **FEATURES["tracing"].follows,
        **FEATURES["perf"].follows,
        **dict.fromkeys(("PROBE_EVENTS", "DYNAMIC_EVENTS"), "kernel/trace/Kconfig: selected by UPROBE_EVENTS"),
    },
)
GUESS = Trial(
    name="guess",
    symbols=("UNWINDER_GUESS", "UNWINDER_ORC", "SLUB_DEBUG"),
    follows={
        **FEATURES["slub"].follows,
        **dict.fromkeys(("ARCH_STACKWALK", "HAVE_RELIABLE_STACKTRACE"), "arch/x86/Kconfig: not without ORC"),
    },
    is_detector=True,
)
VERSIONS = Trial(
    name="versions",
    symbols=("MODVERSIONS", "MODULE_ABI_SYMVERS"),
    follows=dict.fromkeys(("ASM_MODVERSIONS", "MODULE_REL_CRCS"), "kernel/module/Kconfig: how MODVERSIONS does it"),
)
