# SPDX-License-Identifier: Apache-2.0
"""Commit the bugs of the catalogue, each in a pristine guest, and record the kernel's reports."""

import re
from collections.abc import Iterable, Mapping
from itertools import groupby, product
from pathlib import Path
from typing import Any, NamedTuple

from harness.abi.elf.module_file import read_module
from harness.detect.generalize import generalize
from harness.detect.scan import reports_fault, scan
from harness.guest.boards import Board
from harness.guest.failure import Fate, GuestFailure
from harness.guest.guest import Guest
from harness.guest.shell import Output
from harness.kernel.features import FEATURES
from harness.kernel.module_build import build_modules
from harness.kernel.variants import Variant, variant_of
from harness.lab.execution.access_checks import AccessMonitor
from harness.lab.execution.feature_proof import find_report, parse_live_checks
from harness.lab.execution.guest_pool import Guests
from harness.lab.execution.kernel_pool import Kernels
from harness.lab.plan.settings import Settings
from harness.lab.validation.bugs import BUGS, FOLDER, ISOLATED, Bug, Where
from harness.support.errors import ModcompatError
from harness.support.progress import task

_BUG_SECONDS = 20.0  # longest wait for a bug and its report
_SHARING_ROUNDS = 10
_SHARED = ": ok"  # end of the line that images/bugs/borrower.c prints
_GUEST_FOLDER = "bugs"
_REBUILT, _VENDOR = "rebuilt", "production"  # folders of modules in _GUEST_FOLDER
# Further parts of a report that differ from run to run
_RUN_DEPENDENT = (
    (r"#\d stuck for \d+s", "#N stuck"),
    (r"\b(agent|insmod|sh|another)[/:]\d+", r"\1"),
    (r"\bat /\S*/(\w+\.c:\d+)", r"at \1"),
    (r"^\d+ ", ""),
)


class Catalogue(NamedTuple):
    """What became of bugs that were committed on every kernel, in every build."""

    rows: list[dict[str, Any]]  # one for each bug, with the words of the report by place
    failures: list[str]  # why the other bugs could not be committed


def run_catalogue(board: Board, settings: Settings, bugs: Iterable[Bug] = BUGS) -> Catalogue:
    """Commit bugs on every kernel, in every build. A kernel that cannot be built is a failure of the bugs on it."""
    chosen = list(bugs)
    found: dict[tuple[str, Where], str] = {}
    failures = []
    with task(f"committing {len(chosen)} bugs on {board.id}", len(chosen) * len(Where)) as running:
        for _, group in groupby(sorted(chosen, key=_stock_kernel), _stock_kernel):
            together = list(group)
            for places in ((Where.STOCK,), ISOLATED):
                variant = together[0].variant(places[0])
                try:
                    opened = prepared(board, variant, settings)
                except ModcompatError as error:
                    failures.append(f"all bugs on {variant.name}: {error}")
                    continue
                with opened as guests:
                    for bug, where in product(together, places):
                        try:
                            found[bug.id, where] = commit(guests.guest(board, variant), bug, where, guests.files)
                        except (ModcompatError, GuestFailure) as error:
                            failures.append(f"{bug.id}, {where}: {error}")
                        running.step()
    rows = [
        {"feature": bug.feature, "bug": bug.id, "what": bug.what} | {str(w): found[bug.id, w] for w in Where}
        for bug in chosen
        if all((bug.id, w) in found for w in Where)
    ]
    return Catalogue(rows, failures)


def _stock_kernel(bug: Bug) -> str:
    return bug.variant(Where.STOCK).name


def prepared(board: Board, variant: Variant, settings: Settings) -> Guests:
    """Guests that have the modules of images/bugs, built for their kernel and, if isolated, for production."""
    kernels = Kernels(settings)
    builds = {_REBUILT: build_modules(FOLDER, kernels.kernel(board, variant), kernels.store)}
    if variant.isolated:
        builds[_VENDOR] = build_modules(FOLDER, kernels.kernel(board, variant.production), kernels.store)
    files = {
        f"{_GUEST_FOLDER}/{build}/{name}.ko": file
        for build, modules in builds.items()
        for name, file in modules.items()
    }
    return Guests(kernels, files={**files, f"{_GUEST_FOLDER}/watch": FOLDER / "watch"})


def commit(guest: Guest, bug: Bug, where: Where, files: Mapping[str, Path] | None = None) -> str:
    """Commit a bug in a pristine guest. Returns the words of the kernel, or of the tool, "" if it reports nothing.

    files: of the guest, path in it -> file on the host; without them, the accesses of modules are not checked. Raises
    ModcompatError or GuestFailure if the bug cannot be committed.
    """
    guest.make_pristine()
    guest.mark(f"{bug.id} on {where}")
    if where is Where.BESIDE:
        _require_success(guest.run(insmod(Where.VENDOR, "lender")))
    if bug.before:
        _require_success(guest.run(bug.before))
    module = _module(where, bug.source)
    if bug.report is None:
        _require_success(guest.run(insmod(where, bug.source)))
        checks = parse_live_checks(guest.run(f"sh /{_GUEST_FOLDER}/watch {bug.name}", _BUG_SECONDS))
        return _generalized(checks[0].detail) if checks and checks[0].held else ""
    file = (files or {}).get(module.lstrip("/"))
    accesses = AccessMonitor(guest, read_module(file), file) if file else None
    if accesses:
        accesses.begin()
        accesses.loading()
    output = None
    command = f"{insmod(where, bug.source)} bug={bug.name}"
    try:
        output = guest.run(command, _BUG_SECONDS)
        if accesses:
            accesses.publish(command)
        guest.mark("committed")
    except GuestFailure as failure:  # some bugs end the guest, but none ends QEMU
        if failure.fate is Fate.QEMU_DIED:
            raise ModcompatError(f"QEMU died with {bug.id} on {where}", details=str(failure)) from None
        if accesses:
            accesses.publish_lost()
    report = find_report(guest, bug.report)
    # A bug that nobody reports may end in an oops, which kills insmod.
    if report is None and output is not None and not reports_fault(guest.console.read(guest.log_start)):
        _require_success(output)
    return _generalized(report.words) if report else ""


def run_mixed(board: Board, settings: Settings) -> list[dict[str, Any]]:
    """Let modules of both builds share locks in one isolated kernel. Returns a row for each pair of builds.

    Sharing locks is correct, so there must be no report. Raises ModcompatError if a module cannot be loaded, or
    GuestFailure if the guest does not answer.
    """
    variant = variant_of(FEATURES["all"], isolated=True)
    with prepared(board, variant, settings) as guests:
        return [
            _share_locks(guests.guest(board, variant), lender, borrower)
            for lender, borrower in product((_REBUILT, _VENDOR), repeat=2)
        ]


def _share_locks(guest: Guest, lender: str, borrower: str) -> dict[str, Any]:
    """Let two modules share locks in a pristine guest. lender, borrower: the builds of the modules.

    Repeated, because the timing of two CPUs is a matter of chance.
    """
    guest.make_pristine()
    guest.mark(f"{lender} lends, {borrower} borrows")
    for command in (
        f"insmod /{_GUEST_FOLDER}/{lender}/lender.ko", f"insmod /{_GUEST_FOLDER}/{borrower}/borrower.ko",
        "rmmod borrower", "rmmod lender",
    ) * _SHARING_ROUNDS:  # fmt: skip
        _require_success(guest.run(command, _BUG_SECONDS))
    guest.mark("shared")
    log = guest.console.read(guest.log_start)
    said = [line.decode(errors="replace") for line in re.findall(rb"borrower: (.*?)\r?\n", log)]
    if len(said) != _SHARING_ROUNDS:
        raise ModcompatError(f"borrower printed its result {len(said)} times in {_SHARING_ROUNDS} rounds")
    reports = [report.words for report in scan(log)]
    worst = next((line for line in said if not line.endswith(_SHARED)), said[0])
    return {"lender": lender, "borrower": borrower, "said": worst, "reports": reports}


def unexplained(rows: Iterable[Mapping[str, Any]], arch: str) -> list[str]:
    """The differences of rows from the catalogue: bugs that are neither reported nor given up, or are both."""
    known = {bug.id: bug for bug in BUGS}
    return [
        f"{row['bug']}, {where}: {row[where] or 'not reported'}"
        for row in rows
        for where in Where
        if bool(row[where]) is (where in known[row["bug"]].lost_on(arch))
    ]


def passed(row: Mapping[str, Any]) -> bool:
    """Whether two modules shared locks without a report. row: of `run_mixed`."""
    return not row["reports"] and str(row["said"]).endswith(_SHARED)


def insmod(where: Where, name: str) -> str:
    """The command that loads a module of images/bugs, in the build that is for the place."""
    return f"insmod {_module(where, name)}"


def _module(where: Where, name: str) -> str:
    return f"/{_GUEST_FOLDER}/{_VENDOR if where is Where.VENDOR else _REBUILT}/{name}.ko"


def _require_success(output: Output) -> None:
    if output.status:
        raise ModcompatError(f"`{output.command}` failed in the guest", details=output.text)


def _generalized(words: str) -> str:
    return generalize(words, _RUN_DEPENDENT)
