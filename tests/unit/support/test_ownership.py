# SPDX-License-Identifier: Apache-2.0
"""The folder of the cache: it is marked, and files of other programs in it are never removed."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.support.cache.archive import import_entries
from harness.support.cache.ownership import TAG
from harness.support.cache.store import Store
from harness.support.errors import ModcompatError

STRANGE = ("photos/2019/a.jpg", "project/src/main.c", "scratch/2024123-results/x.csv", "kernel/.linux.partial/a")


def write(folder: Path) -> None:
    (folder / "image").write_bytes(b"kernel")


def fill(root: Path, *names: str) -> list[Path]:
    files = [root / name for name in names]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("mine")
    return files


def use(root: Path) -> Store:
    """Call everything that removes files from a cache."""
    store = Store(root)
    with store.scratch():
        pass
    store.prune(unused_for=3600)
    return store


def unmarked(root: Path) -> Path:
    """Make a cache without the mark, as older versions did, and return the path of its only entry."""
    store = Store(root)
    path = store.get_or_build("kernel", "arm", {}, write)
    with store.scratch():
        pass
    (root / TAG).unlink()
    return path


def test_a_cache_carries_the_mark_that_backup_programs_know(tmp_path: Path) -> None:
    for root in (tmp_path / "new/cache", tmp_path / "empty"):
        if root.name == "empty":
            root.mkdir()
        use(root)
        assert (root / TAG).read_text().startswith("Signature: 8a477f597d28d172789f06886806bc55\n")


def test_only_looking_makes_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path / "cache")
    assert store.prune(unused_for=0) == list(store.entries()) == []
    assert not store.root.exists()


def build(store: Store) -> object:
    return store.get_or_build("kernel", "arm", {}, write)


@pytest.mark.parametrize(
    "act",
    [build, lambda store: store.scratch().__enter__(), lambda store: store.prune(unused_for=-1),
     lambda store: import_entries(store, store.root / "absent.tar")],
    ids=["build", "scratch", "prune", "import"],
)  # fmt: skip
def test_a_folder_that_others_keep_things_in_is_refused(tmp_path: Path, act: Callable[[Store], object]) -> None:
    files = fill(tmp_path / "disk", *STRANGE)
    store = Store(tmp_path / "disk")
    before = sorted(store.root.rglob("*"))
    with pytest.raises(ModcompatError, match="is not empty") as caught:
        act(store)
    assert str(store.root / "modcompat") in caught.value.next_step
    assert sorted(store.root.rglob("*")) == before
    assert all(file.read_text() == "mine" for file in files)


@pytest.mark.parametrize(
    "name",
    ["file", "tools/hammer/a", "source/a.c", "scratch/1-abcdefgh/a", "logs/a.log", "locks/a.lock", "kernel/a.ko",
     "index/crates.io-6f17d22bba15001f/a", f"{TAG}"],
)  # fmt: skip
def test_names_like_ours_do_not_make_it_ours(tmp_path: Path, name: str) -> None:
    fill(tmp_path, name)
    with pytest.raises(ModcompatError, match="is not empty"):
        use(tmp_path)
    assert (tmp_path / name).read_text() == "mine"


def test_a_cache_from_before_the_mark_goes_on_working_and_gets_it(tmp_path: Path) -> None:
    path = unmarked(tmp_path)
    (tmp_path / "kernel/.arm-0123456789abcdef.partial").mkdir()
    (tmp_path / "locks/kernel-arm-0123456789abcdef.lock").touch()
    fill(tmp_path, "logs/arm.log", "kernels.tar")
    (tmp_path / "lost+found").mkdir()
    assert [entry.path for entry in use(tmp_path).entries()] == [path]
    assert (tmp_path / TAG).exists()
    assert not list(tmp_path.glob("kernel/.*"))


def test_one_without_its_locks_goes_on_working(tmp_path: Path) -> None:
    path = unmarked(tmp_path)
    shutil.rmtree(tmp_path / "locks")
    assert [entry.path for entry in use(tmp_path).entries()] == [path]


def test_one_that_was_only_begun_goes_on_working(tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    use(tmp_path)
    assert (tmp_path / TAG).exists()


def test_an_unmarked_cache_that_others_keep_things_in_is_refused(tmp_path: Path) -> None:
    path = unmarked(tmp_path)
    fill(tmp_path, "photos/2019/a.jpg")
    with pytest.raises(ModcompatError, match="is not empty"):
        use(tmp_path)
    assert path.exists()


def test_what_others_put_into_a_cache_is_left_alone(tmp_path: Path) -> None:
    use(tmp_path)
    files = fill(tmp_path, *STRANGE, "tools/hammer/a", ".import-mine/a")
    use(tmp_path).prune(unused_for=-1)
    assert all(file.read_text() == "mine" for file in files)


def test_the_platforms_own_folder_is_ours_whatever_is_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.support.cache.ownership.default_cache_root", lambda: tmp_path)
    kept = fill(tmp_path, *STRANGE)
    use(tmp_path)
    assert (tmp_path / TAG).is_file()
    assert all(file.is_file() for file in kept)
