# SPDX-License-Identifier: Apache-2.0
"""Write the run folder: everything about each cell, as files."""

import itertools
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
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
from harness.support.folder_lock import only_user_of
from harness.support.folders import write_file
from harness.support.inputs import expanded

LATEST = "latest"
_EVIDENCE_SCHEMA = 2  # of evidence.json; harness/report/schema.py reads older ones
_MAX_CHECKS_SHOWN = 10
_MAX_REPORT_LINES = 40
_CONSOLE_LINES = 25
_NOT_INSTALLED = "not installed"
_STAMPED_NAME = re.compile(r"\d{8}-\d{6}(-\d+)?")  # name of a run's folder, unless one was chosen


def new_run_folder(chosen: str | None, root: Path) -> Path:
    """Make the folder of this run: the chosen one, or `runs/<time>` with a link `runs/latest` to it.

    Raises ModcompatError if it cannot be made, or for the home folder of an unknown user (`~someone`).
    """
    if chosen:
        return _make_folder(expanded(chosen).absolute())
    runs = _make_folder(root / "runs")
    stamp = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
    for name in itertools.chain([stamp], (f"{stamp}-{number}" for number in itertools.count(2))):
        with suppress(FileExistsError):  # of another run that started in this second
            folder = _make_folder(runs / name, new=True)
            break
    link = runs / LATEST
    if link.is_symlink() or not link.exists():
        _point_link(link, folder.name)
    return folder


@contextmanager
def run_folder(chosen: Path | None) -> Iterator[Path]:
    """The folder of a run, made as by new_run_folder(). It is removed at the end if it is new and still empty.

    Raises as new_run_folder(), and ModcompatError if another command is using the folder.
    """
    is_new = chosen is not None and not expanded(chosen).exists()
    folder = new_run_folder(str(chosen) if chosen else None, Path.cwd())
    try:
        with only_user_of(folder):
            yield folder
    finally:
        forget_if_empty(folder)
        if is_new:
            with suppress(OSError):  # it is not empty
                folder.rmdir()


def forget_if_empty(folder: Path) -> None:
    """Remove an empty folder `runs/<time>`, and let `runs/latest` point to the latest one that remains."""
    if not _STAMPED_NAME.fullmatch(folder.name) or not folder.is_dir() or any(folder.iterdir()):
        return
    folder.rmdir()
    link = folder.parent / LATEST
    if not link.is_symlink() or link.exists():
        return
    if left := [run.name for run in folder.parent.iterdir() if run.is_dir() and _STAMPED_NAME.fullmatch(run.name)]:
        _point_link(link, max(left))
    else:
        link.unlink(missing_ok=True)


def write_cell(result: CellResult, run: Path) -> dict[str, Any]:
    """Write the cell's files below `run`. Returns its row of matrix.json."""
    folder = _make_folder(run / "cells" / result.cell.id)
    (folder / "console.log").write_bytes(result.log)
    (folder / "transcript.txt").write_text(_transcript(result), encoding="utf-8")
    if result.boot_log:
        (folder / "boot.log").write_bytes(result.boot_log.read_bytes())
    if result.machine:
        (folder / "qemu.sh").write_text(
            "#!/bin/sh\n# Starts this guest by hand, with a shell on the terminal; modules are in /modules.\n"
            "# The kernel log goes to console-by-hand.log; `reboot -f` in the guest ends it.\n"
            f'cd "$(dirname "$0")" || exit\n{result.machine.by_hand()}\n',
            encoding="utf-8",
        )
        result.machine.post_by_hand(folder, result.posted)
    if result.module_file:
        (folder / f"{result.cell.module.name}.ko").write_bytes(result.module_file.read_bytes())
    if result.core:
        _take_core(result.core, folder.absolute() / "core")
    row = matrix_row(result, str(folder.relative_to(run)))
    evidence = asdict(result.evidence)
    evidence["early_reports"] = [as_json_object(report) for report in result.evidence.early_reports]
    evidence["reports"] = {
        phase: [as_json_object(report) for report in reports] for phase, reports in result.evidence.reports.items()
    }
    machine = result.machine.facts() if result.machine else None
    facts = {"schema": _EVIDENCE_SCHEMA, "cell": row, "machine": machine, "evidence": evidence}
    (folder / "evidence.json").write_text(json.dumps(facts, indent=1, default=_json_default, sort_keys=False))
    return row


def write_matrix(
    rows: list[dict[str, Any]],
    run: Path,
    command: str = "pytest",
    assumptions: Sequence[str] = (),
    shard: Mapping[str, Any] | None = None,
    *,
    missing: Sequence[str] = (),
) -> Path:
    """Write matrix.json, as matrix.schema.json describes it: date, kernels and tools of the run, and its cells.

    command: a shell command that runs the cells again, with the options that affect them. assumptions: of the run, a
    line each. shard: the part of a plan that the cells are. missing: names of cells that were to be judged and have no
    row, because something ended their test. Raises as write_facts().
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
        **({"shard": shard} if shard else {}),
        **({"missing": list(missing)} if missing else {}),
        "cells": rows,
    }
    return write_facts(facts, run)


def write_facts(facts: Mapping[str, Any], run: Path, name: str = "matrix.json") -> Path:
    """Write the results of a run. Raises ModcompatError if it cannot; then no file is left, not even an earlier one."""
    path = run / name
    try:
        path.unlink(missing_ok=True)  # of an earlier run in the same folder
        write_file(path, json.dumps(facts, indent=1))
    except OSError as error:
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
        "verdict": str(result.verdict),
        "reason": result.reason,
        "steps": [step.as_json_object() for step in result.judgement.steps],
        "always_on": result.judgement.always_on,
        "expected": [str(result.verdict)] if result.is_reference else [str(word) for word in measured_verdicts(cell)],
        "because": result.evidence.explanation,
        "prediction": _prediction(result),
        "seconds": round(result.evidence.seconds, 2),
        "whole_seconds": round(result.whole_seconds, 2),
        "kernel": result.release or "",
        "origin": result.evidence.origin or "",
        "folder": folder,
    }


def _prediction(result: CellResult) -> dict[str, Any] | None:
    """The prediction, with `agrees`: whether the verdict is of the predicted class; None for an INVALID run."""
    found = result.prediction
    if found is None:
        return None
    return {
        "verdict": str(found.outcome),
        "reason": found.reason,
        "agrees": found.agrees_with(str(result.verdict)),
    }


def failure_text(result: CellResult, run: Path) -> str:
    """Everything that a person needs to see about a cell that is not CLEAN."""
    evidence = result.evidence
    lines = [f"{result.verdict}: {result.reason}", ""]
    cell = result.cell
    kernel = f"{cell.variant.name} {result.release or ''}".rstrip()
    lines += [f"{cell.module.name} on {kernel}, {cell.board.arch.name} {cell.board.name}"]
    if evidence.load:
        lines.append(
            f"load: `{evidence.load.command}` ended with {evidence.load.status} {evidence.load.output}".rstrip()
        )
        call = evidence.initcall
        lines.append(f"init: {f'{call.function} called, returned {call.returned}' if call else 'never called'}")
    blamed = dict.fromkeys(step.blamed for step in result.judgement.steps if step.blamed)
    lines += [f"blamed: {', '.join(blamed)}"] if blamed else []
    failed = [check for check in evidence.checks if not check.held]
    lines.append(f"checks: {len(evidence.checks) - len(failed)} held, {len(failed)} failed")
    lines += [f"  {check.name}: {check.detail}" for check in failed[:_MAX_CHECKS_SHOWN]]
    if evidence.unload:
        lines.append(f"unload: ended with {evidence.unload.status} {evidence.unload.output}".rstrip())
    if evidence.stopped:
        lines.append(evidence.stopped)
    lines += [f"because: {line}" for line in evidence.explanation]
    lines += [f"weaker evidence: {caveat}" for caveat in evidence.caveats]
    reports = evidence.all_reports()
    if reports:
        lines += [
            "",
            f"first of {len(reports)} reports:",
            *(f"  {line}" for line in reports[0].text.splitlines()[:_MAX_REPORT_LINES]),
        ]
    for trace in evidence.loss.backtraces if evidence.loss else []:
        lines += ["", *(f"  {line}" for line in trace.splitlines())]
    excerpt = result.log.decode(errors="backslashreplace").replace("\r", "").splitlines()[-_CONSOLE_LINES:]
    if excerpt:
        lines += ["", "last lines of the console:", *(f"  {line}" for line in excerpt)]
    folder = run / "cells" / result.cell.id
    lines += ["", f"everything: {folder}"]
    lines += [f"the guest by hand: sh {folder / 'qemu.sh'}"] if result.machine else []
    return "\n".join(lines)


def _transcript(result: CellResult) -> str:
    parts = [f"# {result.cell.id}\n# {result.verdict}: {result.reason}\n"]
    parts += [
        f"$ {done.command}\n{done.output}\n[exit status {done.status}, {done.seconds:.2f} s]\n"
        for done in result.evidence.commands
    ]
    if result.evidence.loss:
        parts.append(f"# {result.evidence.loss.what}\n")
    return "\n".join(parts)


def _take_core(core: Path, target: Path) -> None:
    """Move a core dump, and leave a link in its place, through which further cells of the same control find it."""
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
    except ModcompatError:  # not worth losing the matrix
        return _NOT_INSTALLED


def _qemu(arch: Architecture) -> str:
    try:
        return qemu_version(arch.qemu)
    except ModcompatError:
        return _NOT_INSTALLED


def _json_default(value: object) -> str:
    return str(getattr(value, "value", value))


def _point_link(link: Path, name: str) -> None:
    """Make a link, or change where it points, in one step: other runs do the same."""
    part = link.with_name(f".{link.name}-{name}-{os.getpid()}")
    part.symlink_to(name)
    part.replace(link)


def _make_folder(folder: Path, *, new: bool = False) -> Path:
    """new: raises FileExistsError if the folder exists."""
    try:
        folder.mkdir(parents=True, exist_ok=not new)
    except OSError as error:
        if new and isinstance(error, FileExistsError):
            raise
        raise ModcompatError(f"cannot make the run folder {folder}: {error.strerror}") from error
    return folder
