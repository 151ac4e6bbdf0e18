# SPDX-License-Identifier: Apache-2.0
"""The command line.

Exit status: 0 all is well, 1 something was found, 2 the command could not do its work, 130 it was interrupted.
An exception that nobody foresaw is a 2 as well: Python's own status for it is a finding.
"""

import io
import sys
import traceback
from importlib.metadata import version

import click

from harness.cli.build_command import build
from harness.cli.cache_command import cache
from harness.cli.check_command import check
from harness.cli.diff_command import diff
from harness.cli.doctor_command import doctor
from harness.cli.init_command import init
from harness.cli.isolate_command import isolate
from harness.cli.layout_command import layout
from harness.cli.lkdtm_command import lkdtm
from harness.cli.matrix_command import matrix, record
from harness.cli.predict_command import predict
from harness.cli.report_command import report
from harness.cli.scan_command import scan
from harness.cli.shell_command import shell
from harness.guest.failure import GuestFailure
from harness.guest.qmp import QmpLostError
from harness.support.errors import ModcompatError
from harness.support.text import one_line, visible

_INTERRUPTED = 130  # 128 and the number of SIGINT, as shells have it


class _Group(click.Group):
    """Prints a user's mistake as it is, without a traceback; a fault of ours with one, as no finding either."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except ModcompatError as error:
            click.echo(f"modcompat: {error}", err=True)
            sys.exit(2)
        except KeyboardInterrupt:  # which click would make status 1 of
            click.echo("\nmodcompat: interrupted", err=True)
            sys.exit(_INTERRUPTED)
        except BrokenPipeError:
            sys.exit(2)
        except (GuestFailure, QmpLostError) as error:
            click.echo(f"modcompat: the guest was lost: {visible(str(error))}", err=True)
            sys.exit(2)
        except OSError as error:
            where = f" ({error.filename})" if error.filename else ""
            click.echo(one_line(f"modcompat: {error.strerror or error}{where}"), err=True)
            sys.exit(2)
        except (click.ClickException, click.Abort, click.exceptions.Exit):
            raise
        except Exception:  # noqa: BLE001 - Python would exit with 1, which is a finding
            fault = f"this is a fault of modcompat {version('modcompat')}: please report it with this output"
            click.echo(f"{visible(traceback.format_exc())}modcompat: {fault}", err=True)
            sys.exit(2)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="modcompat")
def main() -> None:
    """Will a binary kernel module survive a debug kernel?

    The suite itself runs under pytest: `pytest -k spinlock`, `pytest --help` for its options.

    Exit status: 0 all is well, 1 something was found, 2 the command could not do its work, 130 it was interrupted
    (Ctrl-C).
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # (None where it is closed)
            stream.reconfigure(errors="backslashreplace")  # what its encoding has no place for is shown all the same


for command in (
    doctor, init, check, predict, shell, build, scan, matrix, record, report, diff, layout, isolate, lkdtm, cache
):  # fmt: skip
    main.add_command(command)
