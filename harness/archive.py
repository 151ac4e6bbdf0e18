"""What is in a cache, carried to another machine: a tar file of its entries."""

import os
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from harness.cache_folder import MANIFEST
from harness.errors import ModcompatError
from harness.store import Entry, Store

# Large and fetched again from the distribution, or only links to what is the user's: not for another machine.
_NOT_EXPORTED = frozenset({"source", "snapshot", "prebuilt"})


def export_entries(store: Store, archive: Path) -> list[Entry]:
    """Write every entry worth carrying to another machine into a tar file; returns them. Raises ModcompatError."""
    chosen = [entry for entry in store.entries() if entry.kind not in _NOT_EXPORTED]
    if not chosen:
        raise ModcompatError(f"nothing to export in {store.root}", next_step="run `make spinlock` first")
    partial = archive.with_name(f".{archive.name}.partial")
    try:
        with tarfile.open(partial, "w") as tar:
            for entry in chosen:
                tar.add(entry.path, arcname=f"{entry.kind}/{entry.name}")
        partial.rename(archive)
    except OSError as error:
        raise ModcompatError(f"cannot write {archive}: {error.strerror}") from error
    finally:
        partial.unlink(missing_ok=True)
    return chosen


def import_entries(store: Store, archive: Path) -> list[str]:
    """Add the entries of an exported tar file that are not in the cache yet; returns their names.

    Each is verified like any other. Raises ModcompatError for a damaged or foreign file: entries
    before the damage stay.
    """
    added = []
    try:
        with store.scratch() as staging, tarfile.open(archive) as tar:
            tar.extractall(staging, members=_harmless(tar, archive))
            for manifest in sorted(staging.glob(f"*/*/{MANIFEST}")):
                entry = manifest.parent
                if not store.is_whole(entry):
                    raise ModcompatError(f"{archive} is damaged: entry {entry.name} does not verify")
                if store.adopt(entry):
                    added.append(f"{entry.parent.name}/{entry.name}")
    except (tarfile.TarError, EOFError) as error:
        raise ModcompatError(f"{archive} is not a whole archive of `modcompat cache export`: {error}") from error
    except FileNotFoundError:
        raise ModcompatError(f"there is no file {archive}") from None
    except OSError as error:
        raise store.explained(error) from error
    return added


def _harmless(tar: tarfile.TarFile, archive: Path) -> Iterator[tarfile.TarInfo]:
    """The members, as long as all of them stay inside. (tarfile's own filter is not in Debian 12's Python.)"""
    for member in tar:
        target = PurePosixPath(member.name)
        if member.issym():
            target = target.parent / member.linkname
        inside = not os.path.normpath(target).startswith(("..", "/"))
        if not inside or not (member.isfile() or member.isdir() or member.issym()):
            raise ModcompatError(f"{archive} was not written by `modcompat cache export`: it has {member.name}")
        yield member
