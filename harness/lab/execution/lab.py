# SPDX-License-Identifier: Apache-2.0
"""The lab: runs cells and judges them. Controls and proofs run once."""

import dataclasses
import functools
import pickle
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self, get_args, get_type_hints

from harness.abi.compare.breakage import breakage_layouts, explain_breakage
from harness.abi.elf.line_table import ModuleLines
from harness.abi.elf.module_file import read_module
from harness.abi.predict.prediction import Prediction
from harness.detect.evidence import Evidence, Phase
from harness.detect.verdict import PASSES, Judgement, Verdict, judge, judge_against, reference_obstacle
from harness.guest.failure import GuestFailure
from harness.guest.guest import Guest
from harness.guest.machine import Machine
from harness.guest.qmp import QmpLostError, QmpRefusedError
from harness.kernel.kconfig import parse
from harness.kernel.variants import preemption_in
from harness.lab.execution.cell import run_cell
from harness.lab.execution.cell_phases import Subject
from harness.lab.execution.feature_proof import FeatureExerciser, Proof, prove_absent, prove_live
from harness.lab.execution.guest_pool import Guests, RunningGuest
from harness.lab.execution.kernel_pool import Kernels
from harness.lab.execution.source_lines import add_source_lines
from harness.lab.plan.cells import Cell
from harness.lab.plan.exercise import load_exercise
from harness.lab.plan.settings import Settings
from harness.lab.plan.vendor_modules import VendorModule, insmod_parameters
from harness.support import digest
from harness.support.cache.store import Store
from harness.support.errors import ModcompatError
from harness.support.folders import write_file
from harness.support.progress import say

MOST_RUNS = 3  # of a module that differs from production, to tell chance from a difference


@dataclass(frozen=True)
class CellResult:
    """A judged cell."""

    cell: Cell
    judgement: Judgement
    evidence: Evidence
    # release of the kernel that ran; None if none did
    release: str | None
    # preemption model of that kernel
    preemption: str
    # the kernel log of the cell
    log: bytes = b""
    boot_log: Path | None = None
    # the machine that the guest ran on
    machine: Machine | None = None
    module_file: Path | None = None
    # files that were posted to the guest, the module among them: path in the guest -> file
    posted: Mapping[str, Path] = field(default_factory=dict)
    # core dump of the guest, until write_cell() moves it; all results of one control have the same file
    core: Path | None = None
    # made from the module file alone
    prediction: Prediction | None = None
    # that run() took: the start of guests, proofs, the control and the prediction included
    whole_seconds: float = 0.0

    @property
    def verdict(self) -> Verdict:
        return self.judgement.verdict

    @property
    def is_reference(self) -> bool:
        """Whether it shows what the module does on a user's production, which need not be CLEAN for that."""
        return self.cell.is_control and self.cell.own_config and reference_obstacle(self.evidence) is None

    @property
    def reason(self) -> str:
        """The steps that lead to the verdict, as one line."""
        return self.judgement.reason


@dataclass
class _Runs:
    """The evidence of all runs of a cell."""

    production: list[Evidence] = field(default_factory=list)
    debug: list[Evidence] = field(default_factory=list)


class Lab:
    """Runs cells. Close it to end its guests."""

    def __init__(
        self,
        settings: Settings,
        modules: list[VendorModule],
        store: Store | None = None,
        *,
        shared: Path | None = None,
        predicts: bool = True,
    ) -> None:
        """modules: put into every guest. predicts: whether results have predictions, which take seconds at times.

        shared: folder through which the labs of one run, with the same settings and modules, share their controls.
        """
        self.kernels = Kernels(settings, store)
        self.guests = Guests(self.kernels, modules)
        self._settings = settings
        self._shared = shared
        self._predicts = predicts
        self._runs: dict[str, _Runs] = {}  # by cell
        self._explained: set[str] = set()  # problems that an earlier cell shows in full
        self._proofs: dict[tuple[str, str], Proof] = {}
        self._controls: dict[tuple[str, str, str], CellResult] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End every guest."""
        self.guests.close()

    def use(self, modules: list[VendorModule]) -> None:
        """Replace the modules, and forget the results about the former ones. Guests go on if they can."""
        self.guests.use(modules)
        self.forget()

    def forget(self) -> None:
        """Forget results and failures, of guests and of proofs: what runs next runs as if for the first time."""
        self.guests.forget_failures()
        self._proofs = {key: proof for key, proof in self._proofs.items() if not proof.blocker}
        self._runs.clear()
        self._controls.clear()

    def run(self, cell: Cell) -> CellResult:
        """Run a cell, judge it, and predict its verdict. INVALID if it cannot be run. Never raises ModcompatError.

        If the module differs from production, it runs again on both kernels, MOST_RUNS times at most. Only what differs
        in every run counts.
        """
        started = time.monotonic()
        result = self._attempt(cell)
        while result.verdict is Verdict.DIFFERS and self.runs_of(cell) < MOST_RUNS:
            result = self._attempt(cell, again=True)
        prediction = self._predict(cell, result.module_file) if result.module_file and self._predicts else None
        return replace(result, prediction=prediction, whole_seconds=time.monotonic() - started)

    def run_again(self, cell: Cell) -> CellResult:
        """Run a debug cell again, and its control too, and judge it by all of its runs. Never raises ModcompatError."""
        return self._attempt(cell, again=True)

    def _attempt(self, cell: Cell, *, again: bool = False) -> CellResult:
        """Like _run(), but INVALID in place of a ModcompatError. The guests are paused afterwards."""
        try:
            return self._run(cell, again=again)
        except ModcompatError as error:
            return self._not_run(cell, error)
        finally:
            self.guests.pause_all()

    def runs_of(self, cell: Cell) -> int:
        """How often a debug cell ran since its last run()."""
        return len(self._runs[cell.id].debug) if cell.id in self._runs else 1

    def control_of(self, cell: Cell) -> CellResult | None:
        """The control of a cell that was run; None if it could not be run."""
        production = cell.control
        return self._controls.get((production.board.id, production.variant.name, production.module.name))

    def _predict(self, cell: Cell, file: Path) -> Prediction | None:
        """Predict the verdict from the module file; None if that is not possible. Never raises, whatever is in it."""
        try:
            module = read_module(file)
            return None if module.problem else self.kernels.predict(file, module, cell.board, cell.variant)
        except Exception as error:  # noqa: BLE001 - a run is worth more than its prediction
            say(f"no prediction for {file.name} on {cell.board.arch.name}-{cell.variant.name}: {error}")
            return None

    def _run(self, cell: Cell, *, again: bool = False) -> CellResult:
        """Judge a cell. A debug kernel proves something only in comparison with production."""
        if cell.is_control:
            return self._control(cell)
        control = self._control(cell.control, again=again)
        if obstacle := reference_obstacle(control.evidence):
            return self._without_run(cell, obstacle)
        running = self.guests.running(cell.board, cell.variant)
        proof = self._proof(running, cell)
        if proof.blocker:
            return self._without_run(cell, proof.blocker)
        modules = running.image.kernel.takes_modules
        exerciser = FeatureExerciser(cell.feature, modules=modules, production=self._shipped_config(cell))
        result = self._judge(cell, running, proof, exerciser)
        if not again:
            self._runs[cell.id] = _Runs()
        runs = self._runs[cell.id]
        runs.production.append(control.evidence)
        runs.debug.append(result.evidence)
        result = replace(result, judgement=judge_against(runs.production, runs.debug))
        if self.kernels.spec(cell.board, cell.variant).variant.feature is None:
            why = cell.feature.always_on(cell.board.arch) or "production has it on as well"
            result.evidence.explanation = [why]
            if result.verdict is Verdict.CLEAN:
                return replace(result, judgement=replace(result.judgement, always_on=True))
        elif result.verdict not in PASSES:
            self._explain(result)
        return result

    def _control(self, cell: Cell, *, again: bool = False) -> CellResult:
        """The result on production. It runs once, unless a cell runs again, and is the control of all features."""
        running = self.guests.running(cell.board, cell.variant)
        proof = prove_absent(running.config, cell.feature, where=running.config_from, partly=cell.own_config)
        if proof.blocker:
            return self._without_run(cell, proof.blocker)
        key = (cell.board.id, cell.variant.name, cell.module.name)
        if again:
            result = self._judge(cell, running, proof, FeatureExerciser(None))
            if result.verdict is Verdict.CLEAN:  # as in judge_against(): the first run may have met with an accident
                self._controls[key] = result
            return result
        if key not in self._controls:
            kept = self._shared / f"{'-'.join(key)}.control" if self._shared else None
            control = read_control(kept)
            if control:  # its files may be unpacked ones of a lab that is gone
                files, posted = running.image.files, running.image.posted
                control = replace(control, module_file=files[cell.module.name], posted=posted.get(cell.module.name, {}))
            else:
                control = self._judge(cell, running, proof, FeatureExerciser(None))
            self._controls[key] = control
            write_control(control, kept)
        control = self._controls[key]
        return replace(control, cell=cell, evidence=replace(control.evidence, feature_proof=proof.text))

    def _judge(self, cell: Cell, running: RunningGuest, proof: Proof, exerciser: FeatureExerciser) -> CellResult:
        guest, image = running.guest, running.image
        if error := image.damaged.get(cell.module.name):
            raise error
        file = image.files[cell.module.name]
        exercise = load_exercise(cell.module.exercise) if cell.module.exercise else None
        posted = image.posted.get(cell.module.name, {})
        facts = replace(read_module(file), forced=self._settings.forces(cell.variant))
        subject = Subject(
            facts, image.paths[cell.module.name], insmod_parameters(cell.module), exercise,
            image.before[cell.module.name], posted, is_observed=cell.own_config,
            file=file,
        )  # fmt: skip
        release = self.kernels.kernel(cell.board, cell.variant).release
        evidence = run_cell(
            guest, subject, exerciser, title=cell.id, feature_proof=proof.text, config=running.config, release=release
        )
        evidence.caveats += running.caveats
        add_source_lines([*evidence.early_reports, *evidence.all_reports()], {subject.facts.name: ModuleLines(file)})
        log = guest.console.read(guest.log_start)
        evidence.qmp_events = [str(event) for event in guest.qemu.events() if event["event"] != "JOB_STATUS_CHANGE"]
        judgement = judge(evidence)
        core = None
        if self._settings.core_dump and judgement.verdict is not Verdict.CLEAN:
            core = self._dump(guest, cell, evidence)
        if not guest.is_idle:
            guest.close()
        return CellResult(
            cell, judgement, evidence, release, preemption_in(running.config), log=log,
            boot_log=running.snapshot.boot_log, machine=image.machine, module_file=file, posted=posted, core=core,
        )  # fmt: skip

    def _dump(self, guest: Guest, cell: Cell, evidence: Evidence) -> Path | None:
        """Dump the guest's memory into a file with the cell's id, since other cells may run before it is moved away.

        Returns None, and adds a caveat to the evidence, if QEMU cannot.
        """
        core = self.guests.scratch / f"{cell.id}.core"
        core.unlink(missing_ok=True)
        try:
            guest.qemu.dump_memory(core)
        except (QmpRefusedError, QmpLostError) as error:
            evidence.caveats.append(f"no core dump: {error}")
            return None
        return core

    def _without_run(self, cell: Cell, blocker: str) -> CellResult:
        kernel = self.kernels.kernel(cell.board, cell.variant)
        found = without_run(cell, blocker)
        return replace(found, release=kernel.release, preemption=preemption_in(kernel.config))

    def _not_run(self, cell: Cell, error: ModcompatError) -> CellResult:
        found = without_run(cell, error.problem)
        if error.problem not in self._explained:  # every cell of a kernel has the same problem
            self._explained.add(error.problem)
            found.evidence.explanation = error.details.splitlines()
            found.evidence.explanation += [f"next: {error.next_step}"] if error.next_step else []
        return found

    def _explain(self, result: CellResult) -> None:
        """Explain a breakage in the evidence by the layouts of both kernels, if both have headers."""
        cell, evidence = result.cell, result.evidence
        try:
            difference = self.kernels.difference(cell.board, cell.variant)
        except ModcompatError as error:
            evidence.explanation = [f"the structures of both kernels cannot be compared: {error.problem}"]
            return
        if difference is None:
            return
        touches = load_exercise(cell.module.exercise).touches if cell.module.exercise else ()
        in_use = result.judgement.phase is Phase.EXERCISE
        evidence.explanation = explain_breakage(difference, touches, in_use=in_use)
        evidence.layouts = breakage_layouts(difference, touches, in_use=in_use)

    def _shipped_config(self, cell: Cell) -> dict[str, str] | None:
        """The configuration of production as it ships; None if production is built, without the feature."""
        shipped = self._settings.shipped.get(cell.board.arch.name)
        return parse(shipped.config.text) if shipped else None

    def _proof(self, running: RunningGuest, cell: Cell) -> Proof:
        """The proof that the cell's feature is live in its guest, made once for each kernel and board."""
        key = (cell.board.id, cell.variant.name)
        if key not in self._proofs:
            try:
                self._proofs[key] = prove_live(
                    running.guest, running.config, cell.feature, where=running.config_from,
                    modules=running.image.kernel.takes_modules, production=self._shipped_config(cell),
                )  # fmt: skip
            except GuestFailure as failure:
                lost = f"the guest was lost during the proof of {cell.feature.name}: {failure.headline}"
                self._proofs[key] = Proof(blocker=lost)
        return self._proofs[key]


def without_run(cell: Cell, blocker: str) -> CellResult:
    """The result of a cell that was not run: INVALID. blocker: why."""
    evidence = Evidence(module=cell.module.name, blockers=[blocker])
    return CellResult(cell, judge(evidence), evidence, None, str(cell.preemption))


def write_control(control: CellResult, file: Path | None) -> None:
    """Share a control with other labs if it is CLEAN. Any other control is repeated by each lab."""
    if file and control.verdict is Verdict.CLEAN and not file.exists():
        write_file(file, _control_header() + pickle.dumps(control))


def read_control(file: Path | None) -> CellResult | None:
    """A control of another lab; None if there is none, or if another version of the harness wrote it."""
    if not file or not file.exists():
        return None
    header, _, content = file.read_bytes().partition(b"\n")
    if header + b"\n" != _control_header():
        return None
    control: CellResult = pickle.loads(content)
    return control


@functools.cache
def _control_header() -> bytes:
    """The version of a shared control: the fields of all classes that one is made of, in one digest."""
    shapes: dict[str, list[str]] = {}
    waiting: list[type] = [CellResult]
    while waiting:
        found = waiting.pop()
        if dataclasses.is_dataclass(found) and found.__qualname__ not in shapes:
            hints = get_type_hints(found)
            shapes[found.__qualname__] = [f"{field.name}: {hints[field.name]}" for field in dataclasses.fields(found)]
            waiting += [part for hint in hints.values() for part in _classes_in(hint)]
    return f"modcompat control {digest.of_value(shapes)}\n".encode()


def _classes_in(hint: Any) -> list[type]:
    """The classes that a type hint names: `dict[Phase, list[Report]]` has four."""
    inner = [part for argument in get_args(hint) for part in _classes_in(argument)]
    return [*inner, hint] if isinstance(hint, type) else inner
