# SPDX-License-Identifier: Apache-2.0
"""The guests of one run: start them, keep some of them running, and pause those that nobody uses."""

import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from harness.detect.scan import reports_fault
from harness.guest.accelerator import probe_kvm
from harness.guest.accesses import AccessCheck
from harness.guest.backtrace import Symbols, read_symbols, symbols_in
from harness.guest.boards import Board, Channel, channel_for
from harness.guest.failure import GuestFailure
from harness.guest.guest import Guest, copy_state
from harness.guest.initramfs import build_initramfs
from harness.guest.machine import Machine, qemu_version
from harness.guest.mailbox import size_for
from harness.guest.plugins import build_plugin, can_have_plugins, takes_plugins
from harness.guest.snapshot import Snapshot, empty_state, find_snapshot
from harness.guest.tools import build_tools
from harness.kernel import required_options, user_config
from harness.kernel.build import Kernel
from harness.kernel.module_build import build_modules
from harness.kernel.prebuilt import Prebuilt
from harness.kernel.shadow import ShadowMemory, has_shadow, shadow_memory
from harness.kernel.variants import PRODUCTION, Variant
from harness.lab.execution.access_checks import DESCRIBE
from harness.lab.execution.feature_proof import PROC, missing_in, proof_files, running_config
from harness.lab.execution.kernel_pool import Kernels
from harness.lab.plan.settings import Settings
from harness.lab.plan.vendor_modules import Companion, VendorModule, load_order
from harness.support import digest
from harness.support.errors import ModcompatError
from harness.support.inputs import MAX_BYTES_IN_GUEST, size_in_memory
from harness.support.packed import MAGIC_BYTES, PackedError, content_unpacked, is_packed, unpacked, unpacked_name
from harness.support.paths import IMAGES

_MIB_FOR_USER_KERNEL = 512  # a user-supplied kernel may be large
# What KASAN may take: shadow, quarantine, redzones, and code that is twice as large
_MIB_FOR_KASAN = 512
_MIB = 1 << 20
_MIB_WITHOUT_HOLE = 2048  # memory of a PC that is in one piece (pc_q35_init() of hw/i386/pc_q35.c, QEMU 7.2)
_SYMBOLS_SECONDS = 60.0  # for a guest to pack and print its table of symbols
_FILE_COPIES = 2  # user-supplied files are in memory twice while the kernel unpacks them
_MAX_CACHED = 120  # snapshots in the cache, 15 to 50 MB each
_UNPACKED = "unpacked"  # folder for module files that are packed
_MAX_RUNNING = 4  # guests, 150 to 500 MB each
_KEEP_USED_SECONDS = 3600.0  # another run may still need a cached file that it looked up within this time


def usual_memory(settings: Settings, board: Board, *, has_kasan: bool) -> int:
    """Memory of a guest in MiB, without what the files in it need: what the user chose, or enough for the kernel."""
    memory = board.memory
    if board.arch.name in settings.configs:
        memory = max(memory, _MIB_FOR_USER_KERNEL) + (_MIB_FOR_KASAN if has_kasan else 0)
    return settings.memory or memory


@dataclass(frozen=True)
class GuestImage:
    """Everything that a guest is started from."""

    kernel: Kernel
    machine: Machine
    # module name -> path in the guest
    paths: dict[str, str]
    # module name -> file on the host
    files: dict[str, Path]
    # module name -> the modules that are loaded before it
    before: dict[str, tuple[Companion, ...]]
    # module name -> files that are posted to the guest before it is loaded, itself among them: path -> file
    posted: dict[str, dict[str, Path]] = field(default_factory=dict)
    # module name -> why it cannot be posted: its file, or that of a module that it needs, is damaged
    damaged: dict[str, ModcompatError] = field(default_factory=dict)


@dataclass
class RunningGuest:
    """A guest that is kept running, and the image that it was started from."""

    guest: Guest
    image: GuestImage
    snapshot: Snapshot
    folder: Path
    # configuration of the running kernel
    config: dict[str, str]
    # the file that it was read from
    config_from: str
    # why the evidence is weaker than usual
    caveats: tuple[str, ...]
    # the number of times that the modules were replaced before its image was made
    generation: int = 0


class Guests:
    """Starts guests and keeps some of them running. Close it to end them.

    Only the guest that was requested last runs; the others are paused, since an idle guest takes 3 % of a CPU. A paused
    guest resumes as soon as it gets a command.
    """

    def __init__(
        self, kernels: Kernels, modules: Sequence[VendorModule] = (), *, files: Mapping[str, Path] | None = None
    ) -> None:
        """modules: put into every guest. files: further files for every guest (path in the guest -> file)."""
        self._kernels = kernels
        self._settings = kernels.settings
        self._store = kernels.store
        self._modules = modules
        # further files of every guest: path in the guest -> file on the host
        self.files = dict(files or {})
        self._running: dict[tuple[str, str], RunningGuest] = {}
        self._failed: dict[tuple[str, str], ModcompatError] = {}
        self._shadows: dict[str, ShadowMemory | None] = {}  # by kernel
        self._generation = 0
        self._ending = ExitStack()
        # a private folder, removed by close()
        self.scratch = self._ending.enter_context(self._store.scratch())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End every guest, even if ending one of them fails, and trim the cache."""
        with self._ending as ending:
            for running in self._running.values():
                ending.callback(running.guest.close)
            self._running.clear()
        # Each user-supplied module needs a separate file system and snapshot.
        for kind in ("snapshot", "initramfs"):
            self._store.trim(kind, keep=_MAX_CACHED, unused_for=_KEEP_USED_SECONDS)

    def use(self, modules: Sequence[VendorModule]) -> None:
        """Replace the modules. A guest that modules are posted to keeps running; others are started again."""
        self._modules = modules
        self._generation += 1
        shutil.rmtree(self.scratch / _UNPACKED, ignore_errors=True)

    def forget_failures(self) -> None:
        """Start guests that did not start before if they are requested again."""
        self._failed.clear()

    def guest(self, board: Board, variant: Variant) -> Guest:
        """A guest with every module in it; not pristine yet. Raises ModcompatError."""
        return self.running(board, variant).guest

    def running(self, board: Board, variant: Variant) -> RunningGuest:
        """A guest, and the image that it was started from. Pauses all others.

        Raises ModcompatError if it does not start, and again for every further call.
        """
        name = (board.id, variant.name)
        if name in self._failed:
            raise self._failed[name]
        self.pause_all()  # before a kernel is built, which takes minutes
        self._refresh(name, board, variant)
        if name in self._running:
            known = self._running[name] = self._running.pop(name)  # now the last to be evicted
            for file in (known.snapshot.boot_log, known.image.machine.initramfs):
                self._store.renew(file.parent)  # for close() in another process
        else:
            while len(self._running) >= _MAX_RUNNING:
                self._evict(next(iter(self._running)))
            folder = self.scratch / "-".join(name)
            shutil.rmtree(folder, ignore_errors=True)  # of an attempt that failed
            try:
                self._running[name] = self._start(board, variant, folder)
            except ModcompatError as error:
                self._failed[name] = error  # the next cell would only wait to fail in the same way
                raise
        return self._running[name]

    def _refresh(self, name: tuple[str, str], board: Board, variant: Variant) -> None:
        """Give a running guest the current modules; end it if another machine is needed for them."""
        known = self._running.get(name)
        if known is None or known.generation == self._generation:
            return
        image = self.prepare(board, variant)
        if image.machine == known.image.machine:
            known.image, known.generation = image, self._generation
        else:
            self._evict(name)

    def pause_all(self) -> None:
        """Pause every guest until its next command."""
        for running in self._running.values():
            running.guest.pause()

    def _evict(self, name: tuple[str, str]) -> None:
        running = self._running.pop(name)
        running.guest.close()
        shutil.rmtree(running.folder)

    def prepare(self, board: Board, variant: Variant, more: Mapping[str, Path] | None = None) -> GuestImage:
        """Everything that a guest with all modules is started from. more: path in the guest -> file.

        Raises ModcompatError if a kernel or a module cannot be built.
        """
        kernel, production = self._kernels.kernel(board, variant), self._kernels.kernel(board, variant.production)
        paths: dict[str, str] = {}
        files: dict[str, Path] = {}
        contents = {**self.files, **(more or {})}
        brought: dict[str, Path] = {}
        posts = self._posts(board, kernel)
        modules = [module for module in self._modules if module.is_for(board.arch)]
        damaged = self._damaged(modules) if posts else {}
        modules = [module for module in modules if module.name not in damaged]
        for module in modules:
            built = {module.name: self._plain(module.file)} if module.file else self._build_module(module, production)
            files[module.name] = built[module.name]
            paths[module.name] = f"modules/{module.name}.ko"
            judged = {f"modules/{name}.ko": file for name, file in built.items()}
            contents |= {} if posts else judged
            theirs = {f"lib/firmware/{name}": file for name, file in module.firmware}
            theirs |= {f"tools/{name}": file for name, file in module.programs}
            if taken := [path for path, file in theirs.items() if contents.get(path, file) != file]:
                raise ModcompatError(f"{', '.join(taken)} of {module.name} differs from the file of another module")
            contents |= theirs
            brought |= theirs
        before, needed = load_order(modules, files, self._kernels.own_modules(board, variant))
        posted: dict[str, dict[str, Path]] = {}
        if posts:
            everything = {paths[name]: file for name, file in files.items()} | needed
            chains = {name: [paths[name], *(it.path for it in companions)] for name, companions in before.items()}
            posted = self._posted(chains, everything, damaged)
        else:
            contents |= {path: self._plain(file) for path, file in needed.items()}
        if variant.feature and not missing_in(kernel.config, variant.feature):
            contents |= proof_files(variant.feature, kernel, self._store)
        if self._shadow(kernel) and kernel.takes_modules:
            contents |= {DESCRIBE: build_modules(IMAGES / "accesses/describe", kernel, self._store)["describe"]}
        contents |= {f"tools/{name}": file for name, file in build_tools(board.arch, self._store).items()}
        userland = self._settings.userlands.get(board.arch.name)
        size = size_in_memory(brought.values()) + (userland.size if userland else 0)
        machine = Machine(
            board=self._adapt_board(board, kernel, self._kernels.prebuilt(board, variant), size),
            kernel=kernel.image,
            initramfs=build_initramfs(board.arch, contents, self._store, userland),
            device_tree=self._device_tree(board, kernel) if board.device_tree else None,
            boot=variant.boot,
            userland=userland is not None,
            mailbox=size_for(max(map(_size_of, posted.values()), default=0)) if posts else 0,
            scale=self._settings.timing.scale,
        )
        machine = replace(machine, accelerator=self._accelerator(machine))
        if machine.accelerator == "tcg" and can_have_plugins(board.arch.qemu):
            with suppress(ModcompatError):  # restores only take longer
                machine = replace(machine, keeper=build_plugin("kept_code", qemu_version(board.arch.qemu), self._store))
        if not self._why_unchecked(machine, kernel):
            machine = replace(machine, accesses=self._access_check(machine, kernel))
        return GuestImage(kernel, machine, paths, files, before, posted, damaged)

    def _device_tree(self, board: Board, kernel: Kernel) -> Path:
        """The device tree of a board. If production is used as it ships, its own one serves debug kernels as well.

        Raises ModcompatError if there is none.
        """
        shipped = self._settings.shipped.get(board.arch.name)
        found = kernel.device_tree(board.device_tree) or (shipped and shipped.device_tree(board.device_tree))
        if not found:
            where = shipped.title if shipped else str(kernel.spec.source.label)
            raise ModcompatError(
                f"{where} has no device tree {board.device_tree}, which {board.id} needs",
                next_step="add the file under this name, or choose another board with --board",
            )
        return found

    def _plain(self, file: Path) -> Path:
        """A module file that is not packed: busybox's insmod takes no other. Raises ModcompatError if it is damaged."""
        with file.open("rb") as stream:
            if not is_packed(stream.read(MAGIC_BYTES)):
                return file
        plain = self.scratch / _UNPACKED / digest.of_bytes(bytes(file)) / unpacked_name(file)
        if not plain.is_file():
            plain.parent.mkdir(parents=True, exist_ok=True)
            plain.write_bytes(content_unpacked(file, MAX_BYTES_IN_GUEST))
        return plain

    def _damaged(self, modules: Sequence[VendorModule]) -> dict[str, ModcompatError]:
        """The modules whose files cannot be unpacked: name -> why."""
        damaged: dict[str, ModcompatError] = {}
        for module in modules:
            try:
                if module.file:
                    self._plain(module.file)
            except ModcompatError as error:
                damaged[module.name] = error
        return damaged

    def _posted(
        self, chains: Mapping[str, Sequence[str]], files: Mapping[str, Path], damaged: dict[str, ModcompatError]
    ) -> dict[str, dict[str, Path]]:
        """The files to post for each module, unpacked; a module with a file that is damaged is noted instead.

        chains: module name -> paths in the guest. files: path in the guest -> file.
        """
        posted: dict[str, dict[str, Path]] = {}
        for name, chain in chains.items():
            try:
                posted[name] = {path: self._plain(files[path]) for path in chain}
            except ModcompatError as error:
                damaged[name] = error
        return posted

    def _build_module(self, module: VendorModule, production: Kernel) -> dict[str, Path]:
        assert module.source is not None
        built = build_modules(module.source, production, self._store)
        if module.name not in built:
            raise ModcompatError(
                f"{module.source} did not build a {module.name}.ko, only {', '.join(built) or 'nothing'}"
            )
        return built

    def _start(self, board: Board, variant: Variant, folder: Path) -> RunningGuest:
        image = self.prepare(board, variant)
        kernel, machine = image.kernel, image.machine
        timing = self._settings.timing
        snapshot = find_snapshot(machine, self._store, timing)
        folder.mkdir(parents=True)
        state = copy_state(snapshot.state, folder) if snapshot.state else empty_state(folder)
        guest = Guest(
            machine, folder=folder, console=folder / "console.log", state=state, timing=timing,
            keeps_code=snapshot.keeps_code,
        )  # fmt: skip
        guest.obstacle = snapshot.obstacle
        guest.is_fault = reports_fault
        with ExitStack() as unfinished:
            unfinished.callback(guest.close)
            try:
                guest.make_pristine()
                guest.symbols = self._symbols(guest, kernel)
                found = running_config(guest)
            except GuestFailure as failure:
                raise ModcompatError(
                    f"{board.id} booted with the {variant.name} kernel, and then did not answer: {failure.headline}",
                    details=failure.console_tail,
                    next_step="on a slow machine, raise --timeout-scale; by hand: " + machine.by_hand(),
                ) from failure
            config, where = (found, PROC) if found else (kernel.config, "the .config of its build")
            caveats = self._caveats(board)
            if not kernel.takes_modules and variant.feature:
                caveats += ("the kernel came without its build tree: its features are not provoked",)
            if has_shadow(config) and (why := self._why_unchecked(machine, kernel)):
                caveats += (f"KASAN does not see the module's own loads and stores: {why}",)
            unfinished.pop_all()
        return RunningGuest(guest, image, snapshot, folder, config, where, caveats, self._generation)

    def _symbols(self, guest: Guest, kernel: Kernel) -> Symbols:
        """The kernel's symbols: those of its System.map, or else, as that may be a stub, its own. Raises GuestFailure.

        The addresses in a guest are always the same (nokaslr), so that they are read once for each kernel.
        """
        known = read_symbols(kernel.symbols) if kernel.symbols.is_file() else Symbols((), 0)
        if known.functions:
            return known

        def read(folder: Path) -> None:
            table = guest.run("gzip -c /proc/kallsyms", _SYMBOLS_SECONDS)
            (folder / "kallsyms.gz").write_bytes(table.raw)

        folder = self._store.get_or_build("kallsyms", kernel.spec.label, {"kernel": kernel.key}, read)
        try:
            return symbols_in(unpacked((folder / "kallsyms.gz").read_bytes(), MAX_BYTES_IN_GUEST).decode())
        except (PackedError, ValueError):  # a kernel without KALLSYMS
            return Symbols((), 0)

    def _adapt_board(self, board: Board, kernel: Kernel, prebuilt: Prebuilt | None, size: int) -> Board:
        """The board, adapted to this kernel. Raises ModcompatError if the kernel cannot run on it.

        size: bytes of the user-supplied files. The modules to judge do not count: a board has memory for them anyway.
        """
        needed = required_options.missing(kernel.config, board.arch.required_options)
        if prebuilt and (lacking := [option for option in needed if not option.build_only]):
            raise ModcompatError(
                f"{prebuilt.image} lacks options that the harness needs", details=required_options.listed(lacking),
                next_step="switch them on in its configuration, and build it again",
            )  # fmt: skip
        if missing := required_options.unmet(kernel.config, board.required_options):
            raise ModcompatError(
                f"the configuration lacks options that {board.id} needs", details=required_options.listed(missing),
                next_step="set them in the configuration, or choose another board with --board",
            )  # fmt: skip
        has_kasan = self._settings.has_kasan or has_shadow(kernel.config)
        memory = usual_memory(self._settings, board, has_kasan=has_kasan)
        memory += -(-_FILE_COPIES * size // _MIB)
        shared = self._settings.shared_uart
        if prebuilt:
            shared |= prebuilt.shared_uart
            board = replace(board, console=prebuilt.console or board.console)
        tweak = ",".join(filter(None, [board.tweak, board.pci_tweak if self._posts(board, kernel) else ""]))
        channel = Channel.SHARED if shared else channel_for(board, kernel.config)
        return replace(board, memory=memory, tweak=tweak, channel=channel)

    def _posts(self, board: Board, kernel: Kernel) -> bool:
        """Whether modules are posted to the guest of a kernel instead of being part of its file system."""
        return board.has_pci and board.arch.name in self._settings.shipped and kernel.config.get("PCI") == "y"

    def _caveats(self, board: Board) -> tuple[str, ...]:
        users = self._settings.configs.get(board.arch.name)
        if not users or not users.may_add or self._kernels.prebuilt(board, PRODUCTION):
            return ()
        added = user_config.added(users, self._kernels.spec(board, PRODUCTION).source, self._store)
        if not added:
            return ()
        return (
            f"{', '.join(added)}: not as in {users.path.name}, because the harness needs it; this may change the ABI",
        )

    def _access_check(self, machine: Machine, kernel: Kernel) -> AccessCheck | None:
        shadow, board = self._shadow(kernel), machine.board
        if shadow is None:
            return None
        plugin = build_plugin("accesses", qemu_version(board.arch.qemu), self._store)
        return AccessCheck(plugin, board.arch, shadow, board.memory_start)

    def _why_unchecked(self, machine: Machine, kernel: Kernel) -> str:
        """Why the loads and stores of modules cannot be checked on a kernel with KASAN; "" if they can."""
        if machine.accelerator != "tcg":
            return "the guest runs under KVM, and not with --accelerator tcg"
        if self._shadow(kernel) is None:
            return "where this kernel has its shadow memory is not known"
        if machine.board.memory > _MIB_WITHOUT_HOLE:
            return f"the guest has more than {_MIB_WITHOUT_HOLE} MB"
        if not takes_plugins(machine.board.arch.qemu):
            return f"{machine.board.arch.qemu} was built without plugins"
        if not can_have_plugins(machine.board.arch.qemu):
            return "there is no gcc to build QEMU's plugin"
        return ""

    def _shadow(self, kernel: Kernel) -> ShadowMemory | None:
        """The shadow memory of a kernel with KASAN; None if it cannot be read from outside."""
        if kernel.key not in self._shadows:
            is_known = has_shadow(kernel.config) and kernel.symbols.is_file()
            table = kernel.symbols.read_text() if is_known else ""
            self._shadows[kernel.key] = shadow_memory(kernel.arch, kernel.config, table)
        return self._shadows[kernel.key]

    def _accelerator(self, machine: Machine) -> str:
        """The accelerator: KVM if it is requested, or if a boot proves that it works; else TCG."""
        wanted = self._settings.accelerator
        if wanted == "tcg" or not machine.board.arch.tries_kvm:
            return "tcg"
        works = wanted == "kvm" or probe_kvm(machine, self._store, self._settings.timing.scale).works
        return "kvm" if works else "tcg"


def _size_of(files: Mapping[str, Path]) -> int:
    return sum(file.stat().st_size for file in files.values())
