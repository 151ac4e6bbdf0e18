# SPDX-License-Identifier: Apache-2.0
"""The layout oracle: every structure that module-visible headers define, for any kernel, in seconds."""

import gc
import json
from pathlib import Path

from harness.abi.compare.layout_diff import LayoutDiff
from harness.abi.elf.dwarf import Layout, read_layouts
from harness.abi.elf.layout_json import layouts_as_json, layouts_from_json
from harness.abi.headers.probe import probe_inputs, probing
from harness.kernel.module_headers import Headers
from harness.support.cache.store import Store
from harness.support.progress import task

_LAYOUTS_CACHE_VERSION = 3  # raise when the facts read from the probe, or their cached form, change


def layout_difference(production: Headers, other: Headers, store: Store) -> LayoutDiff:
    """How two kernels differ in the structures that modules can see. Raises ModcompatError as kernel_layouts()."""
    return LayoutDiff(kernel_layouts(production, store), kernel_layouts(other, store))


def kernel_layouts(headers: Headers, store: Store) -> dict[str, Layout]:
    """The structures of a kernel, from the DWARF of a probe compiled against its headers. Cached.

    Raises ModcompatError if the headers cannot be prepared, or if the probe does not compile.
    """

    def build(folder: Path) -> None:
        what = f"reading the structures of {headers.label}"
        with probing(headers, folder, what, store) as probe, task(what, 2) as running:
            compiled = probe.linked(folder / "probe.log")
            running.step()
            layouts = read_layouts(compiled)
            running.step()
        (folder / "layouts.json").write_text(json.dumps(layouts_as_json(layouts.values())))

    found = store.get_or_build("layouts", headers.label, layouts_inputs(headers), build)
    layouts = layouts_from_json(json.loads((found / "layouts.json").read_text()))
    gc.freeze()  # a hundred thousand objects that stay: checking them in every collection took 10 % of a long run
    return layouts


def layouts_inputs(headers: Headers) -> dict[str, object]:
    """Everything that the structures of a kernel depend on, for cache keys."""
    return probe_inputs(headers, _LAYOUTS_CACHE_VERSION)
