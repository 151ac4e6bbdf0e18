# SPDX-License-Identifier: Apache-2.0
"""The cache: one build for equal inputs, all or nothing, and never a broken entry."""

import errno
import json
import multiprocessing
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from filelock import FileLock

from harness.support import process
from harness.support.cache.ownership import MANIFEST
from harness.support.cache.store import Store
from harness.support.errors import ModcompatError

INPUTS = {"source": "abc", "config": "CONFIG_SMP=y"}
RUNS = 3  # concurrent runs
PATIENCE = 60.0  # seconds to wait for another process


def write(folder: Path) -> None:
    (folder / "image").write_bytes(b"kernel")
    (folder / "deep").mkdir()
    (folder / "deep" / "symbols").write_text("c0008000 T _text")
    (folder / "link").symlink_to("image")


def refuse(folder: Path) -> None:
    raise AssertionError(f"built again: {folder}")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "cache")


def test_equal_inputs_are_built_once(store: Store) -> None:
    first = store.get_or_build("kernel", "arm", INPUTS, write)
    second = Store(store.root).get_or_build("kernel", "arm", dict(reversed(INPUTS.items())), refuse)
    assert first == second
    assert (second / "image").read_bytes() == b"kernel"


def test_other_inputs_are_another_entry(store: Store) -> None:
    first = store.get_or_build("kernel", "arm", INPUTS, write)
    second = store.get_or_build("kernel", "arm", INPUTS | {"config": "CONFIG_SMP=n"}, write)
    assert first != second


@pytest.mark.parametrize("label", ["/a/b", "../a", "../../a", "\x1b[2J\n", "", "x" * 300])
def test_a_label_is_never_a_path(store: Store, label: str) -> None:
    path = store.get_or_build("code", label, INPUTS, write)
    assert path.parent == store.root / "code"
    assert path.name.isprintable()
    assert [entry.path for entry in store.entries("code")] == [path]
    assert {folder.name for folder in store.root.parent.iterdir()} == {store.root.name}


def test_a_failed_build_leaves_nothing(store: Store) -> None:
    def fail(folder: Path) -> None:
        write(folder)
        raise ModcompatError("the compiler said no")

    with pytest.raises(ModcompatError, match="said no"):
        store.get_or_build("kernel", "arm", INPUTS, fail)
    assert list((store.root / "kernel").iterdir()) == []
    assert store.get("kernel", "arm", INPUTS) is None


def test_the_log_of_a_failed_build_is_where_the_error_says(store: Store) -> None:
    def fail(folder: Path) -> None:
        process.run(["sh", "-c", "echo no rule; exit 2"], log=folder / "merge.log", what="merging")

    def outer(folder: Path) -> None:
        store.get_or_build("config", "inner", INPUTS, fail)

    with pytest.raises(ModcompatError) as caught:
        store.get_or_build("kernel", "outer", INPUTS, outer)
    log = Path(caught.value.next_step.removeprefix("the whole log is "))
    assert "no rule" in log.read_text()
    assert log.parent == store.root / "logs"
    assert list(store.root.glob("config/*")) == []


class Clock:
    """A clock that moves only while the code sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.mark.parametrize("seconds", [0.3, 60.0], ids=["soon", "later"])
def test_an_interrupted_build_is_told_while_its_programs_still_write(
    store: Store, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    clock = Clock()
    remove = shutil.rmtree

    def resist(folder: Path) -> None:
        if clock.now < seconds:
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), str(folder))
        remove(folder)

    def interrupt(folder: Path) -> None:
        write(folder)
        raise KeyboardInterrupt

    monkeypatch.setattr("harness.support.cache.store.time", clock)
    monkeypatch.setattr(shutil, "rmtree", resist)
    with pytest.raises(KeyboardInterrupt):
        store.get_or_build("kernel", "arm", INPUTS, interrupt)
    monkeypatch.undo()
    assert len(list((store.root / "kernel").iterdir())) == (0 if seconds < 1 else 1)
    path = store.get_or_build("kernel", "arm", INPUTS, write)
    assert [entry.name for entry in (store.root / "kernel").iterdir()] == [path.name]


@pytest.mark.parametrize("damage", ["changed", "shortened", "missing", "manifest"])
def test_a_damaged_entry_is_made_again(store: Store, damage: str) -> None:
    path = store.get_or_build("kernel", "arm", INPUTS, write)
    match damage:
        case "changed":
            (path / "image").write_bytes(b"KERNEL")
        case "shortened":
            (path / "image").write_bytes(b"")
        case "missing":
            (path / "deep" / "symbols").unlink()
        case "manifest":
            (path / MANIFEST).write_text((path / MANIFEST).read_text()[:-20])
    fresh = Store(store.root)
    assert fresh.get("kernel", "arm", INPUTS) is None
    assert (fresh.get_or_build("kernel", "arm", INPUTS, write) / "image").read_bytes() == b"kernel"


@pytest.mark.parametrize(
    "changed",
    [
        {"files": {"x": 5}},
        {"files": {"x": [1, 2, 3]}},
        {"files": {"x": ["1", ""]}},
        {"files": {"x": [1, 7]}},
        {"files": {"image\0": [6, ""]}},
        {"files": {"\ud800": [6, ""]}},
        {"files": {"../../cache/CACHEDIR.TAG": [1, ""]}},
        {"files": {"/dev/zero": [0, "digest"]}},
        {"files": {"deep": [4096, ""]}},
        {"files": []},
        {"kind": "../../kernel"},
        {"digest": 5},
    ],
    ids=str,
)
def test_a_manifest_that_says_what_none_can_is_damage(store: Store, changed: dict[str, object]) -> None:
    path = store.get_or_build("kernel", "arm", INPUTS, write)
    facts = json.loads((path / MANIFEST).read_text())
    (path / MANIFEST).write_text(json.dumps(facts | changed))
    is_made_again(store.root)


@pytest.mark.parametrize("text", ["[" * 100_000, "9" * 5000, "[]", "null", ""], ids=lambda text: text[:3] or "empty")
def test_a_manifest_that_is_none_is_damage(store: Store, text: str) -> None:
    (store.get_or_build("kernel", "arm", INPUTS, write) / MANIFEST).write_text(text)
    is_made_again(store.root)


def is_made_again(root: Path) -> None:
    """The damaged entry is built again; listing and trimming survive it."""
    fresh = Store(root)
    assert fresh.get("kernel", "arm", INPUTS) is None
    assert len(list(fresh.entries())) <= 1
    fresh.trim("kernel", keep=1, unused_for=0)
    assert (fresh.get_or_build("kernel", "arm", INPUTS, write) / "image").read_bytes() == b"kernel"


def test_a_full_disk_is_explained_and_leaves_nothing(store: Store) -> None:
    def fill(folder: Path) -> None:
        write(folder)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(ModcompatError, match="no space left") as caught:
        store.get_or_build("kernel", "arm", INPUTS, fill)
    assert "MODCOMPAT_CACHE" in caught.value.next_step
    assert list((store.root / "kernel").iterdir()) == []


def wait_until(is_so: Callable[[], object]) -> None:
    """Wait for a condition. Raises TimeoutError if it does not come true."""
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.01)


def ended(run: BaseProcess) -> int | None:
    """The exit status of another run, which has ended or is about to."""
    run.join(PATIENCE)
    return run.exitcode


def build_among_others(root: Path, arrived: Path, built: Path) -> None:
    def build(folder: Path) -> None:
        wait_until(lambda: len(list(arrived.iterdir())) == RUNS)
        write(folder)
        (built / str(os.getpid())).touch()

    (arrived / str(os.getpid())).touch()
    Store(root).get_or_build("kernel", "arm", INPUTS, build)


def test_runs_at_once_build_one_entry(store: Store, tmp_path: Path) -> None:
    arrived, built = tmp_path / "arrived", tmp_path / "built"
    arrived.mkdir()
    built.mkdir()
    context = multiprocessing.get_context("spawn")
    runs = [
        context.Process(target=build_among_others, args=(store.root, arrived, built), daemon=True) for _ in range(RUNS)
    ]
    for run in runs:
        run.start()
    assert [ended(run) for run in runs] == [0] * RUNS
    assert len(list(built.iterdir())) == 1


def build_for_ever(root: Path, started: Path) -> None:
    def build(folder: Path) -> None:
        write(folder)
        started.touch()
        time.sleep(60)

    Store(root).get_or_build("kernel", "arm", INPUTS, build)


def test_a_killed_build_is_not_an_entry_and_is_not_in_the_way(store: Store, tmp_path: Path) -> None:
    started = tmp_path / "started"
    run = multiprocessing.get_context("spawn").Process(target=build_for_ever, args=(store.root, started), daemon=True)
    run.start()
    wait_until(started.exists)
    run.kill()
    assert ended(run) == -signal.SIGKILL
    assert store.get("kernel", "arm", INPUTS) is None
    assert list(store.entries()) == []
    path = store.get_or_build("kernel", "arm", INPUTS, write)
    assert [entry.name for entry in (store.root / "kernel").iterdir()] == [path.name]


def test_prune_takes_what_was_not_used_for_a_while(store: Store) -> None:
    old = store.get_or_build("kernel", "old", INPUTS, write)
    new = store.get_or_build("kernel", "new", INPUTS, write)
    os.utime(old / MANIFEST, (1, 1))
    assert [entry.path for entry in store.prune(unused_for=3600)] == [old]
    assert not old.exists()
    assert new.exists()


def test_prune_takes_what_nobody_can_use(store: Store) -> None:
    kept, damaged = (store.get_or_build("kernel", name, {}, write) for name in "ad")
    (damaged / "entry.json").write_text("{")
    rest, staging = store.root / "kernel/b-0123456789abcdef", store.root / ".import-4194999"
    for folder in (rest, staging, store.root / "logs/c"):
        folder.mkdir(parents=True)
        (folder / "file").touch()
    os.utime(staging, (1, 1))
    assert store.prune(unused_for=3600) == []
    assert kept.is_dir()
    assert (store.root / "logs/c").is_dir()
    assert not any(folder.exists() for folder in (rest, staging, damaged))


def test_prune_keeps_to_the_kinds_it_is_given(store: Store) -> None:
    kernel = store.get_or_build("kernel", "arm", INPUTS, write)
    pin = store.get_or_build("pin", "linux", INPUTS, write)
    store.prune(unused_for=-1, kinds=frozenset({"pin"}))
    assert kernel.exists()
    assert not pin.exists()


def use_scratch(root: Path, started: Path) -> None:
    with Store(root).scratch() as folder:
        (folder / "state").touch()
        started.write_text(str(folder))
        time.sleep(60)


@pytest.fixture
def running(store: Store, tmp_path: Path) -> Iterator[tuple[BaseProcess, Path]]:
    """Another run, and its private folder."""
    started = tmp_path / "started"
    run = multiprocessing.get_context("spawn").Process(target=use_scratch, args=(store.root, started), daemon=True)
    run.start()
    try:
        wait_until(lambda: started.exists() and started.read_text())
        yield run, Path(started.read_text())
    finally:
        run.kill()
        ended(run)


def test_a_private_folder_goes_when_its_run_was_killed_and_not_before(
    store: Store, running: tuple[BaseProcess, Path]
) -> None:
    run, theirs = running
    with store.scratch() as mine, store.scratch():
        store.prune(unused_for=-1)
        assert (theirs / "state").exists()
        assert mine.exists()
        run.kill()
        ended(run)
        store.prune(unused_for=-1)
        assert not theirs.exists()
        assert mine.exists()
    assert list((store.root / "scratch").iterdir()) == []


def test_the_number_of_a_process_says_nothing_of_a_private_folder(
    store: Store, monkeypatch: pytest.MonkeyPatch, running: tuple[BaseProcess, Path]
) -> None:
    run, theirs = running
    folder = theirs.rename(theirs.with_name("4194999-abcdefgh"))  # as in a container that does not see this process
    theirs.with_name(f"{theirs.name}.lock").rename(theirs.with_name(f"{folder.name}.lock"))
    with store.scratch():
        assert (folder / "state").exists()
    run.kill()
    ended(run)
    left = folder.rename(folder.with_name(f"{os.getpid()}-abcdefgh"))  # our PID in another container
    folder.with_name(f"{folder.name}.lock").rename(folder.with_name(f"{left.name}.lock"))
    with store.scratch():
        assert not left.exists()


@pytest.mark.parametrize("pid", [1, 4194999])
def test_a_private_folder_of_an_older_version_goes_after_a_week(store: Store, pid: int) -> None:
    old = store.root / f"scratch/{pid}-abcdefgh"
    with store.scratch():
        old.mkdir()
    for days, left in ((6, True), (8, False)):
        os.utime(old, (time.time() - days * 86400,) * 2)
        with store.scratch():
            assert old.exists() == left


def test_trim_keeps_the_latest_and_what_may_be_in_use(store: Store) -> None:
    paths = [store.get_or_build("snapshot", f"s{number}", INPUTS, write) for number in range(4)]
    for age, path in enumerate(reversed(paths[:3])):
        os.utime(path / MANIFEST, (time.time() - 100 * (age + 1),) * 2)
    store.trim("snapshot", keep=1, unused_for=150)
    assert [path.exists() for path in paths] == [False, False, True, True]


def test_what_another_user_keeps_in_the_cache_is_used_and_not_trimmed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = store.get_or_build("snapshot", "theirs", INPUTS, write)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(os, "utime", refuse)
    monkeypatch.setattr(FileLock, "acquire", refuse)
    assert store.get("snapshot", "theirs", INPUTS) == path
    store.trim("snapshot", keep=0, unused_for=-1)
    assert path.exists()


def test_a_file_of_the_user_that_cannot_be_read_is_no_fault_of_the_cache(store: Store, tmp_path: Path) -> None:
    def deny(file: Path) -> Callable[[Path], None]:
        def build(folder: Path) -> None:
            raise PermissionError(errno.EACCES, "Permission denied", str(file))

        return build

    with pytest.raises(PermissionError):
        store.get_or_build("kernel", "arm", INPUTS, deny(tmp_path / "linux/certs/key.pem"))
    with pytest.raises(ModcompatError, match="cannot write to"):
        store.get_or_build("kernel", "arm", INPUTS, deny(store.root / "kernel"))


def test_an_unwritable_cache_is_explained(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises((ModcompatError, NotADirectoryError)):
        Store(blocked / "cache").get_or_build("kernel", "arm", INPUTS, write)
