# SPDX-License-Identifier: Apache-2.0
"""Isolated kernels have production's module ABI, every patch is needed for it, and the series can be switched off."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from harness.abi.compare.equivalence import Comparison, compare_macros
from harness.abi.headers.export_prototypes import kernel_exported_types
from harness.abi.headers.inline_functions import kernel_inline_functions
from harness.abi.headers.layouts import kernel_layouts
from harness.abi.headers.macros import kernel_macros_and_enumerators
from harness.kernel.arch import ARCHITECTURES
from harness.kernel.config import KernelSpec, resolve
from harness.kernel.features import FEATURES, Feature, Isolation
from harness.kernel.isolation_patches import isolated, isolated_without, series_for
from harness.kernel.module_headers import headers_of
from harness.kernel.patch_series import subject
from harness.kernel.source import DEFAULT_PACKAGE, KernelSource, find_source
from harness.kernel.user_config import UserConfig
from harness.kernel.variants import Preemption, Variant, variant_of
from harness.kernel.versions import SERIES
from harness.lab.validation.abi_comparison import (
    compare_abi,
    definition_comparisons,
    function_comparison,
    layout_comparison,
)
from harness.support.cache.store import Store
from harness.support.errors import ModcompatError
from tests.isolation.trials import GUESS, RARE, SUBSYSTEMS, SUBSYSTEMS_IN_PRODUCTION, UPROBES, VERSIONS

STORE = Store()
OTHER = "linux-source-6.12"
SUPPORTED = [name for name, arch in ARCHITECTURES.items() if arch.has_isolation]


@dataclass(frozen=True)
class Caught:
    """How a missing patch is noticed, on an isolated kernel for `arch` with `feature`."""

    arch: str = "x86_64"
    feature: Feature = field(default_factory=lambda: FEATURES["all"])
    structure: str = ""  # that differs in the mechanical comparison
    symbol: str = ""  # that cannot be switched on
    stray: str = ""  # that the feature changes as well
    undefined: str = ""  # a macro that the other patches need, so that nothing compiles
    function: str = ""  # an inlined function that differs
    enumerator: str = ""  # that has another value
    preemption: Preemption = Preemption.NONE
    refused: str = ""  # an option that the loader has to ask modules about, and does not
    production: Path | None = None  # options on top of our production
    source: str = DEFAULT_PACKAGE  # or of another series, for a patch that only that has
    elsewhere: str = ""  # the test in a guest, if neither headers nor options show it


# Subject of the patch -> how it is missed
CAUGHT: Mapping[str, Caught] = {
    "module: Add a symbol for a module ABI without debug features": Caught(symbol="MODULE_ABI_ISOLATION"),
    "module: Move members of isolated features to the end of struct module": Caught(structure="struct module"),
    "module: Load modules that have a smaller struct module": Caught(
        elsewhere="tests/nightly/test_needed.py: the kernel overwrites a module's data behind a small struct module"
    ),
    "module: Keep the lookup tree's nodes out of struct module_layout": Caught("arm", structure="struct module_layout"),
    "sched: Move members of isolated features to the end of task_struct": Caught(structure="struct task_struct"),
    "uprobes: Keep the XOL area's pointer out of mm_struct": Caught("arm", UPROBES, "struct mm_struct"),
    "user: Move perf_mlock to the end of user_struct": Caught("arm", structure="struct user_struct"),
    "perf: Move members of isolated features to the end of struct perf_event": Caught(structure="struct perf_event"),
    "arm64: Move the breakpoints to the end of thread_struct": Caught("arm64", structure="struct thread_struct"),
    "module: Refuse modules that disagree about unisolated debug options": Caught(
        symbol="MODULE_ABI_PRODUCTION_OPTIONS"
    ),
    "locking/spinlock: Debug spinlocks without enlarging them": Caught(structure="struct raw_spinlock"),
    "locking/mutex: Debug mutexes without enlarging them": Caught("x86_64", FEATURES["mutexes"], "struct mutex"),
    "locking/rwsem: Debug rw-semaphores without enlarging them": Caught(
        "x86_64", FEATURES["rwsems"], "struct rw_semaphore"
    ),
    "SUNRPC: Keep what tracing wants out of rpc_task and rpc_wait_queue": Caught(structure="struct rpc_wait_queue"),
    "tracing/kprobes: Allow events in modules without ftrace call sites": Caught(
        elsewhere="tests/nightly/test_needed.py: kprobe events in a production module are refused"
    ),
    "x86/Kconfig.debug: Let the guess unwinder stay with MODULE_ABI_ISOLATION": Caught(
        "x86_64", GUESS, symbol="UNWINDER_GUESS"
    ),
    "x86/unwind: Keep the rethook iterator out of struct unwind_state": Caught(structure="struct unwind_state"),
    "ARM: stacktrace: Keep kretprobes out of struct stackframe": Caught("arm", structure="struct stackframe"),
    "modpost: Take over the symbol versions of the production kernel": Caught(
        "x86_64", VERSIONS, symbol="MODULE_ABI_SYMVERS"
    ),
    "module: Keep lock debugging on beside proprietary modules": Caught(
        elsewhere="tests/nightly/test_needed.py: lock bugs are not reported while a proprietary module is loaded"
    ),
    "module: Add a macro for options that are hidden from modules": Caught(undefined="MODULE_ABI_HIDES"),
    "module: Hide members of further debug options in struct module": Caught("x86_64", RARE, "struct module"),
    "sched: Hide members of further debug options in task_struct": Caught(
        "x86_64", FEATURES["members"], "struct task_struct"
    ),
    "net: Do without the coverage handle of packets with MODULE_ABI_ISOLATION": Caught(
        "x86_64", RARE, "struct sk_buff"
    ),
    "cred: Hide what DEBUG_CREDENTIALS adds to struct cred": Caught("x86_64", FEATURES["members"], "struct cred"),
    "kobject: Keep the delayed release out of struct kobject": Caught(
        "x86_64", FEATURES["kobject-release"], "struct kobject"
    ),
    "mm/page_ext: Keep the table out of what modules know": Caught("x86_64", FEATURES["members"], "struct mem_section"),
    "genirq: Hide what GENERIC_IRQ_DEBUGFS adds": Caught("x86_64", FEATURES["members"], "struct irq_domain_ops"),
    "pipe: Hide what WATCH_QUEUE adds": Caught("x86_64", FEATURES["members"], "struct pipe_inode_info"),
    "module: Tell which modules were built without isolation": Caught(
        elsewhere="tests/nightly/test_needed.py: debug objects do not compile"
    ),
    "debugobjects: Put up with modules that do not initialise objects": Caught(
        "x86_64", FEATURES["objects"], enumerator="WORK_STRUCT_COLOR_SHIFT"
    ),
    "sched: Debug sleeping in atomic context beside foreign modules": Caught(
        "x86_64", FEATURES["atomic-sleep"], "struct task_struct"
    ),
    "sched: Hide what DEBUG_PREEMPT adds to task_struct": Caught(
        "x86_64", FEATURES["atomic-sleep"], "struct task_struct", preemption=Preemption.FULL
    ),
    "sched: Hide what TRACE_IRQFLAGS adds to task_struct": Caught("x86_64", FEATURES["latency"], "struct task_struct"),
    "kasan: Hide what generic KASAN adds to structures": Caught("x86_64", FEATURES["kasan"], "struct task_struct"),
    "kasan: Keep the size of stacks that modules know": Caught("x86_64", FEATURES["kasan"], "union thread_union"),
    "x86: Keep the optimised checksums with KASAN and MODULE_ABI_ISOLATION": Caught(
        "x86_64", FEATURES["kasan"], function="csum_fold"
    ),
    "ALSA: Hide what SND_DEBUG adds to structures": Caught(
        "x86_64", SUBSYSTEMS, "struct snd_gus_card", production=SUBSYSTEMS_IN_PRODUCTION
    ),
    "ALSA: pcm: Keep the setting of SND_PCM_XRUN_DEBUG out of snd_pcm_str": Caught(
        "x86_64", SUBSYSTEMS, "struct snd_pcm_str", production=SUBSYSTEMS_IN_PRODUCTION
    ),
    "mmc: core: Keep the attribute of FAIL_MMC_REQUEST out of struct mmc_host": Caught(
        "x86_64", SUBSYSTEMS, "struct mmc_host", production=SUBSYSTEMS_IN_PRODUCTION
    ),
    "net: Track references without a place for the trackers in objects": Caught(
        "x86_64", SUBSYSTEMS, "struct net_device", production=SUBSYSTEMS_IN_PRODUCTION
    ),
    "page_pool: Hide what PAGE_POOL_STATS adds to struct page_pool": Caught(
        "x86_64", SUBSYSTEMS, "struct page_pool", production=SUBSYSTEMS_IN_PRODUCTION
    ),
    "mm/vmstat: Number the events of hidden options behind all others": Caught(
        "x86_64", FEATURES["members"], enumerator="DIRECT_MAP_LEVEL2_SPLIT"
    ),
    "mm: shrinkers: Keep what SHRINKER_DEBUG knows out of struct shrinker": Caught(
        "x86_64", FEATURES["members"], "struct shrinker"
    ),
    "module: Refuse modules that disagree about CGROUP_DEBUG": Caught(refused="CGROUP_DEBUG"),
    "lockdep: Keep what it knows of locks out of them": Caught(
        "x86_64", FEATURES["lockdep"], stray="NETDEV_NESTED_LEVEL", preemption=Preemption.FULL
    ),
    "lockdep: Keep keys out of structures that modules know": Caught(
        "x86_64", FEATURES["lockdep"], "struct file_system_type", preemption=Preemption.FULL
    ),
    "lockdep: Hide what it adds to other structures and numbers": Caught(
        "x86_64", FEATURES["lockdep"], "struct task_struct", preemption=Preemption.FULL
    ),
    "locking: Export what modules without lockdep call": Caught(
        elsewhere="the suite, isolated kernels with lockdep: mutex_lock() is unknown, and modules are not loaded"
    ),
    "lockdep: Do not rely on what modules do not tell": Caught(
        elsewhere="the suite, isolated kernels with lockdep: modules are refused because of DEBUG_LOCK_ALLOC"
    ),
    "dma-debug: Do not rely on what modules do not tell": Caught(
        elsewhere="tests/nightly/test_correct_modules.py: a driver is told that it failed to check what it did check"
    ),
    "mm/page_table_check: Put up with entries that modules set": Caught(
        elsewhere="tests/nightly/test_correct_modules.py: 6.1.187 stops when it removes what a module has mapped"
    ),
    "nvme: Do without what FAULT_INJECTION_DEBUG_FS adds to struct nvme_ctrl": Caught(
        elsewhere="tests/nightly/test_driver_families.py: the structure is larger than in production"
    ),
    "mmc: dw_mmc: Do without what FAULT_INJECTION adds to struct dw_mci": Caught(
        elsewhere="tests/nightly/test_driver_families.py: the structure is larger than in production"
    ),
    "ALSA: control: Put up with controls that do not skip checks": Caught(
        elsewhere="tests/nightly/test_driver_families.py: controls are checked beside a module of production"
    ),
    "kobject: Release what modules drop at once": Caught(
        elsewhere="tests/nightly/test_correct_modules.py: an object is released after the module has freed it"
    ),
    "kmemleak: Do not rely on what modules do not tell": Caught(
        elsewhere="tests/nightly/test_correct_modules.py: memory that a module means to keep is a leak"
    ),
    "module: Keep the lookup tree's nodes out of struct module_memory": Caught(
        "arm", structure="struct module_memory", source=OTHER
    ),
    "slab: Number the flags of hidden options behind all others": Caught(
        "x86_64", FEATURES["debug-set"], enumerator="_SLAB_NOLEAKTRACE", preemption=Preemption.FULL, source=OTHER
    ),
    "mm: shrinkers: Hide what SHRINKER_DEBUG adds to struct shrinker": Caught(
        "x86_64", FEATURES["members"], "struct shrinker", source=OTHER
    ),
    "kasan: Let modules without KASAN call memory functions that check": Caught(
        elsewhere="tests/nightly/test_needed.py: memcpy() of a module is not checked", source=OTHER
    ),
}


@pytest.fixture(scope="module")
def source() -> KernelSource:
    return find_source(DEFAULT_PACKAGE, STORE)


def everything(arch: str, source: KernelSource, preemption: Preemption = Preemption.NONE) -> KernelSpec:
    variant = variant_of(FEATURES["all"], preemption, isolated=True)
    return KernelSpec(ARCHITECTURES[arch], isolated(source, STORE), variant)


@pytest.mark.parametrize("preemption", list(Preemption))
@pytest.mark.parametrize("arch", SUPPORTED)
def test_a_module_finds_what_it_was_compiled_with(arch: str, preemption: Preemption, source: KernelSource) -> None:
    checked = compare_abi(everything(arch, source, preemption), STORE)
    assert checked.is_same, checked.for_people()
    assert not any(what.startswith("headers") for what in checked.left_out), checked.left_out
    compared = {comparison.of: comparison.compared for comparison in checked.comparisons}
    least = {
        "structures": 13000, "inlined functions": 17000, "macros": 130000, "enumerators": 40000, "prototypes": 18000,
    }  # fmt: skip
    assert all(compared[kind] > count for kind, count in least.items()), compared


OTHERS = [series.package for series in SERIES.values() if series.package != DEFAULT_PACKAGE]


@pytest.mark.slow
@pytest.mark.parametrize("package", OTHERS)
@pytest.mark.parametrize("arch", SUPPORTED)
def test_so_it_does_with_the_other_series(arch: str, package: str) -> None:
    checked = compare_abi(everything(arch, find_source(package, STORE)), STORE)
    assert checked.is_same, checked.for_people()


KEPT = [feature for feature in FEATURES.values() if feature.isolation is Isolation.KEPT and feature.name != "all"]


@pytest.mark.slow
@pytest.mark.parametrize("feature", [pytest.param(it, id=f"feature-{place}") for place, it in enumerate(KEPT, 1)])
@pytest.mark.parametrize("arch", SUPPORTED)
def test_of_each_feature_alone_too(arch: str, feature: Feature, source: KernelSource) -> None:
    variant = variant_of(feature, Preemption.NONE, isolated=True)
    checked = compare_abi(KernelSpec(ARCHITECTURES[arch], isolated(source, STORE), variant), STORE)
    assert checked.is_same, checked.for_people()


@pytest.mark.parametrize("arch", SUPPORTED)
def test_switched_off_nothing_moves(arch: str, source: KernelSource) -> None:
    specs = (KernelSpec(ARCHITECTURES[arch], tree) for tree in (isolated(source, STORE), source))
    patched, plain = (headers_of(spec, STORE) for spec in specs)
    assert kernel_layouts(patched, STORE) == kernel_layouts(plain, STORE)
    now, before = kernel_macros_and_enumerators(patched, STORE), kernel_macros_and_enumerators(plain, STORE)
    assert now.enumerators == before.enumerators
    assert compare_macros(before.macros, now.macros, {}, differing=()).differences == {}
    assert kernel_exported_types(patched, STORE).prototypes == kernel_exported_types(plain, STORE).prototypes


@pytest.mark.slow
@pytest.mark.parametrize("arch", SUPPORTED)
def test_switched_off_inlined_functions_are_as_ever(arch: str, source: KernelSource) -> None:
    patched, plain = (KernelSpec(ARCHITECTURES[arch], tree) for tree in (isolated(source, STORE), source))
    now, before = (kernel_inline_functions(spec, STORE).functions for spec in (patched, plain))
    assert set(now) == set(before)
    # They pass on their __LINE__, and the headers have become longer (harness/lab/validation/allowed_differences.py).
    lines = {"cond_resched_rcu", "netdev_set_ml_priv", "netdev_reg_state", "page_pool_defrag_page"}
    assert {name for name, code in now.items() if code != before[name]} <= lines


def without(subject_: str) -> KernelSpec:
    """The kernel that shows the absence of a patch, from a source without it."""
    caught = CAUGHT[subject_]
    source = find_source(caught.source, STORE)
    (patch,) = (patch for patch in series_for(source) if subject(patch) == subject_)
    variant = Variant(caught.feature, caught.preemption, bare=caught.feature.is_detector, isolated=True)
    production = with_options(caught.production, source, variant, caught.arch) if caught.production else None
    return KernelSpec(
        ARCHITECTURES[caught.arch], isolated_without(source, patch, STORE), variant, user_config=production
    )


def whole(name: str) -> KernelSource:
    """The source with the series of a patch."""
    return isolated(find_source(CAUGHT[name].source, STORE), STORE)


def with_options(fragment: Path, source: KernelSource, variant: Variant, arch: str) -> UserConfig:
    """Our production with further options."""
    spec = KernelSpec(ARCHITECTURES[arch], source, variant.production)
    text = f"{resolve(spec, STORE)}{fragment.read_text()}"
    return UserConfig(fragment, spec.arch, text, as_it_is=True)


def numbered(*ways: str) -> list[object]:
    """Patches whose absence is noticed in one of these ways, with their places in the table as ids."""
    places = enumerate(CAUGHT.items(), 1)
    return [
        pytest.param(name, id=f"patch-{place}")
        for place, (name, caught) in places
        if any(getattr(caught, way) for way in ways)
    ]


def enumerator_comparison(spec: KernelSpec, store: Store) -> Comparison:
    _, enumerators = definition_comparisons(spec, store)
    return enumerators


# A way in which a patch is missed -> the comparison that shows it
COMPARISONS = {
    "structure": layout_comparison,
    "function": function_comparison,
    "enumerator": enumerator_comparison,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", numbered(*COMPARISONS))
def test_without_a_patch_something_differs(name: str) -> None:
    (way,) = (way for way in COMPARISONS if getattr(CAUGHT[name], way))
    spec = without(name)
    assert COMPARISONS[way](replace(spec, source=whole(name)), STORE).differences == {}
    assert getattr(CAUGHT[name], way) in COMPARISONS[way](spec, STORE).differences


# A way in which a patch is missed -> what is said of the configuration
REFUSALS = {"symbol": "Kconfig dropped or changed", "stray": "changes more than itself:"}


@pytest.mark.slow
@pytest.mark.parametrize("name", numbered(*REFUSALS))
def test_without_a_patch_the_configuration_is_refused(name: str) -> None:
    (way,) = (way for way in REFUSALS if getattr(CAUGHT[name], way))
    spec = without(name)
    resolve(replace(spec, source=whole(name)), STORE)
    with pytest.raises(ModcompatError, match=rf"{REFUSALS[way]} .*\b{getattr(CAUGHT[name], way)}\b"):
        resolve(spec, STORE)


@pytest.mark.slow
@pytest.mark.parametrize("name", numbered("undefined"))
def test_without_a_patch_nothing_compiles(name: str) -> None:
    with pytest.raises(ModcompatError) as caught:
        layout_comparison(without(name), STORE)
    assert CAUGHT[name].undefined in caught.value.details


@pytest.mark.slow
@pytest.mark.parametrize("name", numbered("refused"))
def test_without_a_patch_a_module_is_not_asked(name: str) -> None:
    trees = (whole(name), without(name).source)
    asked = [CAUGHT[name].refused in (tree.tree() / "include/linux/module_abi.h").read_text() for tree in trees]
    assert asked == [True, False]
