# SPDX-License-Identifier: Apache-2.0
"""The guests of one run: what each is started from, and those that are kept running."""

import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from harness.detect.scan import reports_fault
from harness.guest.accelerator import probe_kvm
from harness.guest.backtrace import Symbols, read_symbols
from harness.guest.boards import Board, Channel
from harness.guest.failure import GuestFailure
from harness.guest.guest import Guest, copy_state
from harness.guest.initramfs import build_initramfs
from harness.guest.machine import Machine
from harness.guest.snapshot import Snapshot, empty_state, find_snapshot
from harness.guest.tools import build_tools
from harness.kernel import required_options, user_config
from harness.kernel.build import Kernel
from harness.kernel.module_build import build_modules
from harness.kernel.prebuilt import Prebuilt
from harness.kernel.variants import PRODUCTION, Variant
from harness.lab.execution.feature_proof import PROC, missing_in, proof_files, settings_in
from harness.lab.execution.kernel_pool import Kernels
from harness.lab.plan.vendor_modules import VendorModule, in_order
from harness.support.errors import ModcompatError
from harness.support.inputs import size_in_memory

_USERS_MEMORY = 512  # MiB for a kernel of the user's, which may be large
_MIB = 1 << 20
_COPIES = 2  # of the user's files in memory while the kernel unpacks them
_KEPT = 120  # snapshots in the cache, 15 to 50 MB each
_RUNNING = 4  # guests that are kept running, 150 to 250 MB each
_IN_USE = 3600.0  # seconds in which another run may still want what it has just looked up


@dataclass(frozen=True)
class Equipment:
    """What a guest is started from. paths: module name -> path in the guest. files: the same on the host.

    before: module name -> paths of what is loaded before it.
    """

    kernel: Kernel
    machine: Machine
    paths: dict[str, str]
    files: dict[str, Path]
    before: dict[str, tuple[str, ...]]


@dataclass
class Place:
    """A guest that is kept running, and what it was started from."""

    guest: Guest
    machine: Machine
    snapshot: Snapshot
    folder: Path
    config: dict[str, str]  # the running kernel's
    config_from: str  # where it was read
    paths: dict[str, str]  # module name -> path in the guest
    files: dict[str, Path]  # module name -> file on the host
    before: dict[str, tuple[str, ...]]  # module name -> paths of what is loaded before it
    weak: tuple[str, ...]  # what makes the evidence weaker than usual
    takes_modules: bool  # whether modules could be built for its kernel


class Guests:
    """Starts guests and keeps some of them. Close it to end them.

    scratch: a private folder, there until then.
    """

    def __init__(
        self, kernels: Kernels, modules: Sequence[VendorModule] = (), *, files: Mapping[str, Path] | None = None
    ) -> None:
        """modules: those that are put into every guest. files: what else is (path in the guest -> file)."""
        self._kernels = kernels
        self._settings = kernels.settings
        self._store = kernels.store
        self._modules = modules
        self._files = dict(files or {})
        self._places: dict[tuple[str, str], Place] = {}
        self._failed: dict[tuple[str, str], ModcompatError] = {}
        self._ending = ExitStack()
        self.scratch = self._ending.enter_context(self._store.scratch())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End every guest, though one of them may not, and remove what is not worth keeping."""
        with self._ending as ending:
            for place in self._places.values():
                ending.callback(place.guest.close)
            self._places.clear()
        # Every other module of a user's makes a file system and a snapshot of its own.
        for kind in ("snapshot", "initramfs"):
            self._store.trim(kind, keep=_KEPT, unused_for=_IN_USE)

    def guest(self, board: Board, variant: Variant) -> Guest:
        """A guest with every module in it; not pristine yet. Raises ModcompatError."""
        return self.place(board, variant).guest

    def place(self, board: Board, variant: Variant) -> Place:
        """A guest, and what it was started from. Raises ModcompatError where it does not start, and then every time."""
        name = (board.id, variant.name)
        if name in self._failed:
            raise self._failed[name]
        if name in self._places:
            self._places[name] = self._places.pop(name)  # now the last to leave
        else:
            while len(self._places) >= _RUNNING:
                self._leave(next(iter(self._places)))
            folder = self.scratch / "-".join(name)
            shutil.rmtree(folder, ignore_errors=True)  # of an attempt that failed
            try:
                self._places[name] = self._furnish(board, variant, folder)
            except ModcompatError as error:
                self._failed[name] = error  # the next cell would only wait for the same
                raise
        return self._places[name]

    def _leave(self, name: tuple[str, str]) -> None:
        place = self._places.pop(name)
        place.guest.close()
        shutil.rmtree(place.folder)

    def equip(self, board: Board, variant: Variant, more: Mapping[str, Path] | None = None) -> Equipment:
        """What a guest is started from, with every module in it. more: path in the guest -> file."""
        kernel, production = self._kernels.kernel(board, variant), self._kernels.kernel(board, variant.production)
        paths: dict[str, str] = {}
        files: dict[str, Path] = {}
        contents = {**self._files, **(more or {})}
        brought: dict[str, Path] = {}
        modules = [module for module in self._modules if module.is_for(board.arch)]
        for module in modules:
            built = {module.name: module.file} if module.file else self._built(module, production)
            files[module.name] = built[module.name]
            paths[module.name] = f"modules/{module.name}.ko"
            contents |= {f"modules/{name}.ko": file for name, file in built.items()}
            theirs = {f"lib/firmware/{name}": file for name, file in module.firmware}
            theirs |= {f"tools/{name}": file for name, file in module.programs}
            if taken := [path for path, file in theirs.items() if contents.get(path, file) != file]:
                raise ModcompatError(f"{', '.join(taken)} of {module.name} is another file than another module's")
            contents |= theirs
            brought |= theirs
        before, needed = in_order(modules, files, kernel.own_modules)
        contents |= needed
        if variant.feature and not missing_in(kernel.config, variant.feature):
            contents |= proof_files(variant.feature, kernel, self._store)
        contents |= {f"tools/{name}": file for name, file in build_tools(board.arch, self._store).items()}
        userland = self._settings.userlands.get(board.arch.name)
        size = size_in_memory(brought.values()) + (userland.size if userland else 0)
        machine = Machine(
            board=self._fitted(board, kernel, self._kernels.prebuilt(board, variant), size),
            kernel=kernel.image,
            initramfs=build_initramfs(board.arch, contents, self._store, userland),
            device_tree=kernel.device_tree(board.device_tree) if board.device_tree else None,
            boot=variant.boot,
            userland=userland is not None,
            scale=self._settings.timing.scale,
        )
        machine = replace(machine, accelerator=self._accelerator(machine))
        return Equipment(kernel, machine, paths, files, before)

    def _built(self, module: VendorModule, production: Kernel) -> dict[str, Path]:
        assert module.source is not None
        built = build_modules(module.source, production, self._store)
        if module.name not in built:
            raise ModcompatError(
                f"{module.source} did not build a {module.name}.ko, only {', '.join(built) or 'nothing'}"
            )
        return built

    def _furnish(self, board: Board, variant: Variant, folder: Path) -> Place:
        equipment = self.equip(board, variant)
        kernel, machine = equipment.kernel, equipment.machine
        timing = self._settings.timing
        snapshot = find_snapshot(machine, self._store, timing)
        folder.mkdir(parents=True)
        state = copy_state(snapshot.state, folder) if snapshot.state else empty_state(folder)
        guest = Guest(machine, folder=folder, console=folder / "console.log", state=state, timing=timing)
        guest.obstacle = snapshot.obstacle
        guest.is_fault = reports_fault
        guest.symbols = read_symbols(kernel.symbols) if kernel.symbols.is_file() else Symbols((), 0)
        with ExitStack() as unfinished:
            unfinished.callback(guest.close)
            try:
                guest.make_pristine()
                told = settings_in(guest)
            except GuestFailure as failure:
                raise ModcompatError(
                    f"{board.id} booted with the {variant.name} kernel, and then did not answer: {failure.headline}",
                    details=failure.console_tail,
                    next_step="a slow machine wants --timeout-scale; by hand: " + machine.by_hand(),
                ) from failure
            config, where = (told, PROC) if told else (kernel.config, "the .config of its build")
            weak = self._weaknesses(board)
            if not kernel.takes_modules:
                weak += ("the kernel came without its build tree: its features are not provoked",)
            unfinished.pop_all()
        return Place(
            guest, machine, snapshot, folder, config, where, equipment.paths, equipment.files, equipment.before, weak,
            kernel.takes_modules,
        )  # fmt: skip

    def _fitted(self, board: Board, kernel: Kernel, prebuilt: Prebuilt | None, size: int) -> Board:
        """The board as this kernel can use it. size: bytes of the user's files. Raises ModcompatError where it cannot.

        The modules to judge are not among these: the memory that a board has is meant to hold them.
        """
        if prebuilt and (lacking := required_options.missing(kernel.config, board.arch.required_options)):
            raise ModcompatError(
                f"{prebuilt.image} was built without what the harness needs", details=required_options.listed(lacking),
                next_step="switch these on in its configuration, and build it again",
            )  # fmt: skip
        users = self._settings.configs.get(board.arch.name)
        if missing := required_options.unmet(kernel.config, board.required_options):
            raise ModcompatError(
                f"the configuration lacks what {board.id} needs", details=required_options.listed(missing),
                next_step="set it in the configuration, or choose another board with --board",
            )  # fmt: skip
        memory = self._settings.memory or (max(board.memory, _USERS_MEMORY) if users else board.memory)
        memory += -(-_COPIES * size // _MIB)
        shared = self._settings.shared_uart or bool(board.channel.lacks(kernel.config))
        if prebuilt:
            shared |= prebuilt.shared_uart
            board = replace(board, console=prebuilt.console or board.console)
        return replace(board, memory=memory, channel=Channel.SHARED if shared else board.channel)

    def _weaknesses(self, board: Board) -> tuple[str, ...]:
        users = self._settings.configs.get(board.arch.name)
        if not users or not users.may_add or self._kernels.prebuilt(board, PRODUCTION):
            return ()
        added = user_config.added(users, self._kernels.spec(board, PRODUCTION).source, self._store)
        if not added:
            return ()
        return (f"{', '.join(added)}: not as in {users.path.name}, for the harness to work; the ABI may differ by it",)

    def _accelerator(self, machine: Machine) -> str:
        """The accelerator of a guest: KVM, if it is requested or a boot proves that it works, else TCG."""
        wanted = self._settings.accelerator
        if wanted == "tcg" or not machine.board.arch.tries_kvm:
            return "tcg"
        works = wanted == "kvm" or probe_kvm(machine, self._store, self._settings.timing.scale).works
        return "kvm" if works else "tcg"
