# SPDX-License-Identifier: Apache-2.0
"""The text of a log that is packed or in another encoding, piece by piece."""

import bz2
import codecs
import gzip
import io
import lzma
import subprocess
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import chain
from typing import Any, cast

_CHUNK = 1 << 20  # bytes
_MAGIC_BYTES = 6  # that tell the format


class DamagedLogError(Exception):
    """A packed log cannot be read, or not to its end."""


def log_text(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The text of a log in UTF-8, or in the encoding that it has, without a byte order mark.

    Reads gzip, xz, zstd and bzip2, and UTF-16 with and without a byte order mark. Raises DamagedLogError behind the
    last text that could be read.
    """
    return _decoded(_unpacked(iter(chunks)))


class _Stream(io.RawIOBase):
    """Pieces as a file."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview | bytearray") -> int:  # type: ignore[override] # typeshed's Buffer is 3.12
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = memoryview(chunk)
        size = min(len(buffer), len(self._rest))
        buffer[:size], self._rest = self._rest[:size], self._rest[size:]
        return size


def _unpacked(chunks: Iterator[bytes]) -> Iterator[bytes]:
    head, chunks = _head(chunks)
    unpack = next((function for magic, function in _FORMATS.items() if head.startswith(magic)), None)
    return unpack(chunks) if unpack else chunks


def _head(chunks: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """The first bytes, and all pieces."""
    head = b""
    for chunk in chunks:
        head += chunk
        if len(head) >= _MAGIC_BYTES:
            break
    return head[:_MAGIC_BYTES], chain([head] if head else [], chunks)


def _by_library(open_file: Callable[[Any], Any], name: str) -> Callable[[Iterator[bytes]], Iterator[bytes]]:
    def unpack(chunks: Iterator[bytes]) -> Iterator[bytes]:
        file = open_file(io.BufferedReader(_Stream(chunks)))
        while True:
            try:
                chunk: bytes = file.read1(_CHUNK)
            except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, ValueError) as error:
                raise DamagedLogError(f"the {name} data is damaged: {error}") from None
            except OSError as error:
                if error.errno is not None:  # the file could not be read; bz2 raises OSError without a number
                    raise
                raise DamagedLogError(f"the {name} data is damaged: {error}") from None
            if not chunk:
                return
            yield chunk

    return unpack


def _zstd(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Python has a library for it since 3.14."""
    try:
        program = subprocess.Popen(
            ["zstd", "-dcq"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
    except OSError as error:
        raise DamagedLogError(f"it is packed with zstd, and the program zstd does not run: {error.strerror}") from None
    failed: list[OSError] = []

    def write() -> None:
        assert program.stdin
        with suppress(BrokenPipeError), program.stdin:
            try:
                for chunk in chunks:
                    program.stdin.write(chunk)
            except BrokenPipeError:
                raise
            except OSError as error:
                failed.append(error)

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    try:
        while chunk := cast("io.BufferedReader", program.stdout).read1(_CHUNK):
            yield chunk
        status = program.wait()
    finally:
        program.kill()  # does nothing to a program that has ended
        program.wait()
        cast("io.BufferedReader", program.stdout).close()
    writer.join()
    if failed:
        raise failed[0]
    if status:
        raise DamagedLogError("the zstd data is damaged")


_FORMATS: dict[bytes, Callable[[Iterator[bytes]], Iterator[bytes]]] = {
    b"\x1f\x8b": _by_library(gzip.open, "gzip"),
    b"\xfd7zXZ\0": _by_library(lzma.open, "xz"),
    b"BZh": _by_library(bz2.open, "bzip2"),
    b"\x28\xb5\x2f\xfd": _zstd,
}


def _decoded(chunks: Iterator[bytes]) -> Iterator[bytes]:
    head, chunks = _head(chunks)
    if head.startswith(codecs.BOM_UTF8):
        first = next(chunks)
        yield first.removeprefix(codecs.BOM_UTF8)
    encoding = _encoding(head)
    if not encoding:
        yield from chunks
        return
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    for chunk in chunks:
        yield decoder.decode(chunk).replace("\ufeff", "").encode(errors="replace")
    yield decoder.decode(b"", final=True).encode(errors="replace")


def _encoding(head: bytes) -> str:
    """UTF-16 by its byte order mark, or because each other byte of ASCII text in it is zero; "" for others."""
    if len(head) < _MAGIC_BYTES:
        return ""
    low, high = head[::2], head[1::2]
    if head.startswith(codecs.BOM_UTF16_LE) or (not any(high) and all(low)):
        return "utf-16-le"
    if head.startswith(codecs.BOM_UTF16_BE) or (not any(low) and all(high)):
        return "utf-16-be"
    return ""
