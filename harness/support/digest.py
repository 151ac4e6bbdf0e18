# SPDX-License-Identifier: Apache-2.0
"""Digests of the content of files and trees."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

DIGEST = "blake2b"
PART = 32 << 20  # bytes of a large file that are read at a time
_DIGEST_BYTES = 20


def of_file(path: Path) -> str:
    """The hexadecimal digest of a file's content; for a symbolic link, of that of its target."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=_DIGEST_BYTES)).hexdigest()


def of_member(path: Path) -> str:
    """The digest of a file of a tree: of its content, or for a symbolic link, of its target's name."""
    return of_bytes(b"link:" + bytes(path.readlink())) if path.is_symlink() else of_file(path)


def of_large_file(path: Path, on_part: Callable[[], object]) -> str:
    """The digest of a regular file that may take long to read. on_part is called after each PART."""
    content = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    with path.open("rb") as stream:
        while part := stream.read(PART):
            content.update(part)
            on_part()
    return content.hexdigest()


def of_bytes(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=_DIGEST_BYTES).hexdigest()


def of_value(value: Mapping[str, Any] | Sequence[Any]) -> str:
    """The digest of a JSON value, independent of the order of its keys."""
    return of_bytes(json.dumps(value, sort_keys=True, separators=(",", ":")).encode())


def files_below(folder: Path) -> list[Path]:
    """Every file and symbolic link below a folder, sorted. Links are not followed."""
    return sorted(path for path in folder.rglob("*") if path.is_symlink() or path.is_file())


def of_tree(folder: Path) -> str:
    """The digest of the names and contents of all files below a folder, except `.git`."""
    return of_value({str(path.relative_to(folder)): of_member(path) for path in _sources(folder)})


def of_stat(folder: Path) -> str:
    """The digest of the names, sizes and times of all files below a folder, except `.git`. Reads no content."""
    stats = ((path, path.lstat()) for path in _sources(folder))
    return of_value({str(path.relative_to(folder)): (stat.st_size, stat.st_mtime_ns) for path, stat in stats})


def _sources(folder: Path) -> list[Path]:
    return [path for path in files_below(folder) if ".git" not in path.relative_to(folder).parts]
