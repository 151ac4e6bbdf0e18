# SPDX-License-Identifier: Apache-2.0
"""Make what the trial judges: production's .config, its kernel, and the modules, below trial/build/NAME.

    python trial/prepare.py x86_64 x86_64-tracing arm arm-tracing

The kernel's own modules come out of the production kernel's entry in the cache. The others are built as their vendors
would: sources from Debian's -dkms packages, each built by its own Makefile against production's build tree.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.kernel.arch import ARM, X86_64, Architecture
from harness.kernel.kconfig import all_no, in_fragments, require
from harness.kernel.source import DEFAULT_PACKAGE, find_source
from harness.support import debian
from harness.support.cache.store import Store
from harness.support.errors import ModcompatError

HERE = Path(__file__).resolve().parent
OWN = (
    "null_blk", "loop", "ext2", "veth", "tun", "scsi_debug", "uinput", "locktorture", "rcutorture",
    "test_rhashtable", "test_xarray",
)  # fmt: skip


@dataclass(frozen=True)
class Vendor:
    """A package of sources. command: how its dkms.conf has it built; {tree} is production's. modules: what is kept.

    without: a file of the sources, and a word whose lines are taken out of it.
    """

    package: str
    command: str
    modules: tuple[str, ...]
    without: tuple[str, str] | None = None


VENDORS = (
    Vendor("v4l2loopback-dkms", "make KERNEL_DIR={tree} v4l2loopback.ko", ("v4l2loopback",)),
    Vendor("dm-writeboost-dkms", "make KERNEL_TREE={tree} all", ("dm-writeboost",)),
    Vendor("vpoll-dkms", "make -C {tree} M={here} modules", ("vpoll",)),
    Vendor("openvpn-dco-dkms", "make KERNEL_SRC={tree} REVISION=debian", ("ovpn-dco-v2",)),
)
LTTNG = Vendor(
    "lttng-modules-dkms",
    "make -C {tree} M={here} CONFIG_LTTNG=m CONFIG_LTTNG_CLOCK_PLUGIN_TEST=m modules",
    (
        "lttng-wrapper",
        "lttng-lib-ring-buffer",
        "lttng-clock",
        "lttng-kprobes",
        "lttng-kretprobes",
        "lttng-statedump",
        "lttng-tracer",
        "lttng-ring-buffer-client-mmap-discard",
    ),
    # It has another prototype of the tracepoint hrtimer_start than 6.1.192, and does not compile.
    without=("src/probes/Kbuild", "lttng-probe-timer.o"),
)


@dataclass(frozen=True)
class Production:
    """A production kernel, and what is built for it: the kernel's own modules, and vendors'."""

    arch: Architecture
    fragments: tuple[str, ...]
    own: tuple[str, ...]
    vendors: tuple[Vendor, ...]


PRODUCTIONS = {
    "x86_64": Production(X86_64, ("common", "x86_64"), OWN, VENDORS),
    "x86_64-tracing": Production(X86_64, ("common", "x86_64", "tracing"), (), (LTTNG,)),
    "arm": Production(ARM, ("common", "arm"), OWN, VENDORS),
    "arm-tracing": Production(ARM, ("common", "arm", "tracing"), (), (LTTNG,)),
}


def prepare(name: str, store: Store) -> None:
    """Everything for one production kernel."""
    production = PRODUCTIONS[name]
    arch = production.arch
    folder = HERE / "build" / name
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "production.config"
    configure(production, config, store)
    print(f"{name}: building the production kernel, unless it is in the cache")
    told = said(["modcompat", "build", "production", "--arch", arch.name, "--config", str(config)])
    kernel = Path(told.splitlines()[-1].partition(": ")[2])
    for module in production.own:
        shutil.copy(kernel / "modules" / f"{module}.ko", folder)
    for vendor in production.vendors:
        print(f"{name}: building {vendor.package}")
        build_vendor(vendor, kernel / "build", arch, folder)
    source, program = HERE / "guest/drive.c", folder / "drive"
    said([f"{arch.cross_compile}gcc", "-static", "-s", "-O2", "-o", str(program), str(source)])


def configure(production: Production, config: Path, store: Store) -> None:
    """Write the whole .config that the fragments stand for. Raises ModcompatError where Kconfig drops something."""
    requested = in_fragments(HERE / f"{name}.config" for name in production.fragments)
    with tempfile.TemporaryDirectory() as scratch:
        tree = find_source(DEFAULT_PACKAGE, store).tree()
        got = all_no(tree, production.arch, requested, Path(scratch), f"making {config}")
        shutil.copy(Path(scratch) / ".config", config)
    require(requested, got, f"production kernel of {config.parent.name}")


def build_vendor(vendor: Vendor, tree: Path, arch: Architecture, folder: Path) -> None:
    """Fetch a package of sources, and have its modules built for production."""
    with tempfile.TemporaryDirectory(prefix="trial-") as scratch:
        deb = debian.download(vendor.package, "all", Path(scratch))
        said(["dpkg-deb", "-x", str(deb), scratch])
        (sources,) = (Path(scratch) / "usr/src").iterdir()
        if vendor.without:
            file, word = sources / vendor.without[0], vendor.without[1]
            file.write_text("".join(line for line in file.read_text().splitlines(keepends=True) if word not in line))
        words = vendor.command.format(tree=tree, here=sources).split()
        said(words, env={"ARCH": arch.kernel, "CROSS_COMPILE": arch.cross_compile}, cwd=sources)
        (folder / f"{vendor.package}.version").write_text(f"{debian.version_of(deb)}\n")
        for name in vendor.modules:
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
            prepare(name, Store())
    except ModcompatError as error:
        sys.exit(str(error))
