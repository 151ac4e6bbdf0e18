"""Predictions for kernels by name: what a prediction needs of a kernel is read once, and cached as little files."""

import json
from collections.abc import Mapping
from dataclasses import astuple, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from harness import digest
from harness.abi.accesses import Access, accesses
from harness.abi.difference import Difference
from harness.abi.dwarf import Layout, Member
from harness.abi.exports import Export, read_exports
from harness.abi.loader import MODULE, KernelFacts
from harness.abi.module_file import ModuleFacts, read_module
from harness.abi.prediction import Prediction, predict
from harness.abi.surface import Surface
from harness.disassembly import read_program
from harness.errors import ModcompatError
from harness.kernel.build import kernel_inputs
from harness.kernel.config import KernelSpec, parse, resolve
from harness.kernel.prepare import build_tree
from harness.layouts import kernel_layouts
from harness.paths import IMAGES
from harness.progress import say
from harness.prototypes import kernel_surface
from harness.store import Store
from harness.variants import PRODUCTION

_FORMAT = 1  # raise when what is kept of two kernels changes
_READER = 4  # raise when what is read of code changes


class Predictor:
    """Predicts for modules of any architecture and kernels of any kind; remembers what it has read."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._keys: dict[tuple[str, str], str] = {}
        self._changes: dict[str, _Change] = {}
        self._surfaces: dict[str, Surface] = {}
        self._touched: dict[str, tuple[Access, ...]] = {}

    def predict(self, file: Path, module: ModuleFacts, spec: KernelSpec) -> Prediction:
        """What will become of a module file that was built for a kernel's production on that kernel.

        Raises ModcompatError when the kernel cannot be prepared.
        """
        change = self._change(spec)
        surface = self.surface(spec)
        return predict(
            module, change.production, change.kernel, change.difference, surface,
            accesses=self._accesses(file, module, spec, surface),
        )  # fmt: skip

    def _accesses(self, file: Path, module: ModuleFacts, spec: KernelSpec, surface: Surface) -> tuple[Access, ...]:
        """What the module's code touches, at the offsets of its production kernel. Cached."""
        if module.arch is not spec.arch:
            return ()
        inputs = {"file": digest.of_file(file), "headers": self._key(spec.production), "reader": _READER}
        key = digest.of_value(inputs)
        if key not in self._touched:

            def build(folder: Path) -> None:
                found = accesses(read_program(file, spec.arch), surface)
                (folder / "accesses.json").write_text(json.dumps([astuple(access) for access in found]))

            made = self._store.get_or_build("code", module.name, inputs, build)
            rows = json.loads((made / "accesses.json").read_text())
            self._touched[key] = tuple(Access(*row) for row in rows)
        return self._touched[key]

    def _key(self, spec: KernelSpec) -> str:
        """What stands for a kernel and all that goes into it; worked out once, as it takes as long as a prediction."""
        name = (spec.label, digest.of_value({**spec.source.identity, "users": spec.users.text if spec.users else ""}))
        if name not in self._keys:
            self._keys[name] = digest.of_value(kernel_inputs(spec, self._store))
        return self._keys[name]

    def try_to_predict(self, file: Path, spec: KernelSpec) -> Prediction | None:
        """The same for a file of any content, None where nothing can be said. Never raises."""
        try:
            module = read_module(file)
            return None if module.problem else self.predict(file, module, spec)
        except Exception as error:  # noqa: BLE001 - a run is worth more than its prediction
            say(f"no prediction for {file.name} on {spec.label}: {error}")
            return None

    def surface(self, spec: KernelSpec) -> Surface:
        """What a kernel's production says of exports: the types of the plain one, at its own offsets."""
        production = spec.production
        key = self._key(production)
        if key not in self._surfaces:
            plain = replace(production, variant=PRODUCTION, versions=False)
            found = kernel_surface(plain, self._store)
            if production != plain:
                found = found.laid_out(_changed_layouts(plain, production, self._store)[1])
            self._surfaces[key] = found
        return self._surfaces[key]

    def _change(self, spec: KernelSpec) -> "_Change":
        key = self._key(spec)
        if key not in self._changes:
            self._changes[key] = _Change(spec, self._store)
        return self._changes[key]


class _Change:
    """From production to a kernel: layouts of structures that changed, or that the loader looks at; both configs."""

    def __init__(self, spec: KernelSpec, store: Store) -> None:
        self._spec = spec
        self._store = store
        self._layouts = _changed_layouts(spec.production, spec, store)

    @cached_property
    def difference(self) -> Difference:
        return Difference(*self._layouts)

    @cached_property
    def production(self) -> KernelFacts:
        return self._facts(self._spec.production, self._layouts[0])

    @cached_property
    def kernel(self) -> KernelFacts:
        return self._facts(self._spec, self._layouts[1])

    def _facts(self, spec: KernelSpec, layouts: Mapping[str, Layout]) -> KernelFacts:
        tree = build_tree(spec, self._store)
        release = (tree / "include/config/kernel.release").read_text().strip()
        return KernelFacts(
            spec.arch, release, parse(resolve(spec, self._store)), layouts, _exports(tree / "Module.symvers")
        )


def _changed_layouts(one: KernelSpec, other: KernelSpec, store: Store) -> tuple[dict[str, Layout], dict[str, Layout]]:
    """The structures that differ between two kernels, and struct module with all that it embeds, of both."""
    inputs = {
        "production": kernel_inputs(one, store),
        "kernel": kernel_inputs(other, store),
        "probe": digest.of_tree(IMAGES / "probe"),
        "format": _FORMAT,
    }

    def build(folder: Path) -> None:
        before, after = kernel_layouts(one, store), kernel_layouts(other, store)
        names = Difference(before, after).changes.keys() | _embedded(MODULE, before) | _embedded(MODULE, after)
        kept = [[astuple(layouts[name]) for name in sorted(names) if name in layouts] for layouts in (before, after)]
        (folder / "layouts.json").write_text(json.dumps(kept))

    found = store.get_or_build("change", other.label, inputs, build)
    before, after = json.loads((found / "layouts.json").read_text())
    return {layout[0]: _layout(*layout) for layout in before}, {layout[0]: _layout(*layout) for layout in after}


def _embedded(name: str, layouts: Mapping[str, Layout]) -> set[str]:
    """A structure and all that it embeds."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        name = waiting.pop()
        if name in layouts and name not in found:
            found.add(name)
            waiting += [member.embeds for member in layouts[name].members if member.embeds]
    return found


def _layout(name: str, size: int, members: list[list[Any]], alias: str) -> Layout:
    return Layout(name, size, tuple(_member(member) for member in members), alias)


def _member(facts: list[Any]) -> Member:
    name, offset, size, kind, embeds, bits = facts
    return Member(name, offset, size, kind, embeds, (bits[0], bits[1]) if bits else None)


@cache
def _exports(symvers: Path) -> dict[str, Export] | None:
    """What a kernel exports; None where that was not built."""
    try:
        return read_exports(symvers) or None
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise ModcompatError(str(error), next_step="build the kernel again") from None
