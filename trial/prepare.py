# SPDX-License-Identifier: Apache-2.0
"""Build the trial's production .config, kernel and modules in trial/build/NAME.

    python trial/prepare.py x86_64 x86_64-tracing arm arm-tracing
    python trial/prepare.py x86_64-preempt arm64-preempt

In-tree modules are copied from the production kernel's entry in the cache. Vendor modules are built as their vendors
would build them: from the sources in Debian's -dkms packages, by their own Makefiles, against production's build tree.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.kernel.arch import ARM, ARM64, X86_64, Architecture
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
    """A Debian package with the sources of modules."""

    package: str
    command: str  # as in its dkms.conf; {tree} is production's build tree, {here} the folder of the sources
    modules: tuple[str, ...]  # names of the modules to keep
    without: tuple[str, str] | None = None  # a file of the sources, and a word whose lines are removed from it


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
    # Does not compile: its prototype of the tracepoint hrtimer_start differs from that of 6.1.192.
    without=("src/probes/Kbuild", "lttng-probe-timer.o"),
)


@dataclass(frozen=True)
class Production:
    """A production kernel, and the modules that are built for it."""

    arch: Architecture
    fragments: tuple[str, ...]  # of Kconfig, in this folder
    own: tuple[str, ...]  # modules of the kernel's tree
    vendors: tuple[Vendor, ...]
    template: str = "modcompat.toml"  # of the manifest of its modules, in this folder, for x86_64


PRODUCTIONS = {
    "x86_64": Production(X86_64, ("common", "x86_64"), OWN, VENDORS),
    "x86_64-tracing": Production(X86_64, ("common", "x86_64", "tracing"), (), (LTTNG,), "tracing.toml"),
    "arm": Production(ARM, ("common", "arm"), OWN, VENDORS),
    "arm-tracing": Production(ARM, ("common", "arm", "tracing"), (), (LTTNG,), "tracing.toml"),
    "x86_64-preempt": Production(X86_64, ("common", "x86_64", "preempt"), OWN, VENDORS),
    "arm64-preempt": Production(ARM64, ("common", "arm64", "preempt"), OWN, VENDORS),
}


def prepare(name: str, store: Store) -> None:
    """Build everything for one production kernel."""
    if name not in PRODUCTIONS:
        raise ModcompatError(f"there is no production kernel {name}", next_step=f"there are {', '.join(PRODUCTIONS)}")
    production = PRODUCTIONS[name]
    arch = production.arch
    folder = HERE / "build" / name
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "production.config"
    configure(production, config, store)
    print(f"{name}: building the production kernel, unless it is in the cache")
    output = run(["modcompat", "build", "production", "--arch", arch.name, "--config", str(config)])
    kernel = Path(output.splitlines()[-1].partition(": ")[2])
    for module in production.own:
        shutil.copy(kernel / "modules" / f"{module}.ko", folder)
    for vendor in production.vendors:
        print(f"{name}: building {vendor.package}")
        build_vendor(vendor, kernel / "build", arch, folder)
    source, program = HERE / "guest/drive.c", folder / "drive"
    run([f"{arch.cross_compile}gcc", "-static", "-s", "-O2", "-o", str(program), str(source)])
    (folder / "modcompat.toml").write_text(manifest(production))


def manifest(production: Production) -> str:
    """The manifest of the modules in the folder of a production kernel."""
    text = (HERE / production.template).read_text()
    text = text.replace('x86_64 = "', f'{production.arch.name} = "').replace('"build/x86_64-tracing/', '"build/x86_64/')
    return (
        text.replace('"build/x86_64/', '"')
        .replace('"exercises/', '"../../exercises/')
        .replace('"../docs/', '"../../../docs/')
    )


def configure(production: Production, config: Path, store: Store) -> None:
    """Complete the fragments to a .config. Raises ModcompatError if Kconfig drops or changes a symbol."""
    requested = in_fragments(HERE / f"{name}.config" for name in production.fragments)
    with tempfile.TemporaryDirectory() as scratch:
        tree = find_source(DEFAULT_PACKAGE, store).tree()
        got = all_no(tree, production.arch, requested, Path(scratch), f"making {config}")
        shutil.copy(Path(scratch) / ".config", config)
    require(requested, got, f"production kernel of {config.parent.name}")


def build_vendor(vendor: Vendor, tree: Path, arch: Architecture, folder: Path) -> None:
    """Download a source package and build its modules for production."""
    with tempfile.TemporaryDirectory(prefix="trial-") as scratch:
        deb = debian.download(vendor.package, "all", Path(scratch))
        run(["dpkg-deb", "-x", str(deb), scratch])
        (sources,) = (Path(scratch) / "usr/src").iterdir()
        if vendor.without:
            file, word = sources / vendor.without[0], vendor.without[1]
            file.write_text("".join(line for line in file.read_text().splitlines(keepends=True) if word not in line))
        words = vendor.command.format(tree=tree, here=sources).split()
        run(words, env={"ARCH": arch.kernel, "CROSS_COMPILE": arch.cross_compile}, cwd=sources)
        (folder / f"{vendor.package}.version").write_text(f"{debian.version_of(deb)}\n")
        for name in vendor.modules:
            shutil.copy(next(sources.rglob(f"{name}.ko")), folder)


def run(command: list[str], env: Mapping[str, str] | None = None, cwd: Path | None = None) -> str:
    """Run a program and return its output. Raises ModcompatError with the end of the output if it fails."""
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
