# SPDX-License-Identifier: Apache-2.0
"""Prove that a feature is live: that it is on, reports the bugs that it is made for, and is used while a module works.

A feature's folder in images/proof may hold a module that commits a violation, built for the feature's own kernel
(`Kbuild`, `proof.c`; the script `after` runs after its load), and a script `live` that uses the feature: `live start`
before the vendor module is loaded, `live loaded MODULE`, and `live stop MODULE` at the end. The script prints a line
"live NAME ok ..." or "live NAME FAILED ..." for each thing that it checks.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.detect.evidence import Check
from harness.detect.kernel_report import Report
from harness.detect.scan import scan
from harness.guest.shell import Output
from harness.kernel.arch import ARCHITECTURES
from harness.kernel.build import Kernel
from harness.kernel.features import Feature
from harness.kernel.kconfig import parse
from harness.kernel.module_build import build_modules
from harness.lab.execution.cell_guest import CellGuest
from harness.support.cache.store import Store
from harness.support.paths import IMAGES

FOLDER = "proof"  # in the guest
PROC = "/proc/config.gz"
_PROOF_SECONDS = 30.0  # longest wait for a proof: kmemleak wants objects older than 5 seconds
_LIVE = re.compile(r"^live (\S+) (ok|FAILED) ?(.*)$", re.MULTILINE)
_SCRIPTS = ("live", "after")
_ROOM = re.compile(r"^ *([a-z].*?): +(\d+) \[max: (\d+)\]", re.MULTILINE)
_GAVE_UP = "lock debugging is off since an earlier report"
_SHARED = IMAGES / "proof/live.sh"  # functions that the scripts share


@dataclass(frozen=True)
class Proof:
    """A proof that a feature is live, or absent in production; or the reason why there is none."""

    text: str = ""
    # why there is no proof
    blocker: str | None = None


def proof_files(feature: Feature, kernel: Kernel, store: Store) -> dict[str, Path]:
    """The files that a guest needs for the proof of a feature: path in the guest -> file."""
    files = {f"{FOLDER}/{_SHARED.name}": _SHARED}
    for part in feature.proofs():
        if kernel.takes_modules and (part.proof / "Kbuild").is_file():
            built = build_modules(part.proof, kernel, store)
            files |= {f"{FOLDER}/{part.name}/{name}.ko": file for name, file in built.items()}
        scripts = [part.proof / name for name in _SCRIPTS if (part.proof / name).is_file()]
        files |= {f"{FOLDER}/{part.name}/{script.name}": script for script in scripts}
    return files


def missing_in(config: Mapping[str, str], feature: Feature) -> list[str]:
    """The feature's symbols that are off in a configuration."""
    return [symbol for symbol in feature.symbols if config.get(symbol, "n") == "n"]


def running_config(guest: CellGuest) -> dict[str, str]:
    """The running kernel's own configuration, empty without IKCONFIG_PROC."""
    return parse(guest.run("zcat /proc/config.gz").text)


def prove_absent(config: dict[str, str], feature: Feature, *, where: str = PROC, partly: bool = False) -> Proof:
    """Prove that a feature is off in production.

    config: of the production kernel. where: the file that it was read from. partly: whether a part of the feature may
    be on, as in a user-supplied production.
    """
    off = missing_in(config, feature)
    on = [symbol for symbol in feature.symbols if symbol not in off]
    if not off:
        return Proof(f"{', '.join(on)} on in production as well")
    bases = [symbol for symbol in on if symbol in _always_on_symbols(feature)]
    stray = ", ".join(sorted(set(on) - set(bases)))
    if stray and partly:
        return Proof(f"{where}: {', '.join(off)} off, {stray} on in production as well")
    if stray:
        return Proof(blocker=f"the production kernel has {stray} switched on: nothing to compare {feature.name} with")
    return Proof(f"{where}: {', '.join(symbol for symbol in feature.symbols if symbol not in bases)} off")


def added_parts(feature: Feature, production: Mapping[str, str]) -> list[Feature]:
    """The parts of a feature that a production configuration does not have; all of it if that has every one."""
    added = [part for part in feature.proofs() if missing_in(production, part)]
    return added or feature.proofs()


def prove_live(
    guest: CellGuest,
    config: dict[str, str],
    feature: Feature,
    *,
    where: str = PROC,
    modules: bool = True,
    production: Mapping[str, str] | None = None,
) -> Proof:
    """Prove that a feature, and each part of it, is live in a guest, which is not pristine afterwards.

    modules: whether proof modules could be built; without them the configuration is the proof. production:
    configuration of the production kernel; parts that it has as well need no proof. Raises GuestFailure.
    """
    off = missing_in(config, feature)
    if off:
        return Proof(blocker=f"{feature.name} is not live: {where} has {', '.join(off)} off")
    seen = []
    for part in added_parts(feature, production or {}):
        if not modules and (part.proof / "Kbuild").is_file():
            seen.append(f"{part.name} not provoked: there is no build tree to build its proof against")
            continue
        guest.make_pristine()
        by_use = (part.proof / "live").is_file()
        proof = _proven_by_use(guest, part) if by_use else _proven_by_violation(guest, part)
        if proof.blocker:
            return proof
        seen.append(proof.text)
    return Proof(f"{where}: {', '.join(feature.symbols)} on; {'; '.join(seen)}")


class FeatureExerciser:
    """Uses a feature during a cell, through the scripts of its parts."""

    def __init__(
        self, feature: Feature | None, *, modules: bool = True, production: Mapping[str, str] | None = None
    ) -> None:
        """feature: None in production, where none is used. modules: whether proof modules could be built.

        production: configuration of the production kernel; parts that it has as well are not used. None: all are.
        """
        parts = added_parts(feature, production or {}) if feature else []
        able = [part for part in parts if modules or not (part.proof / "Kbuild").is_file()]
        used = [part for part in able if (part.proof / "live").is_file()]
        # the parts that are used
        self.names = [part.name for part in used]
        # those of them that make the kernel patch its code
        self.patching = [part.name for part in used if part.patches_code]

    def start(self, guest: CellGuest) -> str | None:
        """Begin to use the feature. Returns the reason if that failed, otherwise None. Raises GuestFailure."""
        for name in self.names:
            output = guest.run(_command(name, "start"), _PROOF_SECONDS)
            if output.status:
                return f"{name} could not be used: {output.text.strip() or f'exit status {output.status}'}"
        return None

    def loaded(self, guest: CellGuest, module: str) -> list[Check]:
        """Report the load of a module to the scripts. Returns what each part saw of it. Raises GuestFailure."""
        checks: list[Check] = []
        for name in self.names:
            output = guest.run(_command(name, "loaded", module), _PROOF_SECONDS)
            checks += parse_live_checks(output)
            if output.status:
                checks.append(Check(f"{name}, of the module", held=False, detail=output.text.strip()[:200]))
        return checks

    def stop(self, guest: CellGuest, module: str) -> list[Check]:
        """End the use. Returns what each part saw, at least one check for each part. Raises GuestFailure."""
        checks: list[Check] = []
        for name in self.names:
            output = guest.run(_command(name, "stop", module), _PROOF_SECONDS)
            checks += parse_live_checks(output) or [
                Check(name, held=False, detail=f"reported nothing about its use: {output.text.strip()[:200]}")
            ]
            if output.status:
                checks.append(Check(f"{name}, at its end", held=False, detail=output.text.strip()[:200]))
        return checks


def _command(name: str, *words: str) -> str:
    return " ".join(["sh", f"/{FOLDER}/{name}/live", *words]).strip()


def parse_live_checks(output: Output) -> list[Check]:
    """The lines "live NAME ok|FAILED ..." of a script's output."""
    found = _LIVE.findall(output.text.replace("\r", ""))
    return [Check(what, held == "ok", detail.strip()) for what, held, detail in found]


def _proven_by_use(guest: CellGuest, part: Feature) -> Proof:
    """Use the feature, and let its script check that it works."""
    use = FeatureExerciser(part)
    problem = use.start(guest)
    if problem:
        return Proof(blocker=problem)
    guest.run("ls /proc /sys/kernel >/dev/null")
    checks = use.stop(guest, "")
    failed = [f"{check.name} {check.detail}" for check in checks if not check.held]
    if failed:
        return Proof(blocker=f"{part.name} is not live: {', '.join(failed)}")
    return Proof("in use: " + ", ".join(f"{check.name} {check.detail}".strip() for check in checks))


def _proven_by_violation(guest: CellGuest, part: Feature) -> Proof:
    """Commit the violation that the feature must report."""
    if part.violation is None:
        raise ValueError(f"feature {part.name} has neither a violation nor a script that uses it")
    folder = f"/{FOLDER}/{part.name}"
    guest.mark(f"proof of {part.name}")
    guest.run(f"insmod {folder}/proof.ko", _PROOF_SECONDS)
    if (part.proof / "after").is_file():
        guest.run(f"sh {folder}/after", _PROOF_SECONDS)
    guest.mark("proof done")
    report = find_report(guest, part.violation)
    if report:
        return Proof(f"provoked and reported: {report.words}")
    reasons = lockdep_gave_up(guest.run("cat /proc/lockdep_stats 2>/dev/null").text)
    why = f" ({', '.join(reasons)})" if reasons else ""
    return Proof(blocker=f"{part.name} is not live: its proof module's violation was not reported{why}")


def lockdep_gave_up(statistics: str) -> list[str]:
    """Why lockdep validates no further locks, in words: tables that are full, or that it has switched itself off.

    statistics: the text of /proc/lockdep_stats (kernel/locking/lockdep_proc.c), "" without lockdep.
    """
    full = [f"no room for more {what}: {most}" for what, used, most in _ROOM.findall(statistics) if used == most]
    return full + ([_GAVE_UP] if re.search(r"^ *debug_locks: +0\s*$", statistics, re.MULTILINE) else [])


def find_report(guest: CellGuest, violation: tuple[str, str]) -> Report | None:
    """The report of a violation since the guest was pristine; None if there is none.

    violation: regular expressions for the kind and for the words of the report.
    """
    kind, words = violation
    reports = scan(guest.console.read(guest.log_start))
    return next((report for report in reports if re.fullmatch(kind, report.kind) and report.says(words)), None)


def _always_on_symbols(feature: Feature) -> set[str]:
    return {
        symbol
        for part in feature.proofs()
        if any(part.always_on(arch) for arch in ARCHITECTURES.values())
        for symbol in part.symbols
    }
