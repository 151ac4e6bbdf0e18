# SPDX-License-Identifier: Apache-2.0
"""The model of the kernel's module loader, for kernels with a made-up struct module."""

from dataclasses import replace

import pytest

from harness.abi.elf.dwarf import Layout, Member
from harness.abi.elf.module_file import Import, ModuleFacts, Section
from harness.abi.predict.loader import KernelFacts, PredictedFailure, PredictedOutcome, Stage, simulate
from harness.kernel.arch import ARCHITECTURES, ARM, ARM64, X86_64
from harness.kernel.symvers import Export

LIST = Layout("struct list_head", 16, (Member("next", 0, 8, "struct list_head *"), Member("prev", 8, 8, "")))
PARTS = (("state", 8, ""), ("name", 56, ""), ("extable", 8, ""), ("init", 8, ""), ("num_srcu_structs", 8, ""))
TAIL = (("source_list", 16, "struct list_head"), ("exit", 8, ""), ("refcnt", 8, ""))


TAGS = ("KUNIT", "DEBUG_LOCK_ALLOC", "PREEMPT_COUNT", "KASAN")  # some of those in harness/kernel/versions.py


def kernel(*more: str, before: str = "", size: int = 0, **config: str) -> KernelFacts:
    """A kernel whose struct module has additional 8-byte members before the given member, or before the tail."""
    added = [(name, 8, "") for name in more]
    parts = [*PARTS, *TAIL]
    at = next(index for index, part in enumerate(parts) if part[0] == (before or "source_list"))
    members, offset = [], 0
    for name, length, embeds in [*parts[:at], *added, *parts[at:]]:
        members.append(Member(name, offset, length, "", embeds))
        offset += length
    layouts = {"struct module": Layout("struct module", size or offset, tuple(members)), LIST.name: LIST}
    return KernelFacts(X86_64, "6.1.0", {"SMP": "y", "MODULE_UNLOAD": "y", **config}, layouts, isolation_tags=TAGS)


PRODUCTION = kernel()
MODULE = ModuleFacts(
    "vendor", X86_64, "6.1.0 SMP mod_unload ", struct_size=120, init=72, exit=104, imports=(Import("mutex_lock"),)
)


def first(module: ModuleFacts, facts: KernelFacts) -> PredictedFailure | None:
    return min(simulate(module, facts), key=lambda finding: finding.when, default=None)


def reason(module: ModuleFacts, facts: KernelFacts, outcome: PredictedOutcome) -> str:
    finding = first(module, facts)
    assert finding is not None
    assert finding.outcome is outcome
    return finding.reason


def test_nothing_goes_wrong_on_production() -> None:
    assert first(MODULE, PRODUCTION) is None


def test_every_reason_to_refuse_is_told() -> None:
    facts = kernel(MODVERSIONS="y", MODULE_SIG_FORCE="y", PREEMPT="y")
    reasons = [finding.reason for finding in simulate(MODULE, facts)]
    assert len(reasons) == 2
    assert "not signed" in reasons[0]
    assert "vermagic" in reasons[1]


def test_the_size_comes_first_since_6_4() -> None:
    facts = replace(kernel("a", MODVERSIONS="y", PREEMPT="y"), release="6.4.0")
    reasons = [finding.reason for finding in simulate(replace(MODULE, vermagic="6.4.0 SMP mod_unload "), facts)]
    assert reasons[0] == "its struct module has 120 bytes, the kernel's 128"
    assert "vermagic" in reasons[1]


@pytest.mark.parametrize(("size", "refused"), [(120, False), (112, False), (128, True)])
def test_the_isolation_series_takes_a_smaller_struct_module(size: int, *, refused: bool) -> None:
    facts = replace(kernel(MODULE_ABI_ISOLATION="y", UNUSED="y"), release="6.12.0")
    module = replace(MODULE, vermagic="6.12.0 SMP mod_unload ", struct_size=size)
    assert any("struct module has" in finding.reason for finding in simulate(module, facts)) is refused


@pytest.mark.parametrize("outside", ["y", "n"])
def test_lockdep_is_no_reason_where_it_keeps_out_of_locks(outside: str) -> None:
    facts = kernel(MODULE_ABI_ISOLATION="y", DEBUG_LOCK_ALLOC="y", LOCKDEP_OUTSIDE=outside)
    reasons = [finding.reason for finding in simulate(MODULE, facts)]
    assert any("DEBUG_LOCK_ALLOC" in reason for reason in reasons) is (outside == "n")


VERSIONED = replace(
    MODULE, vermagic="6.1.0 SMP mod_unload modversions ", versions=True, other_versions={"module_layout": 1}
)
EXPORTS = {"module_layout": Export(crc=1), "mutex_lock": Export(crc=7)}


def versioned(release: str = "6.1.0") -> KernelFacts:
    return replace(kernel(MODVERSIONS="y", size=120), release=release, exports=EXPORTS)


def test_a_symbol_without_a_version_is_refused() -> None:
    text = reason(VERSIONED, versioned(), PredictedOutcome.REFUSED)
    assert text == "it has no version of mutex_lock, which the kernel requires"


def test_versions_and_vermagic_do_not_matter_to_a_module_that_is_forced() -> None:
    module = replace(VERSIONED, vermagic="5.10.0 SMP", other_versions={"module_layout": 2}, forced=True)
    forcible = versioned()
    assert "no MODULE_FORCE_LOAD" in reason(module, forcible, PredictedOutcome.REFUSED)
    forcible = replace(forcible, config={**forcible.config, "MODULE_FORCE_LOAD": "y"})
    assert first(module, forcible) is None


@pytest.mark.parametrize(
    ("extended", "release", "words"),
    [
        ({"module_layout": 1, "mutex_lock": 7}, "6.14.0", ""),
        ({"module_layout": 1}, "6.14.0", ""),  # the kernel only warns
        (
            {"module_layout": 1, "mutex_lock": 8},
            "6.14.0",
            "version of mutex_lock 0x00000008, the kernel's is 0x00000007",
        ),
        ({"module_layout": 1, "mutex_lock": 7}, "6.13.0", "it has no version of mutex_lock"),
    ],
    ids=["same", "without", "other", "before-6.14"],
)
def test_extended_versions_replace_the_others_since_6_14(extended: dict[str, int], release: str, words: str) -> None:
    module = replace(VERSIONED, extended_versions=extended)
    if words:
        assert words in reason(module, versioned(release), PredictedOutcome.REFUSED)
    else:
        assert first(module, versioned(release)) is None


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ((), ""),
        (("PREEMPT_RT",), "preempt_rt"),
        (("PREEMPT_BUILD",), "preempt"),
        (("PREEMPT_BUILD", "PREEMPT_RT"), "preempt"),
    ],
    ids=["none", "rt", "full", "both"],
)
def test_the_version_magic_names_one_preemption_model(options: tuple[str, ...], word: str) -> None:
    """include/linux/vermagic.h asks about the second one with #elif."""
    words = replace(kernel(), config=dict.fromkeys(options, "y")).vermagic.split()
    assert [each for each in words if each.startswith("preempt")] == [word] * bool(word)


@pytest.mark.parametrize(
    ("namespace", "takes"),
    [
        ("module:kvm-intel,other", True),
        ("module:kvm*", True),
        ("module:kv", False),
        ("module:kvm", False),
        ("KVM", False),
    ],
)
def test_a_namespace_may_name_the_modules_that_use_it(namespace: str, takes: bool) -> None:  # noqa: FBT001 - a column
    module = replace(MODULE, name="kvm_intel", imports=(Import("kvm_get"),), info={"license": ("GPL",)})
    facts = replace(kernel(), exports={"kvm_get": Export("EXPORT_SYMBOL_GPL", namespace=namespace)})
    assert (first(module, facts) is None) == takes


def test_a_module_without_the_sections_for_plts_is_refused() -> None:
    facts = replace(kernel(ARM_MODULE_PLTS="y"), arch=ARM)
    module = replace(MODULE, arch=ARM, vermagic=facts.vermagic, sections=(Section(".plt", 1, "AX"),))
    text = reason(module, facts, PredictedOutcome.REFUSED)
    assert text == "it was built without CONFIG_ARM_MODULE_PLTS, and lacks the sections .init.plt"


def test_types_that_refer_to_another_image_are_refused_unless_that_is_allowed() -> None:
    module = replace(MODULE, sections=(Section(".BTF", 8, ""),))
    strict = kernel(DEBUG_INFO_BTF_MODULES="y")
    (finding,) = simulate(module, strict, PRODUCTION)
    assert "MODULE_ALLOW_BTF_MISMATCH" in finding.reason
    assert first(module, strict) is None  # it was built for this one
    lenient = kernel(DEBUG_INFO_BTF_MODULES="y", MODULE_ALLOW_BTF_MISMATCH="y")
    assert list(simulate(module, lenient, PRODUCTION)) == []
    relocated = replace(module, sections=(*module.sections, Section(".BTF.base", 8, "")))
    assert list(simulate(relocated, strict, PRODUCTION)) == []


def test_an_init_that_moved_is_never_found() -> None:
    text = reason(MODULE, kernel("a", "b", "c", "d", "e", before="extable"), PredictedOutcome.INERT)
    assert text == "struct module.init 0x48 → 0x70: the kernel never finds its init"


def test_an_exit_where_the_kernel_looks_for_init_is_called() -> None:
    text = reason(MODULE, kernel("a", "b", "c", "d", before="extable"), PredictedOutcome.BREAKS)
    assert text == "struct module.exit 0x68 is where the kernel has init: it calls the module's exit when it loads it"


def test_an_exit_that_moved_is_never_found() -> None:
    found = first(MODULE, kernel("a", "b", "c"))
    assert found == PredictedFailure(
        Stage.UNLOAD, PredictedOutcome.INERT, "struct module.exit 0x68 → 0x80: the kernel never finds its exit"
    )


def test_x86_refuses_a_relocation_over_what_is_in_use() -> None:
    text = reason(MODULE, kernel("a"), PredictedOutcome.REFUSED)
    assert "struct module.exit 0x68 is where the kernel has source_list.prev" in text


def test_other_architectures_write_over_it() -> None:
    on_arm64 = replace(kernel("a", "b"), arch=ARM64)
    module = replace(MODULE, arch=ARM64, vermagic="6.1.0 SMP mod_unload aarch64")
    assert "source_list.next" in reason(module, on_arm64, PredictedOutcome.BREAKS)


def test_the_list_of_needed_modules_is_walked_while_a_module_is_loaded() -> None:
    target = ("target_list", 16, "struct list_head")
    facts = kernel()
    members = (*facts.layouts["struct module"].members[:-2], Member(target[0], 104, 16, "", target[2]))
    members += (Member("exit", 120, 8, ""),)
    layouts = {**facts.layouts, "struct module": replace(facts.layouts["struct module"], members=members)}
    module = replace(MODULE, arch=ARM64, vermagic="6.1.0 SMP mod_unload aarch64")
    assert "target_list.next: mod_sysfs" in reason(
        module, replace(facts, arch=ARM64, layouts=layouts), PredictedOutcome.BREAKS
    )


def test_a_count_that_becomes_an_address_breaks_the_load() -> None:
    more = ("1", "2", "3", "4")
    shifted = kernel(*more, before="num_srcu_structs")
    module = replace(MODULE, exit=112)
    assert "num_srcu_structs" in reason(replace(module, init=72), shifted, PredictedOutcome.BREAKS)


@pytest.mark.parametrize(
    ("bss", "outcome"), [(0, PredictedOutcome.INERT), (8, PredictedOutcome.INERT), (16, PredictedOutcome.BREAKS)]
)
def test_what_the_kernel_keeps_in_bss_breaks_modules_that_have_some(bss: int, outcome: PredictedOutcome) -> None:
    module = replace(MODULE, sections=(Section(".bss", bss, "WA"),))
    reason(module, kernel("a", "b", "c"), outcome)


@pytest.mark.parametrize(
    ("module", "facts", "words"),
    [
        (replace(MODULE, arch=ARCHITECTURES["arm"]), PRODUCTION, "it is for arm, the kernel for x86_64"),
        (replace(MODULE, vermagic="6.1.1 SMP mod_unload "), PRODUCTION, "vermagic '6.1.1 SMP mod_unload'"),
        (MODULE, kernel(PREEMPT_BUILD="y"), "the kernel's is '6.1.0 SMP preempt mod_unload'"),
        (MODULE, replace(PRODUCTION, exports={"kfree": Export()}), "does not export mutex_lock"),
        (
            MODULE,
            replace(PRODUCTION, exports={"kfree": Export()}),
            "does not export mutex_lock (exported without DEBUG_LOCK_ALLOC)",
        ),
        (MODULE, kernel(MODULE_SIG_FORCE="y"), "it is not signed"),
        (
            replace(MODULE, vermagic="6.4.0 SMP mod_unload", struct_size=112),
            replace(PRODUCTION, release="6.4.0"),
            "its struct module has 112 bytes, the kernel's 120",
        ),
        (MODULE, kernel(MODULE_ABI_ISOLATION="y", KASAN="y"), "built without CONFIG_KASAN"),
        (MODULE, kernel("a", before="extable", MODULE_ABI_ISOLATION="y"), "was built for another ABI"),
    ],
    ids=["machine", "release", "preemption", "symbol", "its-option", "signature", "size", "option", "offset"],
)
def test_a_refusal_names_what_differs(module: ModuleFacts, facts: KernelFacts, words: str) -> None:
    assert words in reason(module, facts, PredictedOutcome.REFUSED)


def test_versions_are_compared_where_both_have_them() -> None:
    versioned = kernel(MODVERSIONS="y")
    exports = {"mutex_lock": Export(crc=2), "module_layout": Export(crc=7)}
    module = replace(
        MODULE, versions=True, vermagic="6.0.9 SMP mod_unload modversions", imports=(Import("mutex_lock", crc=1),),
        other_versions={"module_layout": 7},
    )  # fmt: skip
    text = reason(module, replace(versioned, exports=exports), PredictedOutcome.REFUSED)
    assert text == "version of mutex_lock 0x00000001, the kernel's is 0x00000002"
    exports["mutex_lock"] = Export(crc=1)
    assert first(module, replace(versioned, exports=exports)) is None


@pytest.mark.parametrize(
    ("licence", "export", "words"),
    [
        ("Proprietary", Export("EXPORT_SYMBOL_GPL"), "'Proprietary', and the kernel exports mutex_lock to GPL modules"),
        ("", Export("EXPORT_SYMBOL_GPL"), "no licence"),
        ("GPL", Export("EXPORT_SYMBOL_GPL", namespace="LOCKS"), "mutex_lock is in the namespace LOCKS"),
    ],
)
def test_what_the_kernel_withholds_is_named(licence: str, export: Export, words: str) -> None:
    module = replace(MODULE, info={"license": (licence,)})
    assert words in reason(module, replace(PRODUCTION, exports={"mutex_lock": export}), PredictedOutcome.REFUSED)


@pytest.mark.parametrize("licence", ["GPL", "Dual MIT/GPL"])
def test_what_a_module_may_have_is_no_reason(licence: str) -> None:
    export = Export("EXPORT_SYMBOL_GPL", namespace="LOCKS")
    module = replace(MODULE, info={"license": (licence,), "import_ns": ("LOCKS",)})
    assert first(module, replace(PRODUCTION, exports={"mutex_lock": export})) is None
    weak = replace(MODULE, imports=(Import("mutex_lock", weak=True),))
    assert first(weak, replace(PRODUCTION, exports={"mutex_lock": Export("EXPORT_SYMBOL_GPL")})) is None


def test_without_unloading_there_is_no_exit_to_be_found() -> None:
    whole = kernel().layouts["struct module"]
    less = replace(whole, members=tuple(member for member in whole.members if member.name != "exit"))
    for isolated in ("y", "n"):
        facts = kernel(MODULE_UNLOAD="n", MODULE_ABI_ISOLATION=isolated)
        facts = replace(facts, layouts={**facts.layouts, "struct module": less})
        assert first(replace(MODULE, vermagic="6.1.0 SMP "), facts) is None


def test_the_isolated_loader_refuses_trace_events_of_another_form() -> None:
    facts = kernel(MODULE_ABI_ISOLATION="y", MODULE_ABI_ISOLATE_PERF_EVENTS="y", EVENT_TRACING="y")
    module = replace(MODULE, sections=(Section("_ftrace_events", 8, "WA"),))
    assert "trace events" in reason(module, facts, PredictedOutcome.REFUSED)
    assert first(replace(module, info={"module_abi": ("",)}), facts) is None


def test_the_isolated_loader_knows_a_struct_module_without_kallsyms_alone() -> None:
    """If the unwinder's 16 bytes are missing, too, other structures differ as well."""
    facts = kernel("arch", "num_orcs", "kallsyms", "args", MODULE_ABI_ISOLATION="y", KALLSYMS="y", UNWINDER_ORC="y")
    modules = {without: replace(MODULE, exit=104 + 32 - without) for without in (0, 8, 16, 24)}
    assert {without for without, module in modules.items() if first(module, facts) is None} == {0, 8}
    assert "struct module.exit" in reason(modules[16], facts, PredictedOutcome.REFUSED)


def test_the_isolated_loader_gives_a_module_the_room_that_it_lacks() -> None:
    facts = kernel("a", before="refcnt", MODULE_ABI_ISOLATION="y")
    assert first(replace(MODULE, sections=(Section(".bss", 4096, "WA"),)), facts) is None
