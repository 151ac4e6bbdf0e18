# SPDX-License-Identifier: Apache-2.0
"""The manifest, `modcompat.toml` in a user's repository: modules to judge, kernels to use, findings to allow.

Every key has a default. Paths are relative to the manifest's folder. Errors name file, line and key. The keys of
[kernel] and [run] that are also options are in harness/lab/plan/options.py. `modcompat init` writes
harness/lab/plan/modcompat.toml, which explains every key.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from fnmatch import fnmatchcase
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from harness.abi.elf.module_file import inspect_module
from harness.detect.verdict import PASSES, Verdict
from harness.guest.boards import BOARDS
from harness.guest.userland import Userland, find_userlands
from harness.kernel.arch import ARCHITECTURES, Architecture
from harness.kernel.features import features_named
from harness.kernel.prebuilt import Prebuilt, find_prebuilt, require_build_tree
from harness.kernel.user_config import UserConfig, by_architecture, read_config
from harness.kernel.variants import PRODUCTION, variant_named, variant_names
from harness.lab.plan.cells import Cell, choose_boards
from harness.lab.plan.exercise import load_exercise
from harness.lab.plan.options import OPTIONS, Option, ValueKind
from harness.lab.plan.toml import Table, placed, read_table
from harness.lab.plan.vendor_modules import VendorModule, file_stem
from harness.support.cache.store import Store
from harness.support.errors import ModcompatError
from harness.support.inputs import (
    console,
    content_of,
    expanded,
    module_parameters,
    patch,
    size_in_memory,
    symbols,
)

NAME = "modcompat.toml"
TEMPLATE = Path(__file__).with_name(NAME)
_MAX_MANIFEST_BYTES = 1 << 20
_FINDINGS = tuple(word for word in Verdict if word not in (*PASSES, Verdict.INVALID))  # these can be allowed


@dataclass(frozen=True)
class AllowedFinding:
    """A known finding that is allowed for a time."""

    reason: str
    expires: date  # the last day on which it is allowed
    module: str = "*"  # fnmatch(3) pattern, like the two below
    kernel: str = "*"
    board: str = "*"
    verdicts: tuple[Verdict, ...] = ()  # empty: any finding
    line: int = 0  # in the manifest

    def matches(self, cell: Cell) -> bool:
        """Whether it matches a cell, whatever the verdict."""
        return (
            fnmatchcase(cell.module.name, self.module)
            and fnmatchcase(cell.variant.name, self.kernel)
            and fnmatchcase(cell.board.id, self.board)
        )

    def allows(self, cell: Cell, word: Verdict) -> bool:
        """Whether a cell may have this verdict."""
        wanted = word in (self.verdicts or _FINDINGS)
        return wanted and self.matches(cell)


@dataclass(frozen=True)
class Manifest:
    """The content of a manifest; without one, the defaults. harness/lab/plan/modcompat.toml explains each key."""

    path: Path | None = None
    patches: tuple[Path, ...] = ()
    configs: tuple[Path, ...] = ()  # production configurations, one per architecture
    prebuilt: tuple[Prebuilt, ...] = ()
    modules: tuple[VendorModule, ...] = ()
    allowed: tuple[AllowedFinding, ...] = field(default_factory=tuple)
    roots_place: str = field(default="", compare=False)  # FILE:LINE: KEY of the root file systems, for errors
    # Keys that are also options, named as in harness/lab/plan/options.py
    source: str = ""
    production: tuple[str, ...] = ()
    allow_config_additions: bool = False
    allow_config_changes: tuple[str, ...] = ()
    boards: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    flavours: tuple[str, ...] = ()
    shared_uart: bool = False
    memory: int = 0  # MiB
    roots: tuple[Path, ...] = ()
    timeout_scale: float = 0.0

    @property
    def has_configs(self) -> bool:
        """Whether it has a production configuration, by itself or with a prebuilt kernel."""
        return bool(self.configs) or any(kernel.variant == PRODUCTION for kernel in self.prebuilt)

    @property
    def prebuilt_by_name(self) -> dict[tuple[str, str], Prebuilt]:
        """(name of the architecture, name of the kernel) -> kernel."""
        return {(kernel.config.arch.name, kernel.variant.name): kernel for kernel in self.prebuilt}

    def production_configs(
        self, files: Sequence[Path], *, may_add: bool, tolerated: Iterable[str], shipped: bool
    ) -> dict[str, UserConfig]:
        """Architecture -> user-supplied production configuration: from these files, or else from the manifest.

        may_add, tolerated: permissions in addition to those of the manifest. shipped: whether there is production as it
        ships, to whose configuration `tolerated` applies as well. Raises ModcompatError for a file that is not a
        configuration, and for a permission without a configuration that it could apply to.
        """
        may = may_add or self.allow_config_additions
        allowed = symbols(tolerated)
        differs = frozenset((*allowed, *self.allow_config_changes))
        configs = by_architecture(read_config(path, may_add=may, tolerated=differs) for path in files or self.configs)
        for kernel in self.prebuilt:
            if kernel.variant == PRODUCTION:
                configs.setdefault(kernel.config.arch.name, replace(kernel.config, may_add=may, tolerated=differs))
        if (may_add and not configs) or (allowed and not configs and not shipped):
            raise ModcompatError(
                "--allow-config-additions and --allow-config-change need a configuration of yours, and there is none",
                next_step="--config FILE, or [config] in a manifest; for changes, also --production",
            )
        return configs

    def userlands(self, paths: Sequence[Path], store: Store) -> dict[str, Userland]:
        """Architecture -> root file system: from these paths, or else from the manifest.

        Unpacks them, so call it only if guests are going to be started. Raises ModcompatError, which names the place
        in the manifest if the path comes from there.
        """
        try:
            return find_userlands(paths or self.roots, store)
        except ModcompatError as error:
            if paths:
                raise
            raise placed(self.roots_place, error) from None

    def allowance(self, cell: Cell, word: Verdict) -> AllowedFinding | None:
        """The entry that allows a cell this verdict."""
        return next((allowance for allowance in self.allowed if allowance.allows(cell, word)), None)

    def idle(self, cells: Collection[Cell]) -> list[AllowedFinding]:
        """The entries that match none of the cells."""
        return [allowance for allowance in self.allowed if not any(map(allowance.matches, cells))]


def find_manifest(folder: Path) -> Path | None:
    """The manifest of a folder."""
    path = folder / NAME
    return path if path.is_file() else None


def read_manifest(path: Path, today: date | None = None) -> Manifest:
    """Read and check a manifest.

    today: the date that the last days of allowed findings are compared with. Raises ModcompatError, whose first line
    is "FILE:LINE: KEY: problem".
    """
    path = expanded(path).absolute()
    text = _text(path)
    top = read_table(path, text)
    tables = {name: top.table(name) for name in ("kernel", "run")}
    kernel, run = tables["kernel"], tables["run"]
    values = {
        option.field: _value(tables[option.manifest.partition(".")[0]], option) for option in OPTIONS if option.manifest
    }
    manifest = Manifest(
        path=path,
        **values,
        patches=tuple(kernel.checked("patches", partial(patch, path)) for path in kernel.files("patches")),
        configs=_configs(top.table("config")),
        roots_place=run.place("roots"),
        prebuilt=tuple(kernels := [_prebuilt(entry) for entry in top.tables("prebuilt")]),
        modules=tuple(chain.from_iterable(judged := [_modules(entry) for entry in top.tables("module")])),
        allowed=tuple(_allowance(entry, today or datetime.now().astimezone().date()) for entry in top.tables("allow")),
    )
    run.checked("features", lambda: features_named(manifest.features))
    run.checked("boards", lambda: choose_boards(manifest.boards, ()))
    _require_unique(top.tables("prebuilt"), [[(kernel.variant.name, kernel.config.arch)] for kernel in kernels])
    _require_unique(top.tables("module"), [[(module.name, module.arch) for module in modules] for modules in judged])
    for table in (kernel, run, top):
        table.close()
    return manifest


def _value(table: Table, option: Option) -> Any:
    """The value that the table has for an option, in the form of the option's kind."""
    key = option.field
    match option.kind:
        case ValueKind.FLAG:
            return table.flag(key)
        case ValueKind.INTEGER | ValueKind.NUMBER:
            number = table.number(key, option.check or float)
            return int(number) if option.kind is ValueKind.INTEGER else number
        case ValueKind.SOURCE:
            return table.source(key)
        case ValueKind.PATH:
            return table.paths(key)
        case ValueKind.PRODUCTION:
            return table.productions(key)
    texts = table.choices(key, option.values()) if option.choices else table.texts(key)
    return table.checked(key, lambda: option.check(texts) if option.check else texts)


def _configs(table: Table) -> tuple[Path, ...]:
    """The production configurations, one per architecture."""
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
    """A kernel that the user built, used in place of one that the harness would build."""
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
            variant.on_user_config,
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
    """The modules of one entry: `file`, or a key per architecture; a pattern may match many files."""
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
                VendorModule(file_stem(path), None, path, exercise, parameters, arch, (*needs,), firmware, programs)
            )
    if not modules:
        table.fail("", f"names no module: `file`, or one of {', '.join(ARCHITECTURES)}")
    table.close()
    return modules


def _architecture(table: Table, key: str, path: Path) -> Architecture:
    """The architecture that a module file is built for."""
    arch = table.checked(key, lambda: inspect_module(path)).arch
    assert arch is not None  # inspect_module() raises for an unknown architecture
    return arch


def _require_unique(tables: Iterable[Table], named: Iterable[Iterable[tuple[str, Architecture | None]]]) -> None:
    """Raise ModcompatError for a name that is taken twice in one architecture. named: the names of each table."""
    seen = set()
    for table, names in zip(tables, named, strict=True):
        for name, arch in names:
            if (name, arch) in seen:
                table.fail("", f"two are called {name} for the same architecture, and this is the second")
            seen.add((name, arch))


def _allowance(table: Table, today: date) -> AllowedFinding:
    reason, expires = table.text("reason"), table.day("expires")
    if not reason.strip():
        table.fail("reason", "an allowed finding needs a reason")
    if expires is None:
        table.fail("expires", "an allowed finding needs a last day, like 2027-03-31, without quotes")
    if expires < today:
        table.fail("expires", f"this allowed finding expired on {expires}: {reason}", "renew it, or remove it")
    allowance = AllowedFinding(
        reason,
        expires,
        table.text("module") or "*",
        table.pattern("kernel", variant_names()),
        table.pattern("board", BOARDS),
        tuple(Verdict(word) for word in table.choices("verdicts", [str(word) for word in _FINDINGS])),
        table.line(""),
    )
    table.close()
    return allowance


def _text(path: Path) -> str:
    try:
        return content_of(path, _MAX_MANIFEST_BYTES).decode("utf-8-sig")  # some editors write a byte order mark
    except OSError as error:
        raise ModcompatError(
            f"cannot read the manifest {path}: {error.strerror}", next_step="`modcompat init` writes one"
        ) from None
    except UnicodeDecodeError as error:
        raise ModcompatError(f"{path}: not UTF-8 text, from byte {error.start} on") from None
