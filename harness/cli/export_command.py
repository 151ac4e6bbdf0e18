# SPDX-License-Identifier: Apache-2.0
"""modcompat export."""

from pathlib import Path

import click
from _pytest.mark.expression import Expression

from harness.cli.path_param import PathParam
from harness.report.export.lab_files import lab_cell
from harness.report.export.labgrid_files import write_labgrid_files
from harness.report.export.lava_job import QEMU, require_bootable, write_lava_job
from harness.report.recorded_run import RecordedCell, Run, read_run
from harness.support.errors import ModcompatError
from harness.support.inputs import expanded
from harness.support.progress import task_if_long

_FOLDER = PathParam(file_okay=False)


@click.command()
@click.argument("run", type=PathParam())
@click.option("-k", "expression", metavar="TEXT", default="", help="Only cells whose names match, as in pytest.")
@click.option("--lava", type=_FOLDER, metavar="DIR", help="Write a job definition for LAVA for each cell.")
@click.option("--labgrid", type=_FOLDER, metavar="DIR", help="Write environments and a test for labgrid for each cell.")
@click.option(
    "--device-type", default=QEMU, show_default=True, metavar="NAME",
    help="Device type of LAVA; any other than qemu boots with U-Boot over TFTP.",
)  # fmt: skip
@click.option("--dtb", type=PathParam(dir_okay=False), metavar="FILE", help="Device tree of the real board.")
@click.option("--url-base", metavar="URL", help="URL of the folder of --lava.  [default: file://DIR]")
def export(
    *,
    run: Path,
    expression: str,
    lava: Path | None,
    labgrid: Path | None,
    device_type: str,
    dtb: Path | None,
    url_base: str | None,
) -> None:
    """Write cells of a run as jobs for LAVA and labgrid.

    RUN is a run folder or its matrix.json. A laboratory runs the jobs on real boards, or on emulated ones. Each job has
    the kernel, the root file system and the module of its cell, and repeats the commands that the exercise gave on
    production. It proves less than the cell; `modcompat scan` reads its log (docs/how-to/labs.md). The files of the
    cell's guest must still be in the cache.

    Exit status: 0 if every cell was written, 2 if RUN is not a run folder, no cell matches, or one of them cannot be
    exported.
    """
    if lava is None and labgrid is None:
        raise click.UsageError("give --lava DIR, --labgrid DIR, or both")
    if dtb and device_type == QEMU and labgrid is None:
        raise click.UsageError("--dtb is for real boards: give their --device-type, or --labgrid")
    lava, labgrid, tree = (expanded(path) if path else None for path in (lava, labgrid, dtb))
    base = url_base or f"file://{lava.absolute() if lava else ''}"
    if tree and not tree.is_file():
        raise ModcompatError(f"there is no device tree {tree}")
    found = read_run(run)
    cells = [lab_cell(cell, found) for cell in _chosen(found, expression)]
    for cell in cells if lava else ():
        require_bootable(cell, device_type)
    with task_if_long("exporting", len(cells)) as exporting:
        for cell in cells:
            if lava:
                click.echo(write_lava_job(cell, lava, device_type=device_type, device_tree=tree, url_base=base))
            for path in write_labgrid_files(cell, labgrid, device_tree=tree) if labgrid else ():
                click.echo(path)
            exporting.step()


def _chosen(run: Run, expression: str) -> list[RecordedCell]:
    """The cells whose names match, each module on each kernel once. Raises ModcompatError if none does."""
    names = [cell.row["id"] for cell in run.shown]
    try:
        compiled = Expression.compile(expression) if expression else None
    except Exception as error:  # noqa: BLE001 - ParseError, which is a SyntaxError since pytest 9
        raise ModcompatError(f"-k {expression}: {error}") from None

    def matches(cell: RecordedCell) -> bool:
        name = cell.row["id"].lower()
        return compiled is None or compiled.evaluate(lambda word, /, **_: word.lower() in name)

    chosen = [cell for cell in run.shown if matches(cell)]
    if not chosen:
        raise ModcompatError(
            f"no cell matches -k {expression!r}" if names else f"{run.folder} has no cells",
            next_step=f"a cell is called {names[0]}, for example" if names else "",
        )
    return chosen
