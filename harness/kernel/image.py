# SPDX-License-Identifier: Apache-2.0
"""What a kernel image contains: its configuration (IKCONFIG), its release, and the part that a board boots.

Images may be compressed. The method is that of scripts/extract-ikconfig and scripts/extract-vmlinux: search the image,
and if nothing is found, unpack everything that looks like a compressed kernel and search that.
"""

import bz2
import lzma
import re
import shutil
import struct
import subprocess
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import zstandard

from harness.support.errors import ModcompatError
from harness.support.inputs import content_of

_START, _END = b"IKCFG_ST", b"IKCFG_ED"  # kernel/configs.c
_GZIP = b"\x1f\x8b\x08"
_BANNER = re.compile(rb"Linux version (\S+) ")
_MAX_IMAGE_BYTES = 256 << 20  # also of the unpacked image
_MAX_TRIES = 8  # of unpacking, per format
_DOS = b"MZ"  # the first bytes of an EFI program
_ZBOOT = b"MZ\0\0zimg"  # drivers/firmware/efi/libstub/zboot-header.S of 6.1: then offset and size of the payload
_MAX_PE_HEADER = 8192  # bytes with the table of sections
_DAMAGE = (zlib.error, lzma.LZMAError, zstandard.ZstdError, OSError, EOFError, ValueError)  # raised by the packers
_ZBOOT_PAYLOAD = struct.Struct("<8xII8x")
_KERNEL_SECTION = b".linux"  # of a unified kernel image: UAPI.5, Unified Kernel Image (UKI)
_NEXT_STEP = "give the kernel's .config; or build with CONFIG_IKCONFIG=y, which puts it into the image"


@dataclass(frozen=True)
class ImageFacts:
    """Facts that a kernel image contains about itself."""

    config: str | None  # the text of its .config, None without IKCONFIG
    release: str | None  # as `uname -r` prints it, None if there is no banner


def read_image(path: Path) -> ImageFacts:
    """The facts in a kernel image. Raises ModcompatError if the file cannot be read."""
    try:
        data = content_of(path, _MAX_IMAGE_BYTES)
    except OSError as error:
        raise ModcompatError(f"cannot read the kernel image {path}: {error.strerror}") from None
    config: str | None = None
    release: str | None = None
    for kernel in _layers(_section_of_uki(data) or data):
        config = config or _config(kernel)
        found = _BANNER.search(kernel)
        release = release or (found[1].decode(errors="replace") if found else None)
        if config and release:
            break
    return ImageFacts(config, release)


def bootable(path: Path) -> bytes:
    """The image that the loader of a board takes, without a wrapping for EFI firmware, which boards do not have.

    A unified kernel image gives its kernel, and a compressed EFI image (EFI_ZBOOT) what is in it. Every other file is
    returned as it is. Raises ModcompatError if a compressed EFI image cannot be unpacked. Raises OSError.
    """
    data = path.read_bytes()
    data = _section_of_uki(data) or data
    if not data.startswith(_ZBOOT) or len(data) < _ZBOOT_PAYLOAD.size:
        return data
    offset, size = _ZBOOT_PAYLOAD.unpack_from(data)
    content = _unpack(data[offset : offset + size])
    if not content:
        raise ModcompatError(
            f"{path} is a compressed EFI image, and what is in it cannot be unpacked",
            next_step="give the Image of the same build; lz4 needs the program of that name, and LZO is not known",
        )
    return content


def config_of(path: Path) -> str:
    """The configuration in an image. Raises ModcompatError if there is none."""
    config = read_image(path).config
    if not config:
        raise ModcompatError(f"{path} contains no configuration", next_step=_NEXT_STEP)
    return config


def looks_like_image(head: bytes) -> bool:
    """Whether the first bytes of a file are binary: a kernel image rather than a .config."""
    return b"\0" in head


def unpacked(data: bytes, max_bytes: int) -> bytes:
    """The content of a file, unpacked if it is a gzip file like /proc/config.gz. max_bytes: limit of the result.

    A damaged file, or one that contains a truncated text, is returned as it is.
    """
    if not data.startswith(_GZIP):
        return data
    unzip = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        content = unzip.decompress(data, max_bytes)
    except zlib.error:
        return data
    return content if unzip.eof or looks_like_image(content) else data


def _section_of_uki(data: bytes) -> bytes | None:
    """The kernel in a unified kernel image; None if it is something else, or damaged."""
    if not data.startswith(_DOS) or _KERNEL_SECTION not in data[:_MAX_PE_HEADER]:
        return None
    import pefile  # noqa: PLC0415 - only few images need it

    try:
        program = pefile.PE(data=data, fast_load=True)
    except pefile.PEFormatError:
        return None
    found = (section for section in program.sections if section.Name.rstrip(b"\0") == _KERNEL_SECTION)
    return next((bytes(section.get_data()) for section in found), None)


def _unpack(data: bytes) -> bytes:
    """Content that one of the packers of kernels has packed; empty if it is damaged, or packed in another way."""
    for magic, unpack in _PACKERS:
        if data.startswith(magic):
            try:
                return unpack(data)
            except _DAMAGE:
                return b""
    return b""


def _config(data: bytes) -> str | None:
    start = data.find(_START + _GZIP)
    if start < 0:
        return None
    try:
        return _unzip(data[start + len(_START) :]).decode(errors="backslashreplace")
    except zlib.error:
        return None


def _layers(data: bytes) -> Iterator[bytes]:
    """The image, and everything in it that can be unpacked."""
    yield data
    for magic, _ in _PACKERS:
        start = data.find(magic)
        tries = 0
        while start >= 0 and tries < _MAX_TRIES:
            tries += 1
            unpacked = _unpack(data[start:])
            if len(unpacked) > len(data) // 2:
                yield unpacked
                break
            start = data.find(magic, start + 1)


def _unzip(data: bytes) -> bytes:
    return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(data, _MAX_IMAGE_BYTES)


def _by_program(*command: str) -> Callable[[bytes], bytes]:
    """Unpack with a program that fails because of trailing data, but writes the content first."""

    def unpack(data: bytes) -> bytes:
        if shutil.which(command[0]) is None:
            return b""
        return subprocess.run(command, input=data, capture_output=True, check=False).stdout

    return unpack


_PACKERS: tuple[tuple[bytes, Callable[[bytes], bytes]], ...] = (
    (_GZIP, _unzip),
    (b"\xfd7zXZ\x00", lambda data: lzma.LZMADecompressor(lzma.FORMAT_XZ).decompress(data, _MAX_IMAGE_BYTES)),
    (b"\x5d\x00\x00\x00", lambda data: lzma.LZMADecompressor(lzma.FORMAT_ALONE).decompress(data, _MAX_IMAGE_BYTES)),
    (b"BZh", lambda data: bz2.BZ2Decompressor().decompress(data, _MAX_IMAGE_BYTES)),
    (b"\x28\xb5\x2f\xfd", lambda data: zstandard.ZstdDecompressor().stream_reader(data).read(_MAX_IMAGE_BYTES)),
    (b"\x02\x21\x4c\x18", _by_program("lz4", "-dc")),
)
