# SPDX-License-Identifier: Apache-2.0
"""User-supplied root file systems: every format gives the same result, and damage gives one clear line."""

import bz2
import gzip
import lzma
import os
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.guest import cpio, userland
from harness.guest.cpio import ArchiveMember
from harness.guest.userland import Userland, find_userland, find_userlands
from harness.kernel.arch import ARM
from harness.support import progress
from harness.support.cache.store import Store
from harness.support.errors import ModcompatError
from tests.unit.tools import need


def program(machine: int = 40, bits: int = 32) -> bytes:
    """A program's ELF header; nothing else is read. The default is 32-bit ARM."""
    ident = b"\x7fELF" + bytes([bits // 32, 1, 1]) + bytes(9)
    header = struct.pack("<HHI", 2, machine, 1) + bytes(28 if bits == 32 else 40)
    return ident + header


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root as build systems make it: merged /usr, a shell that is a link, a program with two names."""
    folder = tmp_path / "root"
    (folder / "usr/bin").mkdir(parents=True)
    (folder / "bin").symlink_to("usr/bin")
    (folder / "usr/bin/busybox").write_bytes(program())
    (folder / "usr/bin/busybox").chmod(0o755)
    os.link(folder / "usr/bin/busybox", folder / "usr/bin/ls")
    (folder / "usr/bin/sh").symlink_to("/bin/busybox")
    (folder / "etc").mkdir()
    (folder / "etc/os-release").write_text("NAME=acme\n")
    return folder


def as_cpio(root: Path) -> bytes:
    names = "\n".join(str(path.relative_to(root)) for path in [root, *sorted(root.rglob("*"))])
    command = ["cpio", "-o", "-H", "newc", "--quiet"]
    return subprocess.run(command, input=names.encode(), cwd=root, capture_output=True, check=True).stdout


def squashfs(root: Path, image: Path) -> None:
    subprocess.run(["mksquashfs", root, image, "-quiet", "-no-progress"], check=True, capture_output=True)


def ext4(root: Path, image: Path) -> None:
    subprocess.run(["mkfs.ext4", "-q", "-d", root, image, "2M"], check=True, env=_with_sbin(), capture_output=True)


def _with_sbin() -> dict[str, str]:
    return {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}


FORMS: dict[str, Callable[[Path, Path], object]] = {
    "folder": lambda root, path: shutil.copytree(root, path, symlinks=True),
    "cpio": lambda root, path: path.write_bytes(as_cpio(root)),
    "cpio.gz": lambda root, path: path.write_bytes(gzip.compress(as_cpio(root))),
    "cpio.xz": lambda root, path: path.write_bytes(lzma.compress(as_cpio(root))),
    "squashfs": squashfs,
    "ext4": ext4,
}
NEEDS = {"cpio": "cpio", "cpio.gz": "cpio", "cpio.xz": "cpio", "squashfs": "mksquashfs", "ext4": "mkfs.ext4"}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_it_is_read(form: str, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", _with_sbin()["PATH"])
    if form in NEEDS:
        need(NEEDS[form])
    image = tmp_path / f"rootfs.{form}"
    FORMS[form](root, image)
    userland = find_userland(image, Store(tmp_path / "cache"))
    members = {member.name: member for member in cpio.unpack(userland.archive.read_bytes())}
    assert userland.arch is ARM
    assert members["userland/etc/os-release"].data == b"NAME=acme\n"
    assert members["userland/bin"].data == b"usr/bin"
    assert members["userland/usr/bin/sh"].data == b"/bin/busybox"
    assert members["userland/usr/bin/busybox"].mode == 0o100755
    shared = {members[f"userland/usr/bin/{name}"].inode for name in ("busybox", "ls")}
    assert len(shared) == 1 or form in ("folder", "ext4")  # a copy and debugfs make two files out of them
    assert next(iter(members)) == "userland"


def complaint(path: Path, cache: Path) -> str:
    with pytest.raises(ModcompatError) as caught:
        find_userland(path, Store(cache))
    assert "\n" not in caught.value.problem
    return caught.value.problem


def test_what_is_no_root_file_system_is_refused(tmp_path: Path) -> None:
    cache, file = tmp_path / "cache", tmp_path / "image"
    assert "No such file" in complaint(file, cache)
    for content, words in {
        b"": "not a root file system in a known format",
        b"hello" * 1000: "not a root file system in a known format",
        gzip.compress(b"hello"): "not a root file system in a known format",
        gzip.compress(b"hello" * 1000)[:30]: "is damaged",
        b"070701" + b"0" * 50: "cut off",
        b"070701" + b"x" * 200: "damaged at byte 0",
        b"070701" + b"-0000070" * 13 + b"\0": "damaged at byte 0",
        b"070701" + b"1_0 +0x1" * 13 + bytes(9): "damaged at byte 0",
        cpio.pack([ArchiveMember("etc", 0o40755)]): "has no /bin/sh",
        cpio.pack([ArchiveMember("bin/sh", 0o100755, b"#!/bin/other\n")]): "is not an ELF file",
        cpio.pack([ArchiveMember("bin/sh", 0o100755, program(machine=8))]): "EM_MIPS",
        cpio.pack([ArchiveMember("bin/sh", 0o120777, b"sh")]): "has no /bin/sh",
        b"hsqs" + bytes(5000): "is a damaged squashfs image",
        bytes(1080) + b"\x53\xef" + bytes(5000): "is a damaged ext2/3/4 image",
    }.items():
        file.write_bytes(content)
        assert words in complaint(file, cache), content[:20]
    assert list(Store(cache).entries()) == []


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress, bz2.compress, zstandard.compress, bytes])
def test_what_comes_to_more_than_a_guest_can_hold_is_not_unpacked(
    pack: Callable[[bytes], bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(userland, "_MAX_BYTES", 4 << 20)
    monkeypatch.setattr(cpio, "unpack", lambda _: pytest.fail("all of it was unpacked"))
    file = tmp_path / "image"
    file.write_bytes(pack(b"070701" + bytes(64 << 20)))
    assert "has more than 4 MB of files" in complaint(file, tmp_path / "cache")


def test_a_folder_with_more_than_a_guest_can_hold_is_not_read(root: Path, tmp_path: Path) -> None:
    (root / "sparse").touch()
    os.truncate(root / "sparse", 1 << 42)
    assert complaint(root, tmp_path / "cache").startswith(f"{root} has more than 1024 MB of files")


def test_an_image_that_is_cut_off_is_refused(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", _with_sbin()["PATH"])
    (root / "large").write_bytes(os.urandom(500_000))
    for make in (squashfs, ext4):
        image = tmp_path / make.__name__
        make(root, image)
        os.truncate(image, image.stat().st_size * 2 // 5)
        assert complaint(image, tmp_path / "cache")


def debugfs(image: Path, *commands: str) -> None:
    """Run debugfs commands that change an image, perhaps into a damaged one."""
    need("debugfs")
    lines = "".join(f"{command}\n" for command in commands)
    subprocess.run(["debugfs", "-w", "-f", "-", image], input=lines.encode(), check=True, capture_output=True)


def renamed(image: Path, name: str, other: str) -> None:
    image.write_bytes(image.read_bytes().replace(name.encode(), other.encode()))


def plain_ext4(root: Path, image: Path) -> None:
    """Make an image with small blocks, and without checksums that would reveal later changes."""
    command: list[str | Path] = ["mkfs.ext4", "-q", "-b", "1024", "-O", "^metadata_csum", "-d", root, image, "4M"]
    subprocess.run(command, check=True, capture_output=True)


@pytest.mark.parametrize("state", ["unmounted", "wrong count", "journal"])
def test_an_image_that_was_in_use_is_read(
    state: str, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", _with_sbin()["PATH"])
    need("mkfs.ext4")
    image = tmp_path / "rootfs"
    plain_ext4(root, image)
    debugfs(image, "ssv state 0", *(["ssv free_blocks_count 7"] if state == "wrong count" else []))
    if state == "journal":
        (tmp_path / "block").write_bytes(bytes(1024))
        debugfs(image, "journal_open", f"journal_write -b 3000 {tmp_path}/block", "journal_close")
    image.chmod(0o444)
    content = image.read_bytes()
    assert find_userland(image, Store(tmp_path / "cache")).arch is ARM
    assert image.read_bytes() == content, "it is the user's"


def test_an_image_cannot_write_outside_by_a_name(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", _with_sbin()["PATH"])
    need("mkfs.ext4")
    (root / "XXXXXXXXXXXXXXXX-escaped").write_text("x")
    image = tmp_path / "rootfs"
    plain_ext4(root, image)
    renamed(image, "XXXXXXXXXXXXXXXX-escaped", "../../../../../x-escaped")
    assert "is a damaged ext2/3/4 image" in complaint(image, tmp_path / "cache")
    assert not list(tmp_path.parent.rglob("x-escaped"))


@pytest.mark.parametrize("between", [0, 40], ids=["in-one-block", "in-two-blocks"])
def test_an_image_cannot_write_outside_by_a_link_and_a_file_of_one_name(
    between: int, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plain e2fsck does not notice two equal names in different blocks of a folder."""
    monkeypatch.setenv("PATH", _with_sbin()["PATH"])
    need("mkfs.ext4")
    image, escaped = tmp_path / "rootfs", tmp_path / "escaped"
    plain_ext4(root, image)
    link, file = "l" * 100, "f" * 100
    (tmp_path / "file").write_text("x")
    others = [f"write {tmp_path}/file {'o' * 60}{number}" for number in range(between)]
    debugfs(image, "mkdir d", "cd d", f"symlink {link} {escaped}", *others, f"write {tmp_path}/file {file}")
    assert find_userland(image, Store(tmp_path / "cache")).arch is ARM
    renamed(image, file, link)
    assert "is a damaged ext2/3/4 image" in complaint(image, tmp_path / "cache")
    assert not escaped.exists()


def test_a_large_one_that_is_looked_at_for_long_is_told(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "_HIDDEN_SECONDS", 0.0)
    image = tmp_path / "rootfs"
    image.write_bytes(cpio.pack([ArchiveMember("bin/sh", 0o100755, program())]))
    for path in (image, root):
        find_userland(path, Store(tmp_path / "cache"))
        assert f"reading {path.name} ..." in capsys.readouterr().err


def test_there_is_one_for_each_architecture(root: Path, tmp_path: Path) -> None:
    second = tmp_path / "second"
    shutil.copytree(root, second, symlinks=True)
    with pytest.raises(ModcompatError, match="two root file systems are for arm"):
        find_userlands([root, second], Store(tmp_path / "cache"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300), st.integers(0, 400), st.binary(max_size=4))
def test_a_damaged_archive_is_read_or_refused(tail: bytes, at: int, patch: bytes) -> None:
    archive = bytearray(cpio.pack([ArchiveMember("bin", 0o40755), ArchiveMember("bin/sh", 0o100755, program())]) + tail)
    archive[at : at + len(patch)] = patch
    try:
        members = list(cpio.unpack(bytes(archive)))
    except ModcompatError:
        return
    assert all(isinstance(member.name, str) for member in members)


def test_a_root_is_packed_below_its_folder_whatever_its_names_say(tmp_path: Path) -> None:
    file = tmp_path / "image"
    names = ("../../etc/passwd", "/bin/sh", "./usr")
    file.write_bytes(cpio.pack(ArchiveMember(name, 0o100755, program()) for name in names))
    userland: Userland = find_userland(file, Store(tmp_path / "cache"))
    found = {member.name for member in cpio.unpack(userland.archive.read_bytes())}
    assert found == {"userland", "userland/etc/passwd", "userland/bin/sh", "userland/usr"}
