# SPDX-License-Identifier: Apache-2.0
"""modcompat cache."""

import json
import math
import sys
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from harness.cli.param_types import KIND
from harness.cli.path_param import PathParam
from harness.support.cache import sharing
from harness.support.cache.archive import export_entries, import_entries
from harness.support.cache.exchange import Exchange
from harness.support.cache.exchange import pull as pull_entries
from harness.support.cache.exchange import push as push_entries
from harness.support.cache.ownership import KINDS
from harness.support.cache.store import Entry, Store
from harness.support.errors import ModcompatError
from harness.support.paths import cache_root
from harness.support.progress import PipeConsole
from harness.support.text import one_line

DAY = 86_400.0  # seconds
_UNLIMITED = 10_000  # columns
_KINDS = click.option(
    "--kind", "kinds", multiple=True, type=KIND, help="Only entries of this kind (repeatable): see `cache list`."
)


class _Days(click.FloatRange):
    """A number of days. Refuses nan, which click takes for a number in any range."""

    name = "number of days"

    def __init__(self) -> None:
        super().__init__(min=0)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        days = float(super().convert(value, param, ctx))
        if math.isnan(days):
            self.fail("nan is not a number of days.", param, ctx)
        return days


@click.group()
def cache() -> None:
    """List, prune and share what was built.

    The cache is $MODCOMPAT_CACHE, or ~/.cache/modcompat. If $MODCOMPAT_CACHE_REMOTE is a URL, every command of
    modcompat fetches what the cache lacks from there before it builds it, and sends what it has built. With
    MODCOMPAT_CACHE_REMOTE_READONLY=1, it sends nothing.

    Exit status of each command: 0, or 2 if it fails; `push` and `pull` have 1, too.
    """


@cache.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
def list_(*, as_json: bool) -> None:
    """List the entries, the least recently used first.

    Exit status 0, or 2 if the cache cannot be read.
    """
    entries = list(Store().entries())
    if as_json:
        for entry in entries:
            facts = {
                "kind": entry.kind,
                "name": entry.name,
                "path": str(entry.path),
                "size": entry.size,
                "used": entry.used,
            }
            click.echo(json.dumps(facts))
        return
    console = PipeConsole()
    if not console.is_terminal:  # a program that reads it needs whole names
        console.width = _UNLIMITED
    table = Table("kind", "name", "MB", "last used")
    table.columns[1].overflow = "fold"
    table.columns[2].justify = "right"
    for entry in entries:
        used = datetime.fromtimestamp(entry.used).astimezone().strftime("%Y-%m-%d %H:%M")
        table.add_row(Text(one_line(entry.kind)), Text(one_line(entry.name)), f"{entry.size / 1e6:.1f}", used)
    console.print(table)
    click.echo(one_line(f"{_total(entries)} in {cache_root()}"))


@cache.command()
@click.option(
    "--older-than",
    type=_Days(),
    default=14.0,
    show_default=True,
    metavar="DAYS",
    help="Only entries that were not used for this many days.",
)
@click.option("--all", "everything", is_flag=True, help="All entries, however recently they were used.")
@_KINDS
def prune(*, older_than: float, everything: bool, kinds: tuple[str, ...]) -> None:
    """Remove entries that were not used for a while.

    Leftovers of killed builds are removed as well. An entry that another run is building is kept. Do not prune during a
    run of the suite. Exit status 0, or 2 if something cannot be removed.
    """
    store = Store()
    known = {*KINDS, *(entry.kind for entry in store.entries())}  # an older version had others
    if unknown := sorted(set(kinds) - known):
        raise _unknown(unknown, known)
    removed = store.prune(unused_for=-1 if everything else older_than * DAY, kinds=frozenset(kinds) or None)
    for entry in removed:
        click.echo(one_line(f"removed {entry.kind}/{entry.name}"))
    click.echo(f"removed {_total(removed)}")


@cache.command()
@click.argument("archive", type=PathParam(dir_okay=False))
def export(*, archive: Path) -> None:
    """Write kernels, modules and tools into a tar file.

    `cache import` reads it on another machine. Sources and snapshots are left out: the other machine fetches or makes
    them. Exit status 0, or 2 if there is nothing to export or the file cannot be written.
    """
    click.echo(one_line(f"exported {_total(export_entries(Store(), archive))} to {archive}"))


@cache.command("import")
@click.argument("archive", type=PathParam(dir_okay=False))
def import_(*, archive: Path) -> None:
    """Add the entries of an exported tar file.

    Each entry is verified; existing entries are not changed. Exit status 0, or 2 if ARCHIVE was not exported by
    modcompat or an entry is damaged.
    """
    added = import_entries(Store(), archive)
    for name in added:
        click.echo(one_line(f"added {name}"))
    click.echo(f"added {_entries(len(added))}")


@cache.command()
@_KINDS
def push(*, kinds: tuple[str, ...]) -> None:
    """Send the entries that the remote lacks.

    The remote is $MODCOMPAT_CACHE_REMOTE. Entries that are of use on this machine alone are left out: sources,
    production kernels as they ship, snapshots, and entries with links to other files.

    Exit status: 0 if the remote has all entries now, 1 if some are damaged and were not sent, 2 if the remote cannot
    be used.
    """
    _require_known(kinds)
    _tell("sent", push_entries(Store(), sharing.configured(), kinds))


@cache.command()
@_KINDS
def pull(*, kinds: tuple[str, ...]) -> None:
    """Fetch the entries of the remote that the cache lacks.

    The remote is $MODCOMPAT_CACHE_REMOTE. Each entry is verified; existing entries are not changed.

    Exit status: 0 if the cache has all entries now, 1 if some are damaged and were refused, 2 if the remote cannot be
    used.
    """
    _require_known(kinds)
    _tell("fetched", pull_entries(Store(), sharing.configured(), kinds))


def _require_known(kinds: tuple[str, ...]) -> None:
    if unknown := sorted(set(kinds) - set(KINDS)):
        raise _unknown(unknown, KINDS)


def _unknown(kinds: Iterable[str], known: Iterable[str]) -> ModcompatError:
    return ModcompatError(f"the cache has no kind {', '.join(kinds)}", next_step=f"kinds: {', '.join(sorted(known))}")


def _tell(moved: str, done: Exchange) -> None:
    """Print what was sent or fetched, and end with status 1 if something was refused."""
    for name in done.moved:
        click.echo(one_line(f"{moved} {name}"))
    for name, why in done.refused.items():
        click.echo(one_line(f"refused {name}: {why}"))
    counts = [f"{moved} {_entries(len(done.moved))}", f"{done.present} w{'as' if done.present == 1 else 'ere'} there"]
    if done.linked:
        counts.append(f"{done.linked} ha{'s' if done.linked == 1 else 've'} links to files of this machine")
    if done.refused:
        counts.append(f"{len(done.refused)} w{'as' if len(done.refused) == 1 else 'ere'} refused")
    click.echo(", ".join(counts))
    if done.refused:
        sys.exit(1)


def _total(entries: list[Entry]) -> str:
    return f"{_entries(len(entries))}, {sum(entry.size for entry in entries) / 1e6:.0f} MB"


def _entries(count: int) -> str:
    return f"{count} entr{'y' if count == 1 else 'ies'}"
