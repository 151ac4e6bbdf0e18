# SPDX-License-Identifier: Apache-2.0
"""modcompat lkdtm."""

import datetime as dt
import sys
from pathlib import Path
from typing import Any

import click

from harness.cli.param_types import BOARD, POINT
from harness.cli.path_param import PathParam
from harness.guest.failure import GuestFailure
from harness.kernel.variants import PRODUCTION
from harness.lab.execution.guest_pool import Guests
from harness.lab.execution.kernel_pool import Kernels
from harness.lab.plan.cells import DEFAULT_BOARDS, choose_boards
from harness.lab.plan.settings import Settings
from harness.lab.validation.lkdtm import build, points, provoke
from harness.lab.validation.lkdtm_expectations import REPRESENTATIVE, outcome
from harness.lab.validation.lkdtm_records import load, record, require_same_kernel
from harness.report.lkdtm_page import PAGE, lkdtm_page
from harness.support.errors import ModcompatError
from harness.support.paths import require_checkout

PATIENCE = 40.0  # seconds: the watchdog of hung tasks may take 20


@click.command()
@click.option("--board", "names", multiple=True, type=BOARD, help="Only these boards (repeatable).")
@click.option("--point", "wanted", multiple=True, type=POINT, help="Only these crash points (repeatable).")
@click.option("--few", is_flag=True, help=f"Only a few points: {', '.join(REPRESENTATIVE)}.")
@click.option("--record", "keep", is_flag=True, help="Write docs/results/lkdtm.md and its data (in a checkout).")
@click.option("--logs", type=PathParam(file_okay=False), metavar="DIR", help="Keep the kernel log of each point.")
def lkdtm(*, names: tuple[str, ...], wanted: tuple[str, ...], few: bool, keep: bool, logs: Path | None) -> None:
    """Crash production kernels on purpose, and check the reports.

    Every crash point of LKDTM, the kernel's own crash driver, is provoked in a pristine guest of its own. Exit status 0
    if each has the expected outcome (the kind of report, its delay, whether the guest survives, and the blamed module),
    1 if one has another outcome, 2 on an error or if one could not be provoked; outcomes of the others are kept.
    """
    if keep:
        require_checkout("--record")
    chosen = set(wanted) | (set(REPRESENTATIVE) if few else set())
    failed = lost = 0
    rows: list[dict[str, Any]] = []
    for board in choose_boards(names, []) if names else DEFAULT_BOARDS:
        kernels = Kernels(Settings())
        kernel = kernels.kernel(board, PRODUCTION)
        if keep and (chosen or names):
            require_same_kernel(kernel.release)
        with Guests(kernels, [build(kernel, kernels.store)]) as guests:
            guest = guests.guest(board, PRODUCTION)
            offered = points(guest)
            if unknown := set(wanted) - set(offered):
                raise ModcompatError(
                    f"{board.id} has no crash point {', '.join(sorted(unknown))}", next_step=" ".join(offered)
                )
            for point in offered:
                if chosen and point not in chosen:
                    continue
                try:
                    seen = provoke(guest, point, seconds=PATIENCE)
                except GuestFailure as failure:
                    lost += 1
                    click.echo(f"{board.id} {point}: not provoked: {failure.headline}", err=True)
                    continue
                objections = seen.objections(outcome(board.arch.name, point))
                failed += bool(objections)
                rows.append(seen.row(board.arch.name))
                title = f"{seen.reports[0].title}; " if seen.reports else ""
                wrong = f" -- UNEXPECTED: {'; '.join(objections)}" if objections else ""
                click.echo(f"{board.id} {point}: {title}guest {seen.fate}{wrong}")
                if logs:
                    _keep(logs, board.id, point, seen.log)
    if keep:
        record(rows, kernel.release, dt.datetime.now(tz=dt.UTC).date().isoformat())
        PAGE.write_text(lkdtm_page(load()))
    click.echo(f"{len(rows)} crash points, {failed} unexpected")
    sys.exit(2 if lost else 1 if failed else 0)


def _keep(folder: Path, board: str, point: str, log: bytes) -> None:
    target = folder / board
    target.mkdir(parents=True, exist_ok=True)
    (target / f"{point}.log").write_bytes(log)
