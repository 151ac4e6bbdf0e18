"""The lab: kernels, guests and proofs for the cells of one run, each had once."""

import json
import os
import pickle
import shutil
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Self

from harness.abi.difference import Difference
from harness.abi.lines import ModuleLines
from harness.abi.module_file import ModuleFacts, read_module
from harness.abi.prediction import Prediction
from harness.architectures import X86_64
from harness.boards import Board, Channel
from harness.cell import Subject, run_cell
from harness.detect.evidence import Evidence, Phase
from harness.detect.scan import reports_fault
from harness.detect.verdict import Verdict, Word, judge
from harness.errors import ModcompatError
from harness.exercise import load_exercise
from harness.guest.accelerator import Probe, boot_id, probe_firmware, probe_kernel
from harness.guest.backtrace import Symbols, read_symbols
from harness.guest.failure import GuestFailure
from harness.guest.guest import Guest, Timing, copy_state
from harness.guest.initramfs import build_initramfs
from harness.guest.machine import Machine, qemu_version
from harness.guest.qmp import QmpLostError, QmpRefusedError
from harness.guest.snapshot import Snapshot, empty_state, find_snapshot
from harness.guest.tools import build_tools
from harness.guest.userland import Userland
from harness.kernel import needs, users_config
from harness.kernel.build import Kernel, build_kernel, find_kernel
from harness.kernel.config import KernelSpec, distinct
from harness.kernel.headers import Headers, headers_of
from harness.kernel.isolation import kernel_spec, patched
from harness.kernel.modules import build_modules
from harness.kernel.prebuilt import Prebuilt, kernel_of, prebuilt_headers, spec_of
from harness.kernel.source import DEFAULT_PACKAGE, KernelSource, find_source, is_known
from harness.kernel.users_config import UsersConfig
from harness.layouts import explain_breakage, explaining_layouts, layout_difference
from harness.modules import VendorModule, in_order
from harness.places import add_places
from harness.plan import Cell, Flavour
from harness.predictions import Predictor
from harness.progress import say
from harness.proof import PROC, InUse, Proof, missing_in, proof_files, prove_absent, prove_live, settings_in
from harness.store import Store
from harness.variants import PRODUCTION, Variant, preemption_in

_USERS_MEMORY = 512  # MiB for a kernel of the user's, which may be large
_MIB = 1 << 20
_COPIES = 2  # of a root file system in memory while the kernel unpacks it
_KEPT = 120  # snapshots in the cache, 15 to 50 MB each
_RUNNING = 4  # guests that are kept running, 150 to 250 MB each
_IN_USE = 3600.0  # seconds in which another run may still want what it has just looked up


@dataclass(frozen=True)
class Settings:
    """What a run may choose. source: as `--kernel-source` takes it. accelerator: auto, tcg or kvm.

    versions: every kernel has MODVERSIONS. configs: architecture -> production configuration of the user's, in place
    of ours. patches: for the source, before anything else. memory: MiB of a guest, 0 for the board's.
    core_dump: of each guest whose cell is not CLEAN. prebuilt: kernels of the user's, by architecture and name.
    userlands: root file systems of the user's, by architecture.
    """

    source: str = DEFAULT_PACKAGE
    timing: Timing = field(default_factory=Timing)
    accelerator: str = "auto"
    shared_uart: bool = False
    versions: bool = False
    configs: Mapping[str, UsersConfig] = field(default_factory=dict)
    patches: tuple[Path, ...] = ()
    memory: int = 0
    core_dump: bool = False
    prebuilt: Mapping[tuple[str, str], Prebuilt] = field(default_factory=dict)
    userlands: Mapping[str, Userland] = field(default_factory=dict)


def find_users_source(settings: Settings, store: Store) -> KernelSource:
    """The source that a run's kernels are built from, the user's patches applied."""
    return patched(find_source(settings.source, store), settings.patches, store)


@dataclass(frozen=True)
class CellResult:
    """A judged cell. log: the kernel log of the cell. machine: what the guest was started from.

    preemption: the model of the kernel that ran. core: the guest's memory, a file to be taken away;
    the results of a control have the same one.
    """

    cell: Cell
    verdict: Verdict
    evidence: Evidence
    release: str
    preemption: str
    log: bytes = b""
    boot_log: Path | None = None
    machine: Machine | None = None
    module_file: Path | None = None
    core: Path | None = None
    prediction: Prediction | None = None  # made from the file, without the run


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
class _Place:
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


class Lab:
    """Runs cells. Close it to end its guests."""

    def __init__(
        self,
        settings: Settings,
        modules: list[VendorModule],
        store: Store | None = None,
        *,
        files: Mapping[str, Path] | None = None,
        shared: Path | None = None,
    ) -> None:
        """modules: those that are put into every guest. files: what else is (path in the guest -> file).

        shared: folder in which labs of the same settings and modules find each other's controls.
        """
        self.store = store or Store()
        self.settings = settings
        self._modules = modules
        self._files = dict(files or {})
        self._shared = shared
        self._source: KernelSource | None = None
        self._specs: dict[tuple[str, str], KernelSpec] = {}
        self._kernels: dict[str, Kernel] = {}
        self._known_headers: dict[tuple[str, str], Headers | None] = {}
        self._unobtainable: dict[tuple[str, str], ModcompatError] = {}
        self._told: set[str] = set()  # problems, in full
        self._places: dict[tuple[str, str], _Place] = {}
        self._proofs: dict[tuple[str, str], Proof] = {}
        self._differences: dict[str, Difference] = {}
        self._controls: dict[tuple[str, str, str], CellResult] = {}
        self._predictor = Predictor(self.store)
        self._ending = ExitStack()
        self._scratch = self._ending.enter_context(self.store.scratch())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End every guest and remove what is not worth keeping."""
        for place in self._places.values():
            place.guest.close()
        self._places.clear()
        self._ending.close()
        # Every other module of a user's makes a file system and a snapshot of its own.
        for kind in ("snapshot", "initramfs"):
            self.store.trim(kind, keep=_KEPT, unused_for=_IN_USE)

    def kernel(self, board: Board, variant: Variant) -> Kernel:
        """A kernel for a board, built when it is not cached. Raises ModcompatError where it cannot be had."""
        name = (board.arch.name, variant.name)
        if name in self._unobtainable:
            raise self._unobtainable[name]
        try:
            return self._kernel(board, variant)
        except ModcompatError as error:
            self._unobtainable[name] = error  # the next cell would only fail in the same way
            raise

    def _kernel(self, board: Board, variant: Variant) -> Kernel:
        if prebuilt := self._prebuilt(board, variant):
            return kernel_of(prebuilt, self.store)
        spec = self._spec(board, variant)
        if spec.label not in self._kernels:
            self._kernels[spec.label] = build_kernel(spec, self.store)
        return self._kernels[spec.label]

    def is_ready(self, board: Board, variant: Variant) -> bool:
        """Whether a kernel can be had without building or fetching anything."""
        if self._prebuilt(board, variant):
            return True
        try:
            return self.has_source() and self.cached_kernel(board, variant) is not None
        except ModcompatError:
            return False

    def has_source(self) -> bool:
        """Whether the kernel source is known without fetching it."""
        return is_known(self.settings.source, self.store)

    def cached_kernel(self, board: Board, variant: Variant) -> Kernel | None:
        return find_kernel(self._spec(board, variant), self.store)

    def run(self, cell: Cell) -> CellResult:
        """The verdict of a cell, beside what was predicted of it. INVALID where something kept it from being run."""
        try:
            result = self._run(cell)
        except ModcompatError as error:
            return self._not_run(cell, error)
        if result.module_file is None:
            return result
        return replace(result, prediction=self._predict(cell, result.module_file))

    def _predict(self, cell: Cell, file: Path) -> Prediction | None:
        """What a file of any content says will come of it, None where nothing can be said. Never raises."""
        try:
            module = read_module(file)
            return None if module.problem else self.predict(file, module, cell.board, cell.variant)
        except Exception as error:  # noqa: BLE001 - a run is worth more than its prediction
            say(f"no prediction for {file.name} on {cell.board.arch.name}-{cell.variant.name}: {error}")
            return None

    def predict(self, file: Path, module: ModuleFacts, board: Board, variant: Variant) -> Prediction | None:
        """What will become of a module on a kernel of a board.

        None where that kernel or its production is prebuilt without a build tree. Raises ModcompatError when the
        headers of one cannot be had.
        """
        production, kernel = self._headers(board, variant.production), self._headers(board, variant)
        return self._predictor.predict(file, module, production, kernel) if production and kernel else None

    def _run(self, cell: Cell) -> CellResult:
        """The verdict. Before anything is said of a debug kernel, the module runs on production."""
        if cell.flavour is Flavour.PRODUCTION:
            return self._control(cell)
        control = self._control(replace(cell, flavour=Flavour.PRODUCTION))
        if control.verdict.word is not Word.CLEAN:
            obstacle = f"the production control is {control.verdict.word}: {control.verdict.reason}"
            return self._without_run(cell, obstacle)
        place = self._place(cell.board, cell.variant)
        proof = self._proof(place, cell)
        if proof.obstacle:
            return self._without_run(cell, proof.obstacle)
        result = self._judge(cell, place, proof, InUse(cell.feature, modules=place.takes_modules))
        if self._spec(cell.board, cell.variant).variant.feature is None:
            why = cell.feature.always_on.get(cell.board.arch.name, "production has it on as well")
            result.evidence.explanation = [why]
            if result.verdict.word is Word.CLEAN:
                reason = f"always on: nothing to break; {result.verdict.reason}"
                return replace(result, verdict=replace(result.verdict, reason=reason))
        elif result.verdict.word is not Word.CLEAN:
            self._explain(result)
        return result

    def guest(self, board: Board, variant: Variant) -> Guest:
        """A guest with every module of the lab in it; not pristine yet."""
        return self._place(board, variant).guest

    def _control(self, cell: Cell) -> CellResult:
        """The module on production: run once, whatever feature it is the control of."""
        place = self._place(cell.board, cell.variant)
        proof = prove_absent(place.config, cell.feature, where=place.config_from, partly=cell.own_config)
        if proof.obstacle:
            return self._without_run(cell, proof.obstacle)
        key = (cell.board.id, cell.variant.name, cell.module.name)
        if key not in self._controls:
            kept = self._shared / f"{'-'.join(key)}.pickle" if self._shared else None
            control = _taken(kept) or self._judge(cell, place, proof, InUse(None))
            self._controls[key] = control
            _keep(control, kept)
        control = self._controls[key]
        return replace(control, cell=cell, evidence=replace(control.evidence, feature_proof=proof.text))

    def _judge(self, cell: Cell, place: _Place, proof: Proof, use: InUse) -> CellResult:
        file = place.files[cell.module.name]
        exercise = load_exercise(cell.module.exercise) if cell.module.exercise else None
        subject = Subject(
            read_module(file), place.paths[cell.module.name], cell.module.insmod_parameters, exercise,
            place.before[cell.module.name],
        )  # fmt: skip
        evidence = run_cell(
            place.guest, subject, use, title=cell.id, feature_proof=proof.text, config=place.config,
            release=self.kernel(cell.board, cell.variant).release,
        )  # fmt: skip
        evidence.weak += place.weak
        add_places(evidence.all_reports(), {subject.facts.name: ModuleLines(file)})
        guest = place.guest
        log = guest.console.read(guest.log_start)
        evidence.qmp_events = [str(event) for event in guest.qemu.events() if event["event"] != "JOB_STATUS_CHANGE"]
        verdict = judge(evidence)
        core = None
        if self.settings.core_dump and verdict.word is not Word.CLEAN:
            core = self._dump(guest, cell, evidence)
        if not guest.is_idle:
            guest.close()
        return CellResult(
            cell, verdict, evidence, self.kernel(cell.board, cell.variant).release, preemption_in(place.config),
            log, place.snapshot.boot_log, place.machine, file, core,
        )  # fmt: skip

    def _dump(self, guest: Guest, cell: Cell, evidence: Evidence) -> Path | None:
        """The guest's memory, in a file of the cell's own: a control's may be taken away long after others have run."""
        core = self._scratch / f"{cell.id}.core"
        core.unlink(missing_ok=True)
        try:
            guest.qemu.dump_memory(core)
        except (QmpRefusedError, QmpLostError) as error:
            evidence.weak.append(f"no core dump: {error}")
            return None
        return core

    def _without_run(self, cell: Cell, obstacle: str) -> CellResult:
        evidence = Evidence(module=cell.module.name, obstacles=[obstacle])
        kernel = self.kernel(cell.board, cell.variant)
        return CellResult(cell, judge(evidence), evidence, kernel.release, preemption_in(kernel.config))

    def _not_run(self, cell: Cell, error: ModcompatError) -> CellResult:
        evidence = Evidence(module=cell.module.name, obstacles=[error.problem])
        if error.problem not in self._told:  # the cells of a kernel would all repeat it
            self._told.add(error.problem)
            evidence.explanation = error.details.splitlines()
            evidence.explanation += [f"next: {error.next_step}"] if error.next_step else []
        return CellResult(cell, judge(evidence), evidence, "", str(cell.preemption))

    def _explain(self, result: CellResult) -> None:
        """Put into the evidence what the layouts of both kernels say about a breakage, where both have headers."""
        cell, evidence = result.cell, result.evidence
        try:
            difference = self._difference(cell)
        except ModcompatError as error:
            evidence.explanation = [f"the structures of both kernels cannot be compared: {error.problem}"]
            return
        if difference is None:
            return
        touches = load_exercise(cell.module.exercise).touches if cell.module.exercise else ()
        in_use = result.verdict.phase is Phase.EXERCISE
        evidence.explanation = explain_breakage(difference, touches, in_use=in_use)
        evidence.layouts = explaining_layouts(difference, touches, in_use=in_use)

    def _difference(self, cell: Cell) -> Difference | None:
        """From production's layouts to those of a cell's kernel. Raises ModcompatError.

        A prebuilt production without headers is stood for by one that is made of its configuration.
        """
        kernel, production = (self._headers(cell.board, which) for which in (cell.variant, cell.variant.production))
        if not production and not self._prebuilt(cell.board, cell.variant):
            production = headers_of(self._spec(cell.board, cell.variant).production, self.store)
        if not production or not kernel:
            return None
        if kernel.label not in self._differences:
            self._differences[kernel.label] = layout_difference(production, kernel, self.store)
        return self._differences[kernel.label]

    def _headers(self, board: Board, variant: Variant) -> Headers | None:
        """What modules of a kernel are compiled against; None where it is prebuilt without a build tree."""
        key = (board.arch.name, variant.name)
        if key not in self._known_headers:
            prebuilt = self._prebuilt(board, variant)
            ours = None if prebuilt else headers_of(self._spec(board, variant), self.store)
            self._known_headers[key] = prebuilt_headers(prebuilt) if prebuilt else ours
        return self._known_headers[key]

    def _prebuilt(self, board: Board, variant: Variant) -> Prebuilt | None:
        return self.settings.prebuilt.get((board.arch.name, variant.name))

    def _spec(self, board: Board, variant: Variant) -> KernelSpec:
        """The kernel of a variant: production itself where the feature changes nothing."""
        if prebuilt := self._prebuilt(board, variant):
            return spec_of(prebuilt)
        if self._source is None:
            self._source = find_users_source(self.settings, self.store)
        key = (board.arch.name, variant.name)
        if key not in self._specs:
            spec = kernel_spec(
                board.arch, self._source, variant, self.store,
                versions=self.settings.versions, users=self.settings.configs.get(board.arch.name),
            )  # fmt: skip
            self._specs[key] = distinct(spec, self.store)
        return self._specs[key]

    def _place(self, board: Board, variant: Variant) -> _Place:
        name = (board.id, variant.name)
        if name in self._places:
            self._places[name] = self._places.pop(name)  # now the last to leave
        else:
            while len(self._places) >= _RUNNING:
                self._leave(next(iter(self._places)))
            folder = self._scratch / "-".join(name)
            shutil.rmtree(folder, ignore_errors=True)  # of an attempt that failed
            self._places[name] = self._furnish(board, variant, folder)
        return self._places[name]

    def _leave(self, name: tuple[str, str]) -> None:
        place = self._places.pop(name)
        place.guest.close()
        shutil.rmtree(place.folder)

    def equip(self, board: Board, variant: Variant, more: Mapping[str, Path] | None = None) -> "Equipment":
        """What a guest is started from, with every module of the lab in it. more: path in the guest -> file."""
        kernel, production = self.kernel(board, variant), self.kernel(board, variant.production)
        paths: dict[str, str] = {}
        files: dict[str, Path] = {}
        contents = {**self._files, **(more or {})}
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
        before, needed = in_order(modules, files, kernel.own_modules)
        contents |= needed
        if variant.feature and not missing_in(kernel.config, variant.feature):
            contents |= proof_files(variant.feature, kernel, self.store)
        contents |= {f"tools/{name}": file for name, file in build_tools(board.arch, self.store).items()}
        userland = self.settings.userlands.get(board.arch.name)
        machine = Machine(
            board=self._fitted(board, kernel, self._prebuilt(board, variant)),
            kernel=kernel.image,
            initramfs=build_initramfs(board.arch, contents, self.store, userland),
            device_tree=kernel.device_tree(board.device_tree) if board.device_tree else None,
            boot=variant.boot,
            userland=userland is not None,
            scale=self.settings.timing.scale,
        )
        machine = replace(machine, accelerator=self._accelerator(machine))
        return Equipment(kernel, machine, paths, files, before)

    def _furnish(self, board: Board, variant: Variant, folder: Path) -> _Place:
        equipment = self.equip(board, variant)
        kernel, machine = equipment.kernel, equipment.machine
        timing = self.settings.timing
        snapshot = find_snapshot(machine, self.store, timing)
        folder.mkdir(parents=True)
        state = copy_state(snapshot.state, folder) if snapshot.state else empty_state(folder)
        guest = Guest(machine, folder=folder, console=folder / "console.log", state=state, timing=timing)
        guest.obstacle = snapshot.obstacle
        guest.is_fault = reports_fault
        guest.symbols = read_symbols(kernel.symbols) if kernel.symbols.is_file() else Symbols((), 0)
        try:
            guest.make_pristine()
            told = settings_in(guest)
        except GuestFailure as failure:
            guest.close()
            raise ModcompatError(
                f"{board.id} booted with the {variant.name} kernel, and then did not answer: {failure.headline}",
                details=failure.console_tail,
                next_step="a slow machine wants --timeout-scale; by hand: " + machine.by_hand(),
            ) from failure
        config, where = (told, PROC) if told else (kernel.config, "the .config of its build")
        weak = self._weaknesses(board)
        if not kernel.takes_modules:
            weak += ("the kernel came without its build tree: its features are not provoked",)
        return _Place(
            guest, machine, snapshot, folder, config, where, equipment.paths, equipment.files, equipment.before, weak,
            kernel.takes_modules,
        )  # fmt: skip

    def _fitted(self, board: Board, kernel: Kernel, prebuilt: Prebuilt | None) -> Board:
        """The board as this kernel can use it. Raises ModcompatError where it cannot."""
        if prebuilt and (lacking := needs.missing(kernel.config, board.arch)):
            raise ModcompatError(
                f"{prebuilt.image} was built without what the harness needs", details=needs.listed(lacking),
                next_step="switch these on in its configuration, and build it again",
            )  # fmt: skip
        users = self.settings.configs.get(board.arch.name)
        if missing := needs.missing_for(kernel.config, board):
            raise ModcompatError(
                f"the configuration lacks what {board.id} needs", details=needs.listed(missing),
                next_step="set it in the configuration, or choose another board with --board",
            )  # fmt: skip
        memory = self.settings.memory or (max(board.memory, _USERS_MEMORY) if users else board.memory)
        if userland := self.settings.userlands.get(board.arch.name):
            memory += -(-_COPIES * userland.size // _MIB)
        shared = self.settings.shared_uart or bool(needs.lacks_channel(kernel.config, board))
        if prebuilt:
            shared |= prebuilt.shared_uart
            board = replace(board, console=prebuilt.console or board.console)
        return replace(board, memory=memory, channel=Channel.SHARED if shared else board.channel)

    def _weaknesses(self, board: Board) -> tuple[str, ...]:
        users = self.settings.configs.get(board.arch.name)
        if not users or not users.may_add or self._prebuilt(board, PRODUCTION):
            return ()
        added = users_config.added(users, self._spec(board, PRODUCTION).source, self.store)
        if not added:
            return ()
        return (f"{', '.join(added)}: not as in {users.path.name}, for the harness to work; the ABI may differ by it",)

    def _accelerator(self, machine: Machine) -> str:
        """What runs the guest: KVM for x86_64 where it was asked for, or where a boot proves that it works."""
        wanted = self.settings.accelerator
        if wanted == "tcg" or machine.board.arch is not X86_64:
            return "tcg"
        return "kvm" if wanted == "kvm" or self.probe_kvm(machine).works else "tcg"

    def probe_kvm(self, machine: Machine) -> Probe:
        """Whether KVM boots a kernel. Asked once per boot of the host, of the first kernel that comes along."""
        firmware = probe_firmware()
        if not firmware.works:
            return firmware
        inputs = {"host": boot_id(), "qemu": qemu_version(machine.board.arch.qemu)}

        def build(folder: Path) -> None:
            say("trying KVM")
            probe = probe_kernel(machine, self.settings.timing.scale)
            say(f"KVM works: {probe.why}" if probe.works else f"guests run under TCG: {probe.why}")
            (folder / "probe.json").write_text(json.dumps(asdict(probe)))

        found = self.store.get_or_build("probe", "kvm", inputs, build)
        return Probe(**json.loads((found / "probe.json").read_text()))

    def _built(self, module: VendorModule, production: Kernel) -> dict[str, Path]:
        assert module.source is not None
        built = build_modules(module.source, production, self.store)
        if module.name not in built:
            raise ModcompatError(
                f"{module.source} did not build a {module.name}.ko, only {', '.join(built) or 'nothing'}"
            )
        return built

    def _proof(self, place: _Place, cell: Cell) -> Proof:
        """What proves the cell's feature live in its guest."""
        key = (cell.board.id, cell.variant.name)
        if key not in self._proofs:
            try:
                self._proofs[key] = prove_live(
                    place.guest, place.config, cell.feature, where=place.config_from, modules=place.takes_modules
                )
            except GuestFailure as failure:
                lost = f"the guest was lost while {cell.feature.name} was to be proven: {failure.headline}"
                self._proofs[key] = Proof("", lost)
        return self._proofs[key]


def _keep(control: CellResult, file: Path | None) -> None:
    """Let other labs have a control. One that is not CLEAN they see with their own eyes."""
    if file and control.verdict.word is Word.CLEAN and not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(f".{os.getpid()}")
        part.write_bytes(pickle.dumps(control))
        part.replace(file)


def _taken(file: Path | None) -> CellResult | None:
    if not file or not file.exists():
        return None
    control: CellResult = pickle.loads(file.read_bytes())
    return control
