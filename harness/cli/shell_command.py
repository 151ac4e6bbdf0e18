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
from harness.guest.boards import BOARDS
from harness.guest.debugger import gdb_script, start_script, symbols_for_debugger
from harness.kernel.arch import Architecture
from harness.lab.execution.guest_pool import Equipment, Guests
from harness.lab.execution.kernel_pool import Kernels
from harness.lab.plan.cells import choose_boards
from harness.lab.plan.vendor_modules import VendorModule, shipped, users_module
from harness.support import process
from harness.support.cache.store import Store
from harness.support.errors import ModcompatError
from harness.support.inputs import expanded

_FILE = click.Path(path_type=Path)


@click.command()
@click.option("--board", default="q35", show_default=True, type=BOARD, help="The board: q35, arm-virt ...")
@click.option("--kernel", "name", default="production", show_default=True, type=KERNEL, help="stock-spinlock ...")
@click.option(
    "--module",
    "modules",
    multiple=True,
    type=MODULE,
    metavar="FILE.ko|NAME",
    help="Load it: a file, or one of the manifest's or of ours (repeatable).",
)
@click.option("--module-params", default="", metavar="TEXT", help="Parameters to load it with, as for insmod.")
@click.option("--root", "roots", multiple=True, type=_FILE, help="A root file system of yours, in /userland.")
@click.option("--gdb", is_flag=True, help="With a gdb stub, and a script that attaches to it.")
@click.option("--shared-uart", is_flag=True, help="Kernel log and commands on one serial port.")
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

    Modules are loaded in it as it starts. The kernel log goes to a file that is named at the start. `reboot -f` in
    the guest ends it. It takes a terminal: what is to run by itself is an exercise (docs/exercises.md). Exit status 0,
    or 2 when the guest cannot be started.
    """
    settings, manifest = settings_of(**chosen, shared_uart=shared_uart)
    settings = replace(settings, userlands=manifest.userlands(roots, Store()))
    place, *others = choose_boards([board], [])
    if others:
        raise ModcompatError(f"{board} is a board of two architectures", next_step=f"{place.id}, {others[0].id}")
    known = [*manifest.modules, *shipped()]
    wanted = [_module(module, module_params, known, place.arch) for module in modules]
    _require_terminal()
    folder = Path(tempfile.mkdtemp(prefix="modcompat-shell-"))
    log, socket, script = folder / "console.log", folder / "gdb.socket", folder / "attach.gdb"
    try:
        with Guests(Kernels(settings), wanted) as guests:
            variant = variant_on(name, settings)
            bare = guests.equip(place, variant)
            (folder / "start").write_text(start_script(loads(wanted, bare)))
            equipment = guests.equip(place, variant, {"start": folder / "start"})
            command = equipment.machine.interactive(log)
            if gdb:
                symbols = symbols_for_debugger(equipment.kernel, folder)
                files = {read_module(bare.files[module.name]).name: bare.files[module.name] for module in wanted}
                script.write_text(gdb_script(place.arch, symbols, socket, log, files))
                command += ["-gdb", f"unix:{socket},server=on,wait=off"]
                click.echo(f"debugger: gdb-multiarch -x {script}   (or gdb, where it knows {place.arch.name})")
        if place.arch.name in settings.userlands:
            click.echo("your root file system: `chroot /userland sh` in the guest")
        click.echo(f"kernel log: {log}; `reboot -f` in the guest ends it")
        status = process.attached(command, cwd=Path.cwd())
    finally:
        if not log.exists():
            shutil.rmtree(folder, ignore_errors=True)
    sys.exit(2 if status else 0)


def loads(modules: Collection[VendorModule], equipment: Equipment) -> dict[str, str]:
    """The kernel's name for a module -> the command that loads it as a cell does, what has to be there before first."""
    commands = {
        path.rpartition("/")[2].removesuffix(".ko").replace("-", "_"): f"insmod {shlex.quote(path)}"
        for module in modules
        for path in equipment.before[module.name]
    }
    return commands | {
        read_module(equipment.files[module.name]).name: (
            f"insmod {shlex.quote(equipment.paths[module.name])} {module.insmod_parameters}".rstrip()
        )
        for module in modules
    }


def _require_terminal() -> None:
    """Raises ModcompatError without one: the guest cannot be told that there is no more input, and idles for ever.

    What is piped into it comes while it boots, and is lost in part.
    """
    if sys.stdin is None or not sys.stdin.isatty():
        raise ModcompatError(
            "a shell in a guest takes a terminal, and standard input is none",
            next_step="what is to run by itself is an exercise: `modcompat check --exercise`, docs/exercises.md",
        )


def _module(name: str, parameters: str, known: Iterable[VendorModule], arch: Architecture) -> VendorModule:
    """One of the manifest's or of ours by its name, or a file.

    Raises ModcompatError for one of another architecture: a kernel would refuse that as well, and a minute later.
    """
    named = [module for module in known if module.name == name]
    if not named:
        file, _ = users_module(Path(name), parameters=parameters, exercise=None)
        named = [replace(file, arch=inspect_module(expanded(name)).arch)]
    for module in named:
        if module.is_for(arch):
            return replace(module, parameters=parameters) if parameters else module
    arches = {module.arch for module in named}
    raise ModcompatError(
        f"{name} is for {', '.join(its.name for its in arches if its)}, and the board for {arch.name}",
        next_step=f"--board: {', '.join(board.id for board in BOARDS.values() if board.arch in arches)}",
    )
