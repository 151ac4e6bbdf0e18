# SPDX-License-Identifier: Apache-2.0
"""Live proof: a feature is shown to be on, to report what it is for, and to be in use while a module works.

A feature's folder in images/proof may hold a module that commits a violation, built for the feature's own
kernel (`Kbuild`, `proof.c`; `after` is a script that runs behind it), and a script `live` that puts the feature
to use: `live start` before the vendor module is loaded, `live loaded MODULE`, and `live stop MODULE` at the
end, which prints a line "live NAME ok ..." or "live NAME FAILED ..." for everything that was seen.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from harness.detect.evidence import Check
from harness.detect.kernel_report import Report
from harness.detect.scan import scan
from harness.guest.guest import Guest
from harness.guest.shell import Output
from harness.kernel.arch import ARCHITECTURES
from harness.kernel.build import Kernel
from harness.kernel.config import parse
from harness.kernel.features import Feature
from harness.kernel.module_build import build_modules
from harness.support.cache.store import Store
from harness.support.paths import IMAGES

FOLDER = "proof"  # in the guest
PROC = "/proc/config.gz"
_PATIENCE = 30.0  # seconds for a proof: kmemleak wants objects older than 5 seconds
_LIVE = re.compile(r"^live (\S+) (ok|FAILED) ?(.*)$", re.MULTILINE)
_SCRIPTS = ("live", "after")
_SHARED = IMAGES / "proof/live.sh"  # what the scripts have in common


@dataclass(frozen=True)
class Proof:
    """text: what proves the feature live, or absent in production. obstacle: why nothing does, else ""."""

    text: str
    obstacle: str = ""


def proof_files(feature: Feature, kernel: Kernel, store: Store) -> dict[str, Path]:
    """What a guest needs for the proof of a feature: path in the guest -> file."""
    files = {f"{FOLDER}/{_SHARED.name}": _SHARED}
    for part in feature.proofs():
        if kernel.takes_modules and (part.proof / "Kbuild").is_file():
            built = build_modules(part.proof, kernel, store)
            files |= {f"{FOLDER}/{part.name}/{name}.ko": file for name, file in built.items()}
        scripts = [part.proof / name for name in _SCRIPTS if (part.proof / name).is_file()]
        files |= {f"{FOLDER}/{part.name}/{script.name}": script for script in scripts}
    return files


def missing_in(config: dict[str, str], feature: Feature) -> list[str]:
    """The feature's symbols that are off in a configuration."""
    return [symbol for symbol in feature.symbols if config.get(symbol, "n") == "n"]


def settings_in(guest: Guest) -> dict[str, str]:
    """The running kernel's own configuration, empty where it does not tell (IKCONFIG_PROC)."""
    return parse(guest.run("zcat /proc/config.gz").text)


def prove_absent(config: dict[str, str], feature: Feature, *, where: str = PROC, partly: bool = False) -> Proof:
    """That a feature is off in production, whose configuration this is.

    where: where the configuration was read. partly: a production of the user's may have a part of it on.
    """
    off = missing_in(config, feature)
    on = [symbol for symbol in feature.symbols if symbol not in off]
    if not off:
        return Proof(f"{', '.join(on)} on in production as well")
    bases = [symbol for symbol in on if symbol in _always_on(feature)]
    stray = ", ".join(sorted(set(on) - set(bases)))
    if stray and partly:
        return Proof(f"{where}: {', '.join(off)} off, {stray} on in production as well")
    if stray:
        return Proof("", f"the production kernel has {stray} switched on: nothing to compare {feature.name} with")
    return Proof(f"{where}: {', '.join(symbol for symbol in feature.symbols if symbol not in bases)} off")


def prove_live(
    guest: Guest, config: dict[str, str], feature: Feature, *, where: str = PROC, modules: bool = True
) -> Proof:
    """Prove a feature, and each part of it, in a pristine guest that is thrown away. Raises GuestFailure.

    modules: whether proof modules could be built; without them a feature's configuration has to do.
    """
    off = missing_in(config, feature)
    if off:
        return Proof("", f"{feature.name} is not live: {where} has {', '.join(off)} off")
    seen = []
    for part in feature.proofs():
        if not modules and (part.proof / "Kbuild").is_file():
            seen.append(f"{part.name} not provoked: there is no build tree to build its proof for")
            continue
        guest.make_pristine()
        proof = _used(guest, part) if (part.proof / "live").is_file() else _provoked(guest, part)
        if proof.obstacle:
            return proof
        seen.append(proof.text)
    return Proof(f"{where}: {', '.join(feature.symbols)} on; {'; '.join(seen)}")


class InUse:
    """The feature in use during a cell, by the scripts of its parts."""

    def __init__(self, feature: Feature | None, *, modules: bool = True) -> None:
        """feature: None in production, where nothing is. modules: whether proof modules could be built."""
        parts = feature.proofs() if feature else []
        able = [part for part in parts if modules or not (part.proof / "Kbuild").is_file()]
        used = [part for part in able if (part.proof / "live").is_file()]
        self.names = [part.name for part in used]
        self.patching = [part.name for part in used if part.patches_code]

    def start(self, guest: Guest) -> str:
        """Put it to use; returns why that failed, or ""."""
        for name in self.names:
            output = guest.run(_command(name, "start"), _PATIENCE)
            if output.status:
                return f"{name} could not be put to use: {output.text.strip() or f'exit status {output.status}'}"
        return ""

    def loaded(self, guest: Guest, module: str) -> list[Check]:
        """Tell it that a module was loaded: what each part saw of that."""
        checks: list[Check] = []
        for name in self.names:
            output = guest.run(_command(name, "loaded", module), _PATIENCE)
            checks += sights(output)
            if output.status:
                checks.append(Check(f"{name}, of the module", held=False, detail=output.text.strip()[:200]))
        return checks

    def stop(self, guest: Guest, module: str) -> list[Check]:
        """End its use: what each part saw, at least one answer a part."""
        checks: list[Check] = []
        for name in self.names:
            output = guest.run(_command(name, "stop", module), _PATIENCE)
            checks += sights(output) or [
                Check(name, held=False, detail=f"said nothing of use: {output.text.strip()[:200]}")
            ]
        return checks


def _command(name: str, *words: str) -> str:
    return " ".join(["sh", f"/{FOLDER}/{name}/live", *words]).strip()


def sights(output: Output) -> list[Check]:
    """The lines "live NAME ok|FAILED ..." of a script's output."""
    found = _LIVE.findall(output.text.replace("\r", ""))
    return [Check(what, held == "ok", detail.strip()) for what, held, detail in found]


def _used(guest: Guest, part: Feature) -> Proof:
    use = InUse(part)
    problem = use.start(guest)
    if problem:
        return Proof("", problem)
    guest.run("ls /proc /sys/kernel >/dev/null")
    checks = use.stop(guest, "")
    failed = [f"{check.name} {check.detail}" for check in checks if not check.held]
    if failed:
        return Proof("", f"{part.name} is not live: {', '.join(failed)}")
    return Proof("in use: " + ", ".join(f"{check.name} {check.detail}".strip() for check in checks))


def _provoked(guest: Guest, part: Feature) -> Proof:
    """Commit the violation that the feature must report."""
    if part.violation is None:
        raise ValueError(f"feature {part.name} has neither a violation nor a script that uses it")
    folder = f"/{FOLDER}/{part.name}"
    guest.mark(f"proof of {part.name}")
    guest.run(f"insmod {folder}/proof.ko", _PATIENCE)
    if (part.proof / "after").is_file():
        guest.run(f"sh {folder}/after", _PATIENCE)
    guest.mark("proof done")
    report = find_report(guest, part.violation)
    if report:
        return Proof(f"provoked and reported: {report.words}")
    return Proof("", f"{part.name} is not live: its proof module's violation was not reported")


def find_report(guest: Guest, violation: tuple[str, str]) -> Report | None:
    """The report of a violation (kind and words, regular expressions) since the guest was pristine."""
    kind, words = violation
    reports = scan(guest.console.read(guest.log_start))
    return next((report for report in reports if re.fullmatch(kind, report.kind) and report.says(words)), None)


def _always_on(feature: Feature) -> set[str]:
    return {
        symbol
        for part in feature.proofs()
        if any(part.always_on(arch) for arch in ARCHITECTURES.values())
        for symbol in part.symbols
    }
