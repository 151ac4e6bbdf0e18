# SPDX-License-Identifier: Apache-2.0
"""The manifest, `modcompat.toml` in a user's repository: what is judged, on which kernels, and what is allowed.

Everything has a default. Paths are relative to the manifest's folder. Mistakes are told with file, line and key.
`harness/lab/plan/modcompat.toml` is the commented one that `modcompat init` writes.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from fnmatch import fnmatchcase
from functools import partial
from itertools import chain
from pathlib import Path

from harness.abi.elf.module_file import inspect_module
from harness.detect.verdict import Word
from harness.guest.boards import BOARDS
from harness.guest.userland import Userland, find_userlands
from harness.kernel.arch import ARCHITECTURES, Architecture
from harness.kernel.features import features_named
from harness.kernel.prebuilt import Prebuilt, find_prebuilt, require_build_tree
from harness.kernel.user_config import UsersConfig, by_architecture, read_config
from harness.kernel.variants import PRODUCTION, variant_named, variant_names
from harness.lab.plan.cells import Cell, Flavour, choose_boards
from harness.lab.plan.exercise import load_exercise
from harness.lab.plan.toml import Table, placed, read_table
from harness.lab.plan.vendor_modules import VendorModule
from harness.support.cache.store import Store
from harness.support.errors import ModcompatError
from harness.support.inputs import (
    console,
    content_of,
    expanded,
    guest_memory,
    module_parameters,
    patch,
    size_in_memory,
    symbols,
    timeout_scale,
)

NAME = "modcompat.toml"
TEMPLATE = Path(__file__).with_name(NAME)
_LARGEST = 1 << 20  # bytes of a file that is taken for a manifest
_FINDINGS = tuple(word for word in Word if word not in (Word.CLEAN, Word.INVALID))  # what can be allowed


@dataclass(frozen=True)
class Allowance:
    """A finding that is known and allowed for a time. module, kernel, board: patterns, as fnmatch takes them.

    verdicts: which may be given, none: any but CLEAN and INVALID. expires: the last day. line: in the manifest.
    """

    reason: str
    expires: date
    module: str = "*"
    kernel: str = "*"
    board: str = "*"
    verdicts: tuple[Word, ...] = ()
    line: int = 0

    def is_of(self, cell: Cell) -> bool:
        """Whether it is about a cell, whatever the verdict."""
        return (
            fnmatchcase(cell.module.name, self.module)
            and fnmatchcase(cell.variant.name, self.kernel)
            and fnmatchcase(cell.board.id, self.board)
        )

    def allows(self, cell: Cell, word: Word) -> bool:
        """Whether a cell may have this verdict."""
        wanted = word in (self.verdicts or _FINDINGS)
        return wanted and self.is_of(cell)


@dataclass(frozen=True)
class Manifest:
    """What a manifest says; without one, the defaults. See harness/lab/plan/modcompat.toml for what each part means."""

    path: Path | None = None
    source: str = ""
    patches: tuple[Path, ...] = ()
    configs: tuple[Path, ...] = ()
    may_add: bool = False
    tolerated: tuple[str, ...] = ()
    boards: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    flavours: tuple[str, ...] = ()
    shared_uart: bool = False
    memory: int = 0
    roots: tuple[Path, ...] = ()
    roots_place: str = field(default="", compare=False)
    timeout_scale: float = 0.0
    prebuilt: tuple[Prebuilt, ...] = ()
    modules: tuple[VendorModule, ...] = ()
    allowed: tuple[Allowance, ...] = field(default_factory=tuple)

    @property
    def prebuilt_by_name(self) -> dict[tuple[str, str], Prebuilt]:
        """(architecture, kernel's name) -> kernel."""
        return {(kernel.config.arch.name, kernel.variant.name): kernel for kernel in self.prebuilt}

    def production(
        self, files: Sequence[Path] = (), *, may_add: bool = False, tolerated: Iterable[str] = ()
    ) -> dict[str, UsersConfig]:
        """Architecture -> the user's production configuration: of these files, or else of the manifest's.

        may_add, tolerated: beside what the manifest allows. Raises ModcompatError for a file that is none, and for
        what is allowed to happen to a configuration where there is none.
        """
        may = may_add or self.may_add
        allowed = symbols(tolerated)
        differs = frozenset((*allowed, *self.tolerated))
        configs = by_architecture(read_config(path, may_add=may, tolerated=differs) for path in files or self.configs)
        for kernel in self.prebuilt:
            if kernel.variant == PRODUCTION:
                configs.setdefault(kernel.config.arch.name, replace(kernel.config, may_add=may, tolerated=differs))
        if (may_add or allowed) and not configs:
            raise ModcompatError(
                "--allow-config-additions and -change are for a configuration of yours, and there is none",
                next_step="--config FILE, or [config] in a manifest",
            )
        return configs

    def userlands(self, paths: Sequence[Path], store: Store) -> dict[str, Userland]:
        """Architecture -> root file system: of these, or else of the manifest's.

        They are read only where a guest is started. Raises ModcompatError, of the manifest's with their place.
        """
        try:
            return find_userlands(paths or self.roots, store)
        except ModcompatError as error:
            if paths:
                raise
            raise placed(self.roots_place, error) from None

    def allowance(self, cell: Cell, word: Word) -> Allowance | None:
        """What allows a cell its verdict."""
        return next((allowance for allowance in self.allowed if allowance.allows(cell, word)), None)

    def idle(self, cells: Collection[Cell]) -> list[Allowance]:
        """What is allowed and is about none of the cells."""
        return [allowance for allowance in self.allowed if not any(map(allowance.is_of, cells))]


def find_manifest(folder: Path) -> Path | None:
    """The manifest of a folder."""
    path = folder / NAME
    return path if path.is_file() else None


def read_manifest(path: Path, today: date | None = None) -> Manifest:
    """Read and check a manifest. today: for the dates of allowed findings.

    Raises ModcompatError whose first line is FILE:LINE: KEY: what is wrong.
    """
    path = expanded(path).absolute()
    text = _text(path)
    top = read_table(path, text)
    kernel, run = top.table("kernel"), top.table("run")
    tolerated = kernel.texts("allow_config_changes")
    manifest = Manifest(
        path=path,
        source=kernel.source("source"),
        patches=tuple(kernel.checked("patches", partial(patch, path)) for path in kernel.files("patches")),
        configs=_configs(top.table("config")),
        may_add=kernel.flag("allow_config_additions"),
        tolerated=kernel.checked("allow_config_changes", lambda: symbols(tolerated)),
        boards=run.texts("boards"),
        features=run.texts("features"),
        flavours=run.choices("flavours", [str(flavour) for flavour in Flavour]),
        shared_uart=run.flag("shared_uart"),
        memory=int(run.number("memory", guest_memory)),
        roots=run.paths("roots"),
        roots_place=run.place("roots"),
        timeout_scale=run.number("timeout_scale", timeout_scale),
        prebuilt=tuple(kernels := [_prebuilt(entry) for entry in top.tables("prebuilt")]),
        modules=tuple(chain.from_iterable(judged := [_modules(entry) for entry in top.tables("module")])),
        allowed=tuple(_allowance(entry, today or datetime.now().astimezone().date()) for entry in top.tables("allow")),
    )
    run.checked("features", lambda: features_named(manifest.features))
    run.checked("boards", lambda: choose_boards(manifest.boards, ()))
    _unlike(top.tables("prebuilt"), [[(kernel.variant.name, kernel.config.arch)] for kernel in kernels])
    _unlike(top.tables("module"), [[(module.name, module.arch) for module in modules] for modules in judged])
    for table in (kernel, run, top):
        table.close()
    return manifest


def _configs(table: Table) -> tuple[Path, ...]:
    """A production configuration for each architecture that is named."""
    paths = []
    for arch in ARCHITECTURES:
        if path := table.file(arch):
            users = table.checked(arch, partial(read_config, path))
            if users.arch.name != arch:
                table.fail(arch, f"{path} is a configuration for {users.arch.name}")
            paths.append(path)
    table.close()
    return tuple(paths)


def _prebuilt(table: Table) -> Prebuilt:
    """A kernel of the user's in the place of one that would be built."""
    image = table.file("image")
    if image is None:
        table.fail("image", "a prebuilt kernel needs its image")
    tty = table.text("console")
    if tty:
        table.checked("console", lambda: console(tty))
    variant = table.checked("kernel", lambda: variant_named(table.text("kernel") or "production"))
    build_tree = table.folder("build_tree")
    if build_tree:
        table.checked("build_tree", lambda: require_build_tree(build_tree))
    files = {key: table.file(key) for key in ("config", "system_map", "device_tree")}
    if config := files["config"]:
        table.checked("config", lambda: read_config(config))
    shared_uart = table.flag("shared_uart")
    prebuilt = table.checked(
        "image",
        lambda: find_prebuilt(
            variant.on_users_config,
            image,
            config=config,
            build_tree=build_tree,
            symbols=files["system_map"],
            device_tree=files["device_tree"],
            console=tty,
            shared_uart=shared_uart,
        ),
    )
    table.close()
    return prebuilt


def _modules(table: Table) -> list[VendorModule]:
    """The modules of one entry: `file`, or a key for each architecture; patterns may name many."""
    exercise = table.file("exercise")
    if exercise:
        table.checked("exercise", lambda: load_exercise(exercise))
    parameters = table.text("parameters")
    table.checked("parameters", lambda: module_parameters(parameters))
    needs = {path: _architecture(table, "depends", path) for path in table.files("depends")}
    firmware, programs = table.named_files("firmware", "/lib/firmware"), table.named_files("programs", "/tools")
    brought = [path for _, path in (*firmware, *programs)]
    table.checked("firmware" if firmware else "programs", lambda: size_in_memory(brought))
    modules = []
    for key in ("file", *ARCHITECTURES):
        for path in table.files(key):
            arch = _architecture(table, key, path)
            if key not in ("file", arch.name):
                table.fail(key, f"{path} is built for {arch.name}")
            if path.resolve() in {needed.resolve() for needed in needs}:
                table.fail("depends", f"{path} is loaded before itself")
            if foreign := [str(needed) for needed, built_for in needs.items() if built_for is not arch]:
                table.fail("depends", f"{path} is built for {arch.name}, and {', '.join(foreign)} is not")
            modules.append(
                VendorModule(path.stem, None, path, exercise, parameters, arch, (*needs,), firmware, programs)
            )
    if not modules:
        table.fail("", f"names no module: `file`, or one of {', '.join(ARCHITECTURES)}")
    table.close()
    return modules


def _architecture(table: Table, key: str, path: Path) -> Architecture:
    """What a module file is built for."""
    arch = table.checked(key, lambda: inspect_module(path)).arch
    assert arch is not None  # inspect_module() would have said so
    return arch


def _unlike(tables: Iterable[Table], named: Iterable[Iterable[tuple[str, Architecture | None]]]) -> None:
    """What is of one architecture is told apart by its names. named: of each table."""
    seen = set()
    for table, names in zip(tables, named, strict=True):
        for name, arch in names:
            if (name, arch) in seen:
                table.fail("", f"two are called {name}, for one architecture, and this is the second")
            seen.add((name, arch))


def _allowance(table: Table, today: date) -> Allowance:
    reason, expires = table.text("reason"), table.day("expires")
    if not reason.strip():
        table.fail("reason", "an allowed finding needs a reason")
    if expires is None:
        table.fail("expires", "an allowed finding needs a last day, like 2027-03-31, without quotes")
    if expires < today:
        table.fail("expires", f"this allowed finding expired on {expires}: {reason}", "renew it, or take it out")
    allowance = Allowance(
        reason,
        expires,
        table.text("module") or "*",
        table.pattern("kernel", variant_names()),
        table.pattern("board", BOARDS),
        tuple(Word(word) for word in table.choices("verdicts", [str(word) for word in _FINDINGS])),
        table.line(""),
    )
    table.close()
    return allowance


def _text(path: Path) -> str:
    try:
        return content_of(path, _LARGEST).decode("utf-8-sig")  # some editors put a mark in front
    except OSError as error:
        raise ModcompatError(
            f"cannot read the manifest {path}: {error.strerror}", next_step="`modcompat init` writes one"
        ) from None
    except UnicodeDecodeError as error:
        raise ModcompatError(f"{path}: not UTF-8 text, from byte {error.start} on") from None
