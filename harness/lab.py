"""The lab: kernels, guests and proofs for the cells of one run, each had once."""

import json
import shutil
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Self

from harness.abi.module_file import read_module
from harness.architectures import X86_64
from harness.boards import Board, Channel
from harness.cell import Subject, run_cell
from harness.detect.evidence import Evidence
from harness.detect.scan import scan
from harness.detect.verdict import Verdict, Word, judge
from harness.errors import ModcompatError
from harness.exercise import load_exercise
from harness.features import Feature
from harness.guest.accelerator import Probe, boot_id, probe_firmware, probe_kernel
from harness.guest.backtrace import read_symbols
from harness.guest.failure import GuestFailure
from harness.guest.guest import Guest, Timing, copy_state
from harness.guest.initramfs import build_initramfs
from harness.guest.machine import Machine, qemu_version
from harness.guest.snapshot import Snapshot, empty_state, find_snapshot
from harness.guest.tools import build_tools
from harness.kernel.build import Kernel, build_kernel, find_kernel
from harness.kernel.config import KernelSpec, parse
from harness.kernel.modules import build_modules
from harness.kernel.source import DEFAULT_PACKAGE, KernelSource, find_source, is_known
from harness.layouts import explain_breakage
from harness.modules import VendorModule
from harness.plan import Cell, Flavour
from harness.progress import say
from harness.store import Store

_PROOF = "proof"  # name of the proof modules
_KEPT = 40  # snapshots in the cache, 15 to 50 MB each
_IN_USE = 3600.0  # seconds in which another run may still want what it has just looked up


@dataclass(frozen=True)
class Settings:
    """What a run may choose. source: as `--kernel-source` takes it. accelerator: auto, tcg or kvm."""

    source: str = DEFAULT_PACKAGE
    timing: Timing = field(default_factory=Timing)
    accelerator: str = "auto"
    shared_uart: bool = False


@dataclass(frozen=True)
class CellResult:
    """A judged cell. log: the kernel log of the cell. machine: what the guest was started from."""

    cell: Cell
    verdict: Verdict
    evidence: Evidence
    release: str
    log: bytes = b""
    boot_log: Path | None = None
    machine: Machine | None = None
    module_file: Path | None = None


@dataclass
class _Place:
    """A guest that is kept running, and what it was started from."""

    guest: Guest
    machine: Machine
    snapshot: Snapshot
    folder: Path
    paths: dict[str, str]  # module name -> path in the guest
    files: dict[str, Path]  # module name -> file on the host


class Lab:
    """Runs cells. Close it to end its guests."""

    def __init__(self, settings: Settings, modules: list[VendorModule], store: Store | None = None) -> None:
        """modules: those that are put into every guest."""
        self.store = store or Store()
        self.settings = settings
        self._modules = modules
        self._source: KernelSource | None = None
        self._kernels: dict[str, Kernel] = {}
        self._unbuildable: dict[str, ModcompatError] = {}
        self._places: dict[tuple[str, str], _Place] = {}
        self._proofs: dict[tuple[str, str, str], tuple[str, str]] = {}
        self._explanations: dict[tuple[str, str], list[str]] = {}
        self._controls: dict[tuple[str, str], CellResult] = {}
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

    def kernel(self, board: Board, feature: Feature | None) -> Kernel:
        """A kernel for a board, built when it is not cached."""
        spec = self._spec(board, feature)
        if spec.label in self._unbuildable:
            raise self._unbuildable[spec.label]
        if spec.label not in self._kernels:
            try:
                self._kernels[spec.label] = build_kernel(spec, self.store)
            except ModcompatError as error:
                self._unbuildable[spec.label] = error  # the next cell would only fail in the same way
                raise
        return self._kernels[spec.label]

    def is_ready(self, board: Board, feature: Feature | None) -> bool:
        """Whether a kernel can be had without building or fetching anything."""
        return self.has_source() and self.cached_kernel(board, feature) is not None

    def has_source(self) -> bool:
        """Whether the kernel source is known without fetching it."""
        return is_known(self.settings.source, self.store)

    def cached_kernel(self, board: Board, feature: Feature | None) -> Kernel | None:
        return find_kernel(self._spec(board, feature), self.store)

    def run(self, cell: Cell) -> CellResult:
        """The verdict of a cell. Before anything is said of a debug kernel, the module runs on production."""
        if cell.flavour is not Flavour.PRODUCTION:
            control = self.run(replace(cell, flavour=Flavour.PRODUCTION))
            if control.verdict.word is not Word.CLEAN:
                obstacle = f"the production control is {control.verdict.word}: {control.verdict.reason}"
                return self._without_run(cell, obstacle)
            return self._run(cell)
        key = (cell.board.id, cell.module.name)
        if key not in self._controls:
            self._controls[key] = self._run(cell)
        return replace(self._controls[key], cell=cell)

    def guest(self, board: Board, feature: Feature | None) -> Guest:
        """A guest with every module of the lab in it; not pristine yet."""
        return self._place(board, feature).guest

    def _run(self, cell: Cell) -> CellResult:
        place = self._place(cell.board, cell.kernel_feature)
        proof, obstacle = self._proof(place, cell)
        if obstacle:
            return self._without_run(cell, obstacle)
        file = place.files[cell.module.name]
        exercise = load_exercise(cell.module.exercise) if cell.module.exercise else None
        subject = Subject(read_module(file), place.paths[cell.module.name], cell.module.parameters, exercise)
        evidence = run_cell(place.guest, subject, title=cell.id, feature_proof=proof)
        verdict = judge(evidence)
        if cell.kernel_feature and verdict.word is not Word.CLEAN:
            evidence.explanation = self._explanation(cell)
        guest = place.guest
        log = guest.console.read(guest.log_start)
        evidence.qmp_events = [str(event) for event in guest.qemu.events() if event["event"] != "JOB_STATUS_CHANGE"]
        if not guest.is_idle:
            guest.close()
        return CellResult(
            cell, verdict, evidence, self.kernel(cell.board, cell.kernel_feature).release,
            log, place.snapshot.boot_log, place.machine, file,
        )  # fmt: skip

    def _without_run(self, cell: Cell, obstacle: str) -> CellResult:
        evidence = Evidence(module=cell.module.name, obstacles=[obstacle])
        return CellResult(cell, judge(evidence), evidence, self.kernel(cell.board, cell.kernel_feature).release)

    def _explanation(self, cell: Cell) -> list[str]:
        key = (cell.board.arch.name, cell.kernel_name)
        if key not in self._explanations:
            production, other = (self._spec(cell.board, feature) for feature in (None, cell.kernel_feature))
            self._explanations[key] = explain_breakage(production, other, self.store)
        return self._explanations[key]

    def _spec(self, board: Board, feature: Feature | None) -> KernelSpec:
        if self._source is None:
            self._source = find_source(self.settings.source, self.store)
        return KernelSpec(board.arch, self._source, feature)

    def _place(self, board: Board, feature: Feature | None) -> _Place:
        name = (board.id, feature.name if feature else "production")
        if name not in self._places:
            for other in [key for key in self._places if key[0] != board.id]:
                self._leave(other)  # a guest costs memory, and the plan goes board by board
            self._places[name] = self._furnish(board, feature, self._scratch / "-".join(name))
        return self._places[name]

    def _leave(self, name: tuple[str, str]) -> None:
        place = self._places.pop(name)
        place.guest.close()
        shutil.rmtree(place.folder)

    def _furnish(self, board: Board, feature: Feature | None, folder: Path) -> _Place:
        kernel, production = self.kernel(board, feature), self.kernel(board, None)
        paths: dict[str, str] = {}
        files: dict[str, Path] = {}
        contents: dict[str, Path] = {}
        for module in self._modules:
            built = {module.name: module.file} if module.file else self._built(module, production)
            files[module.name] = built[module.name]
            paths[module.name] = f"modules/{module.name}.ko"
            contents |= {f"modules/{name}.ko": file for name, file in built.items()}
        if feature:
            contents[f"modules/{_PROOF}.ko"] = build_modules(feature.proof_module, kernel, self.store)[_PROOF]
        contents |= {f"tools/{name}": file for name, file in build_tools(board.arch, self.store).items()}
        machine = Machine(
            board=replace(board, channel=Channel.SHARED) if self.settings.shared_uart else board,
            kernel=kernel.image,
            initramfs=build_initramfs(board.arch, contents, self.store),
            device_tree=kernel.device_tree(board.device_tree) if board.device_tree else None,
        )
        machine = replace(machine, accelerator=self._accelerator(machine))
        timing = self.settings.timing
        snapshot = find_snapshot(machine, self.store, timing)
        folder.mkdir(parents=True)
        state = copy_state(snapshot.state, folder) if snapshot.state else empty_state(folder)
        guest = Guest(machine, folder=folder, console=folder / "console.log", state=state, timing=timing)
        guest.obstacle = snapshot.obstacle
        guest.symbols = read_symbols(kernel.symbols)
        return _Place(guest, machine, snapshot, folder, paths, files)

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

    def _proof(self, place: _Place, cell: Cell) -> tuple[str, str]:
        """(what proves the feature live in this guest, or absent in production; else why it is not proven)."""
        key = (cell.board.id, cell.kernel_name, cell.feature.name)
        if key not in self._proofs:
            try:
                place.guest.make_pristine()
                live = _settings_in(place.guest, cell.feature)
                if cell.kernel_feature is None:
                    self._proofs[key] = _prove_absent(live, cell.feature)
                else:
                    self._proofs[key] = _prove_live(place.guest, live, cell.feature)
            except GuestFailure as failure:
                self._proofs[key] = (
                    "",
                    f"the guest was lost while {cell.feature.name} was to be proven: {failure.headline}",
                )
        return self._proofs[key]


def _settings_in(guest: Guest, feature: Feature) -> dict[str, str]:
    """The feature's symbols in the running kernel's own configuration (/proc/config.gz)."""
    config = parse(guest.run("zcat /proc/config.gz").text)
    return {symbol: config.get(symbol, "n") for symbol in feature.symbols}


def _prove_absent(live: dict[str, str], feature: Feature) -> tuple[str, str]:
    on = [symbol for symbol, value in live.items() if value != "n"]
    if on:
        return "", f"the production kernel has {', '.join(on)} switched on: nothing to compare {feature.name} with"
    return f"/proc/config.gz: {', '.join(live)} off", ""


def _prove_live(guest: Guest, live: dict[str, str], feature: Feature) -> tuple[str, str]:
    """Commit the violation that the feature must report, in a guest that is thrown away."""
    off = [symbol for symbol, value in live.items() if value == "n"]
    if off:
        return "", f"{feature.name} is not live: /proc/config.gz has {', '.join(off)} off"
    guest.mark(f"proof of {feature.name}")
    guest.run(f"insmod modules/{_PROOF}.ko")
    guest.mark("proof done")
    for report in scan(guest.console.read(guest.log_start)):
        if report.kind == feature.proof_kind and feature.proof_title in report.title:
            return f"/proc/config.gz: {', '.join(live)} on; provoked and reported: {report.title}", ""
    return "", f"{feature.name} is not live: its proof module's violation was not reported"
