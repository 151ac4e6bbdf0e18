# SPDX-License-Identifier: Apache-2.0
"""Kernel images: the configuration is found in any compression format, and garbage is refused."""

import bz2
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.kernel.image import config_of, read_image
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
    ],
    ids=["bare", "gzip", "bzip2", "xz", "lzma"],
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
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
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
