# SPDX-License-Identifier: Apache-2.0
"""The mechanical proof of isolation: an isolated kernel has all that a module was compiled with on production."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from harness.abi.compare.equivalence import (
    Comparison,
    compare_exports,
    compare_functions,
    compare_layouts,
    compare_macros,
    compare_texts,
)
from harness.abi.headers.export_prototypes import kernel_exported_types
from harness.abi.headers.inline_functions import kernel_inline_functions
from harness.abi.headers.layouts import kernel_layouts
from harness.abi.headers.macros import kernel_macros_and_enumerators
from harness.abi.headers.probe import headers_left_out
from harness.kernel.build import find_kernel
from harness.kernel.config import KernelSpec, resolve
from harness.kernel.kconfig import parse
from harness.kernel.module_headers import headers_of
from harness.kernel.symvers import read_exports
from harness.lab.validation.allowed_differences import (
    DIFFERING,
    ENUMERATORS,
    GROWN,
    MACROS,
    PROTOTYPES,
    REPORTS,
    SAME_FUNCTIONS,
    UNREACHABLE,
)
from harness.support.cache.store import Store
from harness.support.errors import ModcompatError
from harness.support.text import join_some

_MAX_NAMES_PER_REASON = 4


@dataclass(frozen=True)
class AbiComparison:
    """An isolated kernel against its production kernel."""

    spec: KernelSpec
    comparisons: tuple[Comparison, ...]
    # parts of the headers that could not be compared, with the reason
    left_out: tuple[str, ...] = ()
    # kernels whose exported symbols were not compared, because they are not built; "" if they were
    not_built: str = ""

    @property
    def is_same(self) -> bool:
        """Whether everything that was compared is the same, or differs only in ways that no module sees."""
        return not any(comparison.differences for comparison in self.comparisons)

    @property
    def proves(self) -> bool:
        """Whether everything in the headers was compared and is the same."""
        return self.is_same and not self.left_out

    @property
    def not_compared(self) -> tuple[str, ...]:
        """What could not be compared, with the reason."""
        return (*self.left_out, *([f"exported symbols: {self.not_built} not built yet"] if self.not_built else []))

    def as_json_object(self) -> dict[str, object]:
        return {
            "arch": self.spec.arch.name,
            "kernel": self.spec.variant.name,
            "production": self.spec.production.variant.name,
            "same": self.is_same,
            "left_out": self.not_compared,
            "comparisons": [{"compared": it.compared, **asdict(it)} for it in self.comparisons],
        }

    def for_people(self) -> str:
        """The verdict, the figures, each difference, and the explained differences by their reason."""
        verdict = "has the module ABI of" if self.is_same else "DIFFERS for modules from"
        if self.is_same and self.left_out:
            verdict = "was compared only in part; that part has the module ABI of"
        lines = [f"{self.spec.arch.name} {self.spec.variant.name} {verdict} {self.spec.production.variant.name}"]
        for comparison in self.comparisons:
            lines += [f"  {line}" for line in _lines(comparison)]
        return "\n".join([*lines, *(f"  not compared: {what}" for what in self.not_compared)])


def compare_abi(spec: KernelSpec, store: Store) -> AbiComparison:
    """Compare an isolated kernel with its production kernel: everything that headers define, and exported symbols.

    Exported symbols are left out unless both kernels are built and cached. Raises ModcompatError.
    """
    comparisons = [
        layout_comparison(spec, store),
        function_comparison(spec, store),
        *definition_comparisons(spec, store),
        prototype_comparison(spec, store),
    ]
    if empty := [comparison.of for comparison in comparisons if not comparison.compared]:
        raise ModcompatError(
            f"no {' and no '.join(empty)} were found in the headers of the {spec.production.title}: nothing is proven",
            next_step="another compiler may list them in an unknown format; Debian 12's GCC is supported",
        )
    left_out = _not_compiled(spec, store)
    production, isolated = (find_kernel(kernel, store) for kernel in (spec.production, spec))
    if production is None or isolated is None:
        missing = " and ".join(
            kernel.label for kernel, built in ((spec.production, production), (spec, isolated)) if built is None
        )
        return AbiComparison(spec, tuple(comparisons), left_out, missing)
    symbols = [read_exports(kernel.build_tree / "Module.symvers") for kernel in (production, isolated)]
    return AbiComparison(spec, (*comparisons, compare_exports(*symbols)), left_out)


def _not_compiled(spec: KernelSpec, store: Store) -> tuple[str, ...]:
    """The parts of production's headers that do not compile, a line for each kind."""
    headers = headers_left_out(headers_of(spec.production, store), store)
    functions = kernel_inline_functions(spec.production, store).left_out
    left_out = {
        "headers that do not compile": headers,
        "inlined functions that do not compile separately": functions,
    }
    return tuple(f"{what}: {', '.join(names)}" for what, names in left_out.items() if names)


def layout_comparison(spec: KernelSpec, store: Store) -> Comparison:
    """The structures of an isolated kernel against those of production. Cached."""
    return compare_layouts(
        kernel_layouts(headers_of(spec.production, store), store),
        kernel_layouts(headers_of(spec, store), store),
        parse(resolve(spec.production, store)),
        grown=GROWN,
        unreachable=UNREACHABLE,
    )


def function_comparison(spec: KernelSpec, store: Store) -> Comparison:
    """The inlined functions of an isolated kernel against those of production. Cached."""
    return compare_functions(
        kernel_inline_functions(spec.production, store).functions,
        kernel_inline_functions(spec, store).functions,
        parse(resolve(spec.production, store)),
        differing=DIFFERING,
        same=SAME_FUNCTIONS,
        reports=REPORTS,
    )


def definition_comparisons(spec: KernelSpec, store: Store) -> list[Comparison]:
    """The macros and the enumerators of an isolated kernel against those of production. Cached."""
    before, after = (kernel_macros_and_enumerators(headers_of(it, store), store) for it in (spec.production, spec))
    config = parse(resolve(spec.production, store))
    return [
        compare_macros(before.macros, after.macros, config, differing=MACROS),
        compare_texts("enumerators", before.enumerators, after.enumerators, config, differing=ENUMERATORS),
    ]


def prototype_comparison(spec: KernelSpec, store: Store) -> Comparison:
    """The types of exported functions and variables of an isolated kernel against those of production. Cached."""
    before, after = (kernel_exported_types(headers_of(it, store), store).prototypes for it in (spec.production, spec))
    config = parse(resolve(spec.production, store))
    return compare_texts("prototypes", before, after, config, differing=PROTOTYPES)


def _lines(comparison: Comparison) -> Iterator[str]:
    parts = (
        f"{comparison.equal} equal",
        *([f"{len(comparison.explained)} explained"] if comparison.explained else []),
        *([f"{len(comparison.differences)} DIFFER"] if comparison.differences else []),
    )
    yield f"{comparison.compared} {comparison.of}: {', '.join(parts)}; {comparison.beside} more here"
    for what in comparison.differences.values():
        yield f"  differs: {what}"
    by_reason = defaultdict(list)
    for name, reason in comparison.explained.items():
        by_reason[reason].append(name)
    for reason, names in sorted(by_reason.items(), key=lambda entry: -len(entry[1])):
        yield f"  {join_some(names, _MAX_NAMES_PER_REASON)}: {reason}"
