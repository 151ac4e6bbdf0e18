# SPDX-License-Identifier: Apache-2.0
"""Files that are packed with gzip, xz, lzma, bzip2 or zstd, recognized by their first bytes."""

import bz2
import gzip
import io
import lzma
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import zstandard

from harness.support.errors import ModcompatError

MAGIC_BYTES = 6  # at the beginning of a file that show how it is packed
_CHUNK_BYTES = 1 << 20  # unpacked at a time
_ZSTD_BYTES = 1 << 10  # unpacked at a time; they may have 32 MB of content, in blocks of four bytes (RFC 8878, 3.1.1.2)
_DAMAGE = (EOFError, ValueError, lzma.LZMAError, zlib.error, zstandard.ZstdError)
_SUFFIXES = {".gz", ".xz", ".lzma", ".bz2", ".zst"}

_Unpack = Callable[[Iterator[bytes]], Iterator[bytes]]


class PackedError(Exception):
    """A file that cannot be unpacked. Its text is the reason, for people."""


def is_packed(head: bytes) -> bool:
    """Whether a file begins like a packed one. head: at least its first MAGIC_BYTES bytes, if it has as many."""
    return _format_of(head) is not None


def unpacked_pieces(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The content of a file that is read piece by piece, unpacked if it is packed. Holds one piece in memory.

    Raises PackedError behind the last piece if the stream is damaged or cut short, and what reading raises.
    """
    head, pieces = first_bytes(iter(pieces))
    if not (found := _format_of(head)):
        yield from pieces
        return
    name, unpack = found
    try:
        yield from unpack(pieces)
    except _DAMAGE as error:
        raise PackedError(_damaged(name, error)) from None
    except OSError as error:
        if error.errno is not None:  # the file could not be read; bz2 and gzip raise OSError without a number
            raise
        raise PackedError(_damaged(name, error)) from None


def unpacked(content: bytes, most: int) -> bytes:
    """The content of a file, unpacked if it is packed.

    most: bytes of the result. Raises PackedError if the stream is damaged or cut short, or if the result is larger.
    """
    if not is_packed(content):
        return content
    chunks, size = [], 0
    for chunk in unpacked_pieces([content]):
        chunks.append(chunk)
        size += len(chunk)
        if size > most:
            raise PackedError(f"it unpacks to more than {most >> 20} MB")
    return b"".join(chunks)


def content_unpacked(path: Path, most: int) -> bytes:
    """The content of a file, as unpacked() returns it. Raises ModcompatError with the name of a damaged file."""
    try:
        return unpacked(path.read_bytes(), most)
    except PackedError as error:
        raise ModcompatError(f"{path}: {error}") from None


@contextmanager
def plain_file(path: Path, most: int) -> Iterator[Path]:
    """A file for programs that read no packed ones: the file itself, or a copy that is removed at the end.

    most: bytes of the copy. Raises OSError, PackedError.
    """
    with path.open("rb") as stream:
        head = stream.read(MAGIC_BYTES)
    if not is_packed(head):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="modcompat-") as folder:
        plain = Path(folder, unpacked_name(path))
        plain.write_bytes(unpacked(path.read_bytes(), most))
        yield plain


def unpacked_name(path: Path) -> str:
    """The name of a file without the suffix of a packer: veth.ko for veth.ko.xz."""
    return path.stem if path.suffix in _SUFFIXES else path.name


def first_bytes(pieces: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """The first MAGIC_BYTES bytes, and all pieces."""
    head = b""
    for piece in pieces:
        head += piece
        if len(head) >= MAGIC_BYTES:
            break
    return head[:MAGIC_BYTES], chain([head] if head else [], pieces)


def _damaged(name: str, error: Exception) -> str:
    return f"its {name} data is damaged: {' '.join(str(error).split())}"


class _Stream(io.RawIOBase):
    """Pieces as a file."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview | bytearray") -> int:  # type: ignore[override] # typeshed's Buffer is 3.12
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = memoryview(piece)
        size = min(len(buffer), len(self._rest))
        buffer[:size], self._rest = self._rest[:size], self._rest[size:]
        return size


def _by(opened: Callable[[Any], Any]) -> _Unpack:
    def unpack(pieces: Iterator[bytes]) -> Iterator[bytes]:
        with opened(io.BufferedReader(_Stream(pieces))) as stream:
            while chunk := stream.read1(_CHUNK_BYTES):
                yield chunk

    return unpack


def _zstd(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The frames of a zstd file. The stream reader of zstandard takes a cut file for a whole one."""
    frame = zstandard.ZstdDecompressor().decompressobj()
    for piece in pieces:
        for start in range(0, len(piece), _ZSTD_BYTES):
            rest = piece[start : start + _ZSTD_BYTES]
            while rest:
                if frame.eof:
                    frame = zstandard.ZstdDecompressor().decompressobj()
                if content := frame.decompress(rest):
                    yield content
                rest = frame.unused_data if frame.eof else b""
    if not frame.eof:
        raise EOFError("it is cut short")


_FORMATS: Mapping[bytes, tuple[str, _Unpack]] = {
    b"\x1f\x8b": ("gzip", _by(gzip.open)),
    b"\xfd7zXZ\0": ("xz", _by(lzma.open)),
    b"]\0\0": ("lzma", _by(lzma.open)),
    b"BZh": ("bzip2", _by(bz2.open)),
    b"\x28\xb5\x2f\xfd": ("zstd", _zstd),
}


def _format_of(head: bytes) -> tuple[str, _Unpack] | None:
    return next((found for magic, found in _FORMATS.items() if head.startswith(magic)), None)
