# SPDX-License-Identifier: Apache-2.0
"""The cache: content-addressed folders, written atomically, locked, verified before they are served.

An entry is `<root>/<kind>/<label>-<key>/` with the files that a build function wrote and a manifest,
`entry.json`, that lists every file with its digest. The key is a digest of the inputs, so equal inputs are
built once, on this machine or on the one that exported the entry. An entry appears by rename, complete or
not at all; one that fails verification is thrown away and built again.
"""

import errno
import json
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from filelock import FileLock, Timeout

from harness.support import digest
from harness.support.cache import ownership
from harness.support.cache.ownership import MANIFEST
from harness.support.errors import ModcompatError
from harness.support.paths import cache_root
from harness.support.progress import say

KEY_LENGTH = 16
_STRANGE = re.compile(r"[^\w.,:+~=@-]", re.ASCII)  # in a name of a folder
_LONGEST = 120  # characters of a label: a lock has the kind and the key in its name as well
_ABANDONED = 7 * 86_400.0  # seconds after which a folder is nobody's that has no lock
_ENDING = 1.0  # seconds that programs take to end which were killed
FREE_SOME = "free some (`modcompat cache prune`), or set MODCOMPAT_CACHE to an empty folder on another disk"
ELSEWHERE = "set MODCOMPAT_CACHE to an empty folder that you can write in, or to none for the usual one"
# Tens of thousands of files, read only to build: verified by their sizes alone, in a second.
SIZES_ONLY = frozenset({"source"})


@dataclass(frozen=True)
class Entry:
    """A complete cache entry. size: bytes; used: seconds since the epoch of its last use."""

    kind: str
    name: str
    path: Path
    inputs: Mapping[str, Any]
    size: int
    used: float


class Store:
    """A cache folder. Every method may be called from several processes at once.

    What writes or removes raises ModcompatError where the folder is one that others keep things in.
    """

    def __init__(self, root: Path | None = None) -> None:
        """Raises ModcompatError where there can be no cache in the folder."""
        self.root = root or cache_root()
        try:
            ownership.require_possible(self.root)
        except OSError as error:
            raise self._impossible(error) from None
        self._verified: set[Path] = set()
        self._claimed = False

    def path(self, kind: str, label: str, inputs: Mapping[str, Any]) -> Path:
        """Where the entry for these inputs is or will be.

        label: for people. It may come out of a user's file: what is no part of a plain name is not taken.
        """
        name = _STRANGE.sub("_", label)[:_LONGEST] or "_"
        return self.root / kind / f"{name}-{digest.of_value(inputs)[:KEY_LENGTH]}"

    def get(self, kind: str, label: str, inputs: Mapping[str, Any]) -> Path | None:
        """The folder of a complete, verified entry, or None."""
        path = self.path(kind, label, inputs)
        if not self.is_whole(path):
            return None
        try:
            os.utime(path / MANIFEST)
        except FileNotFoundError:  # removed just now
            return None
        except OSError:  # a cache that is another user's, or mounted read-only
            pass
        return path

    def get_or_build(self, kind: str, label: str, inputs: Mapping[str, Any], build: Callable[[Path], None]) -> Path:
        """The folder of the entry; `build` fills an empty folder when there is none yet.

        When another process is building it, waits for that. Raises what `build` raises (nothing is kept
        then but the log that it names), and ModcompatError when the disk is full.
        """
        if found := self.get(kind, label, inputs):
            return found
        path = self.path(kind, label, inputs)
        self._claim()
        with self._lock(path):
            if found := self.get(kind, label, inputs):
                return found
            self._discard(path)
            partial = _partial(path)
            self._discard(partial)  # left by a run that was killed
            try:
                partial.mkdir(parents=True)
                build(partial)
                _write_manifest(partial, kind, label, inputs)
                partial.rename(path)
            except ModcompatError as error:
                self._keep_log(error, partial, path)
                raise
            except OSError as error:
                raise self.explained(error) from error
            finally:
                _discard_patiently(partial)
            self._verified.add(path)
        return path

    def _keep_log(self, error: ModcompatError, partial: Path, path: Path) -> None:
        """Put the log of what failed beside those of kernels, when it would go with what was built so far."""
        if error.log is None or not error.log.is_relative_to(partial):
            return
        kept = self.root / "logs" / f"{path.name}-{error.log.stem}.log"
        try:
            kept.parent.mkdir(exist_ok=True)
            error.log = shutil.copyfile(error.log, kept)
        except OSError:
            error.log = None

    def forget(self, path: Path) -> None:
        """Remove an entry that proved worthless, unless another process is using its lock."""
        self._remove_if_free(path)

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A private folder on the cache's disk, removed at the end; those of killed runs go first.

        Beside it is a lock that is held as long. The number of a process would not do: it may be another's in another
        container, or after a while.
        """
        self._claim()
        root = self.root / "scratch"
        folder = root / f"{os.getpid()}-{secrets.token_hex(4)}"
        lock = FileLock(_lock_of(folder))
        try:
            root.mkdir(exist_ok=True)
            self._sweep()
            lock.acquire()
            folder.mkdir(mode=0o700)
        except OSError as error:
            lock.release()
            with suppress(OSError):
                _lock_of(folder).unlink(missing_ok=True)
            raise self.explained(error) from error
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            lock.release()
            _lock_of(folder).unlink(missing_ok=True)

    def _sweep(self) -> None:
        """Remove private folders that nobody holds."""
        for folder in ownership.scratch_folders(self.root):
            lock = _lock_of(folder)
            if not lock.exists():  # an older version's, whose folders had none, or one that has just ended
                if _is_old(folder):
                    shutil.rmtree(folder, ignore_errors=True)
                continue
            with suppress(OSError), FileLock(lock, timeout=0):  # held (Timeout), or another user's
                shutil.rmtree(folder, ignore_errors=True)
                lock.unlink(missing_ok=True)

    def entries(self, kind: str = "*") -> Iterator[Entry]:
        """Every complete entry (of a kind), oldest use first."""
        found = []
        for folder in ownership.entry_folders(self.root):
            if kind not in ("*", folder.parent.name):
                continue
            facts = _read_manifest(folder)
            if facts is not None:
                size = sum(length for length, _ in facts["files"].values())
                used = (folder / MANIFEST).stat().st_mtime
                found.append(Entry(facts["kind"], folder.name, folder, facts["inputs"], size, used))
        return iter(sorted(found, key=lambda entry: entry.used))

    def prune(self, *, unused_for: float, kinds: frozenset[str] | None = None) -> list[Entry]:
        """Remove entries not used for so many seconds, and what killed builds left; returns what went.

        An entry that another process is building or waiting for stays.
        """
        if not self.root.exists():
            return []
        self._claim()
        removed = []
        now = time.time()
        for entry in self.entries():
            if now - entry.used < unused_for or (kinds and entry.kind not in kinds):
                continue
            if self._remove_if_free(entry.path):
                removed.append(entry)
        for partial, entry_path in list(ownership.partials(self.root)):
            self._remove_if_free(entry_path, partial)
        for folder in list(ownership.entry_folders(self.root)):
            if _read_manifest(folder) is None:  # the rest of a removal that was interrupted, or damaged
                self._remove_if_free(folder)
        for staging in self.root.iterdir():
            if ownership.IMPORT.fullmatch(staging.name) and _is_old(staging):
                self._discard(staging)
        self._sweep()
        return removed

    def trim(self, kind: str, *, keep: int, unused_for: float) -> None:
        """Remove entries of a kind, the longest unused first, down to `keep`; none used in the last seconds."""
        entries = list(self.entries(kind))
        for entry in entries[: max(0, len(entries) - keep)]:
            if time.time() - entry.used > unused_for:
                with suppress(OSError, ModcompatError):  # a cache that is another user's: it stays
                    self._remove_if_free(entry.path)

    def is_whole(self, path: Path) -> bool:
        """Whether the folder of an entry is complete, and every file in it as it was written."""
        if path in self._verified and path.exists():
            return True
        facts = _read_manifest(path)
        if facts is None:
            if (path / MANIFEST).exists():
                say(f"cache entry {path.parent.name}/{path.name} is damaged ({MANIFEST}): it will be made again")
            return False
        for name, (size, content) in facts["files"].items():
            if not _is_intact(path / name, size, content):
                say(f"cache entry {path.parent.name}/{path.name} is damaged ({name}): it will be made again")
                return False
        self._verified.add(path)
        return True

    def adopt(self, folder: Path) -> bool:
        """Make the folder of a whole entry, <kind>/<name> somewhere on the cache's disk, one of the cache's.

        False, and the folder stays, where that entry is here already.
        """
        target = self.root / folder.parent.name / folder.name
        with self._lock(target):
            if self.is_whole(target):
                return False
            self._discard(target)
            target.parent.mkdir(parents=True, exist_ok=True)
            folder.rename(target)
        return True

    def explained(self, error: OSError) -> Exception:
        """What a user can do about an error of the cache's disk; any other error as it is."""
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return ModcompatError(
                f"no space left for the cache in {self.root}",
                next_step=FREE_SOME,
            )
        if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
            return ModcompatError(
                f"cannot write in {error.filename or self.root}: {error.strerror}",
                next_step=ELSEWHERE,
            )
        return error

    def _claim(self) -> None:
        if not self._claimed:
            try:
                ownership.claim(self.root)
            except OSError as error:
                full = error.errno in (errno.ENOSPC, errno.EDQUOT)
                raise (self.explained(error) if full else self._impossible(error)) from error
            self._claimed = True

    def _impossible(self, error: OSError) -> ModcompatError:
        """Why the cache cannot be where it is to be."""
        return ModcompatError(
            f"there can be no cache in {self.root}: {error.filename or self.root}: {error.strerror}",
            next_step=ELSEWHERE,
        )

    def _lock(self, path: Path) -> "_Lock":
        try:
            return _Lock(self.root / "locks" / f"{path.parent.name}-{path.name}.lock", path.name)
        except OSError as error:
            raise self.explained(error) from error

    def _remove_if_free(self, entry: Path, target: Path | None = None) -> bool:
        try:
            with FileLock(self._lock(entry).file, timeout=0):
                self._discard(target or entry)
                return True
        except Timeout:
            return False

    def _discard(self, path: Path) -> None:
        self._verified.discard(path)
        if path.exists():
            # The manifest goes first: what is left of an interrupted removal is not an entry.
            (path / MANIFEST).unlink(missing_ok=True)
            shutil.rmtree(path)


class _Lock:
    """A file lock that says what it waits for."""

    def __init__(self, file: Path, what: str) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self.file = file
        self._lock = FileLock(file)
        self._what = what

    def __enter__(self) -> None:
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            say(f"waiting for another run that is making {self._what}")
            self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def _is_intact(file: Path, size: int, content: str) -> bool:
    try:
        found = file.lstat()
        if not stat.S_ISREG(found.st_mode) and not stat.S_ISLNK(found.st_mode):
            return False
        return found.st_size == size and (not content or digest.of_file(file) == content)
    except (OSError, ValueError):  # ValueError: of a name that no file can have
        return False


def _lock_of(folder: Path) -> Path:
    """The lock that whoever uses a private folder holds."""
    return folder.with_name(f"{folder.name}.lock")


def _is_old(folder: Path) -> bool:
    """Whether nothing was put into a folder for so long that no run can be using it."""
    try:
        return time.time() - folder.stat().st_mtime > _ABANDONED
    except FileNotFoundError:
        return False


def _discard_patiently(folder: Path) -> None:
    """Remove a folder that programs which are just ending may write to; what is left after a second is left.

    Raises nothing, so that what ended a build is told, and not this. The next build removes what is there.
    """
    deadline = time.monotonic() + _ENDING
    while folder.exists():
        with suppress(OSError):
            shutil.rmtree(folder)
            return
        if time.monotonic() >= deadline:
            return
        time.sleep(_ENDING / 20)


def _partial(path: Path) -> Path:
    return path.with_name(f".{path.name}.partial")


def _write_manifest(folder: Path, kind: str, label: str, inputs: Mapping[str, Any]) -> None:
    files = {
        str(path.relative_to(folder)): (path.lstat().st_size, "" if kind in SIZES_ONLY else digest.of_file(path))
        for path in digest.files_below(folder)
    }
    facts = {"kind": kind, "label": label, "inputs": dict(inputs), "digest": digest.DIGEST, "files": files}
    (folder / MANIFEST).write_text(json.dumps(facts, indent=1, sort_keys=True))


def _read_manifest(folder: Path) -> dict[str, Any] | None:
    """What an entry says of itself, None where it is damaged: it may hold anything then."""
    try:
        facts = json.loads((folder / MANIFEST).read_text())
    except (OSError, ValueError, RecursionError):
        return None
    expected = {"kind": str, "inputs": dict, "files": dict, "digest": str}
    if not isinstance(facts, dict) or any(not isinstance(facts.get(k), t) for k, t in expected.items()):
        return None
    if facts["digest"] != digest.DIGEST or facts["kind"] != folder.parent.name:
        return None
    return facts if all(_is_a_file(name, content) for name, content in facts["files"].items()) else None


def _is_a_file(name: str, content: Any) -> bool:
    """Whether a manifest may say this of a file of its entry: a name inside of it -> size and digest."""
    path = PurePosixPath(name)
    inside = not path.is_absolute() and ".." not in path.parts
    return inside and isinstance(content, list) and [type(value) for value in content] == [int, str]
