# SPDX-License-Identifier: Apache-2.0
"""Predictions for kernels: what is needed of their headers is read once, and cached as little files."""

import json
from collections.abc import Mapping
from dataclasses import astuple
from functools import cached_property
from pathlib import Path
from typing import Any

from harness.abi.compare.layout_diff import Difference
from harness.abi.elf.dwarf import Layout, Member
from harness.abi.elf.exported_types import ExportedTypes
from harness.abi.elf.module_file import ModuleFacts
from harness.abi.headers.export_prototypes import exported_types_inputs, kernel_exported_types
from harness.abi.headers.layouts import kernel_layouts, layouts_inputs
from harness.abi.predict.disassembly import read_module_code
from harness.abi.predict.loader import MODULE, KernelFacts
from harness.abi.predict.member_accesses import MemberAccess, accesses
from harness.abi.predict.prediction import Prediction, predict
from harness.kernel.module_headers import Headers
from harness.support import digest
from harness.support.cache.store import Store
from harness.support.errors import ModcompatError

_LONGEST = 4 << 20  # bytes of code; more is not read: it would take longer than a guest takes to tell
_FORMAT = 2  # raise when what is kept of two kernels changes
_READER = 4  # raise when what is read of code changes


class Predictor:
    """Predicts for modules of any architecture and kernels of any kind; remembers what it has read."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._changes: dict[tuple[str, str], _Change] = {}
        self._exports: dict[str, ExportedTypes] = {}
        self._exports_keys: dict[str, str] = {}
        self._touched: dict[str, tuple[MemberAccess, ...]] = {}

    def predict(self, file: Path, module: ModuleFacts, production: Headers, kernel: Headers) -> Prediction:
        """What will become of a module file that was built for a production kernel on a kernel.

        Raises ModcompatError when the headers cannot be prepared, or do not tell what is needed.
        """
        change = self._change(production, kernel)
        surface = self.surface(production)
        return predict(
            module, change.production, change.kernel, change.difference, surface,
            accesses=self._accesses(file, module, production, surface),
        )  # fmt: skip

    def _accesses(
        self, file: Path, module: ModuleFacts, production: Headers, surface: ExportedTypes
    ) -> tuple[MemberAccess, ...] | None:
        """What the module's code touches, at its production's offsets; None where it is too long. Cached."""
        if module.arch is not production.arch:
            return ()
        if module.code > _LONGEST:
            return None
        inputs = {"file": digest.of_file(file), "surface": self._exports_key(production), "reader": _READER}
        key = digest.of_value(inputs)
        if key not in self._touched:

            def build(folder: Path) -> None:
                found = accesses(read_module_code(file, production.arch), surface)
                (folder / "accesses.json").write_text(json.dumps([astuple(access) for access in found]))

            made = self._store.get_or_build("code", module.name, inputs, build)
            rows = json.loads((made / "accesses.json").read_text())
            self._touched[key] = tuple(MemberAccess(*row) for row in rows)
        return self._touched[key]

    def surface(self, production: Headers) -> ExportedTypes:
        """What a production kernel says of exports: the types of the plain one, at its own offsets."""
        if production.key not in self._exports:
            plain = production.plain
            found = kernel_exported_types(plain or production, self._store)
            if plain:
                found = found.laid_out(_changed_layouts(plain, production, self._store)[1])
            self._exports[production.key] = found
        return self._exports[production.key]

    def _exports_key(self, production: Headers) -> str:
        """A digest of all that surface() is made of."""
        if production.key not in self._exports_keys:
            plain = production.plain
            offsets = _change_inputs(plain, production) if plain else None
            inputs = {"types": exported_types_inputs(plain or production), "offsets": offsets}
            self._exports_keys[production.key] = digest.of_value(inputs)
        return self._exports_keys[production.key]

    def _change(self, production: Headers, kernel: Headers) -> "_Change":
        key = (production.key, kernel.key)
        if key not in self._changes:
            self._changes[key] = _Change(production, kernel, self._store)
        return self._changes[key]


class _Change:
    """From production to a kernel: layouts of structures that changed, or that the loader looks at; both configs."""

    def __init__(self, production: Headers, kernel: Headers, store: Store) -> None:
        self._headers = (production, kernel)
        self._layouts = _changed_layouts(production, kernel, store)

    @cached_property
    def difference(self) -> Difference:
        return Difference(*self._layouts)

    @cached_property
    def production(self) -> KernelFacts:
        return _facts(self._headers[0], self._layouts[0])

    @cached_property
    def kernel(self) -> KernelFacts:
        return _facts(self._headers[1], self._layouts[1])


def _facts(headers: Headers, layouts: Mapping[str, Layout]) -> KernelFacts:
    if MODULE not in layouts:
        raise ModcompatError(f"{headers.label} cannot load modules: its headers have no {MODULE}")
    return KernelFacts(headers.arch, headers.release, headers.config, layouts, headers.exports)


def _changed_layouts(one: Headers, other: Headers, store: Store) -> tuple[dict[str, Layout], dict[str, Layout]]:
    """The structures that differ between two kernels, and struct module with all that it embeds, of both."""

    def build(folder: Path) -> None:
        before, after = kernel_layouts(one, store), kernel_layouts(other, store)
        names = Difference(before, after).changes.keys() | _embedded(MODULE, before) | _embedded(MODULE, after)
        kept = [[astuple(layouts[name]) for name in sorted(names) if name in layouts] for layouts in (before, after)]
        (folder / "layouts.json").write_text(json.dumps(kept))

    found = store.get_or_build("change", other.label, _change_inputs(one, other), build)
    before, after = json.loads((found / "layouts.json").read_text())
    return {layout[0]: _layout(*layout) for layout in before}, {layout[0]: _layout(*layout) for layout in after}


def _change_inputs(one: Headers, other: Headers) -> dict[str, object]:
    return {"production": layouts_inputs(one), "kernel": layouts_inputs(other), "format": _FORMAT}


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


def _layout(name: str, size: int, members: list[list[Any]], alias: str, alignment: int) -> Layout:
    return Layout(name, size, tuple(_member(member) for member in members), alias, alignment)


def _member(facts: list[Any]) -> Member:
    name, offset, size, kind, embeds, bits = facts
    return Member(name, offset, size, kind, embeds, (bits[0], bits[1]) if bits else None)
