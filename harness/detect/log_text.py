# SPDX-License-Identifier: Apache-2.0
"""The text of a log that is packed or in another encoding, piece by piece."""

import codecs
from collections.abc import Iterable, Iterator

from harness.support.packed import MAGIC_BYTES, first_bytes, unpacked_pieces


def log_text(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The text of a log in UTF-8, or in the encoding that it has, without a byte order mark.

    Reads gzip, xz, lzma, zstd and bzip2, and UTF-16 with and without a byte order mark. Raises PackedError behind the
    last text that could be read.
    """
    return _decoded(unpacked_pieces(chunks))


def _decoded(chunks: Iterator[bytes]) -> Iterator[bytes]:
    head, chunks = first_bytes(chunks)
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
    if len(head) < MAGIC_BYTES:
        return ""
    low, high = head[::2], head[1::2]
    if head.startswith(codecs.BOM_UTF16_LE) or (not any(high) and all(low)):
        return "utf-16-le"
    if head.startswith(codecs.BOM_UTF16_BE) or (not any(low) and all(high)):
        return "utf-16-be"
    return ""
