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


@dataclass(frozen=True)
class Companion:
    """A module that is loaded before another."""

    # in the guest
    path: str
    # the other one is not loaded if this fails; false for soft dependencies
    is_required: bool = True


def load_order(
    modules: Iterable[VendorModule], files: Mapping[str, Path], own: ModuleIndex
) -> tuple[dict[str, tuple[Companion, ...]], dict[str, Path]]:
    """The modules that must be loaded before each module, and their files that are not yet in the guest.

    files: module name -> file, of the modules to judge. own: the modules that came with the kernel. The dependencies of
    a module file, also soft ones, are searched in both, and then their own dependencies; the kernel reports those that
    are found nowhere. Returns module name -> companions, and path in the guest -> file.
    """
    judged = {name: indexed(path) for name, path in files.items()}
    known = ModuleIndex([*own.modules.values(), *judged.values()])
    paths = {path: f"modules/{name}.ko" for name, path in files.items()}
    before: dict[str, tuple[Companion, ...]] = {}
    for module in modules:
        chain: dict[Path, bool] = {}
        for wanted in (*map(indexed, module.needs), judged[module.name]):
            for needed, is_required in known.needed_by(wanted.depends, wanted.soft).items():
                chain[needed.path] = chain.get(needed.path, False) or is_required
            chain[wanted.path] = True
        del chain[files[module.name]]
        for path in chain:
            name = unpacked_name(path)
            kept = f"modules/needed/{name}"  # files with the same name are kept apart below
            paths.setdefault(path, kept if kept not in paths.values() else f"modules/needed/{len(paths)}/{name}")
        before[module.name] = tuple(Companion(paths[path], is_required) for path, is_required in chain.items())
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
