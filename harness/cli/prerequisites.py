# SPDX-License-Identifier: Apache-2.0
"""The prerequisites: which are installed, which are missing, and how long a first run takes."""

import os
import platform
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from harness.guest.accelerator import probe_firmware, probe_kvm
from harness.guest.boards import default_board
from harness.guest.initramfs import build_initramfs
from harness.guest.machine import Machine
from harness.kernel.arch import ARCHITECTURES, X86_64, Architecture
from harness.kernel.features import features_named
from harness.kernel.source import DEFAULT_PACKAGE, is_known
from harness.kernel.variants import PRODUCTION
from harness.lab.execution.kernel_pool import Kernels
from harness.lab.plan.cells import EVERY_BOARD, MATRICES, Flavour, Selection, kernels
from harness.lab.plan.settings import Settings
from harness.support.cache.store import Store
from harness.support.errors import ModcompatError
from harness.support.paths import cache_root
from harness.support.process import output

# Measured on two cores of 2.x GHz: see docs/results/figures.md
_FIRST_RUN_DISK_GB = 3.0
_MINUTES_PER_KERNEL_AND_CORE = 4.0
_RELEASES = {
    ("debian", "12"): "",
    ("debian", "13"): "",
    ("ubuntu", "24.04"): "set-up was never tried here, and there is no default kernel: give --kernel-source DIR",
}
# Program, what it is for, and the package that has it: the names are those of scripts/packages.txt.
_PROGRAMS = (
    ("make", "builds kernels", "make"),
    ("flex", "builds Kconfig", "flex"),
    ("bison", "builds Kconfig", "bison"),
    ("bc", "builds kernels", "bc"),
    ("perl", "builds kernels", "perl"),
    ("pahole", "writes BTF", "pahole"),
    ("patch", "applies the isolation series", "patch"),
    ("git", "merges the isolation series with your patches", "git"),
    ("qemu-img", "makes images for snapshots", "qemu-utils"),
    ("setpriv", "ends guests if modcompat is killed", "util-linux"),
    ("debugfs", "reads ext2/3/4 root file systems", "e2fsprogs"),
    ("e2fsck", "checks ext2/3/4 root file systems", "e2fsprogs"),
    ("unsquashfs", "reads squashfs root file systems", "squashfs-tools"),
    ("dpkg-deb", "unpacks Debian packages", "dpkg"),
    ("xz", "unpacks kernel sources", "xz-utils"),
    ("bsdtar", "unpacks RPM packages of production kernels", "libarchive-tools"),
)
_HEADERS = (
    ("libelf.h", "builds objtool", "libelf-dev"),
    ("openssl/opensslv.h", "builds kernels", "libssl-dev"),
)
# QEMU's program -> package; qemu-system-misc has the rest, itself or by what it depends on.
_QEMU_PACKAGES = {
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-system-arm": "qemu-system-arm",
    "qemu-system-aarch64": "qemu-system-arm",
}


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    what: str
    ok: bool | None  # None for a remark that is neither good nor bad
    fact: str
    next_step: str = ""


def examine() -> Iterator[Finding]:
    """Yield one finding after the other. The test of the accelerator takes seconds."""
    yield _system()
    for arch in ARCHITECTURES.values():
        yield _program(arch.qemu, f"boots {arch.name} guests", _QEMU_PACKAGES.get(arch.qemu, "qemu-system-misc"))
        yield _program(_compiler(arch), f"compiles {arch.name} kernels and modules", _compiler_package(arch))
        yield _static_library(arch)
    for name, use, package in _PROGRAMS:
        yield _program(name, use, package)
    for header, use, package in _HEADERS:
        yield _header(header, use, package)
    yield _kernel_source()
    yield _accelerator()
    yield _disk()
    yield _cached()


def _accelerator() -> Finding:
    """Try KVM with firmware, then with a kernel if the cache has one. Building one only for this would take minutes."""
    probe = probe_firmware()
    if not probe.works:
        return Finding("accelerator", None, f"TCG, because KVM does not run a guest here: {probe.why}")
    board, settings = default_board(X86_64), Settings()
    known = Kernels(settings)
    kernel = known.cached_kernel(board, PRODUCTION) if known.has_source() else None
    if kernel is None:
        return Finding(
            "accelerator", None,
            "KVM runs firmware; whether it runs a kernel is tried when one is built (TCG if not)",
        )  # fmt: skip
    machine = Machine(board, kernel.image, build_initramfs(board.arch, {}, known.store))
    probe = probe_kvm(machine, known.store, settings.timing.scale)
    return Finding("accelerator", None, f"KVM: {probe.why}" if probe.works else f"TCG, because {probe.why}")


def _system() -> Finding:
    try:
        facts = platform.freedesktop_os_release()
    except OSError:
        facts = {}
    name = f"{facts.get('PRETTY_NAME', 'unknown system')}, {len(os.sched_getaffinity(0))} CPUs"
    remark = _RELEASES.get((facts.get("ID", ""), facts.get("VERSION_ID", "")))
    if remark is None:
        remark = "set-up knows Debian 12 and 13 and Ubuntu 24.04: install what is missing below by hand"
    return Finding("system", None if remark else True, name, remark)


def _compiler(arch: Architecture) -> str:
    return f"{arch.cross_compile}gcc"


def _compiler_package(arch: Architecture) -> str:
    if arch.cross_compile.startswith(f"{platform.machine()}-"):
        return "gcc"
    return f"gcc-{arch.cross_compile.rstrip('-').replace('_', '-')}"


def _program(name: str, use: str, package: str) -> Finding:
    path = shutil.which(name)
    if path is None:
        return _missing(name, use, f"the package {package}")
    try:
        lines = output([path, "--version"]).splitlines()
    except ModcompatError:
        lines = []
    version = next((line for line in lines if line.strip()), path)  # perl begins with an empty one
    return Finding(name, ok=True, fact=version)


def _static_library(arch: Architecture) -> Finding:
    """The C library of the programs that run in guests, where the compiler looks for it."""
    name = f"libc.a for {arch.name}"
    with suppress(ModcompatError):
        found = Path(output([_compiler(arch), "-print-file-name=libc.a"]).strip())
        if found.is_absolute():  # a bare name if there is none
            return Finding(name, ok=True, fact=str(found.resolve()))
    return _missing(name, f"compiles programs for {arch.name} guests", f"the libc6-dev package for {arch.name}")


def _header(name: str, use: str, package: str) -> Finding:
    folders = (Path("/usr/include"), Path(f"/usr/include/{platform.machine()}-linux-gnu"))
    found = next((folder / name for folder in folders if (folder / name).exists()), None)
    return Finding(name, ok=True, fact=str(found)) if found else _missing(name, use, f"the package {package}")


def _missing(what: str, use: str, wanted: str) -> Finding:
    return Finding(what, ok=False, fact=f"missing: {use}", next_step=f"install {wanted} (in a checkout: `make setup`)")


def _kernel_source() -> Finding:
    if is_known(DEFAULT_PACKAGE, Store()):
        return Finding("kernel source", None, f"{DEFAULT_PACKAGE}, in the cache")
    if shutil.which("apt-get") is None:
        return Finding(
            "kernel source", None, "no default without apt-get", "give a kernel tree with --kernel-source DIR"
        )
    return Finding("kernel source", None, f"{DEFAULT_PACKAGE}, fetched from Debian's archive when it is first needed")


def _disk() -> Finding:
    root = cache_root()
    existing = next(folder for folder in (root, *root.parents) if folder.exists())
    free = shutil.disk_usage(existing).free / 1e9
    enough = free >= _FIRST_RUN_DISK_GB
    cores = len(os.sched_getaffinity(0))
    everywhere = [Selection(EVERY_BOARD, features_named(["spinlock"]), flavours=tuple(Flavour))]
    first_runs = {"make spinlock": kernels(everywhere)} | {
        f"matrix {name}": kernels(selections) for name, selections in MATRICES.items()
    }
    return Finding(
        "first run", enough,
        f"takes about {_FIRST_RUN_DISK_GB:.0f} GB in {root} ({free:.0f} GB free); kernels: " + "; ".join(
            f"{what} {len(needed)}, {_MINUTES_PER_KERNEL_AND_CORE * len(needed) / cores:.0f} minutes"
            for what, needed in first_runs.items()
        ),
        "" if enough else "free some space, or set MODCOMPAT_CACHE to an empty folder on another disk",
    )  # fmt: skip


def _cached() -> Finding:
    entries = list(Store().entries())
    built = sum(entry.kind == "kernel" for entry in entries)
    size = sum(entry.size for entry in entries) / 1e9
    counts = f"{built} kernel{'s' * (built != 1)}, {len(entries)} entr{'y' if len(entries) == 1 else 'ies'}"
    return Finding("cache", None, f"{counts}, {size:.1f} GB in {cache_root()}")
