# SPDX-License-Identifier: Apache-2.0
"""Checks of values that users give as options or in the manifest. A mistake is reported in one line."""

import errno
import re
import stat
from collections.abc import Iterable
from pathlib import Path

from harness.support.errors import ModcompatError

MAX_BYTES_IN_GUEST = 1 << 30  # of user-supplied files in the memory of a guest
_DAY_SECONDS = 86400.0
_SCALE_RANGE = (0.1, 1000.0)
_MEMORY_RANGE_MIB = (32, 65536)
_MAX_PATCH_BYTES = 256 << 20  # the patch from one version of the kernel to the next has 60 MB
_DIFF = re.compile(rb"^(@@ -|\*\*\* |diff --git )", re.MULTILINE)
_SYMBOL = re.compile(r"[A-Za-z0-9_]+", re.ASCII)
_SHARD = re.compile(r"(\d{1,4})/(\d{1,4})", re.ASCII)
_CONSOLE = re.compile(r"[A-Za-z]\w*(,\w+)?", re.ASCII)


def expanded(path: str | Path) -> Path:
    """A path with `~` and `~someone` expanded. Raises ModcompatError if there is no such home folder."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise ModcompatError(
            f"{path}: there is no user of that name",
            next_step="write the path out, or begin it with ./ if ~ is part of a name",
        ) from None


def is_named_production(value: object) -> bool:
    """Whether a production kernel is given by its name in a distribution, and not as a folder or a package."""
    return str(value).startswith("debian:")


def require_regular(path: Path) -> None:
    """Raise OSError unless the path is a regular file: devices and pipes may have no end."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))


def content_of(path: Path, most: int) -> bytes:
    """The content of a regular file of at most `most` bytes. Raises OSError for a larger one or any other path."""
    require_regular(path)
    if path.stat().st_size > most:
        raise OSError(errno.EFBIG, f"it is larger than {most >> 20} MB", str(path))
    return path.read_bytes()


def patch(path: Path) -> Path:
    """A file with a patch for patch(1). Raises ModcompatError if there is none in it."""
    try:
        content = content_of(path, _MAX_PATCH_BYTES)
    except OSError as error:
        raise ModcompatError(f"cannot read {path}: {error.strerror}") from None
    if not _DIFF.search(content):
        raise ModcompatError(f"{path} is not a patch", next_step="give the output of `git format-patch` or `diff -u`")
    return path


def timeout_scale(factor: float) -> float:
    """The factor for every timeout. Raises ModcompatError if it is out of range."""
    least, most = _SCALE_RANGE
    if not least <= factor <= most:  # also true for nan
        raise ModcompatError(f"timeouts are scaled by {least:g} to {most:g}, not by {factor}")
    return float(factor)


def timeout(seconds: float) -> float:
    """A timeout in seconds. Raises ModcompatError unless it is more than 0 and at most a day."""
    if not 0 < seconds <= _DAY_SECONDS:
        raise ModcompatError(f"a timeout is a time of up to a day, in seconds, not {seconds:g}")
    return seconds


def guest_memory(mib: float) -> int:
    """The memory of a guest in MiB. Raises ModcompatError if it is out of range or not a whole number."""
    least, most = _MEMORY_RANGE_MIB
    if not least <= mib <= most or mib != int(mib):
        raise ModcompatError(f"the memory of a guest is a whole number of {least} to {most} MiB, not {mib}")
    return int(mib)


def size_in_memory(files: Iterable[Path]) -> int:
    """The size in bytes of files that go into the memory of a guest. Raises ModcompatError if they do not fit."""
    sizes = [(file.stat().st_size, file) for file in files]
    size = sum(length for length, _ in sizes)
    if size > MAX_BYTES_IN_GUEST:
        _, largest = max(sizes)
        raise ModcompatError(
            f"firmware and programs take {size >> 20} MB, most of it {largest}, but a guest has room for "
            f"{MAX_BYTES_IN_GUEST >> 20} MB, because they are kept in its memory",
            next_step="leave out files that the modules and exercises do not need",
        )
    return size


def shard(text: str) -> tuple[int, int]:
    """A part of several: "2/3" is the second of three. Raises ModcompatError for anything else."""
    found = _SHARD.fullmatch(text)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise ModcompatError(f"{text!r} is not a part of several", next_step="for example --shard 2/3")
    return int(found[1]), int(found[2])


def module_parameters(text: str) -> str:
    """Parameters of a module, as insmod(8) takes them. Raises ModcompatError for more than one line."""
    if set(text) & set("\n\r\0"):
        raise ModcompatError(f"parameters of a module must be one line, as insmod takes it: {text!r}")
    return text


def symbols(names: Iterable[str]) -> tuple[str, ...]:
    """Kconfig symbols without their CONFIG_ prefix. Raises ModcompatError for a text that cannot be one."""
    names = tuple(names)
    if strange := [name for name in names if not _SYMBOL.fullmatch(name)]:
        raise ModcompatError(
            f"not an option of the kernel: {', '.join(map(repr, strange))}",
            next_step="give the name of a Kconfig symbol, for example KPROBE_EVENTS",
        )
    return tuple(name.removeprefix("CONFIG_") for name in names)


def console(tty: str) -> str:
    """The tty of the kernel log. Raises ModcompatError if the kernel's console= would not take it."""
    if not _CONSOLE.fullmatch(tty):
        raise ModcompatError(
            f"{tty!r} is not a tty for the kernel log", next_step="for example: ttyS0, or ttyS0,115200"
        )
    return tty


def name_below(folder: str, name: str) -> str:
    """The name of a file below a folder of the guest. Raises ModcompatError if it leads out of the folder."""
    parts = name.split("/")
    if not name.isprintable() or {"", ".", ".."} & set(parts):
        raise ModcompatError(f"{name!r} is not the name of a file below {folder}")
    return name
