"""The layout oracle: every structure that module-visible headers define, for any kernel, in seconds."""

import gc
import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness import digest, process
from harness.abi.difference import Difference
from harness.abi.dwarf import Layout, Member, read_layouts
from harness.abi.side_by_side import side_by_side
from harness.architectures import ARCHITECTURES, Architecture
from harness.errors import ModcompatError
from harness.given import expanded
from harness.kernel.build import kernel_inputs, make_command
from harness.kernel.config import KernelSpec, parse
from harness.kernel.prepare import build_tree
from harness.kernel.toolchain import environment, toolchain
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
    return [side_by_side(difference.changes[name], focus) for name in dict.fromkeys((*chain[:1], *chain[-1:]))]


def kernel_layouts(spec: KernelSpec, store: Store) -> dict[str, Layout]:
    """The structures of a kernel, from the DWARF of a probe compiled against its headers. Cached.

    Needs `make modules_prepare`, no kernel build. Raises ModcompatError when the probe does not compile.
    """
    inputs = kernel_inputs(spec, store)

    def make(scratch: Path) -> list[str | Path]:
        return [*make_command(spec.source.tree(), build_tree(spec, store)), f"M={scratch}"]

    return _read(spec.label, spec.arch, inputs, make, store)


def architecture_of(tree: Path) -> Architecture:
    """What a build tree is for, by its .config. Raises ModcompatError when it is no build tree, or not prepared."""
    if not (tree / ".config").is_file() or not (tree / "include/generated/autoconf.h").is_file():
        raise ModcompatError(
            f"{tree} is not a kernel build tree that modules can be built against",
            next_step="give the folder that has .config in it, after `make modules_prepare`",
        )
    config = parse((tree / ".config").read_text(errors="replace"))
    for arch in ARCHITECTURES.values():
        if config.get(arch.config) == "y":
            return arch
    raise ModcompatError(f"{tree} is for none of {', '.join(ARCHITECTURES)}")


def tree_layouts(tree: Path, store: Store) -> dict[str, Layout]:
    """The same for any build tree of the user's, which is not written to. Raises ModcompatError."""
    tree = expanded(tree).absolute()
    arch = architecture_of(tree)
    source = (tree / "source").resolve() if (tree / "source").exists() else tree
    headers = [folder for folder in (source / "include", source / f"arch/{arch.kernel}/include") if folder.is_dir()]
    inputs = {
        "tree": str(tree),
        "config": digest.of_file(tree / "include/generated/autoconf.h"),
        "headers": [digest.of_stat(folder) for folder in headers],
        "toolchain": toolchain(arch),
    }
    return _read(tree.name, arch, inputs, lambda scratch: ["make", "-C", tree, f"M={scratch}"], store)


def _read(
    label: str,
    arch: Architecture,
    inputs: Mapping[str, object],
    make: Callable[[Path], list[str | Path]],
    store: Store,
) -> dict[str, Layout]:
    """make: the command that builds what is in a folder, without its target."""

    def build(folder: Path) -> None:
        scratch = folder / "scratch"
        shutil.copytree(_PROBE, scratch)
        command = [*make(scratch), "probe.o"]
        what = f"reading the structures of {label}"
        with task(what, 2) as running:
            process.run(command, env=environment(arch), log=folder / "probe.log", what=what)
            running.step()
            layouts = read_layouts(scratch / "probe.o")
            running.step()
        (folder / "layouts.json").write_text(json.dumps([asdict(layout) for layout in layouts.values()]))
        shutil.rmtree(scratch)

    keyed = {**inputs, "probe": digest.of_tree(_PROBE), "reader": _READER}
    found = store.get_or_build("layouts", label, keyed, build)
    layouts = {facts["name"]: _layout(facts) for facts in json.loads((found / "layouts.json").read_text())}
    gc.freeze()  # a hundred thousand objects that stay: to be looked at in every collection took 10 % of a long run
    return layouts


def _layout(facts: dict[str, object]) -> Layout:
    members: list[dict[str, object]] = facts["members"]  # type: ignore[assignment]
    return Layout(**{**facts, "members": tuple(_member(member) for member in members)})  # type: ignore[arg-type]


def _member(facts: dict[str, object]) -> Member:
    bits: list[int] | None = facts["bits"]  # type: ignore[assignment]
    return Member(**{**facts, "bits": tuple(bits) if bits else None})  # type: ignore[arg-type]
