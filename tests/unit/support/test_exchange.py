# SPDX-License-Identifier: Apache-2.0
"""`modcompat cache push` and `pull`: everything is moved once, and counted honestly."""

import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from harness.cli.main import main
from harness.support.cache import sharing
from harness.support.cache.ownership import MANIFEST
from harness.support.cache.packed_entry import SUFFIX
from harness.support.cache.remote import Remote, RemoteError
from harness.support.cache.sharing import READ_ONLY_VARIABLE, URL_VARIABLE
from harness.support.cache.store import Store

pytest.importorskip("fsspec")
INPUTS = {"source": "abc"}


def write(folder: Path) -> None:
    (folder / "image").write_bytes(b"kernel")


@pytest.fixture
def one(tmp_path: Path) -> Store:
    """The cache of a machine that had no remote: two kernels, a pin, a source, and an entry with a link."""
    store = Store(tmp_path / "one")
    for kind, label in (("kernel", "arm"), ("kernel", "x86_64"), ("pin", "linux"), ("source", "linux")):
        store.get_or_build(kind, label, INPUTS, write)
    store.get_or_build("kernel", "linked", INPUTS, lambda folder: (folder / "source").symlink_to("/usr/src"))
    return store


@pytest.fixture
def remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(URL_VARIABLE, f"file://{tmp_path}/remote")
    return tmp_path / "remote"


def modcompat(root: Path, *arguments: str) -> Result:
    sharing.forget()
    return CliRunner().invoke(main, ["cache", *arguments], env={"MODCOMPAT_CACHE": str(root)})


def last(result: Result) -> str:
    return result.output.splitlines()[-1]


def entries(root: Path) -> set[str]:
    return {f"{entry.kind}/{entry.name}" for entry in Store(root).entries()}


def test_everything_is_moved_once(one: Store, remote: Path, tmp_path: Path) -> None:
    sent = modcompat(one.root, "push")
    assert sent.exit_code == 0, sent.output
    assert last(sent) == "sent 3 entries, 0 were there, 1 has links to files of this machine"
    assert last(modcompat(one.root, "push")) == "sent 1 entry, 2 were there, 1 has links to files of this machine"
    fetched = modcompat(tmp_path / "other", "pull")
    assert fetched.exit_code == 0, fetched.output
    assert last(fetched) == "fetched 3 entries, 0 were there"
    again = modcompat(tmp_path / "other", "pull")
    assert (again.exit_code, last(again)) == (0, "fetched 0 entries, 3 were there")
    moved = {name for name in entries(one.root) if "linked" not in name and not name.startswith("source/")}
    assert entries(tmp_path / "other") == moved


def test_a_kind_alone_is_moved(one: Store, remote: Path, tmp_path: Path) -> None:
    assert last(modcompat(one.root, "push", "--kind", "pin")) == "sent 1 entry, 0 were there"
    modcompat(one.root, "push")
    assert last(modcompat(tmp_path / "other", "pull", "--kind", "kernel")) == "fetched 2 entries, 0 were there"


def test_a_pin_is_replaced_by_a_push_and_not_by_a_pull(one: Store, remote: Path, tmp_path: Path) -> None:
    modcompat(one.root, "push")
    newer = Store(tmp_path / "newer")
    path = newer.get_or_build("pin", "linux", INPUTS, lambda folder: (folder / "pin.json").touch())
    modcompat(newer.root, "push")
    assert last(modcompat(one.root, "pull")) == "fetched 0 entries, 3 were there"
    assert (one.path("pin", "linux", INPUTS) / "image").exists()
    modcompat(tmp_path / "third", "pull")
    assert (tmp_path / "third/pin" / path.name / "pin.json").exists()


def test_damage_on_either_side_is_told(one: Store, remote: Path, tmp_path: Path) -> None:
    arm, x86 = (one.path("kernel", label, INPUTS) for label in ("arm", "x86_64"))
    (arm / "image").write_bytes(b"KERNEL")
    sent = modcompat(one.root, "push")
    assert sent.exit_code == 1
    assert f"refused kernel/{arm.name}: it is damaged" in sent.output
    assert last(sent).startswith("sent 2 entries, 0 were there, ")
    assert last(sent).endswith(", 1 was refused")
    packed = remote / f"kernel/{x86.name}{SUFFIX}"
    packed.write_bytes(packed.read_bytes()[:-100])
    fetched = modcompat(tmp_path / "other", "pull")
    assert fetched.exit_code == 1
    assert f"refused kernel/{x86.name}: it is damaged" in fetched.output
    assert last(fetched) == "fetched 1 entry, 0 were there, 1 was refused"
    assert not list((tmp_path / "other/scratch").iterdir())


def test_kinds_that_stay_on_their_machine_are_not_fetched(one: Store, remote: Path, tmp_path: Path) -> None:
    modcompat(one.root, "push")
    (remote / "kernel").rename(remote / "source")
    assert last(modcompat(tmp_path / "other", "pull")) == "fetched 1 entry, 0 were there"


@pytest.mark.parametrize("command", ["push", "pull"])
def test_without_a_remote_there_is_a_next_step(command: str, tmp_path: Path) -> None:
    result = modcompat(tmp_path, command)
    assert result.exit_code == 2
    assert f"there is no remote cache\n  next: set {URL_VARIABLE} to its URL" in result.output


@pytest.mark.parametrize("command", ["push", "pull"])
@pytest.mark.parametrize(("kind", "why"), [("snapshot", "stay on their machine"), ("nosuch", "the cache has no kind")])
def test_kinds_that_are_not_moved_are_errors(remote: Path, tmp_path: Path, command: str, kind: str, why: str) -> None:
    result = modcompat(tmp_path / "one", command, "--kind", kind)
    assert result.exit_code == 2
    assert why in result.output


def test_nothing_is_pushed_to_a_read_only_remote(one: Store, remote: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(READ_ONLY_VARIABLE, "1")
    result = modcompat(one.root, "push")
    assert result.exit_code == 2
    assert f"is read-only here\n  next: unset {READ_ONLY_VARIABLE}" in result.output
    assert not remote.exists()


def test_an_empty_remote_is_named(remote: Path, tmp_path: Path) -> None:
    result = modcompat(tmp_path / "one", "pull")
    assert result.exit_code == 0
    assert f"remote cache file://{remote}: it is empty, or does not exist" in result.output


@pytest.mark.parametrize("command", ["push", "pull"])
def test_a_remote_that_fails_in_the_middle_ends_the_command(
    one: Store, remote: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    operation = {"push": "put", "pull": "fetch"}[command]
    if command == "pull":
        modcompat(one.root, "push")
    whole, calls = getattr(Remote, operation), []

    def fail(*arguments: object) -> object:
        calls.append(arguments)
        if len(calls) == 2:
            raise RemoteError("the network is gone")
        return whole(*arguments)

    monkeypatch.setattr(Remote, operation, fail)
    root = one.root if command == "push" else tmp_path / "other"
    result = modcompat(root, command)
    assert result.exit_code == 2
    assert "the network is gone\n  next: 1 of 3 entries " in result.output
    monkeypatch.undo()
    monkeypatch.setenv(URL_VARIABLE, f"file://{remote}")
    assert modcompat(root, command).exit_code == 0
    assert not list((root / "scratch").iterdir())


def test_a_damaged_entry_of_the_cache_is_fetched_when_it_is_used(
    one: Store, remote: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modcompat(one.root, "push")
    modcompat(tmp_path / "other", "pull")
    other = Store(tmp_path / "other")
    path = other.path("kernel", "arm", INPUTS)
    (path / "image").write_bytes(b"")
    os.utime(path / MANIFEST)

    def refuse(folder: Path) -> None:
        raise AssertionError(f"built again: {folder}")

    assert (other.get_or_build("kernel", "arm", INPUTS, refuse) / "image").read_bytes() == b"kernel"
