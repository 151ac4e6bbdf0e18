# SPDX-License-Identifier: Apache-2.0
"""The run of a cell: a pristine guest, a module loaded, exercised, unloaded; all that is left is evidence."""

import re
import shlex
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from harness.abi.elf.module_file import ModuleFacts
from harness.detect.evidence import Check, Command, Counters, Evidence, GuestLoss, Loss, Phase
from harness.detect.initcalls import find_initcall
from harness.detect.kernel_report import Report
from harness.detect.kinds import Severity
from harness.detect.scan import scan
from harness.guest.failure import Fate, GuestFailure
from harness.guest.guest import Guest
from harness.guest.shell import Output
from harness.lab.execution.feature_proof import InUse
from harness.lab.execution.kmemleak import FORGET, LOOK, LOOK_TIME, told_by, with_names
from harness.lab.execution.memory_checks import PROBE, VALIDATE, WELL, Watch
from harness.lab.plan.exercise import Bench, Exercise, explain, is_logged, place_in
from harness.support.errors import ModcompatError
from harness.support.time_limit import DeadlineError, deadline

CPUS = 2
_EXERCISE = 600.0  # seconds that an exercise may take on an ordinary machine, however it passes them
_LOST = {Fate.SILENT: Loss.HUNG, Fate.AGENT_DIED: Loss.HUNG}  # every other fate is death
# Each command costs a guest some 20 ms, and each program that the shell starts as much again.
_COUNTERS = (
    "read t </proc/sys/kernel/tainted; w=-; o=-; [ -e /sys/kernel/oops_count ] && "
    "read w </sys/kernel/warn_count && read o </sys/kernel/oops_count; echo $t $w $o"
)
# Debugging of locks that the kernel gives up when a proprietary module comes (set_license() of kernel/module/main.c,
# add_taint() of kernel/panic.c); the isolation series keeps it, but not lockdep
_LOCK_DEBUGGING = ("DEBUG_SPINLOCK", "DEBUG_MUTEXES", "DEBUG_RT_MUTEXES", "LOCKDEP")
_PROPRIETARY = 1 << 0  # taint
_DROPPED = re.compile(rb"\*\* \d+ printk messages dropped \*\*")  # kernel/printk/printk.c
_SPACE = 1 << 20  # bytes free on the disk that the log is written to
_READS = 3  # of a buffer that fills while it is read
_LATE = 0.3  # seconds of silence after which a faulty guest's log counts as complete


@dataclass(frozen=True)
class Subject:
    """The module of a cell. path: in the guest. parameters: for insmod. before: paths of what it needs loaded."""

    facts: ModuleFacts
    path: str
    parameters: str
    exercise: Exercise | None
    before: tuple[str, ...] = ()


class _Stop(Exception):  # noqa: N818 - not an error
    """What follows would prove nothing more."""


def run_cell(
    guest: Guest,
    subject: Subject,
    use: InUse,
    *,
    title: str,
    feature_proof: str,
    config: Mapping[str, str],
    release: str = "",
) -> Evidence:
    """Run a cell to its end, whatever the module does to the guest. Never raises for that.

    use: the feature, in use while the module works. config, release: the running kernel's.
    Raises ModcompatError when QEMU cannot be started.
    """
    patching = [*use.patching, *(["jump labels"] if config.get("JUMP_LABEL") == "y" else [])]
    watch = Watch(guest, patched=", ".join(patching), in_use=", ".join(use.names), release=release)
    run = _Run(guest, subject, use, feature_proof, watch, config=config)
    started = time.monotonic()
    try:
        run.go(title)
    except GuestFailure as failure:
        run.lose(failure)
    except _Stop as stop:
        run.evidence.stopped = str(stop)
        guest.console.settle(quiet=_LATE, longest=5.0)
    run.scan()
    run.evidence.seconds = time.monotonic() - started
    return run.evidence


class _Run:
    def __init__(
        self, guest: Guest, subject: Subject, use: InUse, feature_proof: str, watch: Watch, *, config: Mapping[str, str]
    ) -> None:
        self._guest = guest
        self._subject = subject
        self._use = use
        self._watch = watch
        self._has_kmemleak = config.get("DEBUG_KMEMLEAK") == "y"
        self._has_slub_debug = config.get("SLUB_DEBUG") == "y"
        self._gives_up_locks = any(config.get(symbol) == "y" for symbol in _LOCK_DEBUGGING) and (
            config.get("MODULE_ABI_ISOLATION") != "y" or config.get("LOCKDEP") == "y"
        )
        self._leaks: list[Report] = []  # of kmemleak's list, which the console only counts
        self._uses: dict[str, str] = {}  # of the modules that it needs, before it was loaded
        self._addresses = ""  # lines of /proc/kallsyms, of the module while it was loaded
        self._phase = Phase.LOAD
        self._starts: dict[Phase, int] = {}
        self._looked = 0  # how far the log was searched for faults
        self._begun = ""  # the mark that the cell's log begins with
        self._first: int | None = None  # where in the console log that is
        self._end: int | None = None
        self._whole_log = ""  # the kernel's own buffer, as it was when it was last read
        self._echoes: list[tuple[int, int]] = []  # parts of the console log that only repeat others
        exercise = subject.exercise
        self.evidence = Evidence(
            module=subject.facts.name,
            file_problem=subject.facts.problem,
            has_init=subject.facts.has_init,
            has_exit=subject.facts.has_exit,
            feature_proof=feature_proof,
            used=list(use.names),
            exercise=exercise.path.name if exercise else "",
        )
        if guest.machine.shared_uart:
            self.evidence.weak.append("kernel log and commands share one UART: lines may be torn")

    def go(self, title: str) -> None:
        self._make_pristine(title)
        if problem := self._use.start(self._guest):
            self.evidence.obstacles.append(problem)
            return
        self._begin(Phase.LOAD)
        if self._load_companions():
            self._load()
        if self.evidence.load and self.evidence.load.status == 0:
            self._begin(Phase.EXERCISE)
            self._exercise()
            self._begin(Phase.UNLOAD)
            self._unload()
        self.evidence.in_use += self._use.stop(self._guest, self.evidence.module)
        self._begin(Phase.INTEGRITY)
        self._integrity()
        if self._guest.machine.shared_uart:
            self._read_buffer()
        self._end = self._guest.mark(f"end of {title}")
        self._need_space()

    def lose(self, failure: GuestFailure) -> None:
        """Record that the guest stopped answering."""
        evidence = self.evidence
        if not self._has_space():
            return
        if not self._starts:
            evidence.obstacles.append(f"the pristine guest did not answer: {failure.fate.value}. {failure.detail}")
            return
        if failure.fate in (Fate.PANICKED, Fate.RESET, Fate.QEMU_DIED):
            self._guest.console.settle(quiet=_LATE, longest=2.0)
        what = f"{self._phase} left the guest {failure.fate.value} ({failure.command}, after {failure.waited:.0f} s)"
        if failure.detail:
            what += f"; {failure.detail}"
        if spinning := _running_module(failure.backtraces, evidence.module):
            what += f"; {spinning}"
        evidence.loss = GuestLoss(_LOST.get(failure.fate, Loss.DIED), self._phase, what, failure.backtraces)

    def scan(self) -> None:
        """Find the reports of the whole cell, and give each to its phase."""
        evidence = self.evidence
        log, starts = self._buffered() or self._printed()
        for report in scan(log):
            if report.kind == "kmemleak" and self._leaks:
                report = told_by(report, self._leaks)  # noqa: PLW2901
            phases = [phase for phase, begin in starts.items() if begin <= report.start]
            if phases:
                evidence.reports.setdefault(phases[-1], []).append(report)
            elif self._first is not None:
                evidence.obstacles.append(f"before the module was loaded, the kernel reported: {report.words}")
        if self._subject.exercise and Phase.EXERCISE in starts:
            evidence.set_apart(self._subject.exercise.awaits)
        dropped = _DROPPED.search(log)
        if dropped:
            evidence.weak.append(f"the kernel says that it lost messages: {dropped[0].decode()}")
        evidence.scanned = self._end is not None and not dropped
        evidence.initcall = find_initcall(log, evidence.module)
        if self._subject.exercise:
            spoken = {"init": (Phase.LOAD, evidence.load), "exit": (Phase.UNLOAD, evidence.unload)}
            for name, words in self._subject.exercise.announces.items():
                phase, command = spoken[name]
                if command is not None and command.status == 0:
                    held = is_logged(words, log[starts[phase] :].decode(errors="backslashreplace"))
                    evidence.announced.append(Check(name, held, "" if held else f"never said {words!r}"))

    def _printed(self) -> tuple[bytes, dict[Phase, int]]:
        """The cell's log as the console has it, and where in it each phase begins."""
        start = self._guest.log_start if self._first is None else self._first
        log = self._guest.console.read(start, self._end)
        for begin, end in self._echoes:
            log = log[: begin - start] + b"\n" * (end - begin) + log[end - start :]
        return log, {phase: begin - start for phase, begin in self._starts.items()}

    def _buffered(self) -> tuple[bytes, dict[Phase, int]] | None:
        """The same from the kernel's own buffer, where that was read, and what the console has since then.

        On a shared UART only: there lines may be torn, and are lost among the answers of commands.
        """
        begin = self._whole_log.rfind(self._begun) if self._begun else -1
        if begin < 0:
            return None
        log = self._whole_log[begin + len(self._begun) :].encode()
        marks = {phase: log.find(f"modcompat: {phase}\n".encode()) for phase in self._starts}
        behind = self._echoes[-1][1]
        known = {phase: place for phase, place in marks.items() if place >= 0}
        later = {phase: len(log) + self._starts[phase] - behind for phase, place in marks.items() if place < 0}
        return log + self._guest.console.read(behind, self._end), known | later

    def _make_pristine(self, title: str) -> None:
        guest, evidence = self._guest, self.evidence
        guest.make_pristine()
        evidence.origin = guest.origin
        cpus, *counters = guest.run(f"nproc; {_COUNTERS}").text.split() or ["no"]
        if cpus != str(CPUS):
            evidence.obstacles.append(f"the guest has {cpus} CPUs, not {CPUS}")
        evidence.before = self._counters(counters)
        self._watch.begin()
        if self._has_kmemleak and (told := guest.run(FORGET)).status:
            evidence.obstacles.append(f"kmemleak is off in the running kernel: {told.text.strip()}")
        self._first = guest.mark(f"begin of {title}")
        self._begun = f"modcompat: begin of {title}"

    def _begin(self, phase: Phase) -> None:
        """With all that was printed before in the log, so that it belongs to the phase that ends."""
        position = self._guest.mark(phase)
        self._need_space()
        self._stop_on_fault()
        self._phase = phase
        self._starts[phase] = self._looked = position

    def _need_space(self) -> None:
        if not self._has_space():
            raise _Stop(f"stopped in the {self._phase}, for lack of space on the disk")

    def _has_space(self) -> bool:
        """What is printed while the disk is full is lost, and nobody tells: then the cell proves nothing."""
        folder = self._guest.console.path.parent
        has_space = shutil.disk_usage(folder).free >= _SPACE
        if not has_space:
            self.evidence.obstacles.append(f"no space is left on the disk of {folder}: parts of the log may be lost")
        return has_space

    def _load_companions(self) -> bool:
        """Load all that the module needs, and note how it is referred to. Whether the kernel took it."""
        if not self._subject.before:
            return True
        others = self._modules()  # of the feature, gone by the end
        if not all(self._companion(path) for path in self._subject.before):
            return False
        self._uses = {name: count for name, count in self._modules().items() if name not in others}
        return True

    def _companion(self, path: str) -> bool:
        """Load what the module needs; where the kernel refuses that, it refuses the module."""
        loaded = self._run(f"insmod {shlex.quote(path)}")
        self._stop_on_fault()
        if loaded.status:
            said = f"{path}, which it needs, did not load: {loaded.output.strip()}"
            self.evidence.load = replace(loaded, output=said)
        return loaded.status == 0

    def _load(self) -> None:
        subject, evidence = self._subject, self.evidence
        guest = self._guest
        guest.symbols = guest.symbols.expecting(evidence.module, guest.machine.board.arch)
        evidence.load = self._run(f"insmod {shlex.quote(subject.path)} {subject.parameters}".strip())
        self._stop_on_fault()
        listed = self._modules()
        evidence.listed = evidence.module in listed
        if evidence.load.status == 0 and not evidence.listed:
            evidence.obstacles.append(
                f"the load went well, and /proc/modules has no {evidence.module}, only {', '.join(listed) or 'nothing'}"
            )
        elif evidence.listed:
            evidence.in_use += self._use.loaded(guest, evidence.module)
            self._watch.loaded(subject.facts)

    def _exercise(self) -> None:
        exercise, evidence = self._subject.exercise, self.evidence
        if exercise:
            bench = Bench(
                evidence.module, self._exercise_command, self._log, self._console, evidence.checks.append,
                folder=exercise.path.parent, scale=self._guest.timing.scale,
            )  # fmt: skip
            longest = _EXERCISE * self._guest.timing.scale
            try:
                with deadline(longest):
                    exercise.run(bench)
            except DeadlineError as error:
                place = place_in(error, exercise.path)
                evidence.obstacles.append(f"the exercise did not end within {longest:g} s: it was at {place}")
                raise _Stop("stopped in the exercise, which did not end") from None
            except AssertionError as error:
                evidence.checks.append(Check("assertion", held=False, detail=explain(error, exercise.path)))
            except (GuestFailure, ModcompatError, _Stop, KeyboardInterrupt):
                raise
            except BaseException as error:  # noqa: BLE001 - a user's file may raise anything, or call sys.exit()
                evidence.obstacles.append(f"the exercise failed: {explain(error, exercise.path)}")
        evidence.exercise_ended = True

    def _unload(self) -> None:
        evidence = self.evidence
        evidence.integrity += self._watch.unloading()
        if self._has_kmemleak:
            self._addresses = self._guest.run(f"grep '\\[{evidence.module}\\]' /proc/kallsyms").text
        evidence.unload = self._run(f"rmmod {evidence.module}")
        self._stop_on_fault()
        evidence.gone = evidence.module not in self._modules()

    def _integrity(self) -> None:
        evidence = self.evidence
        checks = evidence.integrity
        loaded = self._modules()  # what the use of a feature had loaded is gone by now
        if self._uses:
            uses = {name: count for name, count in loaded.items() if name in self._uses}
            told = "" if uses == self._uses else f"{self._uses}, then {uses}"
            checks.append(Check("modules that it needs are used as before", not told, told))
        checks += self._watch.end()
        evidence.weak += self._watch.weak
        evidence.obstacles += self._watch.obstacles
        caches = self._run(VALIDATE).output
        if caches.isdigit() and int(caches):
            checks.append(Check(f"{caches} slab caches validated", held=True))
        elif self._has_slub_debug:
            evidence.obstacles.append(f"the kernel has SLUB_DEBUG, and no slab cache could be validated: {caches}")
        else:
            evidence.weak.append("no slab cache could be validated: SLUB debugging is off in this kernel")
        if self._has_kmemleak:
            self._look_for_leaks()
        words = self._run(f"{PROBE}; {_COUNTERS}").output.split()
        well, counters = words[: len(WELL)], words[len(WELL) :]
        evidence.works.append(Check("fork, file, pages and a timer on both CPUs", well == WELL, " ".join(words)))
        evidence.after = self._counters(counters)
        if self._gives_up_locks and evidence.after and evidence.after.taint & _PROPRIETARY:
            evidence.weak.append("its licence is proprietary: from its load on, this kernel reports nothing of locks")
        self._stop_on_fault()

    def _look_for_leaks(self) -> None:
        scale = self._guest.timing.scale
        found = self._run(LOOK, LOOK_TIME / min(scale, 1.0))  # some of it is sleep, however fast the machine
        if found.status:
            self.evidence.obstacles.append(f"kmemleak could not look: {found.output.strip()[:200]}")
            return
        self._leaks = scan(with_names(found.output, self._addresses).encode())
        held = not found.output.strip()
        told = "" if held else found.output[:200]
        self.evidence.integrity.append(Check("kmemleak: nothing was forgotten", held, told))

    def _run(self, command: str, seconds: float | None = None) -> Command:
        self._recorded(command, seconds)
        return self.evidence.commands[-1]

    def _recorded(self, command: str, seconds: float | None, *, inside: bool = False) -> Output:
        output = self._guest.run(command, seconds, inside=inside)
        self.evidence.commands.append(Command(command, output.status, output.text, output.seconds))
        return output

    def _exercise_command(self, command: str, seconds: float | None) -> Output:
        output = self._recorded(command, seconds, inside=True)
        self._stop_on_fault()
        return output

    def _log(self) -> str:
        """The kernel log of this cell, everything printed so far included."""
        guest = self._guest
        guest.mark("exercise")
        self._stop_on_fault()
        if not guest.machine.shared_uart:
            return self._console()
        # A line on a shared UART may be torn; the kernel's own buffer has it whole. What this prints on the
        # same line is an echo, which the scan must not take for reports.
        start = guest.console.size
        self._whole_log = guest.run("dmesg").text.replace("\r", "") + "\n"
        self._echoes.append((start, guest.console.size))
        return self._whole_log

    def _read_buffer(self) -> None:
        """Read the kernel's buffer for the last time; again, where the kernel said something meanwhile."""
        for _ in range(_READS):
            last = self._log().strip().rpartition("\n")[2]
            if self._guest.run("dmesg | tail -n 1").text.strip() == last.strip():
                return
        self.evidence.obstacles.append("the kernel went on talking while its buffer was read: parts may be missing")

    def _console(self) -> str:
        return self._guest.console.read(self._guest.log_start).decode(errors="backslashreplace")

    def _modules(self) -> dict[str, str]:
        """The loaded modules with their reference counts; keeps their addresses for backtraces."""
        output = self._guest.run("cat /proc/modules")
        self._stop_on_fault()  # reading the list walks through every struct module
        text = output.text
        self._guest.symbols = self._guest.symbols.with_modules(text)
        lines = ([*line.split(" "), "", ""] for line in text.splitlines())  # name, size, count; a torn one has less
        return {name: count for name, _, count, *_ in lines}

    def _counters(self, words: list[str]) -> Counters | None:
        """What _COUNTERS printed."""
        numbers = [int(word) if word.isdigit() else None for word in words]
        if len(numbers) != 3 or numbers[0] is None:
            self.evidence.weak.append("the kernel's taint flags cannot be read")
            return None
        return Counters(numbers[0], numbers[1], numbers[2])

    def _stop_on_fault(self) -> None:
        """After a fault the kernel's state is undefined, and every further command may only hang."""
        if not self._starts:
            return
        start = max([self._looked, *(end for _, end in self._echoes)])
        fault = next(
            (report for report in scan(self._guest.console.read(start)) if report.severity is Severity.FAULT), None
        )
        if fault:
            raise _Stop(f"stopped in the {self._phase}, after: {fault.words}")


def _running_module(backtraces: list[str], module: str) -> str:
    """Which CPU was inside the module, if one was."""
    inside = re.compile(rf"^CPU \d+ at .*\[{re.escape(module)}\]")
    return next((trace.splitlines()[0] for trace in backtraces if inside.match(trace)), "")
