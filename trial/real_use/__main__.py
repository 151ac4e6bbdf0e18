# SPDX-License-Identifier: Apache-2.0
"""The command line of the uses: python -m trial.real_use."""

import os
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click

from harness.cli.kernel_options import settings_of
from harness.cli.main import WithExitStatus
from harness.cli.path_param import PathParam
from harness.guest.boards import BOARDS
from harness.kernel.features import FEATURES
from harness.kernel.variants import variant_of
from harness.lab.execution.kernel_pool import Kernels
from harness.lab.execution.run_folder import run_folder
from harness.support.cache.store import Store
from harness.support.errors import ModcompatError
from harness.support.progress import say
from trial.real_use.machine import Machine, boot, remove_disks, use
from trial.real_use.outcome import Outcome, difference, proves_nothing
from trial.real_use.root_file_system import GUEST, make_initramfs, root_file_system

PACKAGE = "debian:linux-image-amd64"
_GUESTS_AT_ONCE = 2


def uses() -> list[str]:
    """The names of all uses."""
    return re.findall(r"^use_(\w+)\(\)", (GUEST / "uses.sh").read_text(), re.MULTILINE)


def machines(production: str, folder: Path, store: Store) -> tuple[Machine, Machine]:
    """A kernel of Debian, and the isolated one on its configuration. Their initramfs is put into a folder."""
    settings, _ = settings_of(
        manifest_file=None, kernel_source=None, production=(production,), configs=(), allow_config_additions=False,
        tolerated=(),
    )  # fmt: skip
    (shipped,) = settings.shipped.values()
    root = root_file_system(shipped, store)
    variant = variant_of(FEATURES["distro"], isolated=True).on_user_config
    kernel = Kernels(settings, store).kernel(BOARDS["x86_64-q35"], variant)
    make_initramfs(root, folder / "initramfs", store)
    rest = (folder / "initramfs", root / "root.img")
    return Machine("production", shipped.image, *rest, 1000, 1.0), Machine("debug", kernel.image, *rest, 2000, 4.0)


def use_all(names: list[str], both: tuple[Machine, Machine], folder: Path) -> int:
    """Run uses on both kernels and print what differs. Returns the exit status of the command."""
    proven, modules, status = 0, set[str](), 0
    with ThreadPoolExecutor(_GUESTS_AT_ONCE) as pool:

        def on_both(name: str) -> list[Outcome]:
            return [use(name, machine, folder / machine.name, folder / f"{name}-{machine.name}") for machine in both]

        try:
            list(pool.map(lambda machine: boot(machine, folder / machine.name), both))
            for name, (production, debug) in zip(names, pool.map(on_both, names), strict=True):
                wrong = difference(production, debug)
                if not wrong:
                    proven += 1
                    modules |= debug.modules
                status = max(status, 2 if proves_nothing(production) else 1 if wrong else 0)
                print(f"{name}: {len(debug.modules)} modules: {wrong or 'as on production'}", flush=True)
        except KeyboardInterrupt:
            say("interrupted")
            _remove_all_disks(folder)
            os._exit(130)  # the guests die with this process; the pool would wait for them
    _remove_all_disks(folder)
    print(f"{proven} of {len(names)} uses are as on production; they loaded {len(modules)} modules")
    return status


def _remove_all_disks(folder: Path) -> None:
    for each in folder.iterdir():
        if each.is_dir():
            remove_disks(each)


@click.command(cls=WithExitStatus)
@click.option(
    "--production", default=PACKAGE, show_default=True, metavar="debian:[SUITE/]PACKAGE", help="A kernel for amd64."
)
@click.option("--run-dir", type=PathParam(), help="New folder for the logs.  [default: runs/<time>]")
@click.argument("names", nargs=-1)
def main(production: str, run_dir: Path | None, names: tuple[str, ...]) -> None:
    """Use modules of Debian for real, on Debian's own kernel and on the isolated kernel with `distro`.

    NAMES are functions of trial/real_use/guest/uses.sh without `use_` [all]. A guest has a root file system of Debian
    with the tools that they need, made by debootstrap(8), so that this must run as root. Each use begins in a guest
    that is as it was after the boot. It has to succeed on both kernels and to load the same modules, lockdep has to be
    on at its end, and the debug kernel must not report what production does not.

    Exit status: 0, 1 if that is not so, or 2 if it could not be found out.
    """
    known = uses()
    if unknown := set(names) - set(known):
        raise ModcompatError(f"there is no use {', '.join(sorted(unknown))}", next_step=f"there are {', '.join(known)}")
    if os.geteuid() != 0:
        raise ModcompatError("debootstrap needs root", next_step="run this as root, in a container if need be")
    chosen = list(dict.fromkeys(names)) or known
    with run_folder(run_dir) as folder:
        if any(folder.iterdir()):
            raise ModcompatError(f"{folder} is not empty", next_step="remove it, or give another --run-dir")
        sys.exit(use_all(chosen, machines(production, folder, Store()), folder))


if __name__ == "__main__":
    main()
