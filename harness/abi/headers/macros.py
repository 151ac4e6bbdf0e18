# SPDX-License-Identifier: Apache-2.0
"""The macros and enumerators that a kernel's headers define and modules compile in."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.abi.elf.dwarf import read_enumerators
from harness.abi.elf.macro_table import read_macros, without_options
from harness.abi.headers.probe import probe_inputs, probing
from harness.kernel.module_headers import Headers
from harness.support.cache.store import Store
from harness.support.progress import task

_MACROS_CACHE_VERSION = 2  # raise when the facts read from the probe, or their cached form, change


@dataclass(frozen=True)
class MacrosAndEnumerators:
    """The definitions in headers that are neither structures nor functions."""

    macros: dict[str, str]  # name -> parameters and replacement, with the values of options in it; without CONFIG_...
    enumerators: dict[str, int]  # name -> value


def kernel_macros_and_enumerators(headers: Headers, store: Store) -> MacrosAndEnumerators:
    """The macros and enumerators of a kernel. Cached. Raises ModcompatError if the probe does not compile."""

    def build(folder: Path) -> None:
        what = f"reading the macros and enumerators of {headers.label}"
        with probing(headers, folder, what, store) as probe, task(what, 2) as running:
            preprocessed = probe.make("probe.i", folder / "probe.i.log", flags="-dD")
            running.step()
            with preprocessed.open(errors="replace") as lines:
                macros = without_options(read_macros(lines))
            found = MacrosAndEnumerators(macros, read_enumerators(probe.linked(folder / "probe.o.log")))
            running.step()
        (folder / "definitions.json").write_text(json.dumps(asdict(found)))

    found = store.get_or_build("definitions", headers.label, probe_inputs(headers, _MACROS_CACHE_VERSION), build)
    return MacrosAndEnumerators(**json.loads((found / "definitions.json").read_text()))
