# SPDX-License-Identifier: Apache-2.0
"""Predictions for kernels, from facts about their headers that are read once and cached."""

import json
from collections.abc import Mapping
from dataclasses import astuple
from functools import cached_property
from pathlib import Path

from harness.abi.compare.layout_diff import LayoutDiff
from harness.abi.elf.dwarf import Layout
from harness.abi.elf.exported_types import ExportedTypes
from harness.abi.elf.layout_json import layouts_as_json, layouts_from_json
from harness.abi.elf.module_file import ModuleFacts
from harness.abi.headers.export_prototypes import exported_types_inputs, kernel_exported_types
from harness.abi.headers.layouts import kernel_layouts, layouts_inputs
from harness.abi.predict.disassembly import read_module_code
from harness.abi.predict.loader import MODULE, KernelFacts, Stage
from harness.abi.predict.member_accesses import MemberAccess, accesses
from harness.abi.predict.prediction import Prediction, predict
from harness.kernel.isolation_options import blocking_options
from harness.kernel.module_headers import Headers
from harness.support import digest
from harness.support.cache.store import Store
from harness.support.errors import ModcompatError

_MAX_CODE_BYTES = 4 << 20  # a module with more is not read: running it in a guest is faster
_CHANGE_CACHE_VERSION = 4  # raise when the facts cached for a pair of kernels, or their form, change
_CODE_CACHE_VERSION = 5  # raise when the facts read from code, or their cached form, change


class Predictor:
    """Predicts for modules of any architecture on kernels of any kind, and remembers what it has read."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._changes: dict[tuple[str, str], _Change] = {}
        self._exports: dict[str, ExportedTypes] = {}
        self._exports_keys: dict[str, str] = {}
        self._touched: dict[str, tuple[MemberAccess, ...]] = {}

    def predict(
        self, file: Path, module: ModuleFacts, production: Headers, kernel: Headers, *, briefly: bool = False
    ) -> Prediction:
        """How a module file that was built for the production kernel will fare on another kernel.

        briefly: do not look for further findings in the code of a module that is not even loaded, which takes long.
        Raises ModcompatError if the headers cannot be prepared, or if they lack a required fact.
        """
        change = self._change(production, kernel)
        exports = self.exported_types(production)
        # Only members that moved make a difference to the module's code
        needs_code = not change.difference.keeps_members
        if needs_code and briefly:
            found = predict(module, change.production, change.kernel, change.difference, exports)
            if found.findings and found.findings[0].when is Stage.LOAD:
                return found
        touched = self._accesses(file, module, production, exports) if needs_code else ()
        return predict(
            module, change.production, change.kernel, change.difference, exports, accesses=touched
        )  # fmt: skip

    def difference(self, production: Headers, kernel: Headers) -> LayoutDiff:
        """How two kernels differ in the structures that modules can see. Raises ModcompatError as predict()."""
        return self._change(production, kernel).difference

    def _accesses(
        self, file: Path, module: ModuleFacts, production: Headers, exports: ExportedTypes
    ) -> tuple[MemberAccess, ...] | None:
        """The members that the module's code touches, at production's offsets; None if it is too long. Cached."""
        if module.arch is not production.arch:
            return ()
        if module.code > _MAX_CODE_BYTES:
            return None
        inputs = {"file": digest.of_file(file), "surface": self._exports_key(production), "reader": _CODE_CACHE_VERSION}
        key = digest.of_value(inputs)
        if key not in self._touched:

            def build(folder: Path) -> None:
                found = accesses(read_module_code(file, production.arch), exports)
                (folder / "accesses.json").write_text(json.dumps([astuple(access) for access in found]))

            made = self._store.get_or_build("code", module.name, inputs, build)
            rows = json.loads((made / "accesses.json").read_text())
            self._touched[key] = tuple(MemberAccess(*row) for row in rows)
        return self._touched[key]

    def exported_types(self, production: Headers) -> ExportedTypes:
        """The types that a production kernel exports: those of the plain one, at this kernel's offsets."""
        if production.key not in self._exports:
            plain = production.plain
            found = kernel_exported_types(plain or production, self._store)
            if plain:
                found = found.at_offsets_of(_changed_layouts(plain, production, self._store)[1])
            self._exports[production.key] = found
        return self._exports[production.key]

    def _exports_key(self, production: Headers) -> str:
        """A digest of everything that exported_types() depends on."""
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
    """From production to a kernel: layouts of structures that changed or that the loader reads, and both configs."""

    def __init__(self, production: Headers, kernel: Headers, store: Store) -> None:
        self._headers = (production, kernel)
        self._layouts = _changed_layouts(production, kernel, store)

    @cached_property
    def difference(self) -> LayoutDiff:
        before, after = self._layouts
        return LayoutDiff(before, after)

    @cached_property
    def production(self) -> KernelFacts:
        return _facts(self._headers[0], self._layouts[0])

    @cached_property
    def kernel(self) -> KernelFacts:
        return _facts(self._headers[1], self._layouts[1])


def _facts(headers: Headers, layouts: Mapping[str, Layout]) -> KernelFacts:
    if MODULE not in layouts:
        raise ModcompatError(f"{headers.label} cannot load modules: its headers do not define {MODULE}")
    return KernelFacts(
        headers.arch, headers.release, headers.config, layouts, headers.exports,
        isolation_tags=blocking_options(headers.release),
    )  # fmt: skip


def _changed_layouts(one: Headers, other: Headers, store: Store) -> tuple[dict[str, Layout], dict[str, Layout]]:
    """The structures that differ between two kernels, and struct module with everything that it embeds, of both."""

    def build(folder: Path) -> None:
        before, after = kernel_layouts(one, store), kernel_layouts(other, store)
        differing = LayoutDiff(before, after).changes.keys() | (before.keys() ^ after.keys())
        names = differing | _embedded(MODULE, before) | _embedded(MODULE, after)
        kept = [
            layouts_as_json(layouts[name] for name in sorted(names) if name in layouts) for layouts in (before, after)
        ]
        (folder / "layouts.json").write_text(json.dumps(kept))

    found = store.get_or_build("change", other.label, _change_inputs(one, other), build)
    before, after = json.loads((found / "layouts.json").read_text())
    return layouts_from_json(before), layouts_from_json(after)


def _change_inputs(one: Headers, other: Headers) -> dict[str, object]:
    return {"production": layouts_inputs(one), "kernel": layouts_inputs(other), "format": _CHANGE_CACHE_VERSION}


def _embedded(name: str, layouts: Mapping[str, Layout]) -> set[str]:
    """A structure and everything that it embeds, directly or not."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        name = waiting.pop()
        if name in layouts and name not in found:
            found.add(name)
            waiting += [member.embeds for member in layouts[name].members if member.embeds]
    return found
