# SPDX-License-Identifier: Apache-2.0
"""Packed files are read as what is in them; a damaged one is reported."""

import bz2
import gzip
import lzma
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from harness.support.packed import PackedError, is_packed, plain_file, unpacked, unpacked_name

TEXT = bytes(range(256)) * 40
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".xz": lzma.compress,
    ".lzma": lambda data: lzma.compress(data, format=lzma.FORMAT_ALONE),
    ".bz2": bz2.compress,
    ".zst": lambda data: zstandard.ZstdCompressor(write_checksum=True).compress(data),
}


@pytest.mark.parametrize("suffix", PACKERS)
def test_each_form_is_unpacked(suffix: str, tmp_path: Path) -> None:
    packed = PACKERS[suffix](TEXT)
    assert is_packed(packed[:8])
    assert unpacked(packed, len(TEXT)) == TEXT
    file = tmp_path / f"veth.ko{suffix}"
    file.write_bytes(packed)
    assert unpacked_name(file) == "veth.ko"
    with plain_file(file, len(TEXT)) as plain:
        assert (plain.name, plain.read_bytes()) == ("veth.ko", TEXT)
    assert not plain.exists()


@pytest.mark.parametrize("suffix", PACKERS)
@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_a_cut_file_is_reported(suffix: str, kept: float) -> None:
    packed = PACKERS[suffix](TEXT)
    with pytest.raises(PackedError, match="data is damaged"):
        unpacked(packed[: int(len(packed) * kept)], len(TEXT))


@pytest.mark.parametrize("suffix", [".gz", ".xz", ".bz2", ".zst"])
def test_a_changed_file_is_reported(suffix: str) -> None:
    packed = bytearray(PACKERS[suffix](TEXT))
    packed[len(packed) // 2] ^= 0xFF
    with pytest.raises(PackedError, match="data is damaged"):
        unpacked(bytes(packed), len(TEXT))


@pytest.mark.parametrize("suffix", PACKERS)
def test_a_file_that_unpacks_to_too_much_is_refused(suffix: str) -> None:
    with pytest.raises(PackedError, match="unpacks to more than 1 MB"):
        unpacked(PACKERS[suffix](bytes(8 << 20)), 1 << 20)


def test_a_plain_file_is_used_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "veth.ko"
    file.write_bytes(b"\x7fELF")
    assert unpacked(b"\x7fELF", 4) == b"\x7fELF"
    assert unpacked_name(file) == "veth.ko"
    with plain_file(file, 4) as plain:
        assert plain is file


def test_frames_of_zstd_are_joined() -> None:
    packed = PACKERS[".zst"](TEXT) + PACKERS[".zst"](b"more")
    assert unpacked(packed, 2 * len(TEXT)) == TEXT + b"more"


@given(st.sampled_from(sorted(PACKERS)), st.binary(max_size=64), st.integers(0, 200))
def test_anything_is_unpacked_or_reported(suffix: str, noise: bytes, place: int) -> None:
    packed = PACKERS[suffix](TEXT)
    with suppress(PackedError):
        unpacked(packed[:place] + noise + packed[place + len(noise) :], 2 * len(TEXT))
