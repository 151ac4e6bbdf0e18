# SPDX-License-Identifier: Apache-2.0
"""The cache: content-addressed folders, written atomically, locked, verified before they are served.

An entry is `<root>/<kind>/<label>-<key>/` with the files that a build function wrote and a manifest,
`entry.json`, that lists every file with its digest. The key is a digest of the inputs, so the same inputs are
built once, on this machine or on the one that exported the entry. An entry is renamed into place when it is complete;
one that fails verification is removed and built again. An entry that is missing is fetched from the remote, if there is
one, before it is built.
"""

import errno
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from harness.support.cache import ownership, sharing
from harness.support.cache.entry_manifest import changed_file, entry_name, read_manifest, write_manifest
from harness.support.cache.ownership import MANIFEST
from harness.support.errors import ModcompatError
from harness.support.paths import cache_root
from harness.support.progress import say

_ABANDONED_SECONDS = 7 * 86_400.0  # after this time a folder without a lock may be removed
_KILL_GRACE_SECONDS = 1.0  # killed programs may take so long to end
FREE_SOME = "free some (`modcompat cache prune`), or set MODCOMPAT_CACHE to an empty folder on another disk"
ELSEWHERE = "set MODCOMPAT_CACHE to an empty folder that you can write to, or unset it to use the default"


@dataclass(frozen=True)
class Entry:
    """A complete entry of the cache."""

    kind: str
    name: str
    path: Path
    inputs: Mapping[str, Any]
    size: int  # bytes
    used: float  # time of its last use, in seconds since the epoch


class Store:
    """A cache folder. Every method may be called from several processes at once.

    Methods that write or remove raise ModcompatError if the folder has files of other programs.
    """

    def __init__(self, root: Path | None = None) -> None:
        """Open the cache in a folder. Raises ModcompatError if the folder cannot hold one, or for a wrong remote."""
        self.root = root or cache_root()
        try:
            ownership.require_possible(self.root)
        except OSError as error:
            raise self._impossible(error) from None
        self._verified: set[Path] = set()
        self._claimed = False
        self._sharing = sharing.configured()

    def path(self, kind: str, label: str, inputs: Mapping[str, Any]) -> Path:
        """The path of the entry for these inputs, whether it exists or not. label: for people."""
        return self.root / kind / entry_name(label, inputs)

    def get(self, kind: str, label: str, inputs: Mapping[str, Any]) -> Path | None:
        """The folder of a complete, verified entry, or None."""
        path = self.path(kind, label, inputs)
        return path if self.is_whole(path) and self.renew(path) else None

    def renew(self, entry: Path) -> bool:
        """Note that an entry is in use, so that trim() keeps it. Returns False if another process has removed it."""
        try:
            os.utime(entry / MANIFEST)
        except FileNotFoundError:
            return False
        except OSError:  # the cache is another user's, or mounted read-only
            pass
        return True

    def get_or_build(self, kind: str, label: str, inputs: Mapping[str, Any], build: Callable[[Path], None]) -> Path:
        """The folder of the entry. If there is none, here or in the remote, `build` fills an empty folder.

        Waits if another process is building the entry. Raises ModcompatError if the disk is full, and the exceptions
        of `build`; then only the log of the build is kept.
        """
        if found := self.get(kind, label, inputs):
            return found
        path = self.path(kind, label, inputs)
        self._claim()
        with self._lock(path):
            if found := self.get(kind, label, inputs):
                return found
            partial = _partial(path)
            self._discard(partial)  # left by a run that was killed
            if self._fetch(path, inputs):
                return path
            self._discard(path)
            try:
                partial.mkdir(parents=True)
                build(partial)
                write_manifest(partial, kind, label, inputs)
                partial.rename(path)
            except ModcompatError as error:
                self._keep_log(error, partial, path)
                raise
            except OSError as error:
                raise self.explained(error) from error
            finally:
                _discard_patiently(partial)
            self._verified.add(path)
        if self._sharing:
            self._sharing.send(path, self.scratch)
        return path

    def _fetch(self, path: Path, inputs: Mapping[str, Any]) -> bool:
        """Get an entry, whose lock this process holds, from the remote. False if it has to be built."""
        entry = f"{path.parent.name}/{path.name}"
        if self._sharing is None or (size := self._sharing.size(entry)) is None:
            return False
        with self.scratch() as scratch:
            if folder := self._sharing.fetch(entry, size, inputs, scratch):
                self._place(folder, path)
                self._verified.add(path)
        return folder is not None

    def _place(self, folder: Path, target: Path) -> None:
        """Move the folder of a complete entry to its place, whose lock this process holds."""
        self._discard(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.utime(folder / MANIFEST)  # it is used now, whenever its sender used it
        folder.rename(target)

    def _keep_log(self, error: ModcompatError, partial: Path, path: Path) -> None:
        """Copy the log of a failed build to the cache's logs if it is in the folder that will be removed."""
        if error.log is None or not error.log.is_relative_to(partial):
            return
        kept = self.root / "logs" / f"{path.name}-{error.log.stem}.log"
        try:
            kept.parent.mkdir(exist_ok=True)
            error.log = shutil.copyfile(error.log, kept)
        except OSError:
            error.log = None

    def forget(self, path: Path) -> None:
        """Remove an entry that turned out to be useless, unless another process holds its lock."""
        self._remove_if_free(path)

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A private folder on the cache's disk, removed at the end. Folders of killed runs are removed first.

        A lock next to the folder shows that it is in use. The process ID in its name does not: another process can have
        the same one, later or in another container.
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
        """Remove private folders that no process holds a lock for."""
        for folder in ownership.scratch_folders(self.root):
            lock = _lock_of(folder)
            if not lock.exists():  # from an older version, which had no locks, or just being removed
                if _is_old(folder):
                    shutil.rmtree(folder, ignore_errors=True)
                continue
            with suppress(OSError), FileLock(lock, timeout=0):  # Timeout is an OSError
                shutil.rmtree(folder, ignore_errors=True)
                lock.unlink(missing_ok=True)

    def entries(self, kind: str = "*") -> Iterator[Entry]:
        """Every complete entry (of a kind), the least recently used first."""
        found = []
        for folder in ownership.entry_folders(self.root):
            if kind not in ("*", folder.parent.name):
                continue
            facts = read_manifest(folder)
            if facts is None:
                continue
            try:
                used = (folder / MANIFEST).stat().st_mtime
            except FileNotFoundError:  # another process has just removed it
                continue
            size = sum(length for length, _ in facts["files"].values())
            found.append(Entry(facts["kind"], folder.name, folder, facts["inputs"], size, used))
        return iter(sorted(found, key=lambda entry: entry.used))

    def prune(self, *, unused_for: float, kinds: frozenset[str] | None = None) -> list[Entry]:
        """Remove entries that were unused for so many seconds, and leftovers of killed builds.

        Returns the removed entries. An entry that another process is building or waiting for is kept.
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
            if read_manifest(folder) is None:  # damaged, or left by an interrupted removal
                self._remove_if_free(folder)
        for staging in self.root.iterdir():
            if ownership.IMPORT.fullmatch(staging.name) and _is_old(staging):
                self._discard(staging)
        self._sweep()
        return removed

    def trim(self, kind: str, *, keep: int, unused_for: float) -> None:
        """Remove the least recently used entries of a kind until `keep` are left.

        unused_for: keep every entry that was used in the last so many seconds.
        """
        entries = list(self.entries(kind))
        for entry in entries[: max(0, len(entries) - keep)]:
            if time.time() - entry.used > unused_for:
                with suppress(OSError, ModcompatError):  # the cache is another user's
                    self._remove_if_free(entry.path)

    def is_whole(self, path: Path) -> bool:
        """Whether an entry is complete and every file in it unchanged."""
        if path in self._verified and path.exists():
            return True
        facts = read_manifest(path)
        if facts is None:
            if (path / MANIFEST).exists():
                say(f"cache entry {path.parent.name}/{path.name} is damaged ({MANIFEST}): it will be built again")
            return False
        if (changed := changed_file(path, facts["files"])) is not None:
            say(f"cache entry {path.parent.name}/{path.name} is damaged ({changed}): it will be built again")
            return False
        self._verified.add(path)
        return True

    def adopt(self, folder: Path) -> bool:
        """Move the folder of a complete entry, <kind>/<name> on the cache's disk, into the cache.

        Returns False, and leaves the folder, if the cache has the entry already.
        """
        target = self.root / folder.parent.name / folder.name
        with self._lock(target):
            if self.is_whole(target):
                return False
            self._place(folder, target)
        return True

    def explained(self, error: OSError) -> Exception:
        """An error of the cache's disk, with a next step for the user; any other error unchanged.

        A file of the user that cannot be read is another one.
        """
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return ModcompatError(
                f"no space left for the cache in {self.root}",
                next_step=FREE_SOME,
            )
        is_ours = not error.filename or Path(os.fsdecode(error.filename)).is_relative_to(self.root)
        if is_ours and error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
            return ModcompatError(
                f"cannot write to {error.filename or self.root}: {error.strerror}",
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
        """The error for a folder that cannot hold a cache."""
        return ModcompatError(
            f"the cache cannot be in {self.root}: {error.filename or self.root}: {error.strerror}",
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
            # Remove the manifest first, so that an interrupted removal does not leave an entry.
            (path / MANIFEST).unlink(missing_ok=True)
            shutil.rmtree(path)


class _Lock:
    """A file lock that reports what it waits for."""

    def __init__(self, file: Path, what: str) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self.file = file
        self._lock = FileLock(file)
        self._what = what

    def __enter__(self) -> None:
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            say(f"waiting for another run that is building {self._what}")
            self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def _lock_of(folder: Path) -> Path:
    """The lock that the user of a private folder holds."""
    return folder.with_name(f"{folder.name}.lock")


def _is_old(folder: Path) -> bool:
    """Whether a folder is so old that no run can be using it."""
    try:
        return time.time() - folder.stat().st_mtime > _ABANDONED_SECONDS
    except FileNotFoundError:
        return False


def _discard_patiently(folder: Path) -> None:
    """Remove a folder that killed programs may still write to, for at most a second.

    Raises nothing, so that the error of the build is reported. The next build removes the rest.
    """
    deadline = time.monotonic() + _KILL_GRACE_SECONDS
    while folder.exists():
        with suppress(OSError):
            shutil.rmtree(folder)
            return
        if time.monotonic() >= deadline:
            return
        time.sleep(_KILL_GRACE_SECONDS / 20)


def _partial(path: Path) -> Path:
    return path.with_name(f".{path.name}.partial")
