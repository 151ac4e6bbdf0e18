# SPDX-License-Identifier: Apache-2.0
"""Files that are packed with gzip, xz, lzma, bzip2 or zstd, recognized by their first bytes."""

import bz2
import gzip
import io
import lzma
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import zstandard

_LONGEST_MAGIC = 8  # bytes at the beginning of a file that show how it is packed
_CHUNK_BYTES = 1 << 18  # read and unpacked at a time
_DAMAGE = (OSError, EOFError, ValueError, lzma.LZMAError, zlib.error, zstandard.ZstdError)
_SUFFIXES = {".gz", ".xz", ".lzma", ".bz2", ".zst"}


class PackedError(Exception):
    """A file that cannot be unpacked. Its text is the reason, for people."""


def is_packed(head: bytes) -> bool:
    """Whether a file begins like a packed one. head: at least its first six bytes."""
    return _reader(head) is not None


def unpacked(content: bytes, most: int) -> bytes:
    """The content of a file, unpacked if it is packed.

    most: bytes of the result. Raises PackedError if the stream is damaged or cut short, or if the result is larger.
    """
    read = _reader(content)
    if read is None:
        return content
    chunks, size = [], 0
    try:
        for chunk in read(content):
            chunks.append(chunk)
            size += len(chunk)
            if size > most:
                raise PackedError(f"it unpacks to more than {most >> 20} MB")
    except _DAMAGE as error:
        raise PackedError(f"its packed content is damaged: {' '.join(str(error).split())}") from None
    return b"".join(chunks)


@contextmanager
def plain_file(path: Path, most: int) -> Iterator[Path]:
    """A file for programs that read no packed ones: the file itself, or a copy that is removed at the end.

    most: bytes of the copy. Raises OSError, PackedError.
    """
    with path.open("rb") as stream:
        head = stream.read(_LONGEST_MAGIC)
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


def _by(opened: Callable[[io.BytesIO], io.BufferedIOBase]) -> Callable[[bytes], Iterator[bytes]]:
    def read(content: bytes) -> Iterator[bytes]:
        with opened(io.BytesIO(content)) as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                yield chunk

    return read


def _read_zstd(content: bytes) -> Iterator[bytes]:
    """The frames of a zstd file (RFC 8878). The stream reader of zstandard takes a cut file for a whole one."""
    rest = content
    while rest:
        frame = zstandard.ZstdDecompressor().decompressobj()
        position = 0
        while not frame.eof:
            if position >= len(rest):
                raise EOFError("it is cut short")
            yield frame.decompress(rest[position : position + _CHUNK_BYTES])
            position += _CHUNK_BYTES
        rest = frame.unused_data + rest[position:]


_READERS: Mapping[bytes, Callable[[bytes], Iterator[bytes]]] = {
    b"\x1f\x8b": _by(lambda stream: gzip.GzipFile(fileobj=stream)),
    b"\xfd7zXZ\0": _by(lzma.LZMAFile),
    b"]\0\0": _by(lzma.LZMAFile),
    b"BZh": _by(bz2.BZ2File),
    b"\x28\xb5\x2f\xfd": _read_zstd,
}


def _reader(head: bytes) -> Callable[[bytes], Iterator[bytes]] | None:
    return next((read for magic, read in _READERS.items() if head.startswith(magic)), None)
