# SPDX-License-Identifier: Apache-2.0
"""A task for a worker of a cluster, as it travels: a function of this package and its arguments.

The arguments are pickled apart from the rest, so that a worker with another version of the code can refuse the task
before it reads them.
"""

import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from harness.support import digest
from harness.support.errors import ModcompatError
from harness.support.paths import HARNESS, IMAGES, MODULES

# What runs on a worker: the folder that the files of the result go into, and the arguments of the task
Work = Callable[..., Any]


@dataclass(frozen=True)
class ClusterTask:
    """Something to do on a worker."""

    # unique in a run, and readable: "x86_64 none spinlock"
    name: str
    # a function at the top of a module of harness: work(folder, *arguments); its result must be picklable
    work: Work
    arguments: tuple[Any, ...]
    # names of tasks that have to end first, well or not
    after: frozenset[str] = frozenset()
    # what it takes of dask's resources (`dask worker --resources`); one that no worker declares is not asked for
    resources: Mapping[str, float] = field(default_factory=dict)

    def packed(self) -> "PackedTask":
        return PackedTask(self.name, code_digest(), pickle.dumps((self.work, self.arguments)))


@dataclass(frozen=True)
class PackedTask:
    """A task as bytes."""

    name: str
    # digest of the code that packed it
    code: str
    content: bytes

    def unpacked(self) -> tuple[Work, tuple[Any, ...]]:
        """The function and its arguments. Raises ModcompatError if the code here is not that of the sender."""
        if self.code != code_digest():
            raise ModcompatError(
                "the modcompat of this worker differs from that of the command",
                next_step="install the same version on all workers, and start them again",
            )
        work, arguments = pickle.loads(self.content)
        return work, arguments


@dataclass(frozen=True)
class TaskResult:
    """What a task left."""

    # of the function; None if it raised an error
    value: Any = None
    # what the function raised, if a user can correct it
    error: ModcompatError | None = None
    # its process ended without a result, which may be chance
    is_lost: bool = False
    # a traceback: a fault of modcompat
    fault: str = ""
    # what the task printed
    printed: str = ""
    # relative path -> content, zlib-compressed
    files: Mapping[str, bytes] = field(default_factory=dict)
    # host name of the worker
    host: str = ""
    # wall time on the worker
    seconds: float = 0.0


@cache
def code_digest() -> str:
    """The digest of modcompat: its code, and its patches, programs and modules."""
    return digest.of_value([_digest_of(folder) for folder in (HARNESS, IMAGES, MODULES)])


def _digest_of(folder: Path) -> dict[str, str]:
    files = [path for path in digest.files_below(folder) if "__pycache__" not in path.parts]
    return {str(path.relative_to(folder)): digest.of_member(path) for path in files}


def in_folder(path: str, folder: Path) -> Path:
    """The place of a result's file below a folder. Raises ModcompatError for a name that leads out of it."""
    parts = Path(path).parts
    if Path(path).is_absolute() or ".." in parts or not parts:
        raise ModcompatError(f"a worker sent a file with the name {path}")
    return folder / path
