# SPDX-License-Identifier: Apache-2.0
"""The modules to judge: those of this project in `modules/`, or user-supplied files."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.abi.elf.module_file import ModuleFacts, dependencies, read_module
from harness.kernel.arch import Architecture
from harness.lab.plan.exercise import load_exercise
from harness.support.errors import ModcompatError
from harness.support.inputs import expanded, module_parameters
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
    modules: Iterable[VendorModule], files: Mapping[str, Path], own: Mapping[str, Path]
) -> tuple[dict[str, tuple[str, ...]], dict[str, Path]]:
    """The modules that must be loaded before each module, and their files that are not yet in the guest.

    files: module name -> file, of the modules to judge. own: module name -> file, of those that were built with the
    kernel. The dependencies of a module file are searched in both, and then their own dependencies; the kernel reports
    those that are found nowhere. Soft dependencies, often aliases (crc32c of libcrc32c), are searched in the kernel's
    modules; those that are not found are built in. Returns module name -> paths in the guest, and path in the guest ->
    file.
    """
    judged = {read_module(file).name: file for file in files.values()}
    paths = {file: f"modules/{name}.ko" for name, file in files.items()}
    before: dict[str, tuple[str, ...]] = {}
    for module in modules:
        chain: dict[Path, None] = {}
        seen: set[Path] = set()  # modules may depend on one another

        def follow(file: Path, chain: dict[Path, None] = chain, seen: set[Path] = seen) -> None:
            seen.add(file)
            hard = [judged.get(name) or own.get(name) for name in dependencies(file)]
            for found in (*hard, *_soft_dependencies(file, own)):
                if found and found not in seen:
                    follow(found)
                    chain[found] = None

        for needed in module.needs:
            follow(needed)
            chain[needed] = None
        follow(files[module.name])
        chain.pop(files[module.name], None)
        for file in chain:
            path = f"modules/needed/{file.name}"  # files with the same name are kept apart below
            paths.setdefault(file, path if path not in paths.values() else f"modules/needed/{len(paths)}/{file.name}")
        before[module.name] = tuple(paths[file] for file in chain)
    return before, {path: file for file, path in paths.items() if path.startswith("modules/needed/")}


def _soft_dependencies(file: Path, own: Mapping[str, Path]) -> list[Path]:
    """The kernel's modules that are soft dependencies of a module, by their names or aliases."""
    wanted = read_module(file).soft_depends
    if not wanted:
        return []
    named = {alias: path for path in own.values() for alias in read_module(path).aliases} | dict(own)
    return [named[name] for name in wanted if name in named]


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
    return VendorModule(file.stem, file=file, exercise=exercise, parameters=module_parameters(parameters)), facts
