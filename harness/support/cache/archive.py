# SPDX-License-Identifier: Apache-2.0
"""Moves entries of a cache to another machine, in a tar file."""

import lzma
import re
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from harness.support.cache.entry_manifest import is_described
from harness.support.cache.ownership import ENTRY, NO_KINDS
from harness.support.cache.packed_entry import CONTRADICTIONS, TAR_DAMAGE, has_links
from harness.support.cache.sharing import KEPT
from harness.support.cache.store import Entry, Store
from harness.support.errors import ModcompatError
from harness.support.inputs import require_regular
from harness.support.progress import say

_KIND = re.compile(r"[a-z]+")
_DAMAGE = (*TAR_DAMAGE, zlib.error, lzma.LZMAError)  # of the modules that tarfile uses


def export_entries(store: Store, archive: Path) -> list[Entry]:
    """Write every entry that is useful on another machine into a tar file, and return them. Raises ModcompatError.

    A line tells of each that is left out because it is damaged or has links.
    """
    kept = (entry for entry in store.entries() if entry.kind not in KEPT)
    chosen = [entry for entry in kept if store.is_whole(entry.path) and not _is_left_out(entry)]
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
    """Add the entries of an exported tar file that are not in the cache yet, and return their names.

    Each entry is verified. Raises ModcompatError for a damaged or foreign file; entries before the damage are kept.
    """
    added = []
    try:
        with store.scratch() as staging, _opened(archive) as tar:
            tar.extractall(staging, members=_harmless(tar, archive))
            for entry in sorted(staging.glob("*/*")):  # tarfile reports no error if the file ends within a header
                if not store.is_whole(entry) or not is_described(entry):
                    raise ModcompatError(f"{archive} is damaged: entry {entry.name} does not verify")
                if store.adopt(entry):
                    added.append(f"{entry.parent.name}/{entry.name}")
    except _DAMAGE as error:
        raise _foreign(archive, str(error)) from error
    except FileNotFoundError:
        raise ModcompatError(f"there is no file {archive}") from None
    except OSError as error:
        if error.errno in CONTRADICTIONS:
            raise _foreign(archive, str(error.strerror)) from error
        if error.errno is None or error.filename == str(archive):  # gzip, bzip2, or not a regular file
            raise ModcompatError(f"cannot read {archive}: {error.strerror or error}") from None
        raise store.explained(error) from error
    return added


def _opened(archive: Path) -> tarfile.TarFile:
    require_regular(archive)  # tarfile would read a device for ever
    return tarfile.open(archive)


def _is_left_out(entry: Entry) -> bool:
    """Whether an entry has symbolic links; if so, a line says that it is left out."""
    if linked := has_links(entry.path):
        say(f"{entry.kind}/{entry.name} is not exported: it has links to other files of this machine")
    return linked


def _harmless(tar: tarfile.TarFile, archive: Path) -> Iterator[tarfile.TarInfo]:
    """The members of an archive, without those that stay on their machine, which earlier versions exported.

    Raises ModcompatError unless each is a plain file or folder of an entry.

    Debian 12's Python has no extraction filters (PEP 706). Links are refused, not resolved: a link's target can depend
    on the members before it.
    """
    for member in tar:
        if not (member.isfile() or member.isdir()) or not _is_of_an_entry(member.name):
            raise _foreign(archive, f"it has {member.name}")
        if member.name.split("/")[0] not in KEPT:
            yield member


def _is_of_an_entry(name: str) -> bool:
    kind, *rest = name.split("/")
    if not rest or not _KIND.fullmatch(kind) or kind in NO_KINDS:
        return False
    return ENTRY.fullmatch(rest[0]) is not None and not {"", ".", ".."} & set(rest) and "\0" not in name


def _foreign(archive: Path, why: str) -> ModcompatError:
    return ModcompatError(f"{archive} is not a whole archive of `modcompat cache export`: {why}")
