# SPDX-License-Identifier: Apache-2.0
"""A folder that one process has for itself."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
