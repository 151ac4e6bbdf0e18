"""The layout oracle: every structure that module-visible headers define, for any kernel, in seconds."""

import json
import shutil
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from harness import digest, process
from harness.abi.difference import Difference
from harness.abi.dwarf import Layout, Member, read_layouts
from harness.kernel.build import kernel_inputs, make_command
from harness.kernel.config import KernelSpec
from harness.kernel.prepare import build_tree
from harness.kernel.toolchain import environment
from harness.paths import IMAGES
from harness.progress import task
from harness.store import Store

_PROBE = IMAGES / "probe"
_READER = 1  # raise when what is read of the probe changes


# Where the loader reads what a module brought with it: kernel/module/main.c, do_init_module() and delete_module().
_LOADER_READS = ("struct module.init", "struct module.exit")
_CAUSES = 8  # that an explanation lists


def layout_difference(production: KernelSpec, other: KernelSpec, store: Store) -> Difference:
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


def kernel_layouts(spec: KernelSpec, store: Store) -> dict[str, Layout]:
    """The structures of a kernel, from the DWARF of a probe compiled against its headers. Cached.

    Needs `make modules_prepare`, no kernel build. Raises ModcompatError when the probe does not compile.
    """
    inputs = kernel_inputs(spec, store) | {"probe": digest.of_tree(_PROBE), "reader": _READER}

    def build(folder: Path) -> None:
        tree = build_tree(spec, store)
        scratch = folder / "scratch"
        shutil.copytree(_PROBE, scratch)
        with task(f"reading the structures of the {spec.title}", 2) as running:
            process.run(
                [*make_command(spec.source.tree(), tree), f"M={scratch}", "probe.o"],
                env=environment(spec.arch),
                log=folder / "probe.log",
                what=f"compiling the layout probe for the {spec.title}",
            )
            running.step()
            layouts = read_layouts(scratch / "probe.o")
            running.step()
        (folder / "layouts.json").write_text(json.dumps([asdict(layout) for layout in layouts.values()]))
        shutil.rmtree(scratch)

    found = store.get_or_build("layouts", spec.label, inputs, build)
    return {facts["name"]: _layout(facts) for facts in json.loads((found / "layouts.json").read_text())}


def _layout(facts: dict[str, object]) -> Layout:
    members: list[dict[str, object]] = facts["members"]  # type: ignore[assignment]
    return Layout(**{**facts, "members": tuple(_member(member) for member in members)})  # type: ignore[arg-type]


def _member(facts: dict[str, object]) -> Member:
    bits: list[int] | None = facts["bits"]  # type: ignore[assignment]
    return Member(**{**facts, "bits": tuple(bits) if bits else None})  # type: ignore[arg-type]
