# SPDX-License-Identifier: Apache-2.0
"""The phases of a cell, each a function that adds what it sees to the evidence.

Every function here may raise GuestFailure, if the guest stops answering, and StopCell, if the kernel reports a fault.
"""

import shlex
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.abi.elf.module_file import ModuleFacts
from harness.detect.evidence import Check, Command, Counters, Evidence
from harness.detect.kernel_report import Report
from harness.detect.scan import scan
from harness.guest.failure import GuestFailure
from harness.guest.loaded_modules import LoadedModule, modules_in
from harness.guest.shell import Output
from harness.lab.execution.access_checks import AccessMonitor
from harness.lab.execution.cell_guest import CellGuest
from harness.lab.execution.cell_log import CellLog, StopCell
from harness.lab.execution.feature_proof import FeatureExerciser
from harness.lab.execution.kmemleak import CLEAR_COMMAND, SCAN_COMMAND, SCAN_SECONDS, symbolize
from harness.lab.execution.memory_checks import ALIVE, LIVENESS_COMMAND, SLAB_VALIDATE_COMMAND, MemoryMonitor
from harness.lab.plan.exercise import Bench, Exercise, explain, place_in
from harness.lab.plan.vendor_modules import Companion
from harness.support.errors import ModcompatError
from harness.support.module_name import kernel_name
from harness.support.time_limit import DeadlineError, deadline

CPUS = 2
_EXERCISE_SECONDS = 600.0  # longest exercise on an ordinary machine
# images/guest/agent and init
_OBSERVE_AGAIN = "agent observe save /.observed"
_OBSERVE_SINCE = "agent observe since /.observed"
_NAMES = "names:"  # the line between the loaded modules and the names in the output of the latter
_STATE_COMMAND = "agent state"
_SETTLING_COMMAND = "usleep 50000; cat /proc/modules"
_MAX_SETTLING = 6  # attempts
_MAX_NAMES = 2000  # that one module brings and takes away
_MAX_DETAIL = 200  # characters of a command's output in a check or a blocker
# Lock debugging that the kernel switches off when a module is proprietary or loaded by force (set_license() and
# try_to_force_load() of kernel/module/main.c, add_taint() of kernel/panic.c); the isolation series keeps it on for
# proprietary ones, except for lockdep
_LOCK_DEBUGGING = ("DEBUG_SPINLOCK", "DEBUG_MUTEXES", "DEBUG_RT_MUTEXES", "LOCKDEP")
_ENDS_LOCK_DEBUGGING = {1 << 0: "its licence is proprietary", 1 << 1: "it was loaded by force"}  # taint -> why


@dataclass(frozen=True)
class Subject:
    """The module that a cell is about."""

    facts: ModuleFacts
    # in the guest
    path: str
    # for insmod
    parameters: str
    exercise: Exercise | None
    # the modules that are loaded before it
    before: tuple[Companion, ...] = ()
    # files that the guest does not have yet, its own among them: path in the guest -> file
    posted: Mapping[str, Path] = field(default_factory=dict)
    # compare names in /proc, /sys and /dev before and after
    is_observed: bool = False
    # of the module, on the host
    file: Path | None = None

    @property
    def insmod(self) -> str:
        """The command that loads a module."""
        return "insmod -f" if self.facts.forced else "insmod"


@dataclass(frozen=True)
class KernelTraits:
    """Properties of the running kernel that the phases of a cell depend on."""

    has_kmemleak: bool = False
    # with the isolation series, kmemleak never reports what a module built for production allocates
    keeps_leaks_quiet: bool = False
    has_slub_debug: bool = False
    # a proprietary module, or one that is loaded by force, switches lock debugging off
    gives_up_locks: bool = False

    @classmethod
    def of(cls, config: Mapping[str, str]) -> "KernelTraits":
        """config: symbols without CONFIG_, with their values."""
        debugs_locks = any(config.get(symbol) == "y" for symbol in _LOCK_DEBUGGING)
        without_lockdep = config.get("LOCKDEP") != "y" or config.get("LOCKDEP_OUTSIDE") == "y"
        is_isolated = config.get("MODULE_ABI_ISOLATION") == "y"
        return cls(
            # where it is off until it is asked for, nobody asks
            has_kmemleak=config.get("DEBUG_KMEMLEAK") == "y" and config.get("DEBUG_KMEMLEAK_DEFAULT_OFF", "n") == "n",
            keeps_leaks_quiet=is_isolated,
            has_slub_debug=config.get("SLUB_DEBUG") == "y",
            gives_up_locks=debugs_locks and not (is_isolated and without_lockdep),
        )


class Recorder:
    """Runs commands in the guest and records them in the evidence."""

    def __init__(self, guest: CellGuest, log: CellLog, commands: list[Command], accesses: AccessMonitor) -> None:
        """commands: list that each command is added to. accesses: asked for reports after each command."""
        self._guest = guest
        self._log = log
        self._accesses = accesses
        self._commands = commands

    def run(self, command: str, seconds: float | None = None) -> Command:
        """Run one line of shell. seconds: longest wait on an ordinary machine."""
        self._record(command, seconds, inside=False)
        return self._commands[-1]

    def run_inside(self, command: str, seconds: float | None) -> Output:
        """Run one line of shell in the user's root file system, if there is one, and look for faults."""
        output = self._record(command, seconds, inside=True)
        self._log.stop_on_fault()
        return output

    def _record(self, command: str, seconds: float | None, *, inside: bool) -> Output:
        output = self._guest.run(command, seconds, inside=inside)
        self._commands.append(Command(command, output.status, output.text, output.seconds))
        self._accesses.publish(command, self._log)
        return output


@dataclass
class CellContext:
    """State that the phases of one cell share."""

    guest: CellGuest
    subject: Subject
    exerciser: FeatureExerciser
    memory: MemoryMonitor
    accesses: AccessMonitor
    kernel: KernelTraits
    log: CellLog
    recorder: Recorder
    evidence: Evidence
    # reference counts of the modules that the module needs, before its load
    references: dict[str, str] = field(default_factory=dict)
    # lines of /proc/kallsyms about the module, while it was loaded; None without kmemleak
    symbols: str | None = None
    # the leaks that kmemleak lists; the console only has their number
    leaks: list[Report] = field(default_factory=list)


def make_pristine(cell: CellContext, title: str) -> None:
    """Bring the guest to its state right after boot, and begin to watch its memory and its log."""
    guest, evidence = cell.guest, cell.evidence
    guest.make_pristine()
    evidence.origin = guest.origin
    if cell.subject.posted:
        guest.post({path: file.read_bytes() for path, file in cell.subject.posted.items()})
    cpus, *counters = guest.run(_STATE_COMMAND).text.split() or ["no"]
    if cpus != str(CPUS):
        evidence.blockers.append(f"the guest has {cpus} CPUs, not {CPUS}")
    evidence.before = _counters(evidence, counters)
    cell.memory.begin()
    cell.accesses.begin()
    if cell.kernel.has_kmemleak and (cleared := guest.run(CLEAR_COMMAND)).status:
        evidence.blockers.append(f"kmemleak is off in the running kernel: {cleared.text.strip()}")
    cell.log.begin(title)


def load_companions(cell: CellContext) -> bool:
    """Load all modules that the module needs, and note their reference counts. Returns whether the kernel took them.

    A kernel that refuses one of them refuses the module.
    """
    cell.accesses.loading()
    if not cell.subject.before:
        return True
    others = loaded_modules(cell)  # a feature's script loaded these, and unloads them at the end
    for companion in cell.subject.before:
        cell.accesses.expect(kernel_name(Path(companion.path).stem))
        loaded = cell.recorder.run(f"{cell.subject.insmod} {shlex.quote(companion.path)}")
        cell.log.stop_on_fault()
        if loaded.status and companion.is_required:
            reason = f"{companion.path}, which it needs, did not load: {loaded.output.strip()}"
            cell.evidence.load = replace(loaded, output=reason)
            cell.evidence.companion_failed = reason
            return False
    cell.references = _settled_references(cell, others)
    return True


def _settled_references(cell: CellContext, others: Collection[str]) -> dict[str, str]:
    """The reference counts of loaded modules other than some.

    The kernel may hold a reference for a moment after a load, as once in fifty loads of ipvlan on Debian's armmp
    kernel. While a count is not the number of users, the counts are read again, _MAX_SETTLING times in all.
    """
    for attempt in range(_MAX_SETTLING):
        text = cell.guest.run(_SETTLING_COMMAND if attempt else "cat /proc/modules").text
        modules = [module for module in _modules_in(cell, text) if module.name not in others]
        if all(module.references == str(module.users) for module in modules):
            break
    return _references(modules)


def load(cell: CellContext) -> None:
    """Load the module."""
    subject, evidence, guest = cell.subject, cell.evidence, cell.guest
    if subject.is_observed:
        # The guest saved the names at the end of its boot. Programs of a feature may have changed them since then.
        # The modules that it needs change them as well, but in the same way on production and on a debug kernel.
        evidence.observed = not cell.exerciser.names or guest.run(_OBSERVE_AGAIN).status == 0
    cell.accesses.expect(evidence.module)
    guest.symbols = guest.symbols.expecting(evidence.module, guest.machine.board.arch)
    evidence.load = cell.recorder.run(f"{subject.insmod} {shlex.quote(subject.path)} {subject.parameters}".strip())
    cell.log.stop_on_fault()
    modules, evidence.after_load = _observe(cell)
    evidence.loaded = evidence.module in modules
    if evidence.load.status == 0 and not evidence.loaded:
        found = ", ".join(modules) or "nothing"
        evidence.blockers.append(f"the load succeeded, but /proc/modules has no {evidence.module}, only {found}")
    elif evidence.loaded:
        evidence.feature_checks += cell.exerciser.loaded(guest, evidence.module)
        cell.memory.loaded(subject.facts)
        cell.accesses.loaded()


def exercise(cell: CellContext) -> None:
    """Run the user's exercise, if there is one. Whatever its file raises, other than KeyboardInterrupt, is evidence."""
    given, evidence = cell.subject.exercise, cell.evidence
    if given:
        bench = Bench(
            evidence.module, cell.recorder.run_inside, cell.log.text, cell.log.printed, evidence.checks.append,
            folder=given.path.parent, scale=cell.guest.timing.scale,
        )  # fmt: skip
        longest = _EXERCISE_SECONDS * cell.guest.timing.scale
        try:
            with deadline(longest):
                given.run(bench)
        except DeadlineError as error:
            blocker = f"the exercise did not end within {longest:g} s: it was at {place_in(error, given.path)}"
            raise StopCell("stopped in the exercise, which did not end", blocker=blocker) from None
        except AssertionError as error:
            evidence.checks.append(Check("assertion", held=False, detail=explain(error, given.path)))
        except (GuestFailure, ModcompatError, StopCell, KeyboardInterrupt):
            raise
        except BaseException as error:  # noqa: BLE001 - a user's file may raise anything, or call sys.exit()
            evidence.blockers.append(f"the exercise failed: {explain(error, given.path)}")
    evidence.exercise_ended = True


def unload(cell: CellContext) -> None:
    """Compare the module's memory a last time, and unload the module."""
    evidence = cell.evidence
    evidence.integrity += cell.memory.unloading()
    cell.accesses.unloading()
    if cell.kernel.has_kmemleak:
        cell.symbols = cell.guest.run(f"grep '\\[{evidence.module}\\]' /proc/kallsyms").text
    evidence.unload = cell.recorder.run(f"rmmod {evidence.module}")
    cell.log.stop_on_fault()
    modules, evidence.after_unload = _observe(cell)
    evidence.removed = evidence.module not in modules


def _observe(cell: CellContext) -> tuple[dict[str, str], list[str]]:
    """The loaded modules, and what came (+) to /proc, /sys and /dev and went away (-) since the load began."""
    if not cell.evidence.observed:
        return loaded_modules(cell), []
    seen = cell.guest.run(_OBSERVE_SINCE)
    modules, found, names = seen.text.partition(_NAMES)
    if seen.status or not found:
        cell.evidence.observed = False
        return loaded_modules(cell), []
    return _references(_modules_in(cell, modules)), names.splitlines()[1:][:_MAX_NAMES]


def check_integrity(cell: CellContext) -> None:
    """Check memory, and whether the guest still works."""
    evidence, recorder = cell.evidence, cell.recorder
    modules = loaded_modules(cell)  # the feature's script has unloaded its own by now
    if cell.references:
        now = {name: count for name, count in modules.items() if name in cell.references}
        if now != cell.references:
            now = _settled_references(cell, modules.keys() - cell.references.keys())
        changed = "" if now == cell.references else f"{cell.references}, then {now}"
        evidence.integrity.append(Check("modules that it needs are used as before", not changed, changed))
    evidence.integrity += cell.memory.end() + cell.accesses.end()
    evidence.caveats += cell.memory.caveats + cell.accesses.caveats
    evidence.blockers += cell.memory.blockers
    _validate_slabs(cell)
    if cell.kernel.has_kmemleak:
        _look_for_leaks(cell)
    alive = recorder.run(LIVENESS_COMMAND).output.split()
    evidence.liveness_checks.append(
        Check("fork, file, pages and a timer on both CPUs", alive == ALIVE, " ".join(alive))
    )
    evidence.after = _counters(evidence, recorder.run(_STATE_COMMAND).output.split()[1:])
    if cell.kernel.gives_up_locks and evidence.after:
        evidence.caveats += [
            f"{why}: once it is loaded, this kernel stops debugging locks"
            for taint, why in _ENDS_LOCK_DEBUGGING.items()
            if evidence.after.taint & taint
        ]
    cell.log.stop_on_fault()


def loaded_modules(cell: CellContext) -> dict[str, str]:
    """The loaded modules with their reference counts. Keeps their addresses, for backtraces."""
    return _references(_modules_in(cell, cell.guest.run("cat /proc/modules").text))


def _modules_in(cell: CellContext, text: str) -> list[LoadedModule]:
    """The modules in the text of /proc/modules. Keeps their addresses, for backtraces."""
    cell.log.stop_on_fault()  # reading the list walks through every struct module
    found = modules_in(text)
    cell.guest.symbols = cell.guest.symbols.with_modules(found)
    return found


def _references(modules: Iterable[LoadedModule]) -> dict[str, str]:
    return {module.name: module.references for module in modules}


def _validate_slabs(cell: CellContext) -> None:
    caches = cell.recorder.run(SLAB_VALIDATE_COMMAND).output
    if caches.isdigit() and int(caches):
        cell.evidence.integrity.append(Check(f"{caches} slab caches validated", held=True))
    elif cell.kernel.has_slub_debug:
        cell.evidence.blockers.append(f"the kernel has SLUB_DEBUG, but no slab cache could be validated: {caches}")
    else:
        cell.evidence.caveats.append("no slab cache could be validated: SLUB debugging is off in this kernel")


def _look_for_leaks(cell: CellContext) -> None:
    scale = cell.guest.timing.scale
    found = cell.recorder.run(SCAN_COMMAND, SCAN_SECONDS / min(scale, 1.0))  # part of it is sleep, on any machine
    if found.status:
        cell.evidence.blockers.append(f"kmemleak could not scan: {found.output.strip()[:_MAX_DETAIL]}")
        return
    cell.leaks = scan(symbolize(found.output, cell.symbols or "").encode())
    held = not found.output.strip()
    detail = "" if held else found.output[:_MAX_DETAIL]
    cell.evidence.integrity.append(Check("kmemleak finds no leak", held, detail))
    if cell.kernel.keeps_leaks_quiet:
        cell.evidence.caveats.append("leaks of the module itself are not reported: it was built without kmemleak")


def _counters(evidence: Evidence, words: list[str]) -> Counters | None:
    """Parse the counters of _STATE_COMMAND. Returns None, and adds a caveat, if it is not readable."""
    numbers = [int(word) if word.isdigit() else None for word in words]
    if len(numbers) != 3 or numbers[0] is None:
        evidence.caveats.append("the kernel's taint flags cannot be read")
        return None
    return Counters(numbers[0], numbers[1], numbers[2])
