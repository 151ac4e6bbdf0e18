# SPDX-License-Identifier: Apache-2.0
"""What a module did on one kernel, in a form in which two kernels can be compared.

Production is the reference: a driver that finds no hardware fails in its init on production as well, and one that
warns there may warn on a debug kernel. What counts is the difference.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.detect.blame import FAULTING_INSTRUCTION, SITE_OF_WARNING
from harness.detect.evidence import Evidence, Phase
from harness.detect.kernel_report import Report
from harness.detect.kinds import Severity
from harness.detect.lines import messages
from harness.support.text import join_some

_OWN = "modcompat: "  # marks of the harness in the log
_INITCALL = r"(?:calling|initcall) +\S+\+0x\S+ \[\w+\]"  # initcall_debug: init/main.c
# An error number: up to 133 in include/uapi/asm-generic/errno.h, up to 531 in include/linux/errno.h. It is negative, or
# follows a word such as `failed`. A number with a unit, a range or a date is none
_ERROR = (
    r"(?:(?<![\w.)\]-])-|\b(?:err(?:or|no)?|fail(?:ed|ure)|ret|rc)(?: code| number| with)?[ :=(]*)"
    r"(?:[1-9]\d?|1[0-2]\d|13[0-3]|51[2-9]|52\d|53[01])(?!\w|[.:/-]\d| ?(?:%|(?:of|times|dBm?|ppm|[mun]?s)\b))"
)
_NUMBER = re.compile(rf"(?P<error>{_ERROR})|\b(?:0x[0-9a-f]+|[0-9a-f]*\d[0-9a-f]*)\b", re.IGNORECASE)
# A measured speed: `raid6: sse2x4 gen() 4123 MB/s` (lib/raid6/algos.c), `xor: using function: avx (31337 MB/sec)`
# (crypto/xor.c). Which of several functions is measured and chosen depends on the time that each takes.
_MEASURED = re.compile(r"\b\d+ *[KMG]?i?[Bb](?:/s|/sec|ps)\b")
# What kmem_dump_obj() of mm/slab_common.c says of an object: with SLUB_DEBUG it knows more, and caches are not merged
_SLAB_OBJECT = re.compile(
    r" slab(?:/vmalloc)?(?: \S+)?(?: \(kfence\))? start [0-9a-f]+(?: data offset \d+)? pointer offset \d+"
    r"(?: size \d+)?(?: allocated at .*)?$"
)
# Messages about the speed of the machine, and at a time after its boot: a busy host is slow for every kernel, and a
# debug kernel may be in the middle of a cell when production is through. pattern -> file of the kernel
_OF_THE_MACHINE: Mapping[str, str] = {
    r"hrtimer: interrupt took \d+ ns": "kernel/time/hrtimer.c",
    r"perf: interrupt took too long": "kernel/events/core.c",
    r"INFO: NMI handler .* took too long to run": "arch/x86/kernel/nmi.c",
    r"clocksource: (?:timekeeping watchdog|wd-|Long readout|Checking| +)": "kernel/time/clocksource.c",
    r"sched: RT throttling activated": "kernel/sched/rt.c",
    r"workqueue: \S+ hogged CPU for": "kernel/workqueue.c",
    r"\S+ \S+: deferred probe pending": "drivers/base/dd.c, ten seconds after the boot or the last driver",
}
# Rule that found the module of a warning or a BUG() -> its place in the module: kernel/panic.c __warn(), lib/bug.c
# report_bug(). arm prints no registers. There the line may be that of a function of the kernel that jumped to
# warn_slowpath_fmt() at its end, but the address is in the module
_PLACES = {
    FAULTING_INSTRUCTION: re.compile(r"[^\s:]+:\d+"),
    SITE_OF_WARNING: re.compile(r"[\w.$]+\+0x[0-9a-f]+(?=\S* \[)"),
}
# Kinds whose texts name slab caches. mm/slab_common.c merges caches that are alike, unless SLUB checks them: then each
# has its own name
_NAMES_CACHES = ("slub", "fortify")
# Devices that have numbers of a counter that never goes back, not even if the device was not registered. How often a
# mouse is tried at the boot depends on time. name -> file of the kernel that counts
_COUNTED: Mapping[str, str] = {
    "input": "drivers/input/input.c",
    "serio": "drivers/input/serio/serio.c",
    "gameport": "drivers/input/gameport/gameport.c",
    "regulator.": "drivers/regulator/core.c",
    "phy": "net/wireless/core.c",
    "rfkill": "net/rfkill/core.c",
}
_COUNTED_DEVICE = re.compile(rf"\b(?P<name>{'|'.join(map(re.escape, _COUNTED))})(?P<number>\d+)\b")
# An algorithm that the kernel makes when it first verifies an RSA signature. A debug kernel does so at its boot, for
# the key of its own modules (certs/default_x509.genkey). Production's key may be of another kind, and the first module
# that brings a certificate makes it there: cfg80211 in Debian 13.
_OF_OWN_KEY = re.compile(r"[+-]/proc/crypto: driver *: pkcs1(?:pad)?\(rsa[\w-]*,sha\d+\)")
_MAX_SHOWN = 3  # items of one side of a difference
_HELD, _FAILED = ": held", ": failed"  # what a check is called after its name
_ENDS = ("the load", "its init", "the unload")
_CHECKED = ("the exercise", "announced words")  # aspects with checks that held and checks that failed
_WRONG = ("the guest", "checks of memory", "checks that the guest works")  # aspects that are empty if all is well
# Messages that differ because a debug kernel is not production: pattern -> reason
_EXPECTED_MESSAGES: Mapping[str, str] = {
    r"\w+: module verification failed: ": "debug kernels do not have the key that production's modules are signed with",
    r"\w+: loading out-of-tree module taints kernel": "printed for the first such module only",
    r"Disabling lock debugging due to kernel taint": "kernel/panic.c: production has no lock debugging, and isolated "
    "kernels keep it on beside modules with another licence",
    r"\w+: .*: kernel tainted\.$": "kernel/module/main.c: modules are loaded by force on stock debug kernels",
    r"failed to validate module \[\w+\] BTF": "the BTF of production's modules refers to that of production's image",
    r"BPF:": "details of the same",
    r"missing module BTF, cannot register ": "for the same reason; kfuncs (6.1), kfunc or struct_ops (6.12)",
    r"unwind: Index not found": "arch/arm/kernel/unwind.c: a feature in use walks stacks of code without a table",
    r".* \(\d+\) used greatest stack depth: ": "DEBUG_STACK_USAGE, for a task that went deeper than any before",
    r"\w+: no symbol version for module_layout": "production has no such version either",
    r"rcu_tasks\w*: RTGS_\w+\(\d+\) since ": "kernel/rcu/tasks.h: tracers need this RCU, and production may lack it",
    r"(?:Free path:|\S+\+0x[0-9a-f]+/0x[0-9a-f]+(?: \[\w+\])?)$":
        "mm/slab_common.c: who allocated and freed an object, which the kernel knows with SLUB_DEBUG only",
}  # fmt: skip
_PCI_DEVICE = r"\S+ [0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-9a-f]"
# Debug messages about drivers that an option makes the kernel print: pattern -> option and file
_OF_DEBUG_OPTIONS: Mapping[str, str] = {
    r"i2c-core: driver \[.*\] (?:un)?registered": "I2C_DEBUG_CORE, drivers/i2c/i2c-core-base.c",
    r"i2c i2c-\d+: (?:adapter|client) \[.*\] (?:un)?registered": "the same",
    r"i2c i2c-\d+: (?:Creating|Removing) \S+ at 0x": "the same",
    r"i2c i2c-\d+: (?:Not using recovery: |found normal entry |Probing failed, no device found)": "the same",
    r"\S+ \d+-[0-9a-f]{4}: (?:probe|remove|Using Host Notify IRQ)$": "the same",
    r"kobject: '.*' \(\S+\): kobject_release, parent ": "DEBUG_KOBJECT_RELEASE, lib/kobject.c",
    rf"{_PCI_DEVICE}: vgaarb: pci_notify": "PCI_DEBUG, drivers/pci/vgaarb.c",
    rf"{_PCI_DEVICE}: (?:runtime IRQ mapping not provided by arch|assign IRQ: )": "PCI_DEBUG, drivers/pci/setup-irq.c",
    rf"{_PCI_DEVICE}: (?:saving|restoring) config space at offset ": "PCI_DEBUG, drivers/pci/pci.c",
    rf"{_PCI_DEVICE}: (?:(?:en|dis)abling bus mastering|enabling Mem-Wr-Inval|PME# (?:en|dis)abled)": "the same",
    rf"{_PCI_DEVICE}: PCI PM: ": "PCI_DEBUG, drivers/pci/pci-driver.c",
    rf"{_PCI_DEVICE}: power state changed by ACPI to ": "PCI_DEBUG, drivers/pci/pci-acpi.c",
}
_NOT_COMPARED = (_INITCALL, *_EXPECTED_MESSAGES, *_OF_THE_MACHINE, *_OF_DEBUG_OPTIONS)
_LEFT_OUT = (re.compile(f"^(?:{'|'.join(_NOT_COMPARED)})"), _MEASURED)


@dataclass(frozen=True)
class Difference:
    """Something that a module did on one kernel, and not on the other."""

    # the aspect: "the load", "messages in the load" ...
    what: str
    production: tuple[str, ...]
    debug: tuple[str, ...]

    def __str__(self) -> str:
        """Both sides in one line."""
        sides = (f"production {_side(self.production)}", f"here {_side(self.debug)}")
        return f"{self.what}: {', '.join(sides)}"


def differences(production: Sequence[Evidence], debug: Sequence[Evidence]) -> list[Difference]:
    """What a module did in every run on production and in none on the debug kernel, and the other way round.

    With several runs, a message that depends on timing is no difference. Damage that only production has is none
    either: a debug kernel may be right where production is not.
    """
    theirs, ours = [_behaviour(run) for run in production], [_behaviour(run) for run in debug]
    found = []
    for what in _ORDER:
        lacking = _only_in([run[what] for run in theirs], [run[what] for run in ours])
        added = _only_in([run[what] for run in ours], [run[what] for run in theirs])
        if added or (lacking and what not in _DAMAGE_ASPECTS):
            found.append(Difference(what, lacking, added))
    return found


def _only_in(runs: Sequence[tuple[str, ...]], others: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """The items that all of some runs have, and none of the others."""
    return tuple(
        item for item in runs[0] if all(item in run for run in runs) and not any(item in run for run in others)
    )


def comparable_messages(log: bytes) -> list[str]:
    """The kernel's messages in a part of a log, each once, without stamps and with N in place of numbers.

    Error numbers stay: a driver that fails with -ENODEV on production should not fail with -ENOMEM here.
    Left out are marks of the harness, traces of init calls, the speed of the machine, and what must differ.
    """
    found: dict[str, None] = {}
    for line in log.splitlines():
        for message in messages(0, 0, line):
            text = message.text.strip()
            if text and not text.startswith(_OWN) and not any(pattern.search(text) for pattern in _LEFT_OUT):
                found[_without_numbers(_SLAB_OBJECT.sub(" slab", text))] = None
    return list(found)


def _without_numbers(text: str) -> str:
    """A text with N in place of all numbers but error numbers."""
    return _NUMBER.sub(lambda found: found["error"] or "N", text)


def _ranked(texts: Sequence[str]) -> list[str]:
    """Texts in which the devices of _COUNTED have their ranks, from 1, in place of their numbers."""
    numbers: dict[str, set[int]] = {}
    for text in texts:
        for found in _COUNTED_DEVICE.finditer(text):
            numbers.setdefault(found["name"], set()).add(int(found["number"]))
    ranks = {name: {number: rank for rank, number in enumerate(sorted(known), 1)} for name, known in numbers.items()}

    def ranked(found: re.Match[str]) -> str:
        return f"{found['name']}#{ranks[found['name']][int(found['number'])]}"

    return [_COUNTED_DEVICE.sub(ranked, text) for text in texts]


def reached(evidence: Evidence) -> tuple[list[str], list[str]]:
    """The parts of the module's life that a run reached, and those that it did not."""
    call = evidence.initcall
    parts = {
        "the load": evidence.loaded or call is not None,
        "the end of its init": call is not None and call.returned is not None,
        "its exit": evidence.removed and evidence.has_exit,
    }
    if not evidence.has_init:
        del parts["the end of its init"]
    if not evidence.has_exit:
        del parts["its exit"]
    if evidence.exercise:
        parts["its exercise"] = evidence.exercise_ended
    return [name for name, had in parts.items() if had], [name for name, had in parts.items() if not had]


# Damage that only production has is no difference
_DAMAGE_ASPECTS = (*(f"reports in the {phase}" for phase in Phase), "the kernel's counters")
_ORDER = (
    "the load", "its init", *_DAMAGE_ASPECTS, "the guest",
    *(f"messages in the {phase}" for phase in Phase), "announced words",
    "names after the load", "the exercise", "the unload", "names after the unload", "checks of memory",
    "checks that the guest works",
)  # fmt: skip


def _behaviour(evidence: Evidence) -> dict[str, tuple[str, ...]]:
    """What a module did: aspect -> items."""
    load, unload, call, loss = evidence.load, evidence.unload, evidence.initcall, evidence.loss
    seen: dict[str, Sequence[str]] = {
        "the load": [f"ended with {load.status}" + (f" ({load.output.strip()})" if load.status else "")]
        if load
        else [],
        "its init": [f"returned {call.returned}" if call.returned is not None else "did not return"] if call else [],
        "the guest": [f"{loss.loss} in the {loss.phase}"] if loss else [],
        # checks are named after commands, which may have the numbers of processes
        "the exercise": [
            f"{_without_numbers(check.name)}{_HELD if check.held else _FAILED}" for check in evidence.checks
        ],
        "the unload": [f"ended with {unload.status}", *(["it is gone"] if evidence.removed else [])] if unload else [],
        "checks of memory": [f"{check.name} ({check.detail})" for check in evidence.integrity if not check.held],
        "checks that the guest works": [check.name for check in evidence.liveness_checks if not check.held],
        "the kernel's counters": _counted(evidence),
        "announced words": [f"{check.name}{_HELD if check.held else _FAILED}" for check in evidence.announced],
        "names after the load": _names(evidence.after_load),
        "names after the unload": _names(evidence.after_unload),
    }
    for phase in Phase:
        reports = evidence.reports.get(phase, [])
        seen[f"reports in the {phase}"] = _reported(reports, evidence.module)
        printed = [*reports, *(evidence.awaited if phase is Phase.EXERCISE else [])]
        inside = {line for report in printed for line in comparable_messages(report.text.encode())}
        seen[f"messages in the {phase}"] = _ranked(
            [line for line in evidence.messages.get(phase, []) if line not in inside]
        )
    return {what: tuple(items) for what, items in seen.items()}


def _names(changes: Sequence[str]) -> list[str]:
    return _ranked([name for name in changes if not _OF_OWN_KEY.fullmatch(name)])


def goes_wrong_like(run: Evidence, other: Evidence) -> bool:
    """Whether load, init and unload end alike in two runs, and all that goes wrong in the first does in the other."""
    ours, theirs = _behaviour(run), _behaviour(other)
    return all(ours[what] == theirs[what] for what in _ENDS) and _damage(run, ours) <= _damage(other, theirs)


def _damage(evidence: Evidence, seen: Mapping[str, tuple[str, ...]]) -> set[str]:
    """Reports, failed checks and the loss of the guest. seen: the behaviour of the run."""
    failed = [f"{what}: {item}" for what in _CHECKED for item in seen[what] if item.endswith(_FAILED)]
    wrong = [f"{what}: {item}" for what in _WRONG for item in seen[what]]
    return {*_reported(evidence.all_reports(), evidence.module), *_counted(evidence), *failed, *wrong}


def _reported(reports: Sequence[Report], module: str) -> list[str]:
    """The reports that are damage, and not the refusal of a module."""
    return [_comparable(report, module) for report in reports if report.severity is not Severity.REFUSAL]


def _comparable(report: Report, module: str) -> str:
    """The title of a report, and what a warning or a BUG() says besides, as far as two kernels agree about it."""
    text = _without_numbers(report.title)
    if place := _own_place(report, module):
        text += f" at {place}"
    said = [] if report.kind in _NAMES_CACHES else comparable_messages("\n".join(report.statement).encode())
    return ": ".join([text, *said])


def _own_place(report: Report, module: str) -> str:
    """The place of a warning or a BUG() in the module itself, "" if it is elsewhere.

    Lines of the kernel's files are not those of another kernel. The module is the same file on both.
    """
    pattern = _PLACES.get(report.rule) if report.module == module else None
    found = pattern.search(report.form) if pattern else None
    return found[0] if found else ""


def _counted(evidence: Evidence) -> list[str]:
    return [_without_numbers(text) for text in evidence.counted_damage()]


def _side(items: Sequence[str]) -> str:
    return join_some([f"`{item}`" for item in items], _MAX_SHOWN) if items else "nothing"
