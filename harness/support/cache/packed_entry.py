# SPDX-License-Identifier: Apache-2.0
"""One entry in one file: a tar archive, packed with zstd, with the manifest as its first member.

What is unpacked may come from anywhere: nothing is written that the manifest does not list, and nothing outside of the
folder. Links are refused, not resolved.
"""

import errno
import io
import os
import shutil
import tarfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import IO, Any

import zstandard

from harness.support import digest
from harness.support.cache.entry_manifest import changed_file, entry_name, read_manifest
from harness.support.cache.ownership import MANIFEST
from harness.support.text import one_line

SUFFIX = ".tar.zst"
_LEVEL = 3  # level 1 packs a kernel a quarter faster and a tenth larger; level 10 takes four times as long
_MAX_WINDOW_BYTES = 8 << 20  # of zstd: a decoder needs no more for levels up to 19 (RFC 8878, 3.1.1.1.2)
_MAX_MANIFEST_BYTES = 16 << 20  # the largest of a kernel has 1 MB
_MAX_EXTRA_BYTES = 16 << 20  # empty folders, long names and the end of the archive
_MEMBER_BYTES = 4 * tarfile.BLOCKSIZE  # header, padding, and the header of a long name
_MAX_WHY_CHARS = 200  # names in the archive may be long
_MAX_TIME = 1 << 34  # seconds since the epoch: tar's octal numbers end before
# Exceptions that tarfile raises for damaged files
TAR_DAMAGE = (tarfile.TarError, EOFError, ValueError, LookupError, OverflowError)
_DAMAGE = (*TAR_DAMAGE, zstandard.ZstdError)
# System errors for names in an archive that contradict one another: a name below a file, or the same name twice.
CONTRADICTIONS = (errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG)


class RefusedError(Exception):
    """A file that is not the packed entry that it should be. Its text is the reason, in one line."""

    def __init__(self, why: str) -> None:
        super().__init__(one_line(why)[:_MAX_WHY_CHARS])


def has_links(entry: Path) -> bool:
    """Whether an entry has symbolic links, which lead nowhere on another machine. Such an entry cannot be packed."""
    return any(path.is_symlink() for path in entry.rglob("*"))


def pack(entry: Path, target: Path) -> None:
    """Write an entry without links into a new file. Raises OSError."""
    packer = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)
    with (
        target.open("xb") as raw,
        packer.stream_writer(raw) as packed,
        tarfile.open(fileobj=packed, mode="w|", dereference=True) as tar,  # hard links become files
    ):
        tar.add(entry / MANIFEST, MANIFEST, filter=_plain)
        for path in sorted(entry.rglob("*")):
            if path != entry / MANIFEST and (path.is_file() or not any(path.iterdir())):
                tar.add(path, path.relative_to(entry).as_posix(), recursive=False, filter=_plain)


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """A member without facts of this machine: owners, and modes beyond "executable"."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode = 0o755 if member.mode & 0o111 else 0o644
    member.mtime = int(member.mtime)  # keeps the order of times, which make(1) goes by
    return member


def unpack(source: Path, folder: Path, inputs: Mapping[str, Any] | None = None) -> None:
    """Unpack and verify an entry.

    folder: <kind>/<name> in a private place; it must not exist. inputs: those that the entry was asked for, if known.
    Raises RefusedError for anything but that entry, whole and unchanged, and OSError.
    """
    folder.mkdir(parents=True)
    try:
        with (
            source.open("rb") as raw,
            zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW_BYTES).stream_reader(raw) as content,
        ):
            stream = _Capped(content, _MAX_MANIFEST_BYTES)
            with tarfile.open(fileobj=stream, mode="r|") as tar:
                files = _read_first(tar, folder, inputs)
                stream.left = _MAX_EXTRA_BYTES + sum(size + _MEMBER_BYTES for size, _ in files.values())
                _read_rest(tar, folder, files)
    except _DAMAGE as error:
        raise RefusedError(f"it is damaged: {error or type(error).__name__}") from None
    except OSError as error:
        if error.errno in (*CONTRADICTIONS, errno.EINVAL):
            raise RefusedError(f"it is damaged: {error.strerror}") from None
        raise
    if (changed := changed_file(folder, files)) is not None:
        raise RefusedError(f"{changed} is not as its manifest says")


def _read_first(tar: tarfile.TarFile, folder: Path, inputs: Mapping[str, Any] | None) -> Mapping[str, tuple[int, str]]:
    """Unpack the manifest and return its files. Raises RefusedError unless it is that of the entry."""
    member = tar.next()
    if member is None or member.name != MANIFEST or not _is_plain(member) or member.size > _MAX_MANIFEST_BYTES:
        raise RefusedError("it does not begin with a manifest")
    _write(tar, member, folder / MANIFEST)
    facts = read_manifest(folder)
    if facts is None or not isinstance(facts.get("label"), str):
        raise RefusedError("its manifest is damaged or of another kind")
    if entry_name(facts["label"], facts["inputs"]) != folder.name:
        raise RefusedError("its manifest is that of another entry")
    if inputs is not None and digest.of_value(facts["inputs"]) != digest.of_value(inputs):
        raise RefusedError("it was made from something else")
    files: Mapping[str, tuple[int, str]] = facts["files"]
    if any(size < 0 or not content for size, content in files.values()):
        raise RefusedError("its manifest lists files without size or digest")
    if sum(size for size, _ in files.values()) > shutil.disk_usage(folder).free:
        raise RefusedError("it is larger than the free space of the cache's disk")
    return files


def _read_rest(tar: tarfile.TarFile, folder: Path, files: Mapping[str, tuple[int, str]]) -> None:
    """Unpack the files of a manifest. Raises RefusedError for anything else."""
    for member in iter(tar.next, None):  # iterating over the archive would begin with the manifest again
        target = folder / member.name
        if member.isdir():
            if not _is_inside(member.name):
                raise RefusedError(f"it has the folder {member.name}")
            target.mkdir(parents=True, exist_ok=True)
            continue
        if member.name not in files or not _is_plain(member):
            raise RefusedError(f"it has {member.name}, which is not a file of its manifest")
        if member.size != files[member.name][0]:
            raise RefusedError(f"{member.name} has another size than its manifest says")
        target.parent.mkdir(parents=True, exist_ok=True)
        _write(tar, member, target)


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    content = tar.extractfile(member)
    assert content is not None
    with target.open("xb") as file:
        shutil.copyfileobj(content, file)
    if member.mode & 0o111:
        target.chmod(0o755)
    os.utime(target, (member.mtime, member.mtime))


def _is_plain(member: tarfile.TarInfo) -> bool:
    """Whether a member is a regular file with an ordinary time. A sparse file would grow when it is unpacked."""
    return member.isfile() and not member.issparse() and 0 <= member.mtime < _MAX_TIME


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts


class _Capped(io.RawIOBase):
    """A stream that may have so many bytes and no more."""

    def __init__(self, content: IO[bytes], most: int) -> None:
        self._content = content
        self.left = most

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._content.read(size)
        self.left -= len(data)
        if self.left < 0:
            raise RefusedError("it is larger than its manifest says")
        return data
