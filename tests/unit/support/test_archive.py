# SPDX-License-Identifier: Apache-2.0
"""Importing a cache from another machine: the archive is verified, and writes only inside the cache."""

import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.support.cache.archive import export_entries, import_entries
from harness.support.cache.store import Store
from harness.support.errors import ModcompatError

INPUTS = {"source": "abc", "config": "CONFIG_SMP=y"}


def write(folder: Path) -> None:
    (folder / "symbols").write_text("c0008000 T _text")
    (folder / "build").mkdir()
    (folder / "build/Makefile").write_text("all:")


def refuse(folder: Path) -> None:
    raise AssertionError(f"built again: {folder}")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "cache")


def test_an_exported_cache_serves_on_another_machine(store: Store, tmp_path: Path) -> None:
    store.get_or_build("kernel", "arm", INPUTS, write)
    store.get_or_build("source", "linux", INPUTS, write)
    archive = tmp_path / "kernels.tar"
    assert [entry.kind for entry in export_entries(store, archive)] == ["kernel"]
    other = Store(tmp_path / "other")
    assert len(import_entries(other, archive)) == 1
    assert import_entries(other, archive) == []
    path = other.get_or_build("kernel", "arm", INPUTS, refuse)
    assert (path / "build/Makefile").read_text() == "all:"


def test_a_damaged_entry_is_not_exported(store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store.get_or_build("kernel", "arm", INPUTS, write)
    entry = store.get_or_build("kernel", "x86_64", INPUTS, write)
    (entry / "build/Makefile").write_text("none:")
    other = Store(store.root)  # which has not verified the entries yet
    (exported,) = export_entries(other, tmp_path / "kernels.tar")
    assert exported.name.startswith("arm-")
    assert "is damaged (build/Makefile)" in capsys.readouterr().err


def test_what_stays_on_its_machine_is_neither_exported_nor_imported(store: Store, tmp_path: Path) -> None:
    entry = store.get_or_build("shipped", "linux-image", INPUTS, write)
    store.get_or_build("kernel", "arm", INPUTS, write)
    archive = tmp_path / "kernels.tar"
    assert [exported.kind for exported in export_entries(store, archive)] == ["kernel"]
    with tarfile.open(archive, "a") as tar:  # as earlier versions exported it
        tar.add(entry, arcname=f"shipped/{entry.name}")
    other = Store(tmp_path / "other")
    (added,) = import_entries(other, archive)
    assert added.startswith("kernel/arm-")
    assert other.get("shipped", "linux-image", INPUTS) is None


@pytest.mark.parametrize("damage", ["another name", "another file"])
def test_an_entry_is_what_its_manifest_says_and_nothing_else(store: Store, tmp_path: Path, damage: str) -> None:
    entry = store.get_or_build("kernel", "arm", INPUTS, write)
    if damage == "another file":
        (entry / "image").touch()
    else:
        entry = entry.rename(entry.with_name("arm-0123456789abcdef"))
    archive = tmp_path / "kernels.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(entry, arcname=f"kernel/{entry.name}")
    with pytest.raises(ModcompatError, match=f"entry {entry.name} does not verify"):
        import_entries(Store(tmp_path / "other"), archive)


def test_an_entry_with_links_stays(store: Store, tmp_path: Path) -> None:
    def link(folder: Path) -> None:
        (folder / "source").symlink_to(tmp_path)

    store.get_or_build("kernel", "arm", INPUTS, write)
    store.get_or_build("kernel", "debugged", INPUTS, link)
    export_entries(store, tmp_path / "kernels.tar")
    (added,) = import_entries(Store(tmp_path / "other"), tmp_path / "kernels.tar")
    assert added.startswith("kernel/arm-")


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: whole[: len(whole) // 3],
        lambda whole: whole[: whole.index(b"entry.json") + 100],
        lambda whole: whole[: whole.index(b"c0008000") + 1],
        lambda whole: whole.replace(b"c0008000", b"c0009000"),
        lambda _: b"",
    ],
    ids=["cut", "cut-in-a-header", "cut-in-a-file", "changed", "empty"],
)
def test_a_damaged_archive_adds_nothing_broken(store: Store, tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    store.get_or_build("kernel", "arm", INPUTS, write)
    archive = tmp_path / "kernels.tar"
    export_entries(store, archive)
    archive.write_bytes(damage(archive.read_bytes()))
    other = Store(tmp_path / "other")
    with pytest.raises(ModcompatError):
        import_entries(other, archive)
    assert other.get("kernel", "arm", INPUTS) is None
    assert not list(other.root.glob(".import-*"))


ENTRY = "kernel/x86_64-evil-0123456789abcdef"


def link(name: str, target: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = tarfile.SYMTYPE, target
    return member


@pytest.mark.parametrize(
    "members",
    [
        [tarfile.TarInfo("../../escaped")],
        [tarfile.TarInfo(f"{ENTRY}/../../../escaped")],
        [tarfile.TarInfo(f"../{ENTRY}/file")],
        [tarfile.TarInfo(f"/{ENTRY}/file")],
        [link(f"{ENTRY}/a", "."), link(f"{ENTRY}/b", "a/../../.."), tarfile.TarInfo(f"{ENTRY}/b/escaped")],
        [link("kernel", "."), tarfile.TarInfo(f"{ENTRY}/file")],
        [tarfile.TarInfo("locks/kernel-x86_64-evil-0123456789abcdef")],
        [tarfile.TarInfo("locks/x86_64-evil-0123456789abcdef/entry.json")],
        [tarfile.TarInfo("kernel/x86_64/entry.json")],
        [tarfile.TarInfo("entry.json")],
        [tarfile.TarInfo(f"{ENTRY}/file"), tarfile.TarInfo(f"{ENTRY}/file/below")],
    ],
    ids=["dots", "dots-later", "dots-first", "root", "links", "a-linked-kind", "file-of-a-lock", "lock", "name",
         "top", "below-a-file"],
)  # fmt: skip
def test_an_archive_has_plain_files_of_entries_or_is_refused(
    members: list[tarfile.TarInfo], store: Store, tmp_path: Path
) -> None:
    archive = tmp_path / "evil.tar"
    with tarfile.open(archive, "w") as tar:
        for member in members:
            tar.addfile(member)
    with pytest.raises(ModcompatError, match="is not a whole archive of `modcompat cache export`"):
        import_entries(store, archive)
    assert not list(tmp_path.parent.rglob("escaped"))
    assert list(store.entries()) == []
    assert list((store.root / "scratch").iterdir()) == []


def test_what_has_no_end_is_not_read(store: Store, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        with pytest.raises(ModcompatError, match=f"cannot read {path}: it is not a regular file"):
            import_entries(store, path)
