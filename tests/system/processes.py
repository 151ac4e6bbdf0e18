# SPDX-License-Identifier: Apache-2.0
"""The processes that a command started, while they come and go."""

from contextlib import suppress

import psutil


def descendants(process: int, *names: str) -> list[psutil.Process]:
    """The descendants of a process whose names begin with one of these, without those that end during the search."""
    found = []
    with suppress(psutil.NoSuchProcess):
        for child in psutil.Process(process).children(recursive=True):
            with suppress(psutil.NoSuchProcess):  # a zombie is none, either
                if child.name().startswith(names):
                    found.append(child)
    return found


def guests_of(process: int) -> list[psutil.Process]:
    """The QEMU processes of a command."""
    return descendants(process, "qemu-system")
