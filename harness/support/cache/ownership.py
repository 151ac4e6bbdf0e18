# SPDX-License-Identifier: Apache-2.0
"""Whether a folder belongs to the cache: the cache must remove nothing that it did not write.

A cache is marked by CACHEDIR.TAG (https://bford.info/cachedir/), which backup programs also know. A cache that is
older than the mark is recognized by the names in it.
"""

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from harness.support.errors import ModcompatError
from harness.support.folders import write_file
from harness.support.paths import default_cache_root

TAG = "CACHEDIR.TAG"
MANIFEST = "entry.json"  # the file in each entry that lists the others
_TEXT = (
    "Signature: 8a477f597d28d172789f06886806bc55\n"
    "# This is the cache of modcompat, which removes what is old in it: keep nothing else here.\n"
    "# About this file: https://bford.info/cachedir/\n"
)
_KEY = r".+-[0-9a-f]{16}"
ENTRY = re.compile(_KEY)  # the name of an entry
PARTIAL = re.compile(rf"\.({_KEY})\.partial")  # an entry that is being built
SCRATCH = re.compile(r"\d+-[a-z0-9_]{8}")  # a run's private folder
IMPORT = re.compile(r"\.import-\d+")  # an import that an older version began
# Folders of the cache that hold other files than entries -> the names in them.
NO_KINDS = {
    "locks": re.compile(rf"{_KEY}\.lock"),
    "logs": re.compile(r".+\.log"),
    "scratch": re.compile(r"\d+-[a-z0-9_]{8}(\.lock)?"),
}
_LOST_AND_FOUND = "lost+found"  # in the top folder of a file system
# The kinds of entries, which are the names of their folders
KINDS = (
    "busybox", "change", "code", "config", "definitions", "exports", "headers", "initramfs", "inlines", "kallsyms",
    "kernel", "layouts", "module", "modules", "pin", "prebuilt", "prepared", "probe", "selftests", "shipped",
    "snapshot", "source", "surface", "tools", "tree", "userland",
)  # fmt: skip


def require_possible(root: Path) -> None:
    """Raise OSError if the cache's path is not a folder, or the folder cannot be created. Creates nothing."""
    existing = _nearest_existing(root)
    if not stat.S_ISDIR(existing.stat().st_mode):
        raise NotADirectoryError(errno.ENOTDIR, "it is not a folder", str(existing))
    if existing != root and not os.access(existing, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(existing))


def claim(root: Path) -> None:
    """Create the folder of a cache and mark it, or mark an existing cache.

    Raises ModcompatError if the folder has other files, OSError if it cannot be created or marked.
    """
    if _is_marked(root):
        return
    root.mkdir(parents=True, exist_ok=True)
    # List the names before looking for the mark again: another process that creates the same cache at this moment
    # writes the mark before anything else.
    present = [path for path in root.iterdir() if path.name != _LOST_AND_FOUND and not path.name.startswith(f".{TAG}")]
    if _is_marked(root):
        return
    if not present or _is_the_default(root):
        _mark(root)
    elif _is_made_by_us(root, present):
        with suppress(PermissionError):  # another user's
            _mark(root)
    else:
        raise ModcompatError(
            f"{root} is not empty, and it is not a cache of modcompat",
            next_step=f"set MODCOMPAT_CACHE to an empty or new folder, {root / 'modcompat'} for example",
        )


def _nearest_existing(path: Path) -> Path:
    """The path, or its nearest parent that exists. Raises OSError if the parents cannot be searched."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return _nearest_existing(path.parent)
    return path


def _is_the_default(root: Path) -> bool:
    """Whether it is the platform's cache folder for modcompat, which no other program uses."""
    with suppress(ModcompatError):
        return root == default_cache_root()
    return False


def entry_folders(root: Path) -> Iterator[Path]:
    """Folders in the places and with the names of entries, complete or not."""
    for kind in _folders(root):
        if not kind.name.startswith(".") and kind.name not in NO_KINDS:
            yield from (path for path in _folders(kind) if ENTRY.fullmatch(path.name))


def partials(root: Path) -> Iterator[tuple[Path, Path]]:
    """Each folder in which an entry is or was being built, and the path of the entry."""
    for kind in _folders(root):
        for path in _folders(kind):
            if found := PARTIAL.fullmatch(path.name):
                yield path, path.with_name(found[1])


def scratch_folders(root: Path) -> Iterator[Path]:
    """The private folders of runs."""
    return (path for path in _folders(root / "scratch") if SCRATCH.fullmatch(path.name))


def _is_marked(root: Path) -> bool:
    try:
        return (root / TAG).read_text() == _TEXT
    except (OSError, ValueError):
        return False


def _mark(root: Path) -> None:
    write_file(root / TAG, _TEXT)


def _is_made_by_us(root: Path, present: list[Path]) -> bool:
    """Whether an unmarked folder is a cache: the folders in it have only names that the cache uses.

    There may be files next to these folders, for example an exported archive.
    """
    inside = {path: list(path.iterdir()) for path in present if path.is_dir() and not IMPORT.fullmatch(path.name)}
    if not any(inside.values()):  # left by a run that was ended early
        return set(inside) == set(present) and all(path.name in NO_KINDS for path in inside)
    known = all(_is_ours(root, path) for paths in inside.values() for path in paths)
    return known and any(paths for folder, paths in inside.items() if folder.name not in ("logs", "scratch"))


def _is_ours(root: Path, path: Path) -> bool:
    """Whether the cache wrote the path. Other programs append digests too: an entry needs a manifest or a lock."""
    kind = path.parent.name
    if kind in NO_KINDS:
        return NO_KINDS[kind].fullmatch(path.name) is not None
    partial = PARTIAL.fullmatch(path.name)
    name = partial[1] if partial else path.name
    locked = (root / "locks" / f"{kind}-{name}.lock").exists()
    return ENTRY.fullmatch(name) is not None and (locked or (path / MANIFEST).is_file())


def _folders(folder: Path) -> Iterator[Path]:
    try:
        found = sorted(path for path in folder.iterdir() if path.is_dir() and not path.is_symlink())
    except OSError:
        return
    yield from found
