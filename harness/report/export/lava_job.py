# SPDX-License-Identifier: Apache-2.0
"""Job definitions for LAVA, as its schemas (lava_common/schemas of LAVA 2023.01) require them."""

import json
from pathlib import Path

from harness.report.export.lab_files import PROMPT, LabCell, share, tar_of
from harness.report.export.replay import SCRIPT, templates
from harness.support.errors import ModcompatError
from harness.support.folders import write_file

QEMU = "qemu"  # the device type of LAVA for emulated boards
_JOB, _OVERLAY = "job.yaml", "overlay.tar.gz"
# available_architectures of qemu.jinja2, the template of LAVA's device type
_QEMU_ARCHITECTURES = {"x86_64": "amd64", "arm": "arm", "arm64": "arm64", "riscv64": "riscv64"}
_NAMES_MACHINE = ("arm", "arm64", "riscv64")  # the template has -machine and -cpu for these
# How U-Boot starts a kernel: bootz, booti
_KERNEL_TYPES = {"arm": "zimage", "arm64": "image", "riscv64": "image"}
_MAX_NAME = 200  # characters of a job's name


def require_bootable(cell: LabCell, device_type: str) -> str:
    """How LAVA names the architecture of a cell, or the form of its kernel. Raises ModcompatError if it cannot boot it.

    device_type: of LAVA; any other than QEMU boots with U-Boot over TFTP.
    """
    names = _QEMU_ARCHITECTURES if device_type == QEMU else _KERNEL_TYPES
    arch = cell.board.arch.name
    if arch not in names:
        raise ModcompatError(
            f"{cell.id}: there is no job for {arch} on the device type {device_type}",
            next_step=f"architectures of such jobs: {', '.join(names)}; choose cells with -k",
        )
    return names[arch]


def write_lava_job(
    cell: LabCell, folder: Path, *, device_type: str = QEMU, device_tree: Path | None = None, url_base: str
) -> Path:
    """Write the job of a cell and its files below a folder, which `url_base` is the URL of. Returns the job's file.

    device_tree: of a real board. Raises ModcompatError as require_bootable() does, or if a file cannot be read.
    """
    emulated = device_type == QEMU
    tree = cell.device_tree if emulated else device_tree
    place = folder / cell.id
    write_file(place / _OVERLAY, tar_of(cell.overlay))
    base = url_base.rstrip("/")
    environment = templates()
    environment.filters["json"] = json.dumps
    job = environment.get_template("lava_job.yaml.j2").render(
        cell=cell,
        name=cell.id[-_MAX_NAME:],
        device_type=device_type,
        emulated=emulated,
        form=require_bootable(cell, device_type),
        machine_in_context=cell.board.arch.name in _NAMES_MACHINE,
        network="virtio" if cell.board.has_pci else "lan9118",  # what vexpress boards have
        options=_options(cell),
        kernel=f"{base}/{share('kernel', cell.kernel.read_bytes(), folder)}",
        ramdisk=f"{base}/{share('ramdisk.cpio.gz', cell.ramdisk, folder)}",
        device_tree=f"{base}/{share(f'{tree.stem}.dtb', tree.read_bytes(), folder)}" if tree else None,
        overlay=f"{base}/{cell.id}/{_OVERLAY}",
        prompt=PROMPT,
        script=f"/{SCRIPT}",
    )
    write_file(place / _JOB, job)
    return place / _JOB


def _options(cell: LabCell) -> list[str]:
    """Options of QEMU that the template of the device type has no variable for. -no-reboot: a panic resets."""
    options = [f"-smp {cell.machine['topology']}", "-no-reboot"]
    if cell.board.arch.name not in _NAMES_MACHINE:
        options = [f"-machine {cell.machine['machine']}", f"-cpu {cell.cpu}", *options]
    return [*options, " ".join(cell.machine["options"])] if cell.machine["options"] else options
