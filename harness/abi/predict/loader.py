# SPDX-License-Identifier: Apache-2.0
"""A model of the kernel's module loader: it follows the load of a module file, from the layouts of both kernels.

It follows load_module() in kernel/module/main.c of Linux 6.1 to 7.3. The kernel uses the file's section
.gnu.linkonce.this_module as its struct module. That section has the size of struct module in the kernel that the
module was built for. It is zero except for the name and two relocations, which write the addresses of init and exit.
If the kernel's struct module differs, the relocations write into other members, the kernel reads init and exit from
members that are still zero, and the members after the section's end overlap the module's .bss, which follows it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

from harness.abi.elf.dwarf import Layout
from harness.abi.elf.module_file import ModuleFacts
from harness.abi.predict.symbol_options import option_of, with_option
from harness.kernel.arch import Architecture
from harness.kernel.symvers import Export
from harness.kernel.versions import (
    EXTENDED_VERSIONS_ARE_READ,
    STRUCT_MODULE_SIZE_IS_CHECKED,
    Version,
    version_in,
)
from harness.support.module_name import kernel_name
from harness.support.text import join_some

MODULE = "struct module"


class PredictedOutcome(StrEnum):
    """The verdicts as far as they can be predicted without running the module."""

    CLEAN = "CLEAN"
    INERT = "INERT"
    REFUSED = "REFUSED"
    BREAKS = "BREAKS"  # SPLAT, CORRUPTED, HUNG or DIED


class Stage(IntEnum):
    """The stages of a module's life, in their order."""

    LOAD = 0
    USE = 1
    UNLOAD = 2


@dataclass(frozen=True)
class PredictedFailure:
    """Something that will go wrong; the first one is the predicted verdict."""

    when: Stage
    outcome: PredictedOutcome
    reason: str


@dataclass(frozen=True)
class KernelFacts:
    """The facts about a kernel that determine how it treats a module."""

    arch: Architecture
    release: str  # as uname -r prints it
    config: Mapping[str, str]  # Kconfig symbol -> value
    layouts: Mapping[str, Layout]  # struct module, everything that it embeds, and others
    exports: Mapping[str, Export] | None = field(default=None, repr=False)  # None if the kernel was not built
    # options that its isolation series cannot hide, in the series' order; empty without a series
    isolation_tags: tuple[str, ...] = ()

    def has(self, symbol: str) -> bool:
        return self.config.get(symbol, "n") == "y"

    @property
    def version(self) -> Version:
        return version_in(self.release)

    @property
    def vermagic(self) -> str:
        """As include/linux/vermagic.h composes it, without the hash that RANDSTRUCT adds."""
        words = [self.release]
        words += [word for symbol, word in _VERMAGIC if self.has(symbol)]
        if "preempt" in words and "preempt_rt" in words:  # the file has #elif
            words.remove("preempt_rt")
        words += [word for symbol, word in self.arch.vermagic if not symbol or self.has(symbol)]
        return " ".join(words)


_VERMAGIC = (
    ("SMP", "SMP"),
    ("PREEMPT_BUILD", "preempt"),
    ("PREEMPT_RT", "preempt_rt"),
    ("MODULE_UNLOAD", "mod_unload"),
    ("MODVERSIONS", "modversions"),
)

# Members that the loader has written before it applies relocations: always, or if the module has one of the listed
# sections. percpu_modalloc(), module_unload_init(), init_param_lock(), find_module_sections(), move_module().
_WRITTEN_MEMBERS = (
    "state", "list.", "name", "core_layout.base", "core_layout.size", "init_layout.base", "init_layout.size",
    "source_list.", "target_list.", "refcnt", "param_lock.wait_list.", "param_lock.magic", "param_lock.wait_lock.",
)  # fmt: skip
_SECTIONS_OF_MEMBERS = {
    "kp": ("__param",), "num_kp": ("__param",),
    "syms": ("__ksymtab",), "num_syms": ("__ksymtab",), "crcs": ("__kcrctab",),
    "gpl_syms": ("__ksymtab_gpl",), "num_gpl_syms": ("__ksymtab_gpl",), "gpl_crcs": ("__kcrctab_gpl",),
    "extable": ("__ex_table",), "num_exentries": ("__ex_table",),
    "percpu": (".data..percpu",), "percpu_size": (".data..percpu",),
    "ctors": (".ctors", ".init_array"), "num_ctors": (".ctors", ".init_array"),
    "noinstr_text_start": (".noinstr.text",), "noinstr_text_size": (".noinstr.text",),
    "tracepoints_ptrs": ("__tracepoints_ptrs",), "num_tracepoints": ("__tracepoints_ptrs",),
    "srcu_struct_ptrs": ("___srcu_struct_ptrs",), "num_srcu_structs": ("___srcu_struct_ptrs",),
    "bpf_raw_events": ("__bpf_raw_tp_map",), "num_bpf_raw_events": ("__bpf_raw_tp_map",),
    "btf_data": (".BTF",), "btf_data_size": (".BTF",),
    "jump_entries": ("__jump_table",), "num_jump_entries": ("__jump_table",),
    "trace_events": ("_ftrace_events",), "num_trace_events": ("_ftrace_events",),
    "trace_evals": ("_ftrace_eval_map",), "num_trace_evals": ("_ftrace_eval_map",),
    "trace_bprintk_fmt_start": ("__trace_printk_fmt",), "num_trace_bprintk_fmt": ("__trace_printk_fmt",),
    "ftrace_callsites": ("__mcount_loc", "__patchable_function_entries"),
    "num_ftrace_callsites": ("__mcount_loc", "__patchable_function_entries"),
    "ei_funcs": ("_error_injection_whitelist",), "num_ei_funcs": ("_error_injection_whitelist",),
    "kprobes_text_start": (".kprobes.text",), "kprobes_text_size": (".kprobes.text",),
    "kprobe_blacklist": ("_kprobe_blacklist",), "num_kprobe_blacklist": ("_kprobe_blacklist",),
    "static_call_sites": (".static_call_sites",), "num_static_call_sites": (".static_call_sites",),
}  # fmt: skip
# The effect of a member that holds the address of a function, while the kernel loads or lists the module after the
# relocations. The count of a table that the module lacks makes the kernel walk from address zero; a pointer to a table
# matters only if the module has the table (_SECTIONS_OF_MEMBERS).
_EFFECTS = {
    "num_srcu_structs": "srcu_module_coming() walks a table that is not there",
    "num_tracepoints": "tracepoint_module_coming() walks a table that is not there",
    "num_trace_events": "trace_module_add_events() walks a table that is not there",
    "num_trace_evals": "trace_module_add_evals() walks a table that is not there",
    "num_trace_bprintk_fmt": "trace_printk's notifier walks a table that is not there",
    "num_jump_entries": "jump_label_module_notify() walks a table that is not there",
    "num_static_call_sites": "static_call_module_notify() walks a table that is not there",
    "num_ftrace_callsites": "ftrace_module_init() walks a table that is not there",
    "num_kprobe_blacklist": "kprobes' notifier walks a table that is not there",
    "num_exentries": "post_relocation() sorts a table that is not there",
    "num_syms": "verify_exported_symbols() walks a table that is not there",
    "num_gpl_syms": "verify_exported_symbols() walks a table that is not there",
    "num_kp": "parse_args() walks a table that is not there",
    "source_list.next": "listing the modules walks through code as if it were a list",
    "target_list.next": "mod_sysfs_setup() walks through code as if it were the list of modules that this one needs",
    "list.next": "the list of modules is broken",
    "init": "it calls the module's exit when it loads it",
}
_TABLES = ("kp", "syms", "gpl_syms", "extable", "jump_entries", "static_call_sites", "ftrace_callsites", "percpu")
# Members that the kernel uses as long as the module is loaded.
_MEMBERS_IN_USE = (
    "source_list", "target_list", "exit", "refcnt", "args", "percpu", "sect_attrs", "kallsyms", "bug_list",
)  # fmt: skip
_MAX_NAMES = 3  # listed before "and N more"


def simulate(
    module: ModuleFacts, kernel: KernelFacts, production: KernelFacts | None = None
) -> Iterator[PredictedFailure]:
    """Everything that goes wrong in the loader when a kernel loads and unloads a module, in order.

    production: the kernel that the module was built for, None if that is this one.
    """
    reasons = [*_refusals(module, kernel), *_types_refused(module, kernel, production or kernel)]
    refusals = [PredictedFailure(Stage.LOAD, PredictedOutcome.REFUSED, reason) for reason in reasons]
    yield from refusals
    if not refusals and not kernel.has("MODULE_ABI_ISOLATION"):
        yield from _relocations(module, kernel)
        yield from _init_and_exit(module, kernel)


def _refusals(module: ModuleFacts, kernel: KernelFacts) -> Iterator[str]:
    """All reasons to refuse the module, in the order in which the kernel checks them."""
    if module.arch is not kernel.arch:
        theirs = module.arch.name if module.arch else "another architecture"
        yield f"it is for {theirs}, the kernel for {kernel.arch.name}"
        return
    if kernel.has("MODULE_SIG_FORCE") and not module.signature:
        yield "it is not signed, and the kernel has MODULE_SIG_FORCE"
    yield from _size_differs(module, kernel)
    yield from _isolation_refuses(module, kernel)
    yield from _versions_differ(module, kernel, ("module_layout",))
    if module.forced and not kernel.has("MODULE_FORCE_LOAD"):
        yield "it is loaded by force, and the kernel has no MODULE_FORCE_LOAD"
    if not module.forced and _magic(module.vermagic, module) != _magic(kernel.vermagic, module):
        yield f"vermagic {module.vermagic.strip()!r}, the kernel's is {kernel.vermagic!r}"
    yield from _sections_missing(module, kernel)
    yield from _unknown_symbols(module, kernel)
    yield from _withheld_symbols(module, kernel)
    yield from _versions_differ(module, kernel, tuple(symbol.name for symbol in module.imports))
    if kernel.arch.quirks.relocates_zeros_only and not kernel.has("MODULE_ABI_ISOLATION"):
        yield from _slots_in_use(module, kernel)


def _size_differs(module: ModuleFacts, kernel: KernelFacts) -> Iterator[str]:
    """elf_validity_cache_index_mod(), before anything else is read. The isolation series takes smaller ones, too."""
    theirs, ours = module.struct_size, kernel.layouts[MODULE].size
    fits = theirs <= ours if kernel.has("MODULE_ABI_ISOLATION") else theirs == ours
    if kernel.version >= STRUCT_MODULE_SIZE_IS_CHECKED and not fits:
        yield f"its struct module has {theirs} bytes, the kernel's {ours}"


def _sections_missing(module: ModuleFacts, kernel: KernelFacts) -> Iterator[str]:
    """module_frob_arch_sections(): the linker script of modules has these sections if the kernel has the option."""
    for option, names in kernel.arch.quirks.needed_sections:
        missing = [name for name in names if not module.has_section(name)]
        if kernel.has(option) and missing:
            yield f"it was built without CONFIG_{option}, and lacks the sections {', '.join(missing)}"


def _types_refused(module: ModuleFacts, kernel: KernelFacts, production: KernelFacts) -> Iterator[str]:
    """btf_module_notify() of kernel/bpf/btf.c, the last to refuse a module.

    The types in a module's .BTF continue those of production's image by number, so on any other image they refer to
    other types. With .BTF.base (6.11) the kernel finds them by name. The isolation series ignores such types.
    """
    own_image = kernel.config == production.config
    lenient = kernel.has("MODULE_ALLOW_BTF_MISMATCH") or kernel.has("MODULE_ABI_ISOLATION")
    checks = kernel.has("DEBUG_INFO_BTF_MODULES") and not lenient
    if checks and not own_image and module.has_section(".BTF") and not module.has_section(".BTF.base"):
        yield "its BTF refers to the types of production's image, and the kernel has no MODULE_ALLOW_BTF_MISMATCH"


def _magic(vermagic: str, module: ModuleFacts) -> list[str]:
    """The words that same_magic() compares: it skips the release if the module has CRCs."""
    return vermagic.split()[1 if module.versions else 0 :]


def _isolation_refuses(module: ModuleFacts, kernel: KernelFacts) -> Iterator[str]:
    """module_check_abi() and module_fit_struct() of the isolation series."""
    if not kernel.has("MODULE_ABI_ISOLATION"):
        return
    other_events = kernel.has("MODULE_ABI_ISOLATE_PERF_EVENTS") and kernel.has("EVENT_TRACING")
    if other_events and "module_abi" not in module.info and module.has_section("_ftrace_events"):
        yield "it has trace events, and was built without CONFIG_PERF_EVENTS, which changes these"
    production_options = kernel.config.get("MODULE_ABI_PRODUCTION_OPTIONS", "").strip('"')
    theirs = set(" ".join(module.info.get("module_abi", (production_options,))).split())
    hidden = {"PREEMPT_COUNT"} if kernel.has("PREEMPTION") else set()
    if kernel.has("LOCKDEP_OUTSIDE"):
        hidden |= {"DEBUG_LOCK_ALLOC", "LOCK_STAT"}
    for tag in kernel.isolation_tags:
        is_on = kernel.config.get(tag, "n") != "n"
        if tag not in hidden and is_on != (tag in theirs):
            built, state = ("without", "on") if is_on else ("with", "off")
            yield f"it was built {built} CONFIG_{tag}, which the kernel has {state}, and which changes the module ABI"
    init, exit_ = _offset(kernel, "init"), _offset(kernel, "exit")
    if module.init not in (None, init):
        yield f"struct module.init 0x{module.init:x} → 0x{init:x}: was built for another ABI"
    if module.exit is None or exit_ is None:
        return
    if module.exit not in (exit_, exit_ - _optional_part(kernel)):
        yield f"struct module.exit 0x{module.exit:x} → 0x{exit_:x}: was built for another ABI"


def _optional_part(kernel: KernelFacts) -> int:
    """Bytes by which the offset of a module's exit may be smaller: known_exit_offset() of the isolation series."""
    members = {member.name: member for member in kernel.layouts[MODULE].members}
    if not kernel.has("KALLSYMS") or "kallsyms" not in members:
        return 0
    return members["args"].offset - members["kallsyms"].offset


def _unknown_symbols(module: ModuleFacts, kernel: KernelFacts) -> Iterator[str]:
    """simplify_symbols(). An unknown symbol may come from another module if the module depends on one."""
    if kernel.exports is None:
        return
    unknown = [
        symbol.name
        for symbol in module.imports
        if symbol.name not in kernel.exports and not symbol.weak and symbol.name not in _PROVIDED
    ]
    if unknown and not module.depends:
        yield f"the kernel does not export {_few([with_option(name) for name in unknown])}"


def _withheld_symbols(module: ModuleFacts, kernel: KernelFacts) -> Iterator[str]:
    """resolve_symbol(): symbols for GPL modules only, and symbols of namespaces that the module does not import."""
    exports = kernel.exports or {}
    if module.licence not in _GPL_COMPATIBLE:
        theirs = [it.name for it in module.imports if it.name in exports and not it.weak and exports[it.name].is_gpl]
        if theirs:
            # a symbol that the kernel exports does not depend on an option that it lacks
            names = [with_option(name) if (it := option_of(name)) and it.is_set else name for name in theirs]
            licence = f"its licence is {module.licence!r}" if module.licence else "it has no licence"
            yield f"{licence}, and the kernel exports {_few(names)} to GPL modules only"
    if not kernel.has("MODULE_ALLOW_MISSING_NAMESPACE_IMPORTS"):
        for symbol in module.imports:
            export = exports.get(symbol.name)
            if export and export.namespace and not _may_use(module, export.namespace):
                yield f"{symbol.name} is in the namespace {export.namespace}, which the module does not import"


def _may_use(module: ModuleFacts, namespace: str) -> bool:
    """Whether a module imports a namespace, or is one of those that it names: verify_module_namespace(), since 6.16."""
    prefix, _, names = namespace.partition("module:")
    if not prefix and any(_is_meant(kernel_name(module.name), kernel_name(name)) for name in names.split(",") if name):
        return True
    return namespace in module.info.get("import_ns", ())


def _is_meant(module: str, name: str) -> bool:
    return module.startswith(name[:-1]) if name.endswith("*") else module == name


def _few(names: list[str]) -> str:
    return join_some(names, _MAX_NAMES)


# include/linux/license.h: license_is_gpl_compatible()
_GPL_COMPATIBLE = ("GPL", "GPL v2", "GPL and additional rights", "Dual BSD/GPL", "Dual MIT/GPL", "Dual MPL/GPL")
_PROVIDED = ("_GLOBAL_OFFSET_TABLE_", "__this_module")  # symbols that the linker or the file itself provides


def _versions_differ(module: ModuleFacts, kernel: KernelFacts, names: tuple[str, ...]) -> Iterator[str]:
    """check_version(), if both sides have MODVERSIONS."""
    if not kernel.has("MODVERSIONS") or kernel.exports is None or module.forced:
        return
    extended = module.extended_versions if kernel.version >= EXTENDED_VERSIONS_ARE_READ else None
    if extended is None and not module.versions:
        return
    basic = {symbol.name: symbol.crc for symbol in module.imports} | module.other_versions
    theirs: Mapping[str, int | None] = basic if extended is None else extended
    for name in names:
        export, crc = kernel.exports.get(name), theirs.get(name)
        if export and crc is not None and crc != export.crc:
            yield f"version of {name} 0x{crc:08x}, the kernel's is 0x{export.crc:08x}"
        elif export and crc is None and extended is None:
            yield f"it has no version of {name}, which the kernel requires"


def _slots_in_use(module: ModuleFacts, kernel: KernelFacts) -> Iterator[str]:
    """The relocations that the loader refuses, because it only writes over zeros."""
    for what, offset in (("init", module.init), ("exit", module.exit)):
        for place in _places(kernel, offset):
            sections = _SECTIONS_OF_MEMBERS.get(place, ())
            if any(place.startswith(entry) for entry in _WRITTEN_MEMBERS) or any(map(module.has_section, sections)):
                where = f"struct module.{what} 0x{offset:x} is where the kernel has {place}"
                yield f"{where}, which is in use by then: the relocation is refused"


def _relocations(module: ModuleFacts, kernel: KernelFacts) -> Iterator[PredictedFailure]:
    """The failures that result if the addresses of init and exit are written into other members."""
    for what, offset in (("init", module.init), ("exit", module.exit)):
        for place in _places(kernel, offset):
            if place == what:
                continue
            text = f"struct module.{what} 0x{offset:x} is where the kernel has {place}"
            effect = _EFFECTS.get(place, "")
            if effect:
                yield PredictedFailure(Stage.LOAD, PredictedOutcome.BREAKS, f"{text}: {effect}")
            elif place in _TABLES and any(map(module.has_section, _SECTIONS_OF_MEMBERS[place])):
                yield PredictedFailure(Stage.LOAD, PredictedOutcome.BREAKS, f"{text}: it reads code as a table")


def _init_and_exit(module: ModuleFacts, kernel: KernelFacts) -> Iterator[PredictedFailure]:
    init, exit_ = _offset(kernel, "init"), _offset(kernel, "exit")
    if module.init not in (None, init):
        moved = f"struct module.init 0x{module.init:x} → 0x{init:x}"
        yield PredictedFailure(Stage.LOAD, PredictedOutcome.INERT, f"{moved}: the kernel never finds its init")
        return
    for member in kernel.layouts[MODULE].members:
        behind = member.offset - module.struct_size
        if member.name in _MEMBERS_IN_USE and behind >= 0 and behind + member.size <= module.bss:
            yield PredictedFailure(
                Stage.USE,
                PredictedOutcome.BREAKS,
                f"struct module {module.struct_size} → {kernel.layouts[MODULE].size}: "
                f"the kernel keeps {member.name} in the module's .bss, at 0x{behind:x}",
            )
            break
    if module.exit is not None and exit_ is not None and module.exit != exit_:
        moved = f"struct module.exit 0x{module.exit:x} → 0x{exit_:x}"
        yield PredictedFailure(Stage.UNLOAD, PredictedOutcome.INERT, f"{moved}: the kernel never finds its exit")


def _offset(kernel: KernelFacts, member: str) -> int | None:
    """A member's offset in bytes, None if there is no such member: without MODULE_UNLOAD there is no exit."""
    return next((entry.offset for entry in kernel.layouts[MODULE].members if entry.name == member), None)


def _places(kernel: KernelFacts, offset: int | None) -> list[str]:
    """The kernel's members at the place where a pointer is written: `init`, `source_list.next`, or two small ones."""
    if offset is None:
        return []
    return list(_inside(kernel.layouts, MODULE, offset, kernel.arch.elf.pointer_size))


def _inside(layouts: Mapping[str, Layout], struct: str, offset: int, size: int) -> Iterator[str]:
    for member in layouts[struct].members:
        if member.offset + member.size <= offset or member.offset >= offset + size:
            continue
        if member.embeds and member.embeds in layouts and "[" not in member.type:
            inner = list(_inside(layouts, member.embeds, offset - member.offset, size))
            yield from (f"{member.name}.{name}" for name in inner)
        else:
            yield member.name
