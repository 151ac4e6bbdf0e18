"""The guest's user space: busybox, our init and agent, and the modules, as one cpio archive."""

import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from harness import debian, digest
from harness.architectures import Architecture
from harness.paths import IMAGES
from harness.store import Store

_FILE, _PROGRAM = 0o644, 0o755


def build_initramfs(arch: Architecture, files: Mapping[str, Path], store: Store) -> Path:
    """An archive with busybox, init, agent and `files` (path in the guest -> file on the host). Cached."""
    scripts = {name: IMAGES / "guest" / name for name in ("init", "agent")}
    contents = {"bin/busybox": _busybox(arch, store), **scripts, **files}
    inputs = {name: digest.of_file(path) for name, path in contents.items()}

    def build(folder: Path) -> None:
        (folder / "initramfs.cpio").write_bytes(pack(contents))

    return store.get_or_build("initramfs", arch.name, inputs, build) / "initramfs.cpio"


def pack(contents: Mapping[str, Path]) -> bytes:
    """A cpio archive in the kernel's `newc` form, the same bytes for the same contents.

    Format: Documentation/driver-api/early-userspace/buffer-format.rst. /dev/console and /dev/null are
    added: the kernel opens the one for init, before devtmpfs is mounted.
    """
    return b"".join(_records(contents))


def _records(contents: Mapping[str, Path]) -> Iterator[bytes]:
    folders = {"dev"}
    for name in contents:
        folders |= {str(parent) for parent in Path(name).parents if str(parent) != "."}
    for folder in sorted(folders):
        yield _record(folder, stat.S_IFDIR | _PROGRAM)
    yield _record("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))
    yield _record("dev/null", stat.S_IFCHR | 0o666, device=(1, 3))
    for name, path in sorted(contents.items()):
        mode = _FILE if path.suffix == ".ko" else _PROGRAM
        yield _record(name, stat.S_IFREG | mode, path.read_bytes())
    yield _record("TRAILER!!!", 0)


def _record(name: str, mode: int, data: bytes = b"", device: tuple[int, int] = (0, 0)) -> bytes:
    encoded = name.encode() + b"\0"
    # ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
    fields = (0, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(encoded), 0)
    header = b"070701" + b"".join(b"%08X" % field for field in fields) + encoded
    return _padded(header) + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)


def _busybox(arch: Architecture, store: Store) -> Path:
    """Debian's static busybox of an architecture."""

    def build(folder: Path) -> None:
        deb = debian.download("busybox-static", arch.debian, folder)
        debian.unpack_member(deb, "bin/busybox", folder)
        deb.unlink()

    inputs = {"package": "busybox-static", "architecture": arch.debian}
    return store.get_or_build("busybox", arch.name, inputs, build) / "bin/busybox"
