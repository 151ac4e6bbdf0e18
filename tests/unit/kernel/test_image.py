# SPDX-License-Identifier: Apache-2.0
"""Kernel images: the configuration is found in any compression format, and garbage is refused."""

import bz2
import gzip
import lzma
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.kernel.image import bootable, config_of, read_image
from harness.kernel.user_config import read_config
from harness.support.errors import ModcompatError

CONFIG = 'CONFIG_ARM=y\nCONFIG_LOCALVERSION="-acme"\n'
KERNEL = (
    b"\x7fELF" + bytes(4000) + b"Linux version 6.1.9-acme (someone@somewhere) #1 SMP\n\0"
    b"IKCFG_ST" + gzip.compress(CONFIG.encode()) + b"IKCFG_ED" + bytes(range(256)) * 64
)  # fmt: skip


@pytest.mark.parametrize(
    "pack",
    [
        bytes,
        gzip.compress,
        bz2.compress,
        lzma.compress,
        lambda data: lzma.compress(data, lzma.FORMAT_ALONE, preset=9),
        zstandard.ZstdCompressor(level=19).compress,
    ],
    ids=["bare", "gzip", "bzip2", "xz", "lzma", "zstd"],
)
def test_configuration_and_release_are_found(pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    image = tmp_path / "zImage"
    image.write_bytes(b"\0MZ decompressor" * 40 + pack(KERNEL) + b"trailing bytes")
    facts = read_image(image)
    assert (facts.config, facts.release) == (CONFIG, "6.1.9-acme")
    assert read_config(image).arch.name == "arm"


def test_an_image_without_one_says_how_to_have_it(tmp_path: Path) -> None:
    image = tmp_path / "zImage"
    image.write_bytes(KERNEL.replace(b"IKCFG_ST", b"IKCFG_XX"))
    with pytest.raises(ModcompatError) as caught:
        config_of(image)
    assert "CONFIG_IKCONFIG" in caught.value.next_step


@given(cut=st.integers(0, len(KERNEL)), position=st.integers(0, len(KERNEL)), patch=st.binary(max_size=16))
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_images_and_configurations_are_refused_with_one_line(
    cut: int, position: int, patch: bytes, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_bytes((KERNEL[:position] + patch + KERNEL[position + len(patch) :])[:cut])
    problem = ""
    try:
        read_config(file)
    except ModcompatError as error:
        problem = error.problem
    assert "\n" not in problem


def unified(kernel: bytes) -> bytes:
    """A unified kernel image: an EFI program with sections for the command line and the kernel, and one behind it."""
    contents = {b".cmdline": b"quiet", b".linux": kernel, b".initrd": bytes(range(256)) * 64}
    size = 64 + 24 + 240 + 40 * len(contents)
    headers = struct.pack("<2s58xI", b"MZ", 64) + struct.pack(
        "<4sHHIIIHH", b"PE", 0x8664, len(contents), 0, 0, 0, 240, 2
    )
    headers += struct.pack("<H238x", 0x20B)  # PE32+
    place = size
    for name, content in contents.items():
        headers += struct.pack("<8sIIII16x", name, len(content), place, len(content), place)
        place += len(content)
    return headers + b"".join(contents.values())


def compressed_efi(kernel: bytes, pack: Callable[[bytes], bytes] = gzip.compress) -> bytes:
    """An image with EFI_ZBOOT (drivers/firmware/efi/libstub/zboot-header.S of 6.1)."""
    payload = pack(kernel)
    return struct.pack("<4s4sII8x", b"MZ", b"zimg", 128, len(payload)).ljust(128, b"\0") + payload + bytes(100)


def test_the_kernel_of_a_unified_image_is_what_boots(tmp_path: Path) -> None:
    image = tmp_path / "linux.efi"
    kernel = b"MZ decompressor" * 40 + gzip.compress(KERNEL)
    image.write_bytes(unified(kernel))
    assert bootable(image) == kernel
    assert read_image(image).release == "6.1.9-acme"


@pytest.mark.parametrize(
    "pack", [gzip.compress, lzma.compress, zstandard.ZstdCompressor().compress], ids=["gzip", "xz", "zstd"]
)
def test_the_content_of_a_compressed_efi_image_is_what_boots(pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    image = tmp_path / "vmlinuz.efi"
    image.write_bytes(compressed_efi(KERNEL, pack))
    assert bootable(image) == KERNEL
    assert read_image(image).config == CONFIG
    image.write_bytes(unified(compressed_efi(KERNEL, pack)))
    assert bootable(image) == KERNEL


def test_a_damaged_compressed_efi_image_is_refused(tmp_path: Path) -> None:
    image = tmp_path / "vmlinuz.efi"
    image.write_bytes(compressed_efi(KERNEL, lambda kernel: b"LZO" + kernel))
    with pytest.raises(ModcompatError, match="cannot be unpacked"):
        bootable(image)


@given(position=st.integers(0, 600), patch=st.binary(max_size=24))
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_headers_give_an_image_or_one_line(position: int, patch: bytes, tmp_path: Path) -> None:
    image = tmp_path / "linux.efi"
    whole = unified(compressed_efi(KERNEL))
    image.write_bytes(whole[:position] + patch + whole[position + len(patch) :])
    problem = ""
    try:
        assert bootable(image)
    except ModcompatError as error:
        problem = error.problem
    assert "\n" not in problem
