# SPDX-License-Identifier: Apache-2.0
"""The files that a laboratory needs to boot the kernel of a cell: kernel, ramdisk, device tree, modules, script."""

import gzip
import io
import re
import stat
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from harness.guest import cpio
from harness.guest.boards import BOARDS, Board
from harness.guest.cpio import ArchiveMember
from harness.guest.machine import BY_HAND
from harness.guest.mailbox import Mailbox
from harness.report.export.replay import SCRIPT, Replay, replay_of
from harness.report.recorded_run import RecordedCell, Run
from harness.support import digest
from harness.support.errors import ModcompatError
from harness.support.folders import write_file

FILES = "files"  # the folder for files that cells share
PROMPT = "/ # "  # of the shell of the ramdisk
_DIGITS = 12  # of a digest in a name
_LEVEL = 6  # of compression
# The init of the ramdisk starts a shell on the console. printk.devkmsg: LAVA's signals are in the kernel log.
_FOR_LABS = "modcompat_shell=1 printk.devkmsg=on"
_OF_THE_GUEST = re.compile(r"modcompat_channel=\S+")
# What QEMU takes if it is not told, docs/system of QEMU 7.2; configurations of laboratories have to name one
_OWN_CPUS = {"q35": "qemu64", "pc": "qemu64", "vexpress-a9": "cortex-a9", "vexpress-a15": "cortex-a15", "virt": "rv64"}


@dataclass(frozen=True)
class LabCell:
    """A cell for a laboratory."""

    recorded: RecordedCell
    replay: Replay
    # `machine` of its evidence.json
    machine: Mapping[str, Any]

    @property
    def id(self) -> str:
        return str(self.recorded.row["id"])

    @property
    def board(self) -> Board:
        return BOARDS[self.machine["board"]]

    @property
    def cpu(self) -> str:
        """QEMU's name of the processor."""
        return self.machine["cpu"] or _OWN_CPUS[self.board.name]

    @property
    def parameters(self) -> str:
        """The kernel's command line for the emulated board."""
        return f"{_OF_THE_GUEST.sub('', self.machine['parameters']).strip()} {_FOR_LABS}"

    @property
    def parameters_of_boards(self) -> str:
        """The kernel's command line for a real board, which has a console of its own."""
        emulated = self.board.boot.split()
        words = (word for word in self.parameters.split() if word not in emulated)
        return " ".join(word for word in words if not word.startswith("console="))

    @property
    def kernel(self) -> Path:
        return Path(self.machine["kernel"])

    @property
    def device_tree(self) -> Path | None:
        return Path(self.machine["device_tree"]) if self.machine["device_tree"] else None

    @property
    def ramdisk(self) -> bytes:
        """The root file system of the guest, as one packed cpio archive. Raises ModcompatError."""
        return _ramdisk(Path(self.machine["initramfs"]))

    @cached_property
    def overlay(self) -> dict[str, tuple[bytes, int]]:
        """The modules and the script: path on the board -> content and permissions. Raises ModcompatError."""
        modules = self._posted() if self.machine["mailbox"] else self._in_ramdisk()
        if missing := [path for path in self.replay.files if path not in modules]:
            raise ModcompatError(f"{self.id} has no file of {', '.join(missing)}")
        script = self.replay.script(self.id).encode()
        return {path: (modules[path], 0o644) for path in self.replay.files} | {SCRIPT: (script, 0o755)}

    def _posted(self) -> dict[str, bytes]:
        return Mailbox(self.recorded.path / BY_HAND, self.machine["mailbox"]).posted()

    def _in_ramdisk(self) -> dict[str, bytes]:
        return {member.name: member.data for member in cpio.unpack(_content(Path(self.machine["initramfs"])))}


def lab_cell(cell: RecordedCell, run: Run) -> LabCell:
    """A cell of a run for a laboratory.

    Raises ModcompatError if it loaded no module, or if files of its guest are not on this machine.
    """
    name = cell.row["id"]
    if "/" in name or name.startswith(".") or not name.isprintable():  # a folder gets this name
        raise ModcompatError(f"{run.folder} has a cell with the name {name!a}, which cannot be exported")
    replay = replay_of(cell, run)
    if cell.machine is None:
        raise ModcompatError(
            f"{name} has no record of its machine: an earlier modcompat wrote it",
            next_step="run the cell again",
        )
    found = LabCell(cell, replay, cell.machine)
    if found.machine["board"] not in BOARDS:
        raise ModcompatError(f"{found.id} ran on {found.machine['board']}, which this modcompat does not know")
    for file in filter(None, (found.kernel, Path(found.machine["initramfs"]), found.device_tree)):
        if not file.is_file():
            raise ModcompatError(
                f"{found.id} ran with {file}, which is not on this machine",
                next_step="export it where it ran, or run it again here",
            )
    _ = found.overlay  # so that a missing module is found before anything is written
    return found


def tar_of(files: Mapping[str, tuple[bytes, int]]) -> bytes:
    """A packed tar archive. The same files give the same bytes."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path, (content, mode) in sorted(files.items()):
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(content), mode
            tar.addfile(entry, io.BytesIO(content))
    return _packed(archive.getvalue())


def cpio_of(files: Mapping[str, tuple[bytes, int]]) -> bytes:
    """A packed cpio archive, which may follow a ramdisk. The same files give the same bytes."""
    folders = sorted({str(parent) for path in files for parent in Path(path).parents} - {"."})
    members = [ArchiveMember(folder, stat.S_IFDIR | 0o755) for folder in folders]
    members += [ArchiveMember(path, stat.S_IFREG | mode, data) for path, (data, mode) in sorted(files.items())]
    return _packed(cpio.pack(members))


def share(name: str, content: bytes, folder: Path) -> str:
    """Write a file that several cells may need, once. Returns its path below `folder`, which has its digest."""
    stem, dot, suffix = name.partition(".")
    path = f"{FILES}/{stem}-{digest.of_bytes(content)[:_DIGITS]}{dot}{suffix}"
    if not (folder / path).exists():
        write_file(folder / path, content)
    return path


@lru_cache(maxsize=1)  # cells of one kernel follow each other
def _ramdisk(initramfs: Path) -> bytes:
    return _packed(cpio.pack(cpio.unpack(_content(initramfs))))


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ModcompatError(f"cannot read {file}: {error.strerror}") from None


def _packed(content: bytes) -> bytes:
    return gzip.compress(content, _LEVEL, mtime=0)
