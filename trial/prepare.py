"""Make what the trial judges: production's .config, its kernel, and the modules, below trial/build/ARCH.

    python trial/prepare.py x86_64 arm

The kernel's own modules come out of the production kernel's entry in the cache. The others are built as their vendors
would: sources from Debian's -dkms packages, each built by its own Makefile against production's build tree.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from harness import debian
from harness.architectures import ARCHITECTURES, Architecture
from harness.errors import ModcompatError
from harness.kernel.kconfig import all_no, in_fragments, require
from harness.kernel.source import DEFAULT_PACKAGE, find_source
from harness.store import Store

HERE = Path(__file__).resolve().parent
OWN = (
    "null_blk", "loop", "ext2", "veth", "tun", "scsi_debug", "uinput", "locktorture", "rcutorture",
    "test_rhashtable", "test_xarray",
)  # fmt: skip
# package -> (how its dkms.conf has it built, the modules that come out of it); {tree}: production's, {here}: sources
VENDORS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "v4l2loopback-dkms": ("make KERNEL_DIR={tree} v4l2loopback.ko", ("v4l2loopback",)),
    "dm-writeboost-dkms": ("make KERNEL_TREE={tree} all", ("dm-writeboost",)),
    "vpoll-dkms": ("make -C {tree} M={here} modules", ("vpoll",)),
    "openvpn-dco-dkms": ("make KERNEL_SRC={tree} REVISION=debian", ("ovpn-dco-v2",)),
}


def prepare(arch: Architecture, store: Store) -> None:
    """Everything for one architecture."""
    folder = HERE / "build" / arch.name
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "production.config"
    configure(arch, config, store)
    print(f"{arch.name}: building the production kernel, unless it is in the cache")
    told = said(["modcompat", "build", "production", "--arch", arch.name, "--config", str(config)])
    kernel = Path(told.splitlines()[-1].partition(": ")[2])
    for name in OWN:
        shutil.copy(kernel / "modules" / f"{name}.ko", folder)
    for package in VENDORS:
        print(f"{arch.name}: building {package}")
        build_vendor(package, kernel / "build", arch, folder)
    source, program = HERE / "guest/drive.c", folder / "drive"
    said([f"{arch.cross_compile}gcc", "-static", "-s", "-O2", "-Wall", "-o", str(program), str(source)])


def configure(arch: Architecture, config: Path, store: Store) -> None:
    """Write the whole .config that the fragments stand for. Raises ModcompatError where Kconfig drops something."""
    requested = in_fragments([HERE / "common.config", HERE / f"{arch.name}.config"])
    with tempfile.TemporaryDirectory() as scratch:
        tree = find_source(DEFAULT_PACKAGE, store).tree()
        got = all_no(tree, arch, requested, Path(scratch), f"making {config.name} for {arch.name}")
        shutil.copy(Path(scratch) / ".config", config)
    require(requested, got, f"{arch.name} production kernel of the trial")


def build_vendor(package: str, tree: Path, arch: Architecture, folder: Path) -> None:
    """Fetch a package of sources, and have its modules built for production."""
    command, modules = VENDORS[package]
    with tempfile.TemporaryDirectory(prefix="trial-") as scratch:
        deb = debian.download(package, "all", Path(scratch))
        said(["dpkg-deb", "-x", str(deb), scratch])
        (sources,) = (Path(scratch) / "usr/src").iterdir()
        words = command.format(tree=tree, here=sources).split()
        said(words, env={"ARCH": arch.kernel, "CROSS_COMPILE": arch.cross_compile}, cwd=sources)
        (folder / f"{package}.version").write_text(f"{debian.version_of(deb)}\n")
        for name in modules:
            shutil.copy(next(sources.rglob(f"{name}.ko")), folder)


def said(command: list[str], env: Mapping[str, str] | None = None, cwd: Path | None = None) -> str:
    """What a program prints. Raises ModcompatError with the end of it where it fails."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    surroundings = {**os.environ, "PATH": path, **(env or {}), **({"PWD": str(cwd)} if cwd else {})}
    done = subprocess.run(
        command, env=surroundings, cwd=cwd, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        raise ModcompatError(f"`{' '.join(command)}` failed", details=done.stdout[-2000:])
    return done.stdout


if __name__ == "__main__":
    try:
        for name in sys.argv[1:] or ["x86_64"]:
            prepare(ARCHITECTURES[name], Store())
    except ModcompatError as error:
        sys.exit(str(error))
