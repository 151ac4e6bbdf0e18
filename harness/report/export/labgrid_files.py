# SPDX-License-Identifier: Apache-2.0
"""Environments for labgrid, and the test that runs a cell on their boards."""

import json
import shlex
from pathlib import Path

from harness.report.export.lab_files import PROMPT, LabCell, cpio_of, share, tar_of
from harness.report.export.replay import SCRIPT, templates
from harness.support.folders import write_file

_INITRD, _OVERLAY = "initrd.cpio.gz", "overlay.tar.gz"
# A guest that resets itself is stopped, so that labgrid does not see it boot again.
_ON_RESET = ("-action", "reboot=shutdown,shutdown=pause")


def write_labgrid_files(cell: LabCell, folder: Path, *, device_tree: Path | None = None) -> list[Path]:
    """Write the environments and the test of a cell, and its files, below a folder. Returns the first three.

    device_tree: of a real board. Raises ModcompatError if a file cannot be read.
    """
    place = folder / cell.id
    trees = {"device_tree": cell.device_tree, "real_device_tree": device_tree}
    shared = {
        name: f"../{share(f'{tree.stem}.dtb', tree.read_bytes(), folder)}" for name, tree in trees.items() if tree
    }
    write_file(place / _INITRD, cell.ramdisk + cpio_of(cell.overlay))  # the kernel unpacks several in a row
    write_file(place / _OVERLAY, tar_of(cell.overlay))
    options = shlex.join(["-smp", cell.machine["topology"], *_ON_RESET, *cell.machine["options"]])
    environment = templates()
    environment.filters["json"] = json.dumps
    values = {
        "cell": cell,
        "options": f'{options} -initrd "$BASE/{_INITRD}"',
        "prompt": PROMPT,
        "script": f"/{SCRIPT}",
        "initrd": _INITRD,
        "overlay": _OVERLAY,
        "kernel": f"../{share('kernel', cell.kernel.read_bytes(), folder)}",
        **dict.fromkeys(trees),
        **shared,
    }
    names = {
        "environment.yaml": "labgrid_environment.yaml.j2",
        "place.yaml": "labgrid_place.yaml.j2",
        "test_cell.py": "labgrid_test.py.j2",
    }
    for name, template in names.items():
        write_file(place / name, environment.get_template(template).render(values))
    return [place / name for name in names]
