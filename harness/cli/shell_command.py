# SPDX-License-Identifier: Apache-2.0
"""modcompat shell."""

import shlex
import shutil
import sys
import tempfile
from collections.abc import Collection, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from harness.abi.elf.module_file import inspect_module, read_module
from harness.cli.kernel_options import kernel_options, settings_of, variant_on
from harness.cli.param_types import BOARD, KERNEL, MODULE
from harness.cli.path_param import PathParam
from harness.guest.boards import BOARDS
from harness.guest.debugger import gdb_script, start_script, symbols_for_debugger
from harness.kernel.arch import Architecture
from harness.lab.execution.guest_pool import GuestImage, Guests
from harness.lab.execution.kernel_pool import Kernels
from harness.lab.plan.cells import choose_boards
from harness.lab.plan.vendor_modules import VendorModule, insmod_parameters, shipped, user_module
from harness.support import process
from harness.support.cache.store import Store
from harness.support.errors import ModcompatError
from harness.support.inputs import expanded
from harness.support.module_name import kernel_name

_FILE = PathParam()


@click.command()
@click.option("--board", default="q35", show_default=True, type=BOARD, help="The board: q35, arm-virt ...")
@click.option(
    "--kernel", "name", default="production", show_default=True, type=KERNEL, help="The kernel: stock-spinlock ..."
)
@click.option(
    "--module",
    "modules",
    multiple=True,
    type=MODULE,
    metavar="FILE.ko|NAME",
    help="Load a file, or a module of the manifest or of modcompat (repeatable).",
)
@click.option("--module-params", default="", metavar="TEXT", help="Parameters for the modules, as for insmod.")
@click.option(
    "--root",
    "roots",
    multiple=True,
    type=_FILE,
    help="Your root file system; it is at /userland in the guest (repeatable).",
)
@click.option("--gdb", is_flag=True, help="Start a gdb stub, and write a script that attaches to it.")
@click.option("--shared-uart", is_flag=True, help="Use one serial port for kernel log and commands.")
@kernel_options
def shell(
    *,
    board: str,
    name: str,
    modules: tuple[str, ...],
    module_params: str,
    roots: tuple[Path, ...],
    gdb: bool,
    shared_uart: bool,
    **chosen: Any,
) -> None:
    """Start the guest of a cell with a shell on this terminal.

    The guest loads the modules when it starts. The command first prints the name of the file that the kernel log goes
    to. `reboot -f` in the guest ends it. Standard input must be a terminal; without one, write an exercise
    (docs/how-to/exercise.md). Exit status 0, or 2 if the guest cannot be started.
    """
    settings, manifest = settings_of(**chosen, shared_uart=shared_uart)
    settings = replace(settings, userlands=manifest.userlands(roots, Store()))
    place, *others = choose_boards([board], [])
    if others:
        raise ModcompatError(
            f"two architectures have a board {board}", next_step=f"--board {place.id}, or {others[0].id}"
        )
    known = [*manifest.modules, *shipped()]
    wanted = [_module(module, module_params, known, place.arch) for module in modules]
    _require_terminal()
    folder = Path(tempfile.mkdtemp(prefix="modcompat-shell-"))
    log, socket, script = folder / "console.log", folder / "gdb.socket", folder / "attach.gdb"
    try:
        with Guests(Kernels(settings), wanted) as guests:
            variant = variant_on(name, settings)
            bare = guests.prepare(place, variant)
            (folder / "start").write_text(start_script(loads(wanted, bare)))
            equipment = guests.prepare(place, variant, {"start": folder / "start"})
            command = equipment.machine.interactive(log)
            posted = {path: file for module in wanted for path, file in bare.posted.get(module.name, {}).items()}
            equipment.machine.post_by_hand(folder, posted)
            if gdb:
                symbols = symbols_for_debugger(equipment.kernel, folder)
                files = {}
                for module in wanted:  # copies: files that were packed are gone when the guests are closed
                    name = read_module(bare.files[module.name]).name
                    files[name] = Path(shutil.copy(bare.files[module.name], folder / f"{name}.ko"))
                script.write_text(gdb_script(place.arch, symbols, socket, log, files))
                command += ["-gdb", f"unix:{socket},server=on,wait=off"]
                click.echo(f"debugger: gdb-multiarch -x {script}   (or gdb, if it knows {place.arch.name})")
        if place.arch.name in settings.userlands:
            click.echo("your root file system: `chroot /userland sh` in the guest")
        click.echo(f"kernel log: {log}; `reboot -f` in the guest ends it")
        status = process.attached(command, cwd=Path.cwd())
    finally:
        if not log.exists():
            shutil.rmtree(folder, ignore_errors=True)
    sys.exit(2 if status else 0)


def loads(modules: Collection[VendorModule], equipment: GuestImage) -> dict[str, str]:
    """Commands that load modules as a cell does, in order: the kernel's name of a module -> command.

    Modules that others need come first.
    """
    commands = {
        kernel_name(companion.path.rpartition("/")[2].removesuffix(".ko")): f"insmod {shlex.quote(companion.path)}"
        for module in modules
        for companion in equipment.before[module.name]
    }
    return commands | {
        read_module(equipment.files[module.name]).name: (
            f"insmod {shlex.quote(equipment.paths[module.name])} {insmod_parameters(module)}".rstrip()
        )
        for module in modules
    }


def _require_terminal() -> None:
    """Raise ModcompatError unless standard input is a terminal.

    A serial port has no end of input, so the guest would idle for ever, and input that arrives during boot is lost.
    """
    if sys.stdin is None or not sys.stdin.isatty():
        raise ModcompatError(
            "a shell in a guest needs a terminal, and standard input is not one",
            next_step="to run commands without one, write an exercise (docs/how-to/exercise.md)",
        )


def _module(name: str, parameters: str, known: Iterable[VendorModule], arch: Architecture) -> VendorModule:
    """A module of the manifest or of modcompat by its name, or a file.

    Raises ModcompatError if it is for another architecture: the kernel would refuse it, but a minute later.
    """
    named = [module for module in known if module.name == name]
    if not named:
        file, _ = user_module(Path(name), parameters=parameters, exercise=None)
        named = [replace(file, arch=inspect_module(expanded(name)).arch)]
    for module in named:
        if module.is_for(arch):
            return replace(module, parameters=parameters) if parameters else module
    arches = {module.arch for module in named}
    raise ModcompatError(
        f"{name} is for {', '.join(its.name for its in arches if its)}, and the board for {arch.name}",
        next_step=f"--board {', '.join(board.id for board in BOARDS.values() if board.arch in arches)}",
    )
