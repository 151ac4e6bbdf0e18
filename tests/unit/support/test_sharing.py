# SPDX-License-Identifier: Apache-2.0
"""The cache and its remote: what another machine built is not built again, and the remote makes nothing fail."""

import errno
import os
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from harness.support.cache import sharing
from harness.support.cache.ownership import KINDS, MANIFEST
from harness.support.cache.packed_entry import SUFFIX
from harness.support.cache.sharing import KEPT, PINS, READ_ONLY_VARIABLE, URL_VARIABLE
from harness.support.cache.store import Store
from harness.support.errors import ModcompatError
from harness.support.patience import Patience

fsspec = pytest.importorskip("fsspec")
local = pytest.importorskip("fsspec.implementations.local").LocalFileSystem
memory: Any = pytest.importorskip("fsspec.implementations.memory").MemoryFileSystem
Machine = Callable[[str], Store]
INPUTS = {"source": "abc", "config": "CONFIG_SMP=y"}
OTHER = INPUTS | {"config": "CONFIG_SMP=n"}


def write(folder: Path) -> None:
    (folder / "image").write_bytes(b"kernel")
    (folder / "build").mkdir()
    (folder / "build/Makefile").write_text("all:")


def refuse(folder: Path) -> None:
    raise AssertionError(f"built again: {folder}")


@pytest.fixture(params=["file", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"file://{tmp_path}/remote" if request.param == "file" else f"memory://{tmp_path.name}"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """The cache of a machine, by its name. Each call is another process of that machine."""

    def store(name: str) -> Store:
        sharing.forget()
        return Store(tmp_path / name)

    return store


@pytest.fixture
def remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a remote that the environment names."""
    monkeypatch.setenv(URL_VARIABLE, f"file://{tmp_path}/remote")
    return tmp_path / "remote"


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def is_clean(store: Store) -> bool:
    """Whether nothing is left but entries."""
    return not [*store.root.glob("scratch/*"), *store.root.glob("*/.*.partial")]


def test_what_one_machine_built_is_not_built_on_another(
    machine: Machine, url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(URL_VARIABLE, url)
    one, other = machine("one"), machine("other")
    built = one.get_or_build("kernel", "arm", INPUTS, write)
    found = other.get_or_build("kernel", "arm", INPUTS, refuse)
    assert found == other.root / built.relative_to(one.root)
    assert names(found) == names(built)
    assert (found / MANIFEST).read_bytes() == (built / MANIFEST).read_bytes()
    assert is_clean(one)
    assert is_clean(other)
    assert machine("other").get("kernel", "arm", INPUTS) == found
    assert capsys.readouterr().err == ""


def test_without_a_remote_nothing_is_shared(machine: Machine, tmp_path: Path) -> None:
    machine("one").get_or_build("kernel", "arm", INPUTS, write)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one"]


def test_a_failed_build_is_not_sent(machine: Machine, remote: Path) -> None:
    def fail(folder: Path) -> None:
        write(folder)
        raise ModcompatError("the compiler said no")

    with pytest.raises(ModcompatError, match="said no"):
        machine("one").get_or_build("kernel", "arm", INPUTS, fail)
    assert not remote.exists()


def test_a_read_only_machine_fetches_and_does_not_send(
    machine: Machine, remote: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine("one").get_or_build("kernel", "arm", INPUTS, write)
    before = names(remote)
    monkeypatch.setenv(READ_ONLY_VARIABLE, "1")
    store = machine("other")
    store.get_or_build("kernel", "arm", INPUTS, refuse)
    store.get_or_build("kernel", "arm", OTHER, write)
    assert names(remote) == before


@pytest.mark.parametrize("value", ["yes", "2", "true"])
def test_a_wrong_switch_is_an_error(
    machine: Machine, remote: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv(READ_ONLY_VARIABLE, value)
    with pytest.raises(ModcompatError, match=f"{READ_ONLY_VARIABLE} is '{value}', and not 0 or 1"):
        machine("one")


@pytest.mark.parametrize("kind", sorted({*KEPT, *PINS}))
def test_some_kinds_stay_on_their_machine(machine: Machine, remote: Path, kind: str) -> None:
    assert kind in KINDS
    machine("one").get_or_build(kind, "x", INPUTS, write)
    assert not remote.exists()
    with pytest.raises(AssertionError, match="built again"):
        machine("other").get_or_build(kind, "x", INPUTS, refuse)


def test_an_entry_with_links_stays_on_its_machine(
    machine: Machine, remote: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine("one").get_or_build("kernel", "arm", INPUTS, lambda folder: (folder / "source").symlink_to("/usr/src"))
    assert not remote.exists()
    assert capsys.readouterr().err == ""


def cut(packed: bytes) -> bytes:
    return packed[: len(packed) // 2]


@pytest.mark.parametrize(
    "damage", [cut, lambda _: b"", lambda _: b"<html>502 Bad Gateway</html>"], ids=["cut", "empty", "page"]
)
def test_a_damaged_entry_is_refused_built_and_replaced(
    machine: Machine, remote: Path, capsys: pytest.CaptureFixture[str], damage: Callable[[bytes], bytes]
) -> None:
    machine("one").get_or_build("kernel", "arm", INPUTS, write)
    (packed,) = remote.rglob(f"*{SUFFIX}")
    packed.write_bytes(damage(packed.read_bytes()))
    store = machine("other")
    path = store.get_or_build("kernel", "arm", INPUTS, write)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"remote cache file://{remote}: kernel/{path.name} is refused: it ")
    assert line.endswith("; it is built here")
    assert is_clean(store)
    machine("third").get_or_build("kernel", "arm", INPUTS, refuse)


def test_an_entry_under_the_name_of_another_is_refused(
    machine: Machine, remote: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = machine("one"), machine("other")
    theirs = one.get_or_build("kernel", "arm", INPUTS, write)
    packed = remote / f"kernel/{theirs.name}{SUFFIX}"
    packed.rename(packed.with_name(f"{other.path('kernel', 'arm', OTHER).name}{SUFFIX}"))
    other.get_or_build("kernel", "arm", OTHER, write)
    assert "its manifest is that of another entry" in capsys.readouterr().err


def test_after_some_refusals_the_remote_is_not_asked_any_more(
    machine: Machine, remote: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(8):
        machine("one").get_or_build("kernel", str(number), INPUTS, write)
    for packed in remote.rglob(f"*{SUFFIX}"):
        packed.write_bytes(b"<html>")
    store = machine("other")
    for number in range(8):
        store.get_or_build("kernel", str(number), INPUTS, write)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert lines[-1].endswith("so were 2 others; going on without it")


class Faulty(memory):  # type: ignore[misc]
    """A remote in memory that fails at some operations."""

    protocol = "faulty"
    store: dict[str, Any] = {}  # noqa: RUF012 - as in the base
    pseudo_dirs: list[str] = [""]  # noqa: RUF012
    cachable = False
    faults: dict[str, Callable[[], object]] = {}  # noqa: RUF012 - operation -> what happens instead

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(super()._strip_protocol(path.replace("faulty://", "memory://")))

    def _meet(self, operation: str) -> None:
        if fault := self.faults.get(operation):
            fault()

    def info(self, path: str, **kwargs: Any) -> Any:
        self._meet("info")
        return super().info(path, **kwargs)

    def find(self, path: str, *args: Any, **kwargs: Any) -> Any:
        self._meet("find")
        return super().find(path, *args, **kwargs)

    def get_file(self, rpath: str, lpath: str, callback: Any, **kwargs: Any) -> None:
        with Path(lpath).open("wb") as file:  # a part arrives
            file.write(b"\x28\xb5\x2f\xfd")
        callback.absolute_update(4)
        self._meet("get")
        super().get_file(rpath, lpath, callback=callback, **kwargs)

    def put_file(self, lpath: str, rpath: str, **kwargs: Any) -> None:
        self._meet("put")
        super().put_file(lpath, rpath, **kwargs)


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Callable[[], object]]]:
    """The faults of the remote that the environment names: operation -> what happens instead."""
    fsspec.register_implementation("faulty", Faulty, clobber=True)
    monkeypatch.setenv(URL_VARIABLE, "faulty://remote")
    Faulty.store.clear()
    Faulty.pseudo_dirs[:] = [""]
    Faulty.faults = {}
    yield Faulty.faults
    Faulty.faults = {}


def fail(error: Exception) -> Callable[[], object]:
    def fault() -> None:
        raise error

    return fault


@pytest.fixture
def hang(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], object]]:
    """What a remote does that does not answer. Nobody waits for it for long."""
    monkeypatch.setattr("harness.support.cache.remote.Patience", partial(Patience, answer=1.0, stall=1.0))
    over = threading.Event()
    yield over.wait
    over.set()


FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("operation", ["info", "get"])
@pytest.mark.parametrize(
    "problem",
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED)), "Connection refused"),
        (PermissionError("Access Denied"), "Access Denied"),
        (RuntimeError("line 1\nline 2"), "line 1 line 2"),
        (KeyError(), "KeyError"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), "invalid start byte"),
    ],
    ids=["refused", "denied", "lines", "bare", "bytes"],
)
def test_a_remote_that_cannot_be_read_is_named_once(
    machine: Machine,
    faults: dict[str, Callable[[], object]],
    capsys: pytest.CaptureFixture[str],
    operation: str,
    problem: tuple[Exception, str],
) -> None:
    error, why = problem
    machine("one").get_or_build("kernel", "arm", INPUTS, write)
    faults[operation] = fail(error)
    store = machine("other")
    store.get_or_build("kernel", "arm", INPUTS, write)
    store.get_or_build("kernel", "arm", OTHER, write)
    Store(store.root).get_or_build("module", "x", OTHER, write)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("remote cache faulty://remote: cannot read from it: ")
    assert why in line
    assert line.endswith("; going on without it")
    assert is_clean(store)


@pytest.mark.parametrize("operation", ["info", "get"])
def test_a_remote_that_hangs_is_given_up(
    machine: Machine,
    faults: dict[str, Callable[[], object]],
    hang: Callable[[], object],
    capsys: pytest.CaptureFixture[str],
    operation: str,
) -> None:
    machine("one").get_or_build("kernel", "arm", INPUTS, write)
    faults[operation] = hang
    store = machine("other")
    store.get_or_build("kernel", "arm", INPUTS, write)
    store.get_or_build("kernel", "arm", OTHER, write)
    (line,) = capsys.readouterr().err.splitlines()
    assert any(why in line for why in ("no answer for 1 s", "no data for 1 s", "slower than 200 kB/s"))
    assert is_clean(store)


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (FULL, "No space left on device"),
        (OSError(errno.EROFS, os.strerror(errno.EROFS)), "Read-only file system"),
        (PermissionError("Access Denied"), "Access Denied"),
    ],
    ids=["full", "read-only", "denied"],
)
def test_a_remote_that_cannot_be_written_is_named_once_and_still_read(
    machine: Machine,
    faults: dict[str, Callable[[], object]],
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    why: str,
) -> None:
    machine("one").get_or_build("kernel", "arm", INPUTS, write)
    faults["put"] = fail(error)
    store = machine("other")
    store.get_or_build("kernel", "arm", OTHER, write)
    store.get_or_build("module", "x", OTHER, write)
    store.get_or_build("kernel", "arm", INPUTS, refuse)
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"remote cache faulty://remote: cannot write to it: {why}; nothing more is sent to it"
    assert is_clean(store)


def test_a_remote_that_hangs_while_it_is_written_is_given_up(
    machine: Machine,
    faults: dict[str, Callable[[], object]],
    hang: Callable[[], object],
    capsys: pytest.CaptureFixture[str],
) -> None:
    faults["put"] = hang
    store = machine("one")
    store.get_or_build("kernel", "arm", INPUTS, write)
    store.get_or_build("kernel", "arm", OTHER, write)
    (line,) = capsys.readouterr().err.splitlines()
    assert "cannot write to it: no answer" in line
    assert is_clean(store)


def test_a_full_disk_of_a_remote_folder_leaves_no_part_there(
    machine: Machine, remote: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:

    def fill(_: object, source: str, target: str, **__: object) -> None:
        Path(target).write_bytes(Path(source).read_bytes()[:10])
        raise FULL

    monkeypatch.setattr(local, "put_file", fill)
    machine("one").get_or_build("kernel", "arm", INPUTS, write)
    assert "No space left on device" in capsys.readouterr().err
    assert names(remote) == []


def test_a_full_scratch_does_not_make_a_build_fail(
    machine: Machine, remote: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("harness.support.cache.sharing.pack", lambda *_: fail(FULL)())
    assert machine("one").get_or_build("kernel", "arm", INPUTS, write).is_dir()
    monkeypatch.undo()
    assert "No space left on device; nothing more is sent" in capsys.readouterr().err


def test_a_full_disk_while_unpacking_does_not_make_a_build_fail(
    machine: Machine, faults: dict[str, Callable[[], object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine("one").get_or_build("kernel", "arm", INPUTS, write)
    monkeypatch.setattr("harness.support.cache.sharing.unpack", lambda *_: fail(FULL)())
    store = machine("other")
    assert store.get_or_build("kernel", "arm", INPUTS, write).is_dir()
    assert is_clean(store)


def interrupt() -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("operation", ["info", "get"])
def test_an_interrupted_download_leaves_nothing(
    machine: Machine, faults: dict[str, Callable[[], object]], operation: str
) -> None:
    machine("one").get_or_build("kernel", "arm", INPUTS, write)
    faults[operation] = interrupt
    store = machine("other")
    with pytest.raises(KeyboardInterrupt):
        store.get_or_build("kernel", "arm", INPUTS, refuse)
    assert list(store.entries()) == []
    assert is_clean(store)
    faults.clear()
    store.get_or_build("kernel", "arm", INPUTS, refuse)


def test_an_interrupted_upload_leaves_the_entry(machine: Machine, faults: dict[str, Callable[[], object]]) -> None:
    faults["put"] = interrupt
    store = machine("one")
    with pytest.raises(KeyboardInterrupt):
        store.get_or_build("kernel", "arm", INPUTS, write)
    assert is_clean(store)
    assert store.get("kernel", "arm", INPUTS)
    assert not Faulty.store


def test_a_long_transfer_is_shown(
    machine: Machine, remote: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("harness.support.progress._HIDDEN_SECONDS", -1)
    copy, over = local.cp_file, threading.Event()

    def slowly(*arguments: Any, **options: Any) -> None:
        over.wait(1.0)
        copy(*arguments, **options)

    monkeypatch.setattr(local, "cp_file", slowly)
    path = machine("one").get_or_build("kernel", "arm", INPUTS, write)
    machine("other").get_or_build("kernel", "arm", INPUTS, refuse)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in lines] == [
        f"sending kernel/{path.name} ...", f"sending kernel/{path.name}",
        f"fetching kernel/{path.name} ...", f"fetching kernel/{path.name}",
    ]  # fmt: skip
