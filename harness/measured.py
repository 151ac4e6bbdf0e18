"""What was measured before: the verdicts of cells that are known to break, from tests/compat/measured.toml."""

import functools
import tomllib

from harness.detect.verdict import Word
from harness.paths import PROJECT
from harness.plan import Cell

MEASURED = PROJECT / "tests/compat/measured.toml"


def measured_verdict(cell: Cell) -> Word | None:
    """The verdict that a cell of ours is known to get, None where it has to be CLEAN."""
    if not cell.module.is_ours:
        return None
    key = (cell.module.name, str(cell.flavour), cell.feature.name, cell.board.arch.name)
    return _table().get(key)


@functools.cache
def _table() -> dict[tuple[str, str, str, str], Word]:
    entries = tomllib.loads(MEASURED.read_text())["breakage"]
    return {
        (entry["module"], entry["flavour"], entry["feature"], arch): Word(entry["verdict"])
        for entry in entries
        for arch in entry["arch"]
    }
