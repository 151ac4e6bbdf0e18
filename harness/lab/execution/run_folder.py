# SPDX-License-Identifier: Apache-2.0
"""The run folder: everything about each cell, as files."""

import itertools
import json
import os
import re
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from harness.detect.kernel_report import as_json_object
from harness.guest.machine import qemu_version
from harness.kernel.arch import ARCHITECTURES, Architecture
from harness.kernel.toolchain import toolchain
from harness.lab.execution.lab import CellResult
from harness.lab.plan.expected_verdicts import measured_verdicts
from harness.support.errors import ModcompatError
from harness.support.inputs import expanded

LATEST = "latest"
_ABSENT = "not installed"
_STAMPED = re.compile(r"\d{8}-\d{6}(-\d+)?")  # the name of a run's folder where none was chosen


def new_run_folder(chosen: str | None, root: Path) -> Path:
    """The folder of this run: the chosen one, or `runs/<time>` with a link `runs/latest` to it.

    Raises ModcompatError for a `~someone` who is not there.
    """
    if chosen:
        return _made(expanded(chosen).absolute())
    runs = _made(root / "runs")
    stamp = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
    for name in itertools.chain([stamp], (f"{stamp}-{number}" for number in itertools.count(2))):
        with suppress(FileExistsError):  # of another run that started in this second
            folder = _made(runs / name, new=True)
            break
    link = runs / LATEST
    if link.is_symlink() or not link.exists():
        _point(link, folder.name)
    return folder


def forget_if_empty(folder: Path) -> None:
    """Remove a folder `runs/<time>` that nothing was written to; `runs/latest` is the latest of those that remain."""
    if not _STAMPED.fullmatch(folder.name) or any(folder.iterdir()):
        return
    folder.rmdir()
    link = folder.parent / LATEST
    if not link.is_symlink() or link.exists():
        return
    if left := [run.name for run in folder.parent.iterdir() if run.is_dir() and _STAMPED.fullmatch(run.name)]:
        _point(link, max(left))
    else:
        link.unlink(missing_ok=True)


def write_cell(result: CellResult, run: Path) -> dict[str, Any]:
    """Write the cell's files below `run`; returns its row of the matrix."""
    folder = _made(run / "cells" / result.cell.id)
    (folder / "console.log").write_bytes(result.log)
    (folder / "transcript.txt").write_text(_transcript(result))
    if result.boot_log:
        (folder / "boot.log").write_bytes(result.boot_log.read_bytes())
    if result.machine:
        (folder / "qemu.sh").write_text(
            "#!/bin/sh\n# Starts this guest by hand, with a shell on the terminal; modules are in /modules.\n"
            f"# The kernel log goes to console-by-hand.log; `reboot -f` in the guest ends it.\n"
            f"{result.machine.by_hand()}\n"
        )
    if result.module_file:
        (folder / f"{result.cell.module.name}.ko").write_bytes(result.module_file.read_bytes())
    if result.core:
        _take_core(result.core, folder.absolute() / "core")
    row = matrix_row(result, str(folder.relative_to(run)))
    evidence = asdict(result.evidence)
    evidence["reports"] = {
        phase: [as_json_object(report) for report in reports] for phase, reports in result.evidence.reports.items()
    }
    (folder / "evidence.json").write_text(
        json.dumps({"cell": row, "evidence": evidence}, indent=1, default=_plain, sort_keys=False)
    )
    return row


def write_matrix(
    rows: list[dict[str, Any]], run: Path, command: str = "pytest", assumptions: Sequence[str] = ()
) -> Path:
    """Write matrix.json, as matrix.schema.json has it: when it ran, on what and with which tools, and the cells.

    command: with the options that every cell depends on; with those that choose a cell it runs that again.
    assumptions: what the run took for granted. Raises ModcompatError when it cannot be written: none is there then.
    """
    arches = [arch for name, arch in ARCHITECTURES.items() if any(row["arch"] == name for row in rows)]
    facts = {
        "schema": 1,
        "date": datetime.now().astimezone().strftime("%Y-%m-%d"),
        "kernel": ", ".join(sorted({row["kernel"] for row in rows if row["kernel"]})),
        "compilers": {arch.name: _compiler(arch) for arch in arches},
        "qemu": {arch.name: _qemu(arch) for arch in arches},
        "command": command,
        "assumptions": list(assumptions),
        "cells": rows,
    }
    path = run / "matrix.json"
    part = path.with_suffix(".part")
    try:
        path.unlink(missing_ok=True)  # of an earlier run in the same folder
        part.write_text(json.dumps(facts, indent=1))
        part.replace(path)
    except OSError as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise ModcompatError(f"cannot write {path}: {error.strerror}") from error
    return path


def matrix_row(result: CellResult, folder: str) -> dict[str, Any]:
    cell = result.cell
    return {
        "id": cell.id,
        "board": cell.board.name,
        "arch": cell.board.arch.name,
        "feature": cell.feature.name,
        "flavour": str(cell.flavour),
        "preemption": result.preemption,
        "variant": cell.variant.name,
        "module": cell.module.name,
        "verdict": str(result.verdict.word),
        "reason": result.verdict.reason,
        "expected": [str(word) for word in measured_verdicts(cell)],
        "because": result.evidence.explanation,
        "prediction": _prediction(result),
        "seconds": round(result.evidence.seconds, 2),
        "kernel": result.release,
        "origin": result.evidence.origin,
        "folder": folder,
    }


def _prediction(result: CellResult) -> dict[str, Any] | None:
    """agrees: whether what was seen is of the predicted class, None for an INVALID run."""
    found = result.prediction
    if found is None:
        return None
    return {
        "verdict": str(found.outcome),
        "reason": found.reason,
        "agrees": found.agrees_with(str(result.verdict.word)),
    }


def failure_text(result: CellResult, run: Path) -> str:
    """What a person needs to see of a cell that is not CLEAN."""
    evidence = result.evidence
    lines = [f"{result.verdict.word}: {result.verdict.reason}", ""]
    cell = result.cell
    lines += [f"{cell.module.name} on {cell.variant.name} {result.release}, {cell.board.arch.name} {cell.board.name}"]
    if evidence.load:
        lines.append(
            f"load: `{evidence.load.command}` ended with {evidence.load.status} {evidence.load.output}".rstrip()
        )
        call = evidence.initcall
        lines.append(f"init: {f'{call.function} called, returned {call.returned}' if call else 'never called'}")
    failed = [check for check in evidence.checks if not check.held]
    lines.append(f"checks: {len(evidence.checks) - len(failed)} held, {len(failed)} failed")
    lines += [f"  {check.name}: {check.detail}" for check in failed[:10]]
    if evidence.unload:
        lines.append(f"unload: ended with {evidence.unload.status} {evidence.unload.output}".rstrip())
    if evidence.stopped:
        lines.append(evidence.stopped)
    lines += [f"because: {line}" for line in evidence.explanation]
    lines += [f"weaker evidence: {weak}" for weak in evidence.weak]
    reports = evidence.all_reports()
    if reports:
        lines += ["", f"first of {len(reports)} reports:", *(f"  {line}" for line in reports[0].text.splitlines()[:40])]
    for trace in evidence.loss.backtraces if evidence.loss else []:
        lines += ["", *(f"  {line}" for line in trace.splitlines())]
    excerpt = result.log.decode(errors="backslashreplace").replace("\r", "").splitlines()[-25:]
    if excerpt:
        lines += ["", "last lines of the console:", *(f"  {line}" for line in excerpt)]
    lines += ["", f"everything: {run / 'cells' / result.cell.id}"]
    return "\n".join(lines)


def _transcript(result: CellResult) -> str:
    parts = [f"# {result.cell.id}\n# {result.verdict.word}: {result.verdict.reason}\n"]
    parts += [
        f"$ {done.command}\n{done.output}\n[exit status {done.status}, {done.seconds:.2f} s]\n"
        for done in result.evidence.commands
    ]
    if result.evidence.loss:
        parts.append(f"# {result.evidence.loss.what}\n")
    return "\n".join(parts)


def _take_core(core: Path, target: Path) -> None:
    """Move a core dump, and leave a link in its place: further cells that it is of link to where it went."""
    if core.is_symlink():
        if (kept := core.readlink()) != target:
            target.unlink(missing_ok=True)
            target.symlink_to(os.path.relpath(kept, target.parent))
        return
    shutil.move(core, target)
    core.symlink_to(target)


def _compiler(arch: Architecture) -> str:
    try:
        return toolchain(arch)["compiler"]
    except ModcompatError:  # what did run is worth more than this
        return _ABSENT


def _qemu(arch: Architecture) -> str:
    try:
        return qemu_version(arch.qemu)
    except ModcompatError:
        return _ABSENT


def _plain(value: object) -> str:
    return str(getattr(value, "value", value))


def _point(link: Path, name: str) -> None:
    """Make a link, or make one point elsewhere, at once: other runs do the same."""
    part = link.with_name(f".{link.name}-{name}-{os.getpid()}")
    part.symlink_to(name)
    part.replace(link)


def _made(folder: Path, *, new: bool = False) -> Path:
    """new: raises FileExistsError where it is there already."""
    try:
        folder.mkdir(parents=True, exist_ok=not new)
    except OSError as error:
        if new and isinstance(error, FileExistsError):
            raise
        raise ModcompatError(f"cannot make the run folder {folder}: {error.strerror}") from error
    return folder
