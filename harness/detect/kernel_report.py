# SPDX-License-Identifier: Apache-2.0
"""A report of the kernel, with all facts that its lines contain."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from itertools import takewhile
from typing import Any

from harness.detect import titles
from harness.detect.blame import blame, suspects
from harness.detect.kinds import KINDS, FunctionSource, Kind, Severity, Wording, is_opening
from harness.detect.module_list import listed_modules, module_lists
from harness.detect.stacks import MAIN, OTHER, Frame, Trace, add_caller, site, traces
from harness.support.module_name import kernel_name


@dataclass(frozen=True)
class Access:
    """A bad memory access."""

    what: str = ""  # Read, Write, Execute, or "" if it is not known
    size: int = -1  # bytes, -1 if it is not known
    address: str = ""  # as the kernel printed it


@dataclass(frozen=True)
class TaskContext:
    """The task in which it happened."""

    comm: str = ""  # "" if it is not known
    pid: int = -1  # -1 if it is not known
    cpu: int = -1  # -1 if it is not known


@dataclass(frozen=True)
class Report:
    """One report. Facts that are not fields are read from the text on demand."""

    kind: str
    severity: Severity
    title: str
    function: str  # where the fault was, "" if it is not known
    module: str  # the module that is blamed, "" if none is
    culprit: str  # the function of the module that is blamed
    rule: str  # the rule of harness/detect/blame.py that blamed it
    first_line: int  # from 1
    last_line: int
    start: int  # of its first line in the log, bytes
    text: str
    headline: str = ""  # the most telling of the lines that announce it
    heads: tuple[str, ...] = ()  # every line that announces it
    offset: int = -1  # of the fault in the function, bytes; -1 if it is not known
    access: Access = Access()
    caller: str = ""  # the task or CPU that printed it: T<pid> or C<cpu>
    traces: list[Trace] = field(default_factory=list)
    torn: bool = False  # a part of it is missing or damaged
    torn_because: str = ""
    children: "list[Report]" = field(default_factory=list)  # its consequences, such as a panic
    culprit_offset: int = -1  # of the blamed place in the culprit, bytes; -1 if it is not known
    suspects: tuple[str, ...] = ()  # modules that are not part of the kernel's tree, if none is blamed
    places: dict[str, str] = field(default_factory=dict)  # function+0xoffset -> file.c:42, from a module's file

    @property
    def place(self) -> str:
        """File and line of the culprit, "" if they are not known."""
        for name, at in self.places.items():
            function, _, offset = name.rpartition("+")
            if offset == f"0x{self.culprit_offset:x}" and titles.plain(function) == self.culprit:
                return at
        return ""

    @property
    def is_counted(self) -> bool:
        """Whether the kernel counts it as a warning (kernel/panic.c, __warn()): it begins as such, or says so later."""
        first = self.text.partition("\n")[0]
        begins = first.startswith("------------[ cut here") or _COUNTED.match(first) is not None
        return begins or self.kind in _WARN_LATER

    def frames(self) -> Iterator[Frame]:
        """The faulting instruction (an empty frame if the report has none), then the frames of every trace."""
        at = site(self.text.split("\n"), interrupted=self.kind in _OF_MANY_TASKS)
        yield at or Frame("", -1, -1, "", reliable=True)
        for trace in self.traces:
            yield from trace.frames

    @cached_property
    def task(self) -> TaskContext:
        """The task in which it happened."""
        return _task(self)

    @cached_property
    def arch(self) -> str:
        text = f"\n{self.text}\n"
        return next((name for name, words in _ARCHES if any(word in text for word in words)), "")

    @cached_property
    def registers(self) -> dict[str, str]:
        return {found["name"]: found["value"] for found in _REGISTER.finditer(self.text)}

    @cached_property
    def modules(self) -> list[str]:
        """The loaded modules."""
        return [found["module"] for names in module_lists(self.text) for found in listed_modules(names)]

    @cached_property
    def symbols(self) -> list[str]:
        """The symbols because of which a module was refused."""
        if self.severity is not Severity.REFUSAL:
            return []
        return list(dict.fromkeys(found["symbol"] for found in _SYMBOL.finditer(self.text)))

    @cached_property
    def taint_before(self) -> str:
        found = _task_line(self)
        return "".join((found["taint"] or "").split()) if found else ""

    @cached_property
    def taint_after(self) -> str:
        """The taint flags, including those that the kernel sets when it has printed the report."""
        kind = next((kind for kind in KINDS if kind.name == self.kind), None)
        return "".join(sorted({*self.taint_before, *(kind.taint if kind else "")}))

    @property
    def words(self) -> str:
        """The kernel's own words for it, the title if there are none."""
        return self.headline or self.title

    @property
    def form(self) -> str:
        """The line that shows only the form of the report (WARNING, BUG), "" if it has none."""
        return next((head for head in self.heads if _FORM.match(head)), "")

    @property
    def statement(self) -> list[str]:
        """What a report with such a form says: the lines before its details, on arm behind the form."""
        if not self.form:
            return []
        lines = takewhile(lambda line: not line.startswith(_DETAILS), self.text.split("\n"))
        return [line for line in lines if not (_FORM.match(line) or is_opening(line))]

    def says(self, pattern: str) -> bool:
        """Whether the pattern is found in its title or in a line that announces it."""
        return any(re.search(pattern, line) for line in (*self.heads, self.title))


def as_json_object(report: Report) -> dict[str, Any]:
    """Everything about a report, in plain types."""
    facts = {name: value for name, value in vars(report).items() if name in Report.__dataclass_fields__}
    return facts | {
        "severity": report.severity.value,
        "access": asdict(report.access),
        **asdict(report.task),
        "arch": report.arch,
        "registers": report.registers,
        "traces": [
            {"role": trace.role, "frames": [frame._asdict() for frame in trace.frames]} for trace in report.traces
        ],
        "modules": report.modules,
        "symbols": report.symbols,
        "taint_before": report.taint_before,
        "taint_after": report.taint_after,
        "children": [as_json_object(child) for child in report.children],
    }


@dataclass(frozen=True)
class Head:
    """A line that announces a report, and the wording that matched it."""

    kind: Kind
    wording: Wording
    found: re.Match[str]

    @property
    def text(self) -> str:
        return self.found.string.strip()

    @cached_property
    def module(self) -> str:
        """The module that the line names in words, not as the place of an address; "" if it names none."""
        groups = self.found.groupdict()
        named = next((groups[group] for group in _MODULE_GROUPS if groups.get(group)), "")
        return kernel_name(named) if named else ""

    @cached_property
    def is_form(self) -> bool:
        """Whether it shows only the form of the report (WARNING, BUG, Oops), and not the cause."""
        return _FORM.match(self.found.string) is not None

    @property
    def is_trace(self) -> bool:
        """Whether it is the beginning of a trace that no other line announces."""
        return self.kind.name == "unclaimed"

    @cached_property
    def rank(self) -> tuple[int, bool]:
        """The line with the highest rank, of all that announce a report, names it."""
        return self.wording.priority.value, not self.is_form


@dataclass(frozen=True)
class Span:
    """The extent of a report in the log."""

    first_line: int  # from 1
    last_line: int
    start: int  # of the first line, bytes
    caller: str  # T<pid> or C<cpu>, "" if it is not known


_FORM = re.compile(
    r"WARNING: (?:CPU: |at |\[|\S+\.[chS]:)|[kK]ernel BUG |(?:Oops: )?invalid opcode|Internal error: Oops - BUG: "
)
_DETAILS = ("Modules linked in:", "CPU: ")  # print_modules() of kernel/module/main.c, lib/dump_stack.c
_WARN_LATER = {kind.name for kind in KINDS if any(wording.warns_later for wording in kind.wordings)}
_COUNTED = re.compile(r"WARNING: (?:CPU: \d|at |\S+\.[chS]:\d)")
# lib/dump_stack.c, dump_stack_print_info(); "UID: " since 6.10
_TASK = re.compile(
    r"CPU: (?P<cpu>\d+) (?:UID: \d+ )?PID: (?P<pid>\d+) Comm: (?P<comm>.*?) (?:Kdump: loaded )?"
    r"(?:Not tainted|Tainted: (?P<taint>[A-Z ]+)) ?"
)
_TASKS = re.compile(r"^CPU: \d+ (?:UID: \d+ )?PID: (?P<pid>\d+) Comm: ", re.MULTILINE)
_TASK_IN_HEAD = re.compile(
    r"(?:CPU#(?P<cpu>\d+)[,:] (?:\w+: )?|INFO: task |by task |code: |atomic: |sh: )(?P<comm>[^\s,]+?)[/:](?P<pid>\d+)\b"
)
_STUCK = re.compile(r"CPU#(?P<cpu>\d+) stuck for \d+s! \[(?P<comm>.*):(?P<pid>\d+)\]")
# kernel/watchdog.c, watchdog_hld.c; "CPU0: " before it is the CPU that reports, since 6.18
_STUCK_CPU = re.compile(r"hard LOCKUP on (?:cpu |other CPUs )(?P<cpu>\d+)\b")
# Reports that contain the traces of several tasks
_OF_MANY_TASKS = ("hung-task", "kcsan", "lockup", "oom", "rcu-stall", "asked-for", "reboot")
# kernel/module/main.c, version.c
_SYMBOL = re.compile(
    r": (?:Unknown symbol|Protected symbol:|disagrees about version of symbol|no symbol version for|"
    r"exports (?:duplicate|protected) symbol|module uses symbol|module using GPL-only symbols uses symbols|Symbol) "
    r"\(?(?P<symbol>[\w.$]+)"
)
_MODULE_GROUPS = ("module", "named", "module_of_size", "patched", "driver")
_REGISTER = re.compile(
    r"(?<![\w.])(?P<name>E?R[A-Z0-9]{1,2}|E[A-Z]{2}|R\d\d|CR\d|EFLAGS|ORIG_RAX|[rx]\d{1,2}|sp|ip|fp|pc|lr|psr"
    r"|pstate|GPR\d\d|NIP|LR|ra|gp|tp|[ast]\d{1,2}|epc) ?: ?(?:00(?:10|18|33|2b):)?\[?<?(?P<value>[0-9a-f]{8,16})\b"
)
# A word that is searched for first, and the pattern that contains it
_ACCESS = (
    (" of size ", re.compile(r"(?P<what>Read|Write) of size (?P<size>\d+)(?: at addr (?P<address>\S+))?")),
    (" at addr ", re.compile(r"(?P<what>Read|Write) at addr (?P<address>\S+)")),  # mm/kasan/report_hw_tags.c
    (
        " at 0x",
        re.compile(r"(?:Out-of-bounds|Use-after-free|Invalid) (?P<what>read|write) at 0x(?P<address>[0-9a-f]+)"),
    ),
    (" are uninitialized", re.compile(r"Bytes? \d+-\d+ of (?P<size>\d+) are uninitialized")),
)
_ADDRESS = re.compile(r"(?:address:?| at) (?P<address>(?:0x)?[0-9a-f]{8,16})\b")
_PAGE_FAULT = re.compile(r"^#PF: \w+ (?P<what>read|write|instruction fetch)", re.MULTILINE)
_WNR = re.compile(r"WnR = (?P<bit>[01])")
# Words that only one architecture prints; a newline stands for the beginning or the end of a line
_ARCHES = (
    ("x86_64", ("\nRIP: ", "\nRAX: ", "entry_SYSCALL_64")),
    ("i386", ("\nEIP: ", "\nEAX: ")),
    ("arm64", ("pstate: ", "\nx29: ", "el0_svc", "el0t_64", "\nCall trace:\n")),
    ("arm", ("psr: ", "ISA ARM", "unwind_backtrace", "ret_fast_syscall", "\n8<---")),
    ("riscv", ("\nepc : ", "ret_from_exception+")),
    ("powerpc", ("\nNIP ",)),
)


def read_report(heads: Sequence[Head], texts: list[str], span: Span, *, damage: str, children: list[Report]) -> Report:
    """Read a report from its lines. heads: at least one. damage: why a part is missing or broken, "" if none is."""
    best = max(heads, key=lambda head: head.rank)
    text = "\n".join(texts)
    interrupted = best.kind.name in _OF_MANY_TASKS  # they show other code than that which prints them
    at, stacks = site(texts, interrupted=interrupted), traces(texts)
    add_caller(texts, at, stacks)
    named = best.found.groupdict().get("at")
    wording = best.wording
    named_in_title = function = titles.function(wording, best.found, texts, at, _of_stuck_cpu(best.text, stacks))
    access = _access(text, best.text)
    kind = best.kind
    if not damage and wording.where is not FunctionSource.NOWHERE and not function:
        damage = "its stack trace is missing" if not stacks else "no frame of its stack trace tells where it was"
    if not damage and _is_mixed(best.kind, text):
        damage = "the stack trace of another task is among its lines"
    if not damage and "{access}" in wording.title and not access.what:
        damage = "the line that describes the access is missing"
    if not function and (at or named):
        function = titles.plain(at.function if at else named or "")
    culprit = blame(heads, text, at, stacks, interrupted=interrupted)
    return Report(
        kind=kind.name,
        severity=Severity.FAULT if any(head.kind.severity is Severity.FAULT for head in heads) else kind.severity,
        title=titles.title(wording, best.found, access.what, named_in_title),
        function=function,
        module=culprit.module,
        culprit=culprit.function,
        culprit_offset=culprit.offset,
        suspects=() if culprit.module else suspects(text),
        rule=culprit.rule,
        first_line=span.first_line,
        last_line=span.last_line,
        start=span.start,
        text=text,
        headline=best.text,
        heads=tuple(head.text for head in heads),
        offset=_offset(function, at, stacks),
        access=access,
        caller=span.caller,
        traces=stacks,
        torn=bool(damage),
        torn_because=damage,
        children=children,
    )


def _of_stuck_cpu(headline: str, stacks: list[Trace]) -> list[Trace]:
    """The traces of the CPU that a headline says is stuck, if it printed one on request; otherwise all.

    kernel/watchdog.c, watchdog_hardlockup_check(): another CPU notices a hard lockup, and has a trace of its own.
    """
    stuck = _STUCK_CPU.search(headline)
    own = [trace for trace in stacks if stuck and trace.cpu == int(stuck["cpu"])]
    return [replace(trace, role=MAIN if trace.role == OTHER else trace.role) for trace in own] or stacks


def _is_mixed(kind: Kind, text: str) -> bool:
    """Whether several tasks printed dump_stack(), in a report that has the trace of one task."""
    if kind.name in _OF_MANY_TASKS:
        return False
    if text.count("\nCPU: ") < 2 or "NMI" in text:
        return False
    return len({found["pid"] for found in _TASKS.finditer(text)}) > 1


def _task_line(report: Report) -> re.Match[str] | None:
    """The first line of dump_stack() that names a task, or that of the CPU that the headline says is stuck."""
    lines = [line for line in report.text.split("\n") if line.startswith("CPU: ")]
    found = [match for line in lines if (match := _TASK.match(line))]
    stuck = _STUCK_CPU.search(report.headline)
    own = [match for match in found if stuck and match["cpu"] == stuck["cpu"]]
    return next(iter(own or found), None)


def _task(report: Report) -> TaskContext:
    found = _task_line(report) if report.kind != "hung-task" else None
    found = (
        found
        or _STUCK.search(report.headline)
        or _TASK_IN_HEAD.search(report.headline)
        or _TASK_IN_HEAD.search(report.text)
    )
    values = found.groupdict() if found else {}
    stuck = _STUCK_CPU.search(report.headline)
    cpu = int((stuck and stuck["cpu"]) or values.get("cpu") or _cpu(report.caller))
    return TaskContext(values.get("comm") or "", int(values.get("pid") or -1), cpu)


def _offset(function: str, at: Frame | None, stacks: list[Trace]) -> int:
    frames = [*([at] if at else []), *(frame for trace in stacks for frame in trace.frames)]
    named = (frame for frame in frames if frame.function.startswith(function))
    return next((frame.offset for frame in named if titles.plain(frame.function) == function), -1)


def _cpu(caller: str) -> int:
    return int(caller[1:]) if caller.startswith("C") else -1


def _access(text: str, headline: str) -> Access:
    for word, pattern in _ACCESS:
        if word in text and (found := pattern.search(text)):
            values = found.groupdict()
            what = (values.get("what") or "").capitalize()
            return Access(what, int(values.get("size") or -1), values.get("address") or "")
    address = _ADDRESS.search(headline)
    if not address:
        return Access()
    what = ""
    if "#PF: " in text and (fault := _PAGE_FAULT.search(text)):
        what = {"read": "Read", "write": "Write"}.get(fault["what"], "Execute")
    elif "WnR = " in text and (bit := _WNR.search(text)):
        what = "Write" if bit["bit"] == "1" else "Read"
    return Access(what, -1, address["address"])
