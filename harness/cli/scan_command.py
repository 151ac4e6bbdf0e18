# SPDX-License-Identifier: Apache-2.0
"""modcompat scan."""

import json
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click

from harness.abi.elf.line_table import ModuleLines
from harness.abi.elf.module_file import inspect_module
from harness.abi.predict.symbol_options import option_of, with_option
from harness.cli.path_param import PathParam
from harness.detect.kernel_report import Report, as_json_object
from harness.detect.log_text import log_text
from harness.detect.scan import Scanner, scan_stream
from harness.lab.execution.source_lines import add_source_lines
from harness.support.errors import ModcompatError
from harness.support.packed import PackedError
from harness.support.text import visible

_CHUNK = 1 << 20  # bytes of a log at a time
_NOT_UNDERSTOOD = 3  # exit status; harness/cli/exit_status.py has those that all commands share


@click.command()
@click.argument("logs", nargs=-1, required=True, type=PathParam(allow_dash=True, path_type=str))
@click.option(
    "--module",
    "files",
    multiple=True,
    type=PathParam(),
    metavar="FILE.ko",
    help="A module in the logs, whose debug information turns addresses into file and line (repeatable).",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line, one for each report.")
def scan(*, logs: tuple[str, ...], files: tuple[Path, ...], as_json: bool) -> None:
    """Find the kernel's reports in console logs.

    LOGS are files of any size, or `-` for standard input. They may have any prefix on their lines, and may be packed
    (gzip, xz, zstd, bzip2). A report is printed as soon as it is complete. Exit status 0 if there is no report, 1 if
    there is one, 2 if a log or a module cannot be read, 3 if no report is found and no line of a log looks like a
    message of the kernel.
    """
    found = 0
    understood = True
    modules = {inspect_module(file).name: ModuleLines(file) for file in files}
    for name in logs:
        before, scanner = found, Scanner()
        damage: list[PackedError] = []
        for report in scan_stream(_text(name, damage), scanner):
            found += 1
            add_source_lines([report], modules)
            click.echo(json.dumps(_facts(name, report)) if as_json else _for_people(name, report))
        if damage:
            raise ModcompatError(f"cannot read {name}: {damage[0]}")
        if found == before and not scanner.has_kernel_lines:
            understood = False
            click.echo(visible(f"modcompat: {name}: {_none_of(scanner.lines)} like kernel messages"), err=True)
    sys.exit(1 if found else 0 if understood else _NOT_UNDERSTOOD)


def _none_of(lines: int) -> str:
    return f"0 of {lines:,} line looks" if lines == 1 else f"0 of {lines:,} lines look"


def _text(name: str, damage: list[PackedError]) -> Iterator[bytes]:
    """The text of a log, as far as it can be unpacked. Adds the reason to `damage` if it is not whole."""
    try:
        yield from log_text(_chunks(name))
    except PackedError as error:
        damage.append(error)


def _chunks(name: str) -> Iterator[bytes]:
    if name == "-" and sys.stdin is None:
        raise ModcompatError("cannot read -: standard input is closed")
    try:
        with nullcontext(sys.stdin.buffer) if name == "-" else Path(name).open("rb") as log:
            read = getattr(log, "read1", log.read)  # returns what is there, before the buffer is full
            while chunk := read(_CHUNK):
                yield chunk
    except OSError as error:
        raise ModcompatError(f"cannot read {name}: {error.strerror}") from None


def _facts(name: str, report: Report) -> dict[str, Any]:
    options = {symbol: str(option) for symbol in report.symbols if (option := option_of(symbol))}
    return {"log": name, **as_json_object(report), "options": options}


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
            f"    blamed on {report.module}{f', {report.culprit}()' if report.culprit else ''}"
            f"{f' at {report.place}' if report.place else ''} ({report.rule})"
        )
    if report.suspects:
        lines.append(f"    suspects: {', '.join(report.suspects)} (modules that are not of the kernel's tree)")
    lines += [f"    symbol {with_option(symbol)}" for symbol in report.symbols if option_of(symbol)]
    lines += [f"    {name} ({place})" for name, place in report.places.items()]
    if report.torn:
        lines.append(f"    torn: {report.torn_because}")
    lines += [f"    then: {child.headline}" for child in report.children]
    return "\n".join(lines)
