# SPDX-License-Identifier: Apache-2.0
"""Seconds per cell and per restore, of an earlier revision and of this one, alternately in one run."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from harness.support.paths import require_checkout

_BASE = "40c55b4"  # before cells had an agent of their own
# Runs a cell, or restores the guest, for each line that it reads. The names are those of this revision, or else those
# of revisions before the rooms of harness/.
_SIDE = """
import json, sys, time
try:
    from harness.kernel.features import FEATURES
    from harness.kernel.variants import PRODUCTION
    from harness.lab.execution.lab import Lab
    from harness.lab.plan.cells import Cell, Flavour, choose_boards
    from harness.lab.plan.settings import Settings
    from harness.lab.plan.vendor_modules import shipped
    least = "agent state"  # which the agent answers itself
except ImportError:
    from harness.features import FEATURES
    from harness.lab import Lab
    from harness.modules import shipped
    from harness.plan import Cell, Flavour, choose_boards
    from harness.settings import Settings
    from harness.variants import PRODUCTION
    least = "true"  # which the guest's shell answers itself
(board,) = choose_boards([sys.argv[1]], [])
(module,) = [module for module in shipped() if module.name == sys.argv[2]]
cell = Cell(board, FEATURES["spinlock"], Flavour.PRODUCTION, module)
with Lab(Settings(), [module]) as lab:
    for line in sys.stdin:
        lab._controls.clear()
        started = time.perf_counter()
        if line.strip() == "cell":
            verdict = lab.run(cell).verdict
            answer = str(getattr(verdict, "word", verdict))
        else:
            guest = lab.guests.guest(board, PRODUCTION)
            started = time.perf_counter()
            guest.restore()
            answer = str(guest.run(least).status)
        print("\\n" + json.dumps([time.perf_counter() - started, answer]), flush=True)
"""


class Side:
    """A revision that runs cells on request."""

    def __init__(self, tree: Path, board: str, module: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _SIDE, board, module],
            cwd=tree,
            env=os.environ | {"PYTHONPATH": str(tree)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def seconds(self, what: str, wanted: str) -> float:
        """The seconds of a cell or of a restore. wanted: the answer that it must have."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{what}\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            if line.startswith("["):
                seconds, answer = json.loads(line)
                assert answer == wanted, answer
                return float(seconds)
        raise click.ClickException("a side ended: see above")

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


@contextmanager
def worktree(revision: str) -> Iterator[Path]:
    """A checkout of a revision, in a folder that is removed at the end."""
    git = ["git", "-C", str(require_checkout("this benchmark"))]
    with tempfile.TemporaryDirectory(prefix="modcompat-") as folder:
        tree = Path(folder) / "tree"
        subprocess.run([*git, "worktree", "add", "--quiet", "--detach", tree, revision], check=True)
        try:
            yield tree
        finally:
            subprocess.run([*git, "worktree", "remove", "--force", tree], check=True)


@click.command()
@click.option("--base", default=_BASE, show_default=True, help="The earlier revision.")
@click.option("--board", "boards", multiple=True, default=("x86_64-q35", "arm-virt", "arm64-virt"), show_default=True)
@click.option("--module", default="tail", show_default=True)
@click.option("--cells", default=15, show_default=True, help="Cells, and restores, of each side on each board.")
def main(*, base: str, boards: Sequence[str], module: str, cells: int) -> None:
    """Compare the cells of a module on production, and the restore up to the first answer of a command.

    Production kernels of both revisions are built unless they are cached.
    """
    table = Table("board", "what", f"{base} s", "now s", "ratio", title=f"median of {cells} (least - most)")
    with worktree(base) as tree:
        for board in boards:
            sides = [Side(tree, board, module), Side(require_checkout("this benchmark"), board, module)]
            for what, wanted in (("cell", "CLEAN"), ("restore", "0")):
                for side in sides:
                    side.seconds(what, wanted)  # makes the snapshot
                found: list[list[float]] = [[], []]
                for _ in range(cells):
                    for side, times in zip(sides, found, strict=True):
                        times.append(side.seconds(what, wanted))
                before, now = map(statistics.median, found)
                table.add_row(board, what, *map(_shown, found), f"{before / now:.2f}")
            for side in sides:
                side.close()
    Console(width=110).print(table)


def _shown(times: Sequence[float]) -> str:
    return f"{statistics.median(times):.3f} ({min(times):.3f} - {max(times):.3f})"


if __name__ == "__main__":
    main()
