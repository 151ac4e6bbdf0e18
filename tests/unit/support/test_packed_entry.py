# SPDX-License-Identifier: Apache-2.0
"""A packed entry is that entry, whole and unchanged, or it is refused, and nothing is written elsewhere."""

import io
import json
import os
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.support import digest
from harness.support.cache.entry_manifest import entry_name
from harness.support.cache.ownership import MANIFEST
from harness.support.cache.packed_entry import RefusedError, has_links, pack, unpack
from harness.support.cache.store import Store

INPUTS = {"source": "abc", "config": "CONFIG_SMP=y"}
NAME = entry_name("arm", INPUTS)
CONTENT = {"image": b"kernel", "build/scripts/objtool": b"#!/bin/sh", "build/.config": b"CONFIG_SMP=y"}


def write(folder: Path) -> None:
    for name, content in CONTENT.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    (folder / "build/scripts/objtool").chmod(0o755)
    (folder / "build/empty/folder").mkdir(parents=True)
    os.link(folder / "image", folder / "vmlinuz")
    os.utime(folder / "build/.config", (1e9, 1e9 + 0.75))


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def entry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Store(tmp_path_factory.mktemp("cache")).get_or_build("kernel", "arm", INPUTS, write)


@pytest.fixture(scope="module")
def whole(entry: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    packed = tmp_path_factory.mktemp("packed") / "packed"
    pack(entry, packed)
    return packed.read_bytes()


def unpacked(packed: bytes, name: str = NAME, inputs: dict[str, str] | None = None) -> dict[str, bytes]:
    """The files of an unpacked entry. Fails if anything was written outside of its folder."""
    with tempfile.TemporaryDirectory() as top:
        source, folder = Path(top, "packed"), Path(top, "a/b/kernel", name)
        source.write_bytes(packed)
        try:
            unpack(source, folder, inputs)
            return files_of(folder)
        finally:
            outside = [path for path in Path(top).rglob("*") if not path.is_relative_to(folder)]
            assert set(outside) <= {source, *folder.parents}
            assert not any(path.is_symlink() for path in folder.rglob("*"))


def test_an_entry_is_the_same_elsewhere(entry: Path, whole: bytes, tmp_path: Path) -> None:
    packed, folder = tmp_path / "packed", tmp_path / "kernel" / NAME
    packed.write_bytes(whole)
    unpack(packed, folder, INPUTS)
    assert files_of(folder) == files_of(entry)
    assert (folder / "build/empty/folder").is_dir()
    assert (folder / "build/scripts/objtool").stat().st_mode & 0o111
    assert not (folder / "image").stat().st_mode & 0o111
    assert (folder / "build/.config").stat().st_mtime == 1e9
    (folder / "image").write_bytes(b"")
    assert (folder / "vmlinuz").read_bytes() == b"kernel"


def test_links_are_noticed_before(entry: Path, tmp_path: Path) -> None:
    assert not has_links(entry)
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/source").symlink_to("/usr/src")
    assert has_links(tmp_path)


@pytest.mark.parametrize(
    ("name", "inputs", "why"),
    [
        (NAME.replace("arm", "x86"), None, "that of another entry"),
        (NAME[:-1] + ("0" if NAME[-1] != "0" else "1"), None, "that of another entry"),
        (NAME, INPUTS | {"config": ""}, "made from something else"),
    ],
    ids=["label", "key", "inputs"],
)
def test_another_entry_is_refused(whole: bytes, name: str, inputs: dict[str, str] | None, why: str) -> None:
    with pytest.raises(RefusedError, match=why):
        unpacked(whole, name, inputs)


def test_another_kind_is_refused(whole: bytes, tmp_path: Path) -> None:
    (tmp_path / "packed").write_bytes(whole)
    with pytest.raises(RefusedError, match="of another kind"):
        unpack(tmp_path / "packed", tmp_path / "module" / NAME)


Member = tuple[tarfile.TarInfo, bytes]


def file(name: str, content: bytes, **facts: Any) -> Member:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    for fact, value in facts.items():
        setattr(member, fact, value)
    return member, content


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> Member:
    return file(name, b"", type=kind, linkname=target)


def manifest(files: dict[str, Any], **facts: Any) -> Member:
    known = {"kind": "kernel", "label": "arm", "inputs": INPUTS, "digest": digest.DIGEST, "files": files}
    return file(MANIFEST, json.dumps(known | facts).encode())


def listed(content: dict[str, bytes]) -> dict[str, Any]:
    return {name: [len(data), digest.of_bytes(data)] for name, data in content.items()}


def made(*members: Member) -> bytes:
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        for member, content in members:
            archive.addfile(member, io.BytesIO(content))
    return zstandard.compress(tar.getvalue())


A = {"a": b"content"}
GOOD = [manifest(listed(A)), file("a", b"content")]
LONG = "x" * 5000
NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


def test_the_good_one_is_not_refused() -> None:
    assert unpacked(made(*GOOD))["a"] == b"content"


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ([], "does not begin with a manifest"),
        (GOOD[1:], "does not begin with a manifest"),
        (GOOD[::-1], "does not begin with a manifest"),
        ([link(MANIFEST, "/etc/passwd")], "does not begin with a manifest"),
        ([file(MANIFEST, b"<html>")], "its manifest is damaged"),
        ([manifest(listed(A), label=None)], "its manifest is damaged"),
        ([manifest({"a": [7, ""]}), GOOD[1]], "without size or digest"),
        ([manifest({"a": [-7, "x"]}), GOOD[1]], "without size or digest"),
        ([manifest({"a": [1 << 60, "x"]}), GOOD[1]], "larger than the free space"),
        (GOOD[:1], "a is not as its manifest says"),
        ([GOOD[0], file("a", b"CONTENT")], "a is not as its manifest says"),
        ([GOOD[0], file("a", b"content, and more")], "another size"),
        ([GOOD[0], file("a", b"")], "another size"),
        ([*GOOD, GOOD[1]], "damaged"),
        ([*GOOD, GOOD[0]], "not a file of its manifest"),
        ([*GOOD, file("b", b"")], "b, which is not a file of its manifest"),
        ([*GOOD, file("../b", b"")], "../b, which is not"),
        ([*GOOD, file("/tmp/b", b"")], "/b, which is not"),
        ([*GOOD, link("b", "a")], "b, which is not"),
        ([GOOD[0], link("a", "/etc/passwd")], "a, which is not"),
        ([GOOD[0], link("a", MANIFEST, tarfile.LNKTYPE)], "a, which is not"),
        ([GOOD[0], file("a", b"", type=tarfile.FIFOTYPE)], "a, which is not"),
        ([GOOD[0], file("a", b"", type=tarfile.CHRTYPE)], "a, which is not"),
        ([*GOOD, file("../d", b"", type=tarfile.DIRTYPE)], "the folder ../d"),
        ([*GOOD, file("/d", b"", type=tarfile.DIRTYPE)], "the folder /d"),
        ([*GOOD, file("a/d", b"", type=tarfile.DIRTYPE)], "damaged"),
        ([GOOD[0], file("a", b"content", mtime=-1)], "a, which is not"),
        ([manifest(listed(A | {"a/b": b"x"})), GOOD[1], file("a/b", b"x")], "damaged"),
        ([manifest(listed({"../c": b"x"})), file("../c", b"x")], "its manifest is damaged"),
        ([manifest(listed({MANIFEST: b"x"})), file(MANIFEST, b"x")], "damaged"),
        ([manifest(listed({LONG: b"x"})), file(LONG, b"x")], "damaged"),
    ],
    ids=lambda value: "" if isinstance(value, list) else value,
)
def test_anything_else_is_refused(members: list[Member], why: str) -> None:
    with pytest.raises(RefusedError, match=why):
        unpacked(made(*members))


def test_a_file_that_would_grow_is_refused() -> None:
    size = 1 << 30
    sparse = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": "a",
        "GNU.sparse.realsize": str(size),
    }
    member, content = file("a", b"1\n0\n1\n".ljust(512, b"\0") + b"x", pax_headers=sparse)
    with pytest.raises(RefusedError):
        unpacked(made(manifest({"a": [size, "x"]}), (member, content)))


@pytest.mark.parametrize("before", [[], GOOD], ids=["first", "later"])
def test_what_unpacks_to_more_than_it_says_is_not_read_to_its_end(before: list[Member]) -> None:
    def bomb() -> Iterator[bytes]:
        for member, content in before:
            yield member.tobuf() + content.ljust(-(-len(content) // 512) * 512, b"\0")
        header = tarfile.TarInfo("././@LongLink")
        header.type, header.size = tarfile.GNUTYPE_LONGNAME, 7 << 30
        yield header.tobuf(tarfile.GNU_FORMAT)
        for _ in range(200):
            yield bytes(1 << 20)

    packer = zstandard.ZstdCompressor().compressobj()
    packed = b"".join([packer.compress(piece) for piece in bomb()] + [packer.flush()])
    assert len(packed) < 100_000
    with pytest.raises(RefusedError, match="larger than its manifest says"):
        unpacked(packed)


def is_whole_or_refused(packed: bytes, expected: dict[str, bytes]) -> None:
    refusal, found = "", dict[str, bytes]()
    try:
        found = unpacked(packed, NAME, INPUTS)
    except RefusedError as error:
        refusal = str(error)
    assert "\n" not in refusal
    assert refusal or {name: found[name] for name in expected} == expected


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: whole[: len(whole) // 2],
        lambda whole: whole[:-60],
        lambda _: b"",
        lambda _: b"<html><body>502 Bad Gateway</body></html>",
        lambda whole: whole[4:],
        lambda whole: bytes(len(whole)),
    ],
    ids=["half", "cut", "empty", "page", "headless", "zeros"],
)
def test_damage_is_refused(whole: bytes, damage: Callable[[bytes], bytes]) -> None:
    with pytest.raises(RefusedError):
        unpacked(damage(whole))


@settings(max_examples=60)
@given(data=st.data())
def test_whatever_happens_to_the_file_it_is_whole_or_refused(whole: bytes, data: st.DataObject) -> None:
    is_whole_or_refused(damaged(whole, data), CONTENT)


@settings(max_examples=120)
@given(data=st.data())
def test_whatever_happens_to_the_archive_in_it_it_is_whole_or_refused(whole: bytes, data: st.DataObject) -> None:
    plain = zstandard.ZstdDecompressor().decompressobj().decompress(whole)
    is_whole_or_refused(zstandard.compress(damaged(plain, data)), CONTENT)


@settings(max_examples=40)
@given(st.binary(max_size=2000))
def test_any_bytes_are_refused(content: bytes) -> None:
    for packed in (content, zstandard.compress(content)):
        with pytest.raises(RefusedError):
            unpacked(packed)


def damaged(content: bytes, data: st.DataObject) -> bytes:
    """The content with a piece replaced, removed or inserted."""
    start = data.draw(st.integers(0, len(content)))
    end = data.draw(st.integers(start, min(len(content), start + 600)))
    return content[:start] + data.draw(st.binary(max_size=20)) + content[end:]


@settings(max_examples=40)
@given(
    st.dictionaries(st.text(max_size=8), st.none() | st.lists(st.integers() | st.text(max_size=5), max_size=3)),
    st.lists(st.tuples(NAMES, st.binary(max_size=10)), max_size=3),
)
def test_any_manifest_is_whole_or_refused(files: dict[str, Any], members: list[tuple[str, bytes]]) -> None:
    packed = made(manifest(files), *(file(name, content) for name, content in members))
    is_whole_or_refused(packed, {})
