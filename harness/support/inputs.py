# SPDX-License-Identifier: Apache-2.0
"""What users give, as options or in the manifest: looked at in one way, and a mistake is one clear line."""

import errno
import re
import stat
from collections.abc import Iterable
from pathlib import Path

from harness.support.errors import ModcompatError

IN_MEMORY = 1 << 30  # bytes of the user's files in the memory of a guest
_DAY = 86400.0  # seconds
_SCALES = (0.1, 1000.0)
_MEMORY = (32, 65536)  # MiB
_LARGEST_PATCH = 256 << 20  # bytes; from one version of the kernel to the next it is 60 MB
_DIFF = re.compile(rb"^(@@ -|\*\*\* |diff --git )", re.MULTILINE)
_SYMBOL = re.compile(r"[A-Za-z0-9_]+", re.ASCII)
_CONSOLE = re.compile(r"[A-Za-z]\w*(,\w+)?", re.ASCII)


def expanded(path: str | Path) -> Path:
    """A path with `~` and `~someone` written out. Raises ModcompatError where there is no such home folder."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise ModcompatError(
            f"{path}: there is no home folder of that name", next_step="write the path out, or ./~ for such a name"
        ) from None


def require_regular(path: Path) -> None:
    """Raises OSError for what has no end or is not there: devices, pipes, folders, links in a circle."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))


def content_of(path: Path, most: int) -> bytes:
    """A regular file, whole. most: bytes. Raises OSError for a larger one, and for what is no regular file."""
    require_regular(path)
    if path.stat().st_size > most:
        raise OSError(errno.EFBIG, f"it is larger than {most >> 20} MB", str(path))
    return path.read_bytes()


def patch(path: Path) -> Path:
    """A file that patch(1) takes. Raises ModcompatError where it would find nothing in it."""
    try:
        content = content_of(path, _LARGEST_PATCH)
    except OSError as error:
        raise ModcompatError(f"cannot read {path}: {error.strerror}") from None
    if not _DIFF.search(content):
        raise ModcompatError(f"{path} is not a patch", next_step="one as `git format-patch` or `diff -u` writes it")
    return path


def timeout_scale(factor: float) -> float:
    """What multiplies every timeout. Raises ModcompatError for what no machine can need."""
    if not _SCALES[0] <= factor <= _SCALES[1]:  # (nan is not, either)
        raise ModcompatError(f"timeouts are scaled by {_SCALES[0]:g} to {_SCALES[1]:g}, not by {factor}")
    return float(factor)


def timeout(seconds: float) -> float:
    """The longest time for something, in seconds. Raises ModcompatError for none, and for more than a day."""
    if not 0 < seconds <= _DAY:
        raise ModcompatError(f"a timeout is a time of up to a day, in seconds, not {seconds:g}")
    return seconds


def guest_memory(mib: float) -> int:
    """Memory of a guest. Raises ModcompatError for what none can start with."""
    if not _MEMORY[0] <= mib <= _MEMORY[1] or mib != int(mib):
        raise ModcompatError(f"the memory of a guest is a whole number of {_MEMORY[0]} to {_MEMORY[1]} MiB, not {mib}")
    return int(mib)


def size_in_memory(files: Iterable[Path]) -> int:
    """Bytes of files that are put into the memory of a guest. Raises ModcompatError where it cannot hold them."""
    sizes = [(file.stat().st_size, file) for file in files]
    size = sum(length for length, _ in sizes)
    if size > IN_MEMORY:
        _, largest = max(sizes)
        raise ModcompatError(
            f"firmware and programs come to {size >> 20} MB, {largest} above all, and a guest has room for "
            f"{IN_MEMORY >> 20} MB: all of it would be in its memory",
            next_step="leave out what the modules and exercises do not need",
        )
    return size


def module_parameters(text: str) -> str:
    """Parameters of a module. Raises ModcompatError for more than one line."""
    if set(text) & set("\n\r\0"):
        raise ModcompatError(f"parameters of a module have to be one line, as insmod takes it: {text!r}")
    return text


def symbols(names: Iterable[str]) -> tuple[str, ...]:
    """Options of the kernel, without CONFIG_ before them. Raises ModcompatError for what cannot be one."""
    names = tuple(names)
    if strange := [name for name in names if not _SYMBOL.fullmatch(name)]:
        raise ModcompatError(
            f"not an option of the kernel: {', '.join(map(repr, strange))}",
            next_step="a symbol as Kconfig has it, like KPROBE_EVENTS",
        )
    return tuple(name.removeprefix("CONFIG_") for name in names)


def console(tty: str) -> str:
    """The tty of the kernel log. Raises ModcompatError for what console= does not take."""
    if not _CONSOLE.fullmatch(tty):
        raise ModcompatError(f"{tty!r} is no tty of a kernel log", next_step="one like ttyS0, or ttyS0,115200")
    return tty


def name_below(folder: str, name: str) -> str:
    """A name of a file below a folder of the guest. Raises ModcompatError for one that leads elsewhere."""
    parts = name.split("/")
    if not name.isprintable() or {"", ".", ".."} & set(parts):
        raise ModcompatError(f"{name!r} is no name of a file below {folder}")
    return name
