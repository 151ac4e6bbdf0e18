# SPDX-License-Identifier: Apache-2.0
"""What is present, what is missing, and what a first run costs."""

import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.guest.accelerator import probe_firmware, probe_kvm
from harness.guest.boards import default_board
from harness.guest.initramfs import build_initramfs
from harness.guest.machine import Machine
from harness.kernel.arch import ARCHITECTURES, X86_64
from harness.kernel.features import features_named
from harness.kernel.variants import PRODUCTION
from harness.lab.execution.kernel_pool import Kernels
from harness.lab.plan.cells import EVERY_BOARD, MATRICES, Flavour, Selection, kernels
from harness.lab.plan.settings import Settings
from harness.support.cache.store import Store
from harness.support.errors import ModcompatError
from harness.support.paths import cache_root
from harness.support.process import output

# Measured on two cores of 2.x GHz: see docs/figures.md
_FIRST_RUN_DISK_GB = 3.0
_MINUTES_PER_KERNEL_AND_CORE = 4.0


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's. ok: None for a remark that is neither good nor bad."""

    what: str
    ok: bool | None
    fact: str
    next_step: str = ""


def examine() -> Iterator[Finding]:
    """Look at everything, one finding after the other (the accelerator takes seconds)."""
    yield _system()
    for arch in ARCHITECTURES.values():
        yield _program(arch.qemu, f"boots {arch.name} guests")
        yield _program(f"{arch.cross_compile}gcc", f"compiles {arch.name} kernels and modules")
    for name, use in (
        ("make", "builds kernels"), ("flex", "builds Kconfig"), ("bison", "builds Kconfig"), ("bc", "builds kernels"),
        ("qemu-img", "makes images for snapshots"), ("setpriv", "ends guests when the harness is killed"),
        ("debugfs", "reads ext2/3/4 root file systems"), ("e2fsck", "checks ext2/3/4 root file systems"),
        ("unsquashfs", "reads squashfs root file systems"),
        ("dpkg-deb", "unpacks Debian packages"), ("xz", "unpacks kernel sources"),
    ):  # fmt: skip
        yield _program(name, use)
    for header, use in (("libelf.h", "objtool needs it"), ("openssl/opensslv.h", "kernel builds need it")):
        found = next((base for base in ("/usr/include", f"/usr/include/{platform.machine()}-linux-gnu")
                      if (Path(base) / header).exists()), None)  # fmt: skip
        yield Finding(header, found is not None, use, "" if found else "`make setup`")
    yield _accelerator()
    yield _disk()
    yield _cached()


def _accelerator() -> Finding:
    """Firmware first; then, where one is cached, a kernel: building one only for this would take minutes."""
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
    facts = dict(
        line.rstrip().split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line
    )
    name = facts.get("PRETTY_NAME", "unknown").strip('"')
    supported = facts.get("ID") == "debian" and facts.get("VERSION_ID", "").strip('"') == "12"
    return Finding(
        "system", True if supported else None, f"{name}, {len(os.sched_getaffinity(0))} CPUs",
        "" if supported else "set-up is written for Debian 12: elsewhere install by hand what is missing below",
    )  # fmt: skip


def _program(name: str, use: str) -> Finding:
    path = shutil.which(name)
    if path is None:
        return Finding(name, ok=False, fact=f"missing: {use}", next_step="`make setup` installs it on Debian 12")
    try:
        version = output([path, "--version"]).splitlines()[0]
    except (ModcompatError, IndexError):
        version = path
    return Finding(name, ok=True, fact=version)


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
