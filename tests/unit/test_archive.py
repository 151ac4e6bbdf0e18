"""A cache on another machine: what an archive brings is verified, and stays inside."""

import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.archive import export_entries, import_entries
from harness.errors import ModcompatError
from harness.store import Store

INPUTS = {"source": "abc", "config": "CONFIG_SMP=y"}


def write(folder: Path) -> None:
    (folder / "symbols").write_text("c0008000 T _text")
    (folder / "link").symlink_to("symbols")


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
    assert (path / "link").readlink() == Path("symbols")


@pytest.mark.parametrize(
    "damage",
    [lambda whole: whole[: len(whole) // 3], lambda whole: whole.replace(b"c0008000", b"c0009000"), lambda _: b""],
    ids=["cut", "changed", "empty"],
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


def test_an_archive_cannot_write_outside_the_cache(store: Store, tmp_path: Path) -> None:
    archive, evil = tmp_path / "evil.tar", tmp_path / "evil"
    evil.write_text("x")
    with tarfile.open(archive, "w") as tar:
        tar.add(evil, arcname="../../escaped")
    with pytest.raises(ModcompatError):
        import_entries(store, archive)
    assert not (tmp_path.parent / "escaped").exists()
    assert not (tmp_path / "escaped").exists()
