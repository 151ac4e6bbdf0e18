# SPDX-License-Identifier: Apache-2.0
"""A cell in plain text, for reports that are text."""

import re
import shlex

from harness.report.excerpt import excerpt
from harness.report.recorded_run import RecordedCell
from harness.support.text import visible


def told(cell: RecordedCell) -> str:
    """What a person needs to see of a cell: verdict, why, checks that did not hold, the console where it tells."""
    row, evidence = cell.row, cell.evidence
    lines = [
        f"{row['verdict']}: {row['reason']}",
        f"{row['module']} on {row['variant']} {row['kernel']}, {row['arch']} {row['board']}",
    ]
    lines += [cell.allowed] if cell.allowed else []
    if cell.prediction:
        lines.append(f"predicted: {cell.prediction['verdict']}: {cell.prediction['reason']}")
    lines += [f"proves nothing: {line}" for line in evidence["obstacles"]]
    for group in ("announced", "checks", "integrity", "works", "in_use"):
        checks = evidence[group]
        failed = [check for check in checks if not check["held"]]
        lines += [f"{group}: {len(checks) - len(failed)} held, {len(failed)} did not"] if checks else []
        lines += [f"  {check['name']}: {check['detail']}" for check in failed]
    lines += [evidence["stopped"]] if evidence["stopped"] else []
    lines += [f"because: {line}" for line in row["because"]]
    lines += [f"weaker evidence: {line}" for line in evidence["weak"]]
    if evidence["loss"]:
        lines += [evidence["loss"]["what"], *evidence["loss"]["backtraces"]]
    console = excerpt(cell)
    lines += ["", "console:"] if console else []
    lines += [f"{'>' if line.hit else ' '} {line.text}" for line in console]
    return visible("\n".join(lines))


def transcript(cell: RecordedCell) -> str:
    """The commands in the guest with what they answered."""
    parts = [
        f"$ {done['command']}\n{done['output']}\n[exit status {done['status']}, {done['seconds']:.2f} s]"
        for done in cell.evidence["commands"]
    ]
    return visible("\n".join(parts))


def again(cell: RecordedCell, command: str) -> str:
    """The command that runs the cell again, to be given to a shell. command: that of matrix.json."""
    row = cell.row
    place = {"--feature": row["feature"], "--flavour": row["flavour"], "--board": f"{row['arch']}-{row['board']}"}
    words = [word for option in place.items() for word in option]
    return visible(f"{command or 'pytest'} {shlex.join([*words, '-k', keyword(row['id'])])}")


def keyword(name: str) -> str:
    """What `-k` takes to find a test by its id: what its language has no words for is left out."""
    words = re.findall(r"[\w:+./][\w:+./-]*", name, re.ASCII)
    return " and ".join(word for word in words if word not in ("and", "or", "not"))
