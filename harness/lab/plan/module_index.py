# SPDX-License-Identifier: Apache-2.0
"""The modules that came with a kernel, by name and alias, and what each needs, in the order of the loads."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from functools import cached_property
from pathlib import Path

from harness.abi.elf.module_file import read_module
from harness.support import digest
from harness.support.cache.store import Store
from harness.support.errors import ModcompatError
from harness.support.module_name import kernel_name
from harness.support.packed import unpacked_name
from harness.support.progress import task_if_long
from harness.support.text import join_some

_FORMAT = 1  # raise when the fields of IndexedModule change
_MAX_SHOWN = 4  # modules that an error names


@dataclass(frozen=True)
class IndexedModule:
    """A module file, as far as it matters for loading it."""

    # the kernel's name for it
    name: str
    path: Path
    # names of the modules that must be loaded before it
    depends: tuple[str, ...]
    # names or aliases of modules that are loaded before it if there are such (softdep pre:)
    soft: tuple[str, ...]
    # names that others may find it by, without patterns for devices
    aliases: tuple[str, ...]
    # the release that it was built for; "" if the file does not say
    release: str
    # why the file cannot be read as a module, "" if it can
    problem: str


class ModuleIndex:
    """Modules by name and alias."""

    def __init__(self, modules: Iterable[IndexedModule] = ()) -> None:
        self.modules = {module.name: module for module in modules}

    def __len__(self) -> int:
        return len(self.modules)

    @cached_property
    def _by_alias(self) -> Mapping[str, list[IndexedModule]]:
        found: dict[str, list[IndexedModule]] = {}
        for module in self.modules.values():
            for alias in module.aliases:
                found.setdefault(alias, []).append(module)
        return found

    def find(self, name: str) -> list[IndexedModule]:
        """The module with a name, written with `-` or `_`, or else all with that alias, as modprobe(8) does."""
        named = self.modules.get(kernel_name(name))
        return [named] if named else self._by_alias.get(name, [])

    def needed_by(self, depends: Iterable[str], soft: Iterable[str]) -> dict[IndexedModule, bool]:
        """The modules to load first, in order, for a module with these dependencies; and whether each is required.

        Soft dependencies, and those of a dependency, may fail to load, as with modprobe(8). Names that are not found
        are left out: the kernel has them built in, or it reports that it lacks them.
        """
        order: dict[IndexedModule, bool] = {}
        seen: set[str] = set()  # modules may depend on one another
        required = self._required(depends)

        def follow(names: Iterable[str]) -> None:
            for found in (module for name in names for module in self.find(name)):
                if found.name not in seen:
                    seen.add(found.name)
                    follow((*found.depends, *found.soft))
                    order[found] = found.name in required

        follow((*depends, *soft))
        return order

    def _required(self, depends: Iterable[str]) -> set[str]:
        """The names of the modules that hard dependencies lead to."""
        found: set[str] = set()
        waiting = list(depends)
        while waiting:
            for module in self.find(waiting.pop()):
                if module.name not in found:
                    found.add(module.name)
                    waiting += module.depends
        return found


def indexed(path: Path) -> IndexedModule:
    """What the index has of a module file. Raises OSError if it cannot be read."""
    facts = read_module(path)
    return IndexedModule(
        facts.name,
        path,
        tuple(kernel_name(name) for name in facts.depends),
        facts.soft_depends,
        tuple(alias for alias in facts.aliases if "*" not in alias),
        facts.release,
        facts.problem,
    )


def index_folder(folder: Path, store: Store) -> ModuleIndex:
    """The index of all modules below a folder, which may be packed. Cached by the names, sizes and times of the files.

    Raises ModcompatError if there are none, or if a file cannot be read.
    """
    files = sorted(path for path in folder.rglob("*.ko*") if unpacked_name(path).endswith(".ko") and path.is_file())
    if not files:
        raise ModcompatError(
            f"{folder} has no modules", next_step="give the folder lib/modules/<release> of production"
        )

    def build(entry: Path) -> None:
        with task_if_long(f"reading {len(files)} modules", len(files)) as running:
            rows = []
            for path in files:
                name, _, *rest = astuple(indexed(path))
                rows.append([name, str(path.relative_to(folder)), *rest])
                running.step()
        (entry / "modules.json").write_text(json.dumps(rows))

    inputs = {"folder": str(folder), "stat": digest.of_stat(folder), "format": _FORMAT}
    try:
        entry = store.get_or_build("modules", folder.name, inputs, build)
    except OSError as error:
        raise ModcompatError(f"cannot read {error.filename}: {error.strerror}") from None
    rows = json.loads((entry / "modules.json").read_text())
    return ModuleIndex(_from_row(folder, row) for row in rows)


def _from_row(folder: Path, row: Sequence[object]) -> IndexedModule:
    name, path, depends, soft, aliases, release, problem = row
    assert isinstance(depends, list)
    assert isinstance(soft, list)
    assert isinstance(aliases, list)
    return IndexedModule(
        str(name), folder / str(path), tuple(depends), tuple(soft), tuple(aliases), str(release), str(problem)
    )


def require_release(index: ModuleIndex, release: str, folder: Path) -> None:
    """Raise ModcompatError if there are modules that were built for another release than the kernel's."""
    foreign = [module for module in index.modules.values() if module.release not in ("", release)]
    if foreign:
        names = join_some([module.path.name for module in foreign], _MAX_SHOWN)
        raise ModcompatError(
            f"the image is {release}, but of the modules in {folder} {len(foreign)} are of "
            f"{', '.join(sorted({module.release for module in foreign}))}: {names}",
            next_step="give the image and the modules of one build",
        )
