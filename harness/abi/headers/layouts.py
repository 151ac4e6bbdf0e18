# SPDX-License-Identifier: Apache-2.0
"""The layout oracle: every structure that module-visible headers define, for any kernel, in seconds."""

import gc
import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness.abi.compare.layout_columns import layout_columns
from harness.abi.compare.layout_diff import Difference
from harness.abi.elf.dwarf import Layout, Member, read_layouts
from harness.abi.headers.probe import probe_inputs, probing
from harness.kernel.module_headers import Headers
from harness.support.cache.store import Store
from harness.support.progress import task

_READER = 2  # raise when what is read of the probe changes

# Where the loader reads what a module brought with it: kernel/module/main.c, do_init_module() and delete_module().
_LOADER_READS = ("struct module.init", "struct module.exit")
_CAUSES = 8  # that an explanation lists


def layout_difference(production: Headers, other: Headers, store: Store) -> Difference:
    """What moved between two kernels, of everything that modules can see."""
    return Difference(kernel_layouts(production, store), kernel_layouts(other, store))


def explain_breakage(difference: Difference, touches: Iterable[str], *, in_use: bool) -> list[str]:
    """What moved under a module that was built for production, a line each; derived from the layouts.

    touches: structures and members that the module is known to use. in_use: it broke when it was put to use,
    so these come first; else what the loader reads does. The causes of everything that moved follow.
    """
    loader = [difference.explain_place(place) for place in _LOADER_READS]
    touched = [difference.explain_place(place) for place in touches]
    moved = [*touched, *loader] if in_use else [*loader, *touched]
    causes = [difference.summary(cause) for cause in difference.causes]
    more = [f"and {len(causes) - _CAUSES} more causes"] if len(causes) > _CAUSES else []
    return list(dict.fromkeys(line for line in (*moved, *causes[:_CAUSES], *more) if line))


def explaining_layouts(difference: Difference, touches: Iterable[str], *, in_use: bool) -> list[dict[str, Any]]:
    """The structure that explains a breakage first, and what changed it, in both kernels, member by member.

    Of what explain_breakage() says, which takes the same arguments, this is the part that a picture can show.
    """
    places = [*touches, *_LOADER_READS] if in_use else [*_LOADER_READS, *touches]
    moved = [place.partition(".") for place in places if difference.explain_place(place)]
    found = difference.find(moved[0][0]) if moved else None
    cause = next(iter(difference.causes), "")
    chain = difference.chain(found.name) if found else [cause] if cause else []
    focus = [member for name, _, member in moved if found and found.is_called(name) and member]
    return [layout_columns(difference.changes[name], focus) for name in dict.fromkeys((*chain[:1], *chain[-1:]))]


def kernel_layouts(headers: Headers, store: Store) -> dict[str, Layout]:
    """The structures of a kernel, from the DWARF of a probe compiled against its headers. Cached.

    Raises ModcompatError when the headers cannot be prepared, or the probe does not compile.
    """

    def build(folder: Path) -> None:
        what = f"reading the structures of {headers.label}"
        with probing(headers, folder, what, store) as probe, task(what, 2) as running:
            compiled = probe.linked(folder / "probe.log")
            running.step()
            layouts = read_layouts(compiled)
            running.step()
        (folder / "layouts.json").write_text(json.dumps([asdict(layout) for layout in layouts.values()]))

    found = store.get_or_build("layouts", headers.label, layouts_inputs(headers), build)
    layouts = {facts["name"]: _layout(facts) for facts in json.loads((found / "layouts.json").read_text())}
    gc.freeze()  # a hundred thousand objects that stay: to be looked at in every collection took 10 % of a long run
    return layouts


def layouts_inputs(headers: Headers) -> dict[str, object]:
    """Everything that the structures of a kernel come from, for cache keys."""
    return probe_inputs(headers, _READER)


def _layout(facts: dict[str, object]) -> Layout:
    members: list[dict[str, object]] = facts["members"]  # type: ignore[assignment]
    return Layout(**{**facts, "members": tuple(_member(member) for member in members)})  # type: ignore[arg-type]


def _member(facts: dict[str, object]) -> Member:
    bits: list[int] | None = facts["bits"]  # type: ignore[assignment]
    return Member(**{**facts, "bits": tuple(bits) if bits else None})  # type: ignore[arg-type]
