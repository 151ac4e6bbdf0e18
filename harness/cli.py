"""The command line. Exit status: 0 all is well, 1 something was found, 2 the command could not do its work."""

import json
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness import measured, process
from harness.abi.difference import Difference, render
from harness.abi.dwarf import Layout
from harness.architectures import ARCHITECTURES
from harness.detect.report import Report, as_json_object
from harness.detect.scan import scan_stream
from harness.doctor import examine
from harness.errors import ModcompatError
from harness.features import features_named
from harness.kernel.isolation import apply_series, kernel_spec
from harness.kernel.source import DEFAULT_PACKAGE, find_source
from harness.lab import Lab, Settings
from harness.layouts import architecture_of, kernel_layouts, tree_layouts
from harness.paths import PROJECT, cache_root
from harness.plan import MATRICES, choose_boards, kernels, narrow
from harness.report.artefacts import new_run_folder
from harness.report.compatibility import PAGE, compatibility_page
from harness.store import Entry, Store
from harness.variants import Preemption, variant_named

DAY = 86_400.0  # seconds
_CHUNK = 1 << 20  # bytes of a log at a time


class _Group(click.Group):
    """Prints a user's mistake as it is, without a traceback."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except ModcompatError as error:
            click.echo(f"modcompat: {error}", err=True)
            sys.exit(2)
        except BrokenPipeError:
            sys.exit(2)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="modcompat")
def main() -> None:
    """Will a binary kernel module survive a debug kernel?

    The suite itself runs under pytest: `pytest -k spinlock`, `pytest --help` for its options.
    """


@main.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def doctor(*, as_json: bool) -> None:
    """Say what is present and missing, which accelerator works, and what a first run takes.

    Exit status 1 when something that is needed is missing.
    """
    missing = False
    for finding in examine():
        missing |= finding.ok is False
        if as_json:
            click.echo(json.dumps(vars(finding)))
            continue
        sign, colour = {True: ("ok", "green"), False: ("MISSING", "red"), None: ("note", "cyan")}[finding.ok]
        click.echo(f"{click.style(f'{sign:8}', fg=colour)}{finding.what:28} {finding.fact}")
        if finding.next_step:
            click.echo(f"{'':8}{'':28} next: {finding.next_step}")
    sys.exit(1 if missing else 0)


@main.command()
@click.argument("logs", nargs=-1, required=True, type=click.Path(exists=False, allow_dash=True))
@click.option("--json", "as_json", is_flag=True, help="One JSON object a report, one a line.")
def scan(*, logs: tuple[str, ...], as_json: bool) -> None:
    """Find the kernel's reports in console logs (`-` for standard input).

    Logs of any size, a report as soon as it is complete. Exit status 0 without a report, 1 with one, 2 when a log
    could not be read.
    """
    found = 0
    for name in logs:
        for report in scan_stream(_chunks(name)):
            found += 1
            click.echo(json.dumps({"log": name, **as_json_object(report)}) if as_json else _for_people(name, report))
    sys.exit(1 if found else 0)


def _chunks(name: str) -> Iterator[bytes]:
    try:
        with nullcontext(sys.stdin.buffer) if name == "-" else Path(name).open("rb") as log:
            read = getattr(log, "read1", log.read)  # what has come so far, not only when the buffer is full
            while chunk := read(_CHUNK):
                yield chunk
    except OSError as error:
        raise ModcompatError(f"cannot read {name}: {error.strerror}") from None


def _for_people(name: str, report: Report) -> str:
    lines = [f"{name}:{report.first_line}-{report.last_line}: {report.severity.value}: {report.kind}: {report.title}"]
    lines += [f"    {head}" for head in report.heads]
    task = report.task
    who = (
        [f"CPU {task.cpu}"] * (task.cpu >= 0)
        + [f"{task.comm}/{task.pid}"] * bool(task.comm)
        + [report.arch] * bool(report.arch)
    )
    if who:
        lines.append(f"    {', '.join(who)}")
    if report.module:
        lines.append(
            f"    blamed on {report.module}{f', {report.culprit}()' if report.culprit else ''} ({report.rule})"
        )
    if report.torn:
        lines.append(f"    torn: {report.torn_because}")
    lines += [f"    then: {child.headline}" for child in report.children]
    return "\n".join(lines)


@main.command(context_settings={"ignore_unknown_options": True})
@click.argument("which", type=click.Choice(list(MATRICES)), default="default")
@click.option("--feature", "features", multiple=True, metavar="NAME", help="Only these features (repeatable).")
@click.option("--board", "boards", multiple=True, metavar="NAME", help="Only these boards (repeatable).")
@click.option("--arch", "arches", multiple=True, metavar="ARCH", help="Only these architectures (repeatable).")
@click.option("--preemption", "models", multiple=True, type=click.Choice([str(model) for model in Preemption]))
@click.option("-n", "workers", default="2", show_default=True, metavar="N", help="Guests at a time (pytest-xdist).")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write the JSON here as well.")
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def matrix(
    *,
    which: str,
    features: tuple[str, ...],
    boards: tuple[str, ...],
    arches: tuple[str, ...],
    models: tuple[str, ...],
    workers: str,
    output: Path | None,
    options: tuple[str, ...],
) -> None:
    """Run a whole set of cells and write it as JSON.

    default: the five features on a board of each architecture, production and stock, every module. isolated: the
    same on kernels with the isolation series, each alone and all at once, in both preemption models. ci: every
    feature on one architecture, and all at once isolated. nightly: everything there is. Kernels are built first.
    Further OPTIONS go to pytest (`-x`, `--module FILE.ko` ...). Exit status 0 when every verdict is what it has to
    be, 1 when one is not.
    """
    chosen = narrow(
        MATRICES[which],
        boards=choose_boards(boards, arches),
        features=features_named(features),
        preemptions=[Preemption(model) for model in models],
    )
    with Lab(Settings(), []) as lab:
        for board, variant in kernels(chosen):
            lab.kernel(board, variant)
    run = new_run_folder(None, PROJECT)
    command = [sys.executable, "-m", "pytest", "-q", "-n", workers, "--matrix", which, "--run-dir", str(run)]
    for option, values in (("--feature", features), ("--board", boards), ("--arch", arches), ("--preemption", models)):
        command += [word for value in values for word in (option, value)]
    status = process.attached([*command, *options, "tests/compat"], cwd=PROJECT)
    result = run / "matrix.json"
    if not result.is_file():
        raise ModcompatError("the run gave no verdict", next_step="see what pytest said above")
    if output:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_bytes(result.read_bytes())
        click.echo(f"written: {output}")
    sys.exit(1 if status else 0)


@main.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
def record(*, runs: tuple[Path, ...]) -> None:
    """Stand by what was measured: take RUNS' matrix.json files into the measured verdicts.

    Writes tests/compat/measured.json, from which the suite knows what breaks, and docs/compatibility.md.
    """
    try:
        matrices = [json.loads(run.read_text()) for run in runs]
        facts = measured.record(matrices, measured.load())
    except (ValueError, LookupError, TypeError) as error:
        raise ModcompatError(f"that is not the matrix.json of a run: {error}") from None
    measured.write(facts)
    PAGE.write_text(compatibility_page(measured.load()))
    click.echo(f"recorded; look at the difference, then commit {measured.MEASURED} and {PAGE}")


@main.group()
def isolate() -> None:
    """Kernel patches that make debug features leave the module ABI unchanged."""


@isolate.command("apply")
@click.option("--source", required=True, type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="DIR")
def isolate_apply(*, source: Path) -> None:
    """Apply the series for its version to a kernel source tree: all of it, or, if one patch does not fit, nothing.

    Then switch on CONFIG_MODULE_ABI_ISOLATION with the debug features.
    """
    patches = apply_series(source.absolute(), Store())
    for patch in patches:
        click.echo(f"applied {patch.name}")


@main.group()
def layout() -> None:
    """Compare the structures of two kernels, as modules see them."""


@layout.command("diff")
@click.argument("before")
@click.argument("after")
@click.option("--arch", type=click.Choice(list(ARCHITECTURES)), default=None, help="Of kernels by name [x86_64].")
@click.option("--type", "only", default="", metavar="T", help="Only this structure: struct module, module, spinlock_t.")
@click.option("--kernel-source", "source", default=DEFAULT_PACKAGE, show_default=True, metavar="DIR")
@click.option("--json", "as_json", is_flag=True, help="The changes as one JSON object.")
def layout_diff(*, before: str, after: str, arch: str | None, only: str, source: str, as_json: bool) -> None:
    """Say which structures differ between two kernels, and because of what.

    BEFORE and AFTER are kernels by name (production, stock-spinlock, production-preempt ...) or build trees of
    yours (a folder with a .config, after `make modules_prepare`; it is not written to).

    Each structure that changed by itself is shown once, with those that embed it under it. No kernel is built
    for this, only prepared. Exit status 0 when nothing changed, 1 when something did.
    """
    store = Store()
    trees = {name: Path(name) for name in (before, after) if "/" in name or Path(name).is_dir()}
    arches = {architecture_of(tree.absolute()).name for tree in trees.values()} | ({arch} if arch else set())
    if len(arches) > 1:
        raise ModcompatError(f"these are for different architectures: {', '.join(sorted(arches))}")
    chosen = ARCHITECTURES[next(iter(arches), "x86_64")]

    def layouts(name: str) -> dict[str, Layout]:
        if name in trees:
            return tree_layouts(trees[name], store)
        return kernel_layouts(kernel_spec(chosen, find_source(source, store), variant_named(name), store), store)

    difference = Difference(layouts(before), layouts(after))
    if as_json:
        changes = {
            name: asdict(change) | {"because": difference.chain(name)}
            for name, change in difference.changes.items()
            if not only or change.is_called(only)
        }
        causes = {name: difference.names(name) for name in difference.causes}
        facts = {"compared": difference.compared, "missing": difference.missing, "causes": causes, "changes": changes}
        click.echo(json.dumps(facts))
    else:
        click.echo(render(difference, only=only))
    sys.exit(1 if difference.changes else 0)


@main.group()
def cache() -> None:
    """Look at, trim, carry away and bring in what was built.

    The cache is $MODCOMPAT_CACHE, or ~/.cache/modcompat.
    """


@cache.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_(*, as_json: bool) -> None:
    """List the entries, the longest unused first."""
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
    table = Table("kind", "name", "MB", "last used")
    table.columns[2].justify = "right"
    for entry in entries:
        used = datetime.fromtimestamp(entry.used).astimezone().strftime("%Y-%m-%d %H:%M")
        table.add_row(entry.kind, Text(entry.name), f"{entry.size / 1e6:.1f}", used)
    Console(soft_wrap=True).print(table)
    click.echo(f"{_total(entries)} in {cache_root()}")


@cache.command()
@click.option("--older-than", type=float, default=14.0, show_default=True, metavar="DAYS", help="Unused for so long.")
@click.option("--all", "everything", is_flag=True, help="However recently used.")
@click.option("--kind", "kinds", multiple=True, help="Only entries of this kind (repeatable): see `cache list`.")
def prune(*, older_than: float, everything: bool, kinds: tuple[str, ...]) -> None:
    """Remove entries that were not used for a while, and what killed builds left behind.

    An entry that another run is making stays. Do not prune under a running suite.
    """
    removed = Store().prune(unused_for=-1 if everything else older_than * DAY, kinds=frozenset(kinds) or None)
    for entry in removed:
        click.echo(f"removed {entry.kind}/{entry.name}")
    click.echo(f"removed {_total(removed)}")


@cache.command()
@click.argument("archive", type=click.Path(dir_okay=False, path_type=Path))
def export(*, archive: Path) -> None:
    """Write kernels, modules and tools into a tar file, for `cache import` on another machine.

    Sources and snapshots stay: they are fetched and made anew.
    """
    click.echo(f"exported {_total(Store().export(archive))} to {archive}")


@cache.command("import")
@click.argument("archive", type=click.Path(dir_okay=False, path_type=Path))
def import_(*, archive: Path) -> None:
    """Add the entries of an exported tar file that are not here yet. Each is verified."""
    added = Store().import_(archive)
    for name in added:
        click.echo(f"added {name}")
    click.echo(f"added {len(added)} entries")


def _total(entries: list[Entry]) -> str:
    return f"{len(entries)} entries, {sum(entry.size for entry in entries) / 1e6:.0f} MB"


if __name__ == "__main__":
    main()
