# SPDX-License-Identifier: Apache-2.0
"""What a kernel image says of itself: its configuration (IKCONFIG) and its release, compressed images included.

As scripts/extract-ikconfig and scripts/extract-vmlinux do it: look, and if nothing is there, unpack what looks like
a compressed kernel and look again.
"""

import bz2
import lzma
import re
import shutil
import subprocess
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.support.errors import ModcompatError
from harness.support.inputs import content_of

_START, _END = b"IKCFG_ST", b"IKCFG_ED"  # kernel/configs.c
_GZIP = b"\x1f\x8b\x08"
_BANNER = re.compile(rb"Linux version (\S+) ")
_LARGEST = 256 << 20  # bytes of an image, or of what comes out of one
_NEXT = "give the kernel's .config; or build with CONFIG_IKCONFIG=y, which puts it into the image"


@dataclass(frozen=True)
class ImageFacts:
    """config: the text of its .config. release: as `uname -r` prints it. Each "" where the image does not tell."""

    config: str
    release: str


def read_image(path: Path) -> ImageFacts:
    """What an image says. Raises ModcompatError when it cannot be read."""
    try:
        data = content_of(path, _LARGEST)
    except OSError as error:
        raise ModcompatError(f"cannot read the kernel image {path}: {error.strerror}") from None
    config = release = ""
    for kernel in _layers(data):
        config = config or _config(kernel)
        found = _BANNER.search(kernel)
        release = release or (found[1].decode(errors="replace") if found else "")
        if config and release:
            break
    return ImageFacts(config, release)


def config_of(path: Path) -> str:
    """The configuration in an image. Raises ModcompatError when there is none."""
    config = read_image(path).config
    if not config:
        raise ModcompatError(f"{path} has no configuration in it", next_step=_NEXT)
    return config


def looks_like_image(head: bytes) -> bool:
    """Whether the first bytes of a file are no text: a kernel image rather than a .config."""
    return b"\0" in head


def unpacked(data: bytes, most: int) -> bytes:
    """A file, or what gzip packed into it, as into /proc/config.gz. most: bytes that come out.

    What is damaged, and a text that is cut off, stays packed.
    """
    if not data.startswith(_GZIP):
        return data
    unzip = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        content = unzip.decompress(data, most)
    except zlib.error:
        return data
    return content if unzip.eof or looks_like_image(content) else data


def _config(data: bytes) -> str:
    start = data.find(_START + _GZIP)
    if start < 0:
        return ""
    try:
        return _unzip(data[start + len(_START) :]).decode(errors="backslashreplace")
    except zlib.error:
        return ""


def _layers(data: bytes) -> Iterator[bytes]:
    """The image, and everything in it that unpacks."""
    yield data
    for magic, unpack in _PACKERS:
        start = data.find(magic)
        tries = 0
        while start >= 0 and tries < 8:
            tries += 1
            try:
                unpacked = unpack(data[start:])
            except (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError):
                unpacked = b""
            if len(unpacked) > len(data) // 2:
                yield unpacked
                break
            start = data.find(magic, start + 1)


def _unzip(data: bytes) -> bytes:
    return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(data, _LARGEST)


def _by_program(*command: str) -> Callable[[bytes], bytes]:
    """Unpack through a program that complains of what follows, having written what came before."""

    def unpack(data: bytes) -> bytes:
        if shutil.which(command[0]) is None:
            return b""
        return subprocess.run(command, input=data, capture_output=True, check=False).stdout

    return unpack


_PACKERS: tuple[tuple[bytes, Callable[[bytes], bytes]], ...] = (
    (_GZIP, _unzip),
    (b"\xfd7zXZ\x00", lambda data: lzma.LZMADecompressor(lzma.FORMAT_XZ).decompress(data, _LARGEST)),
    (b"\x5d\x00\x00\x00", lambda data: lzma.LZMADecompressor(lzma.FORMAT_ALONE).decompress(data, _LARGEST)),
    (b"BZh", lambda data: bz2.BZ2Decompressor().decompress(data, _LARGEST)),
    (b"\x28\xb5\x2f\xfd", _by_program("zstd", "-dc")),
    (b"\x02\x21\x4c\x18", _by_program("lz4", "-dc")),
)
