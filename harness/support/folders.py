# SPDX-License-Identifier: Apache-2.0
"""Copies of folders, and files that are whole or missing."""

import os
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


def write_file(path: Path, content: bytes | str) -> None:
    """Write a file, in place of an earlier one, in a folder that may have to be made. Raises OSError.

    Other processes see all of the new content or what was there before, and so does whoever comes after a crash.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        part.write_bytes(content if isinstance(content, bytes) else content.encode())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
