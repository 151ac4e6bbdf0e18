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
# Hidden options that no feature has
RARE = Trial(
    name="rare",
    symbols=("KUNIT", "UBSAN", "KCOV", "FTRACE", "RV", "RCU_EXPERT", "FORCE_TASKS_TRACE_RCU"),
    follows={
        **FEATURES["ftrace"].follows,
        "TASKS_TRACE_RCU": "kernel/rcu/Kconfig: selected by FORCE_TASKS_TRACE_RCU",
        **dict.fromkeys(("RCU_FANOUT", "RCU_FANOUT_LEAF"), "kernel/rcu/Kconfig: settings that RCU_EXPERT shows"),
        "CC_HAS_UBSAN_BOUNDS": "lib/Kconfig.ubsan: what the compiler can do, which only UBSAN asks",
        "KCOV_IRQ_AREA_SIZE": "lib/Kconfig.debug: a setting of KCOV",
    },
)
# Hidden options of subsystems that our production does not have, on top of a production that does
SUBSYSTEMS = Trial(
    name="subsystems-debug",
    symbols=(
        "SND_DEBUG", "SND_PCM_XRUN_DEBUG", "FAULT_INJECTION", "FAULT_INJECTION_DEBUG_FS", "FAIL_MMC_REQUEST",
        "NET_DEV_REFCNT_TRACKER", "NET_NS_REFCNT_TRACKER", "PAGE_POOL_STATS",
    ),
    follows={
        **FEATURES["members"].follows,
        "REF_TRACKER": "net/Kconfig.debug: selected by the two trackers",
    },
)  # fmt: skip
SUBSYSTEMS_IN_PRODUCTION = Path(__file__).with_name("subsystems.config")
