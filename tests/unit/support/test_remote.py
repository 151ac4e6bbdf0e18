# SPDX-License-Identifier: Apache-2.0
"""A remote: objects that are whole or absent, errors in one line, and no wait without an end."""

import multiprocessing
import sys
import tempfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest

from harness.support.cache.packed_entry import SUFFIX, pack, unpack
from harness.support.cache.remote import Remote, RemoteError
from harness.support.cache.store import Store
from harness.support.errors import ModcompatError

pytest.importorskip("fsspec")
ENTRY = "kernel/arm-0123456789abcdef"


def nothing(_: int) -> None:
    pass


@pytest.fixture
def source(tmp_path: Path) -> Path:
    source = tmp_path / "source"
    source.write_bytes(bytes(range(256)) * 5000)
    return source


@pytest.fixture(params=["folder", "memory"])
def remote(request: pytest.FixtureRequest, tmp_path: Path) -> Remote:
    return Remote(f"file://{tmp_path}/remote" if request.param == "folder" else f"memory://{tmp_path.name}")


def test_what_was_put_is_listed_and_fetched(remote: Remote, source: Path, tmp_path: Path) -> None:
    assert remote.entries() == set()
    assert remote.size(ENTRY) is None
    remote.put(ENTRY, source, nothing)
    assert remote.entries() == {ENTRY}
    assert remote.size(ENTRY) == source.stat().st_size
    source.write_bytes(b"another")
    remote.put(ENTRY, source, nothing)
    remote.fetch(ENTRY, 7, tmp_path / "fetched", nothing)
    assert (tmp_path / "fetched").read_bytes() == b"another"


def test_a_folder_that_may_not_be_read_is_not_empty(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> list[str]:
        raise PermissionError(13, "Permission denied")

    remote = Remote(f"file://{tmp_path}/remote")
    remote.put(ENTRY, source, nothing)
    monkeypatch.setattr("os.scandir", refuse)
    with pytest.raises(RemoteError, match="Permission denied"):
        remote.entries()


def test_other_files_are_not_listed(tmp_path: Path) -> None:
    names = (
        f"{ENTRY}{SUFFIX}",
        ENTRY,
        f"{ENTRY}{SUFFIX}.bak",
        f"deep/{ENTRY}{SUFFIX}",
        f"nosuch/arm-0123456789abcdef{SUFFIX}",
        f"kernel/.arm-0123456789abcdef{SUFFIX}.1234.partial",
        f"kernel/arm{SUFFIX}",
        "kernel/x\ny",
        "README",
    )
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / f"kernel/b-0123456789abcdef{SUFFIX}").mkdir()
    remote = Remote(f"file://{tmp_path}")
    assert remote.entries() == {ENTRY}
    assert remote.size(ENTRY) == 0
    assert remote.size("kernel/b-0123456789abcdef") is None


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("/srv/modcompat", "is not the URL of a remote cache"),
        ("s3:bucket", "is not the URL of a remote cache"),
        ("nosuch://bucket/x", "cannot be at nosuch://"),
        ("simplecache::s3://bucket", "is not the URL of a remote cache"),
        ("file://srv/modcompat", "file://srv/modcompat does not name a folder"),
        ("file://", "file:// does not name a folder"),
        ("s3:///", "s3:/// does not name a folder"),
        ("oci://registry.example", "does not name a repository"),
        ("oci://registry.example/", "does not name a repository"),
        ("oci:///modcompat", "does not name a repository"),
        ("oci://registry.example/Team/modcompat", "does not name a repository"),
        ("oci://registry.example/modcompat:latest", "does not name a repository"),
        (
            "oci://user:secret@registry.example/modcompat",
            "^oci://registry.example/modcompat does not name a repository",
        ),
        ("oci+http://127.0.0.1:5000/a//b", "does not name a repository"),
        ("oci+https://registry.example/modcompat", "cannot be at oci"),
    ],
)
def test_a_wrong_url_is_an_error_at_once(url: str, why: str) -> None:
    with pytest.raises(ModcompatError, match=why) as caught:
        Remote(url)
    assert caught.value.next_step


@pytest.mark.parametrize(
    ("url", "package", "next_step"),
    [
        ("s3://bucket/x", "s3fs", "pip install 'modcompat[remote]'"),
        ("file:///srv", "fsspec", "pip install 'modcompat[remote]'"),
        ("gs://bucket/x", "gcsfs", "pip install gcsfs"),
        ("oci://registry.example/x", "requests", "pip install 'modcompat[remote]'"),
    ],
)
def test_a_missing_package_is_an_error_at_once(
    monkeypatch: pytest.MonkeyPatch, url: str, package: str, next_step: str
) -> None:
    monkeypatch.setattr(import_module("fsspec.registry"), "registry", {})  # what was imported so far
    for name in {package, *(name for name in sys.modules if name.split(".")[0] == package)}:
        monkeypatch.setitem(sys.modules, name, None)  # as if it were not installed
    with pytest.raises(ModcompatError, match=f"needs the Python package {package}") as caught:
        Remote(url)
    assert caught.value.next_step == next_step


def test_passwords_are_not_printed() -> None:
    assert Remote("ftp://user:secret@host/folder").title == "ftp://host/folder"
    assert Remote("http://host/folder?token=secret").title == "http://host/folder"


INPUTS = {"source": "abc"}
WRITERS = 12
ROUNDS = 10


def write(folder: Path) -> None:
    (folder / "image").write_bytes(b"kernel" * 50_000)


def exchange(remote_folder: Path, root: Path, everybody: Callable[[], object]) -> None:
    """Write and read one entry again and again, among others. Raises an error for anything but a whole one."""
    path = Store(root / "cache").get_or_build("kernel", "arm", INPUTS, write)
    entry, remote = f"kernel/{path.name}", Remote(f"file://{remote_folder}")
    pack(path, root / "packed")
    everybody()
    for number in range(ROUNDS):
        remote.put(entry, root / "packed", nothing)
        size = remote.size(entry)
        assert size, "it was there, and is not any more"
        remote.fetch(entry, size, root / f"fetched-{number}", nothing)
        unpack(root / f"fetched-{number}", root / str(number) / entry, INPUTS)


def test_a_dozen_processes_may_write_and_read_the_same_entry(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(WRITERS)
    roots = [Path(tempfile.mkdtemp(dir=tmp_path)) for _ in range(WRITERS)]
    processes = [
        context.Process(target=exchange, args=(tmp_path / "remote", root, barrier.wait), daemon=True) for root in roots
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * WRITERS
    assert len(list((tmp_path / "remote/kernel").iterdir())) == 1
