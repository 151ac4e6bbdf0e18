# SPDX-License-Identifier: Apache-2.0
"""The modules to judge: ours from `modules/`, or a file of the user's."""

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
    """A module to judge. name: its folder's or file's.

    source: folder to build against production, or file: a .ko as it is. exercise: its exercise file, None
    where there is none. parameters: for the load, as `insmod` takes them. arch: the only one that it is for,
    None where that is not said. needs: modules that are loaded before it, in their order. firmware: name below
    /lib/firmware -> file. programs: what its exercise runs, by name -> file.
    """

    name: str
    source: Path | None = None
    file: Path | None = None
    exercise: Path | None = None
    parameters: str = ""
    arch: Architecture | None = None
    needs: tuple[Path, ...] = ()
    firmware: tuple[tuple[str, Path], ...] = ()
    programs: tuple[tuple[str, Path], ...] = ()

    @property
    def is_ours(self) -> bool:
        return self.source is not None

    @property
    def insmod_parameters(self) -> str:
        """What it is loaded with: its parameters, or else those of its exercise. Raises what load_exercise() does."""
        if self.parameters or self.exercise is None:
            return self.parameters
        return load_exercise(self.exercise).parameters

    def is_for(self, arch: Architecture) -> bool:
        return self.arch is None or self.arch is arch


def shipped() -> list[VendorModule]:
    """The vendor modules of this project: each folder of `modules/` with a Kbuild and an exercise.py."""
    return [
        VendorModule(folder.name, source=folder, exercise=folder / "exercise.py")
        for folder in sorted(MODULES.iterdir())
        if (folder / "Kbuild").is_file()
    ]


def in_order(
    modules: Iterable[VendorModule], files: Mapping[str, Path], own: Mapping[str, Path]
) -> tuple[dict[str, tuple[str, ...]], dict[str, Path]]:
    """What has to be loaded before each module, and the files of it that are not in the guest yet.

    files: module name -> file, of the modules to judge. own: the modules that were built with the kernel. What a
    module's file says that it depends on is looked for among both, then what those depend on in turn; what is found
    nowhere is the kernel's to complain of. Soft dependencies, often aliases (crc32c of libcrc32c), are looked for among
    the kernel's modules; what is found nowhere is built in. Returns module name -> paths in the guest, and path in the
    guest -> file.
    """
    judged = {read_module(file).name: file for file in files.values()}
    paths = {file: f"modules/{name}.ko" for name, file in files.items()}
    before: dict[str, tuple[str, ...]] = {}
    for module in modules:
        chain: dict[Path, None] = {}
        seen: set[Path] = set()  # two may depend on one another

        def follow(file: Path, chain: dict[Path, None] = chain, seen: set[Path] = seen) -> None:
            seen.add(file)
            hard = [judged.get(name) or own.get(name) for name in dependencies(file)]
            for found in (*hard, *_soft(file, own)):
                if found and found not in seen:
                    follow(found)
                    chain[found] = None

        for needed in module.needs:
            follow(needed)
            chain[needed] = None
        follow(files[module.name])
        chain.pop(files[module.name], None)
        for file in chain:
            # (two that have the same name stay apart)
            path = f"modules/needed/{file.name}"
            paths.setdefault(file, path if path not in paths.values() else f"modules/needed/{len(paths)}/{file.name}")
        before[module.name] = tuple(paths[file] for file in chain)
    return before, {path: file for file, path in paths.items() if path.startswith("modules/needed/")}


def _soft(file: Path, own: Mapping[str, Path]) -> list[Path]:
    """The kernel's modules that a module softly depends on, by their names or aliases."""
    wanted = read_module(file).soft_depends
    if not wanted:
        return []
    named = {alias: path for path in own.values() for alias in read_module(path).aliases} | dict(own)
    return [named[name] for name in wanted if name in named]


def users_module(file: Path, *, parameters: str, exercise: Path | None) -> tuple[VendorModule, ModuleFacts]:
    """A module of the user's, and what its file says.

    Raises ModcompatError when there is no such file, or the parameters are not one line.
    """
    file = expanded(file).absolute()
    if not str(file).isprintable():
        raise ModcompatError(
            f"{str(file)!r}: the guest's shell cannot be told such a name", next_step="rename the file"
        )
    if not file.is_file():
        raise ModcompatError(f"there is no module file {file}", next_step="give --module the path of a .ko file")
    if exercise is not None:
        exercise = expanded(exercise).absolute()
    facts = read_module(file)
    return VendorModule(file.stem, file=file, exercise=exercise, parameters=module_parameters(parameters)), facts
