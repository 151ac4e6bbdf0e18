# SPDX-License-Identifier: Apache-2.0
"""Cells in plain text, for reports that are text."""

import re
import shlex

from harness.report.excerpt import excerpt
from harness.report.recorded_run import RecordedCell
from harness.support.text import visible

# field of the evidence -> title of its checks
_GROUPS = {
    "announced": "announced",
    "checks": "checks",
    "integrity": "integrity",
    "liveness_checks": "works",
    "feature_checks": "in use",
}


def render_cell(cell: RecordedCell) -> str:
    """A cell as text for people: its verdict and reason, failed checks, and part of its log."""
    row, evidence = cell.row, cell.evidence
    lines = [
        f"{row['verdict']}: {row['reason']}",
        f"{row['module']} on {row['variant']} {row['kernel']}, {row['arch']} {row['board']}",
    ]
    lines += [cell.allowed] if cell.allowed else []
    if cell.prediction:
        lines.append(f"predicted: {cell.prediction['verdict']}: {cell.prediction['reason']}")
    lines += [f"proves nothing: {line}" for line in evidence["blockers"]]
    for group, title in _GROUPS.items():
        checks = evidence[group]
        failed = [check for check in checks if not check["held"]]
        lines += [f"{title}: {len(checks) - len(failed)} held, {len(failed)} did not"] if checks else []
        lines += [f"  {check['name']}: {check['detail']}" for check in failed]
    lines += [evidence["stopped"]] if evidence["stopped"] else []
    lines += [f"because: {line}" for line in row["because"]]
    lines += [f"weaker evidence: {line}" for line in evidence["caveats"]]
    if evidence["loss"]:
        lines += [evidence["loss"]["what"], *evidence["loss"]["backtraces"]]
    console = excerpt(cell)
    lines += ["", "console:"] if console else []
    lines += [f"{'>' if line.hit else ' '} {line.text}" for line in console]
    return visible("\n".join(lines))


def transcript(cell: RecordedCell) -> str:
    """The commands that ran in the guest, with their output."""
    parts = [
        f"$ {done['command']}\n{done['output']}\n[exit status {done['status']}, {done['seconds']:.2f} s]"
        for done in cell.evidence["commands"]
    ]
    return visible("\n".join(parts))


def reproduce_command(cell: RecordedCell, command: str) -> str:
    """A shell command that runs the cell again. command: for the whole run, as in matrix.json."""
    row = cell.row
    place = {"--feature": row["feature"], "--flavour": row["flavour"], "--board": f"{row['arch']}-{row['board']}"}
    words = [word for option in place.items() for word in option]
    return visible(f"{command or 'pytest'} {shlex.join([*words, '-k', keyword(row['id'])])}")


def keyword(name: str) -> str:
    """An expression for `-k` that finds a test by its id. Characters that -k cannot express are left out."""
    words = re.findall(r"[\w:+./][\w:+./-]*", name, re.ASCII)
    return " and ".join(word for word in words if word not in ("and", "or", "not"))
