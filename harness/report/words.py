"""A cell in plain text, for reports that are text."""

from harness.report.excerpt import excerpt
from harness.report.run import Cell
from harness.report.visible import visible


def told(cell: Cell) -> str:
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
    for group in ("announced", "checks", "integrity", "in_use"):
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


def transcript(cell: Cell) -> str:
    """The commands in the guest with what they answered."""
    parts = [
        f"$ {done['command']}\n{done['output']}\n[exit status {done['status']}, {done['seconds']:.2f} s]"
        for done in cell.evidence["commands"]
    ]
    return visible("\n".join(parts))


def again(cell: Cell, command: str) -> str:
    """The command that runs the cell again."""
    return visible(f"{command or 'pytest'} -k {cell.row['id']}")
