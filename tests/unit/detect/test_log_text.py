# SPDX-License-Identifier: Apache-2.0
"""Logs that are packed, or not in UTF-8."""

import bz2
import gzip
import lzma
import subprocess
from collections.abc import Callable, Iterator

import pytest

from harness.detect.log_text import log_text
from harness.support.packed import PackedError

TEXT = "[    1.500000] vendor: caf\u00e9\n" * 5000


def _zstd(data: bytes) -> bytes:
    return subprocess.run(["zstd", "-cq"], input=data, capture_output=True, check=True).stdout


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress, "xz": lzma.compress, "bzip2": bz2.compress, "zstd": _zstd,
    "gzip in two parts": lambda data: gzip.compress(data[:999]) + gzip.compress(data[999:]),
}  # fmt: skip
ENCODINGS = {
    "UTF-8": TEXT.encode(),
    "UTF-8 with a mark": TEXT.encode("utf-8-sig"),
    "UTF-16 with a mark": TEXT.encode("utf-16"),
    "UTF-16, little end": TEXT.encode("utf-16-le"),
    "UTF-16, big end": TEXT.encode("utf-16-be"),
    "UTF-16, big end, with a mark": b"\xfe\xff" + TEXT.encode("utf-16-be"),
}


def _pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


@pytest.mark.parametrize("size", [1, 777, 1 << 20])
@pytest.mark.parametrize("data", ENCODINGS.values(), ids=ENCODINGS)
def test_the_text_of_any_encoding_is_utf_8(data: bytes, size: int) -> None:
    assert b"".join(log_text(_pieces(data, size))) == TEXT.encode()


@pytest.mark.parametrize("size", [100, 1 << 20])
@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16 with a mark"])
@pytest.mark.parametrize("pack", PACKERS.values(), ids=PACKERS)
def test_packed_text_is_unpacked(pack: Callable[[bytes], bytes], encoding: str, size: int) -> None:
    assert b"".join(log_text(_pieces(pack(ENCODINGS[encoding]), size))) == TEXT.encode()


@pytest.mark.parametrize("pack", PACKERS.values(), ids=PACKERS)
def test_a_damaged_log_is_an_error_behind_what_could_be_read(pack: Callable[[bytes], bytes]) -> None:
    packed = pack(TEXT.encode())
    read: list[bytes] = []
    with pytest.raises(PackedError, match="damaged"):
        read.extend(log_text([packed[: len(packed) - 12]]))
    assert TEXT.encode().startswith(b"".join(read))


@pytest.mark.parametrize("pack", [gzip.compress, _zstd], ids=["gzip", "zstd"])
def test_memory_stays_constant_when_a_log_unpacks_to_much_more(pack: Callable[[bytes], bytes]) -> None:
    packed = pack(b"\n" * 50_000_000)
    assert max(len(piece) for piece in log_text(_pieces(packed, 1 << 16))) <= 32 << 20


@pytest.mark.parametrize("data", [b"", b"\n", b"ab", b"\x1f", b"\xff\xfe", b"a\0"])
def test_a_short_log_is_read_as_it_is(data: bytes) -> None:
    assert b"".join(log_text([data])) in (data, b"")


def test_an_error_of_the_file_stays_one() -> None:
    def broken() -> Iterator[bytes]:
        yield bz2.compress(b"x" * 1000)[:20]
        raise OSError(5, "Input/output error")

    with pytest.raises(OSError, match="Input/output") as error:
        list(log_text(broken()))
    assert not isinstance(error.value, PackedError)
