# SPDX-License-Identifier: Apache-2.0
"""Folders that are copied, or that one process has for itself."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.support.digest import files_below
from harness.support.errors import ModcompatError


@contextmanager
def only_user_of(folder: Path) -> Iterator[None]:
    """Use a folder while no other process does. Raises ModcompatError if one does.

    The folder itself is locked (flock(2)): there is no file that a process leaves when it is killed.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ModcompatError(
            f"another run is using {folder}", next_step="wait for its end, interrupt it, or choose another folder"
        ) from None
    else:
        yield
    finally:
        os.close(descriptor)


def copy_content(source: Path, target: Path) -> None:
    """Copy the files below a folder into another, which need not exist.

    Modes are not copied, so that the copy can be written to if `source` cannot: an installation may be read-only.
    Symbolic links are followed. Raises OSError.
    """
    for file in files_below(source):
        copy = target / file.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
