# SPDX-License-Identifier: Apache-2.0
"""The lab: runs cells and judges them; controls and proofs are had once."""

import os
import pickle
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from harness.abi.elf.line_table import ModuleLines
from harness.abi.elf.module_file import read_module
from harness.abi.headers.layouts import explain_breakage, explaining_layouts
from harness.abi.predict.prediction import Prediction
from harness.detect.evidence import Evidence, Phase
from harness.detect.verdict import Verdict, Word, judge
from harness.guest.failure import GuestFailure
from harness.guest.guest import Guest
from harness.guest.machine import Machine
from harness.guest.qmp import QmpLostError, QmpRefusedError
from harness.kernel.variants import preemption_in
from harness.lab.execution.cell import Subject, run_cell
from harness.lab.execution.feature_proof import InUse, Proof, prove_absent, prove_live
from harness.lab.execution.guest_pool import Guests, Place
from harness.lab.execution.kernel_pool import Kernels
from harness.lab.execution.source_lines import add_places
from harness.lab.plan.cells import Cell, Flavour
from harness.lab.plan.exercise import load_exercise
from harness.lab.plan.settings import Settings
from harness.lab.plan.vendor_modules import VendorModule
from harness.support.cache.store import Store
from harness.support.errors import ModcompatError
from harness.support.progress import say


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


class Lab:
    """Runs cells. Close it to end its guests."""

    def __init__(
        self,
        settings: Settings,
        modules: list[VendorModule],
        store: Store | None = None,
        *,
        shared: Path | None = None,
    ) -> None:
        """modules: those that are put into every guest.

        shared: folder in which labs of the same settings and modules find each other's controls.
        """
        self.kernels = Kernels(settings, store)
        self.guests = Guests(self.kernels, modules)
        self._settings = settings
        self._shared = shared
        self._told: set[str] = set()  # problems, in full
        self._proofs: dict[tuple[str, str], Proof] = {}
        self._controls: dict[tuple[str, str, str], CellResult] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End every guest."""
        self.guests.close()

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
            return None if module.problem else self.kernels.predict(file, module, cell.board, cell.variant)
        except Exception as error:  # noqa: BLE001 - a run is worth more than its prediction
            say(f"no prediction for {file.name} on {cell.board.arch.name}-{cell.variant.name}: {error}")
            return None

    def _run(self, cell: Cell) -> CellResult:
        """The verdict. Before anything is said of a debug kernel, the module runs on production."""
        if cell.flavour is Flavour.PRODUCTION:
            return self._control(cell)
        control = self._control(replace(cell, flavour=Flavour.PRODUCTION))
        if control.verdict.word is not Word.CLEAN:
            obstacle = f"the production control is {control.verdict.word}: {control.verdict.reason}"
            return self._without_run(cell, obstacle)
        place = self.guests.place(cell.board, cell.variant)
        proof = self._proof(place, cell)
        if proof.obstacle:
            return self._without_run(cell, proof.obstacle)
        result = self._judge(cell, place, proof, InUse(cell.feature, modules=place.takes_modules))
        if self.kernels.spec(cell.board, cell.variant).variant.feature is None:
            why = cell.feature.always_on(cell.board.arch) or "production has it on as well"
            result.evidence.explanation = [why]
            if result.verdict.word is Word.CLEAN:
                reason = f"always on: nothing to break; {result.verdict.reason}"
                return replace(result, verdict=replace(result.verdict, reason=reason))
        elif result.verdict.word is not Word.CLEAN:
            self._explain(result)
        return result

    def _control(self, cell: Cell) -> CellResult:
        """The module on production: run once, whatever feature it is the control of."""
        place = self.guests.place(cell.board, cell.variant)
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

    def _judge(self, cell: Cell, place: Place, proof: Proof, use: InUse) -> CellResult:
        file = place.files[cell.module.name]
        exercise = load_exercise(cell.module.exercise) if cell.module.exercise else None
        subject = Subject(
            read_module(file), place.paths[cell.module.name], cell.module.insmod_parameters, exercise,
            place.before[cell.module.name],
        )  # fmt: skip
        release = self.kernels.kernel(cell.board, cell.variant).release
        evidence = run_cell(
            place.guest, subject, use, title=cell.id, feature_proof=proof.text, config=place.config, release=release,
        )  # fmt: skip
        evidence.weak += place.weak
        add_places(evidence.all_reports(), {subject.facts.name: ModuleLines(file)})
        guest = place.guest
        log = guest.console.read(guest.log_start)
        evidence.qmp_events = [str(event) for event in guest.qemu.events() if event["event"] != "JOB_STATUS_CHANGE"]
        verdict = judge(evidence)
        core = None
        if self._settings.core_dump and verdict.word is not Word.CLEAN:
            core = self._dump(guest, cell, evidence)
        if not guest.is_idle:
            guest.close()
        return CellResult(
            cell, verdict, evidence, release, preemption_in(place.config), log, place.snapshot.boot_log, place.machine,
            file, core,
        )  # fmt: skip

    def _dump(self, guest: Guest, cell: Cell, evidence: Evidence) -> Path | None:
        """The guest's memory, in a file of the cell's own: a control's may be taken away long after others have run."""
        core = self.guests.scratch / f"{cell.id}.core"
        core.unlink(missing_ok=True)
        try:
            guest.qemu.dump_memory(core)
        except (QmpRefusedError, QmpLostError) as error:
            evidence.weak.append(f"no core dump: {error}")
            return None
        return core

    def _without_run(self, cell: Cell, obstacle: str) -> CellResult:
        evidence = Evidence(module=cell.module.name, obstacles=[obstacle])
        kernel = self.kernels.kernel(cell.board, cell.variant)
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
            difference = self.kernels.difference(cell.board, cell.variant)
        except ModcompatError as error:
            evidence.explanation = [f"the structures of both kernels cannot be compared: {error.problem}"]
            return
        if difference is None:
            return
        touches = load_exercise(cell.module.exercise).touches if cell.module.exercise else ()
        in_use = result.verdict.phase is Phase.EXERCISE
        evidence.explanation = explain_breakage(difference, touches, in_use=in_use)
        evidence.layouts = explaining_layouts(difference, touches, in_use=in_use)

    def _proof(self, place: Place, cell: Cell) -> Proof:
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
