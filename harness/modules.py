"""The modules to judge: ours from `modules/`, or a file of the user's."""

from dataclasses import dataclass
from pathlib import Path

from harness.abi.module_file import ModuleFacts, read_module
from harness.errors import ModcompatError
from harness.paths import MODULES


@dataclass(frozen=True)
class VendorModule:
    """A module to judge. name: its folder's or file's.

    source: folder to build against production, or file: a .ko as it is. exercise: its exercise file, None
    where there is none. parameters: for the load, as `insmod` takes them.
    """

    name: str
    source: Path | None = None
    file: Path | None = None
    exercise: Path | None = None
    parameters: str = ""

    @property
    def is_ours(self) -> bool:
        return self.source is not None


def shipped() -> list[VendorModule]:
    """The vendor modules of this project: each folder of `modules/` with a Kbuild and an exercise.py."""
    return [
        VendorModule(folder.name, source=folder, exercise=folder / "exercise.py")
        for folder in sorted(MODULES.iterdir())
        if (folder / "Kbuild").is_file()
    ]


def users_module(file: Path, *, parameters: str, exercise: Path | None) -> tuple[VendorModule, ModuleFacts]:
    """A module of the user's, and what its file says. Raises ModcompatError when there is no such file."""
    file = file.expanduser().absolute()
    if not file.is_file():
        raise ModcompatError(f"there is no module file {file}", next_step="give --module the path of a .ko file")
    if exercise is not None:
        exercise = exercise.expanduser().absolute()
    facts = read_module(file)
    return VendorModule(file.stem, file=file, exercise=exercise, parameters=parameters), facts
