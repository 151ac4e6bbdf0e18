# SPDX-License-Identifier: Apache-2.0
"""The modules to judge: those of this project in `modules/`, or user-supplied files."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.abi.elf.module_file import ModuleFacts, read_module
from harness.kernel.arch import Architecture
from harness.lab.plan.exercise import load_exercise
from harness.lab.plan.module_index import ModuleIndex, indexed
from harness.support.errors import ModcompatError
from harness.support.inputs import expanded, module_parameters
from harness.support.packed import unpacked_name
from harness.support.paths import MODULES


@dataclass(frozen=True)
class VendorModule:
    """A module to judge: either a folder that is built against production, or a .ko file."""

    name: str  # of its folder or file
    source: Path | None = None  # the folder
    file: Path | None = None  # the .ko
    exercise: Path | None = None  # its exercise file
    parameters: str = ""  # for the load, as for insmod
    arch: Architecture | None = None  # the only one that it is for, None if it is not restricted
    needs: tuple[Path, ...] = ()  # modules that are loaded first, in this order
    firmware: tuple[tuple[str, Path], ...] = ()  # (name below /lib/firmware, file)
    programs: tuple[tuple[str, Path], ...] = ()  # (name, file) of programs that its exercise runs

    @property
    def is_builtin(self) -> bool:
        """Whether it is one of this project's modules."""
        return self.source is not None

    def is_for(self, arch: Architecture) -> bool:
        return self.arch is None or self.arch is arch


def file_stem(path: Path) -> str:
    """The name of a module's file without its suffixes: snd-pcm for snd-pcm.ko.zst."""
    return unpacked_name(path).removesuffix(".ko")


def insmod_parameters(module: VendorModule) -> str:
    """The parameters that a module is loaded with: its own, or else those of its exercise, whose file this executes.

    Raises ModcompatError for a file that is not an exercise.
    """
    if module.parameters or module.exercise is None:
        return module.parameters
    return load_exercise(module.exercise).parameters


def shipped() -> list[VendorModule]:
    """The vendor modules of this project: each folder of `modules/` with a Kbuild and an exercise.py."""
    return [
        VendorModule(folder.name, source=folder, exercise=folder / "exercise.py")
        for folder in sorted(MODULES.iterdir())
        if (folder / "Kbuild").is_file()
    ]


def load_order(
    modules: Iterable[VendorModule], files: Mapping[str, Path], own: ModuleIndex
) -> tuple[dict[str, tuple[str, ...]], dict[str, Path]]:
    """The modules that must be loaded before each module, and their files that are not yet in the guest.

    files: module name -> file, of the modules to judge. own: the modules that came with the kernel. The dependencies of
    a module file, also soft ones, are searched in both, and then their own dependencies; the kernel reports those that
    are found nowhere. Returns module name -> paths in the guest, and path in the guest -> file.
    """
    judged = {name: indexed(path) for name, path in files.items()}
    known = ModuleIndex([*own.modules.values(), *judged.values()])
    paths = {path: f"modules/{name}.ko" for name, path in files.items()}
    before: dict[str, tuple[str, ...]] = {}
    for module in modules:
        chain: dict[Path, None] = {}
        for needed in map(indexed, module.needs):
            chain |= dict.fromkeys(it.path for it in known.needed_by(needed.depends, needed.soft))
            chain[needed.path] = None
        facts = judged[module.name]
        chain |= dict.fromkeys(it.path for it in known.needed_by(facts.depends, facts.soft))
        chain.pop(facts.path, None)
        for path in chain:
            name = unpacked_name(path)
            kept = f"modules/needed/{name}"  # files with the same name are kept apart below
            paths.setdefault(path, kept if kept not in paths.values() else f"modules/needed/{len(paths)}/{name}")
        before[module.name] = tuple(paths[path] for path in chain)
    return before, {path: file for file, path in paths.items() if path.startswith("modules/needed/")}


def user_module(file: Path, *, parameters: str, exercise: Path | None) -> tuple[VendorModule, ModuleFacts]:
    """A user-supplied module, and the facts in its file.

    Raises ModcompatError if there is no such file, or if the parameters are not one line.
    """
    file = expanded(file).absolute()
    if not str(file).isprintable():
        raise ModcompatError(f"{str(file)!r}: the guest's shell cannot handle this name", next_step="rename the file")
    if not file.is_file():
        raise ModcompatError(f"there is no module file {file}", next_step="give --module the path of a .ko file")
    if exercise is not None:
        exercise = expanded(exercise).absolute()
    facts = read_module(file)
    return VendorModule(file_stem(file), file=file, exercise=exercise, parameters=module_parameters(parameters)), facts
