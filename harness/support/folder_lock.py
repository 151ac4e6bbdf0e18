# SPDX-License-Identifier: Apache-2.0
"""A folder that one process has for itself."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.support.errors import ModcompatError

_HAS_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}


@contextmanager
def only_user_of(folder: Path) -> Iterator[None]:
    """Use a folder while no other process does. Raises ModcompatError if one does.

    The folder itself is locked (flock(2)): there is no file that a process leaves when it is killed. On a file system
    without locks, nothing is found out.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _lock(descriptor, folder)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ModcompatError(
            f"another run is using {folder}", next_step="wait for its end, interrupt it, or choose another folder"
        ) from None
    except OSError as error:
        if error.errno not in _HAS_NO_LOCKS:
            raise
