# SPDX-License-Identifier: Apache-2.0
"""Copies of folders."""

import shutil
from pathlib import Path

from harness.support.digest import files_below


def copy_content(source: Path, target: Path) -> None:
    """Copy the files below a folder into another, which need not exist.

    Modes are not copied, so that the copy can be written to if `source` cannot: an installation may be read-only.
    Symbolic links are followed. Raises OSError.
    """
    for file in files_below(source):
        copy = target / file.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
