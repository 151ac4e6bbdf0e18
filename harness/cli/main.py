# SPDX-License-Identifier: Apache-2.0
"""The command line.

Exit status: 0 if all is well, 1 if there are findings, 2 on an error, 130 if interrupted. An unexpected exception ends
with 2 as well, because Python's own status, 1, would read as a finding.
"""

import io
import select
import sys
import traceback
from dataclasses import dataclass
from importlib import import_module

import click
from click.shell_completion import CompletionItem

from harness import __version__
from harness.support.errors import GuestLostError, ModcompatError
from harness.support.text import one_line, visible

_INTERRUPTED = 130  # as shells report it: 128 and the number of SIGINT


@dataclass(frozen=True)
class _Entry:
    """A command that is imported when it is called."""

    module: str  # in harness.cli
    summary: str  # first sentence of its docstring, so that `modcompat --help` need not import it


COMMANDS = {
    "build": _Entry("build_command", "Build kernels into the cache and print where they are."),
    "cache": _Entry("cache_command", "List, prune and share what was built."),
    "check": _Entry("check_command", "Judge modules on production, stock and isolated kernels."),
    "diff": _Entry("diff_command", "Compare the verdicts of two runs."),
    "doctor": _Entry("doctor_command", "Check the prerequisites, and report what a first run takes."),
    "export": _Entry("export_command", "Write cells of a run as jobs for LAVA and labgrid."),
    "init": _Entry("init_command", "Write a commented manifest, modcompat.toml."),
    "isolate": _Entry("isolate_command", "Apply, check and prove the patches that keep the module ABI."),
    "layout": _Entry("layout_command", "Compare the structures of two kernels, as modules see them."),
    "lkdtm": _Entry("lkdtm_command", "Crash production kernels on purpose, and check the reports."),
    "matrix": _Entry("matrix_command", "Run a named set of cells and write the verdicts as JSON."),
    "merge": _Entry("merge_command", "Make one run of several, such as shards of a matrix or a sweep."),
    "predict": _Entry("predict_command", "Predict whether modules survive, without booting a kernel."),
    "record": _Entry("matrix_command", "Record the verdicts of runs as the expected ones."),
    "report": _Entry("report_command", "Write the reports of a run again."),
    "scan": _Entry("scan_command", "Find the kernel's reports in console logs."),
    "shell": _Entry("shell_command", "Start the guest of a cell with a shell on this terminal."),
    "sweep": _Entry("sweep_command", "Judge every module of a production kernel as it ships."),
}


class WithExitStatus(click.Command):
    """Reports the errors of a command.

    An error that the user can correct is printed without a traceback, a fault of modcompat with one. Neither has the
    status of a finding.
    """

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except ModcompatError as error:
            click.echo(f"modcompat: {error}", err=True)
            sys.exit(2)
        except KeyboardInterrupt:  # click would exit with 1
            click.echo("\nmodcompat: interrupted", err=True)
            sys.exit(_INTERRUPTED)
        except BrokenPipeError:
            if not _reader_is_gone():
                _report_fault()
            sys.exit(2)
        except GuestLostError as error:
            click.echo(f"modcompat: the guest was lost: {visible(str(error))}", err=True)
            sys.exit(2)
        except OSError as error:
            where = f" ({error.filename})" if error.filename else ""
            click.echo(one_line(f"modcompat: {error.strerror or error}{where}"), err=True)
            sys.exit(2)
        except (click.ClickException, click.Abort, click.exceptions.Exit):
            raise
        except Exception:  # noqa: BLE001 - Python would exit with 1, which is a finding
            _report_fault()
            sys.exit(2)


class _Group(WithExitStatus, click.Group):
    """Imports a command when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*COMMANDS, *super().list_commands(ctx)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if (entry := COMMANDS.get(cmd_name)) is None:
            return super().get_command(ctx, cmd_name)
        command = getattr(import_module(f"harness.cli.{entry.module}"), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in COMMANDS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        names = [name for name in COMMANDS if name.startswith(incomplete)]
        options = click.Command.shell_complete(self, ctx, incomplete)
        return [*(CompletionItem(name, help=COMMANDS[name].summary) for name in names), *options]


def _reader_is_gone() -> bool:
    """Whether nobody reads any more what this command prints (poll(2), POLLERR), as behind `| head`."""
    poll = select.poll()
    for stream in (1, 2):
        poll.register(stream, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _report_fault() -> None:
    """Print the exception that is being handled. Its traceback tells what to mend."""
    fault = f"this is a fault of modcompat {__version__}: please report it with this output"
    click.echo(f"{visible(traceback.format_exc())}modcompat: {fault}", err=True)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="modcompat")
def main() -> None:
    """Test whether a binary kernel module survives a debug kernel.

    `modcompat check vendor.ko` judges a module. `modcompat COMMAND --help` describes a command.

    Exit status: 0 if all is well, 1 if there are findings, 2 on an error, 130 if interrupted (Ctrl-C).
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # None if the stream is closed
            stream.reconfigure(errors="backslashreplace")  # characters that its encoding lacks are escaped
