# SPDX-License-Identifier: Apache-2.0
"""Debian packages: finding files in them, and explaining why one cannot be downloaded."""

import subprocess
from pathlib import Path

import pytest

from harness.support import debian, process
from harness.support.errors import ModcompatError


@pytest.mark.parametrize(
    ("listed", "words"),
    [
        ("linux-source-6.1\nlinux-source-6.12\n", "Debian has no package linux-source-99.9"),
        ("linux-source-6.1\nlinux-source-99.9\n", "cannot download Debian's linux-source-99.9"),
        ("", "cannot download Debian's linux-source-99.9"),
    ],
    ids=["unknown", "known", "no-lists"],
)
def test_a_package_that_there_is_none_of_is_told_from_one_that_does_not_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listed: str, words: str
) -> None:
    monkeypatch.setattr("shutil.which", lambda _: "/usr/bin/apt-get")
    monkeypatch.setattr(debian, "_apt", lambda *_: "E: it did not")
    monkeypatch.setattr(process, "output", lambda command: listed if command[0] == "apt-cache" else "amd64\n")
    with pytest.raises(ModcompatError) as caught:
        debian.download("linux-source-99.9", "all", tmp_path)
    assert caught.value.problem == words
    assert ("linux-source-6.1, linux-source-6.12" in caught.value.next_step) == words.startswith("Debian has no")


def package(folder: Path, *files: str) -> Path:
    """Make a .deb with these files; each contains its own path."""
    (folder / "root/DEBIAN").mkdir(parents=True)
    (folder / "root/DEBIAN/control").write_text(
        "Package: x\nVersion: 1\nArchitecture: all\nMaintainer: x <x@example.org>\nDescription: x\n"
    )
    for file in files:
        (folder / "root" / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / "root" / file).write_text(file)
        (folder / "root" / file).chmod(0o755)
    deb = folder / "x_1_all.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", folder / "root", deb], check=True, capture_output=True)
    return deb


@pytest.mark.parametrize("place", ["bin/busybox", "usr/bin/busybox"], ids=["debian-12", "debian-13"])
def test_a_file_is_found_with_and_without_merged_usr(tmp_path: Path, place: str) -> None:
    found = debian.unpack_member(package(tmp_path, "etc/other", place), "bin/busybox", tmp_path / "out")
    assert found == tmp_path / "out/bin/busybox"
    assert found.read_text() == place
    assert found.stat().st_mode & 0o777 == 0o755


def test_a_package_without_the_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ModcompatError, match=r"x_1_all\.deb has no bin/busybox"):
        debian.unpack_member(package(tmp_path, "sbin/busybox"), "bin/busybox", tmp_path / "out")


def test_a_damaged_package_is_reported(tmp_path: Path) -> None:
    damaged = tmp_path / "x_1_all.deb"
    damaged.write_bytes(b"no package")
    with pytest.raises(ModcompatError) as caught:
        debian.unpack_member(damaged, "bin/busybox", tmp_path / "out")
    assert caught.value.problem == "cannot unpack x_1_all.deb"
    assert "dpkg-deb" in caught.value.details


def test_another_package_is_not_taken_for_the_requested_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`apt-get download linux-source-6.1` downloads linux-source-6.12 if the release has only that."""

    def apt(words: list[str], folder: Path) -> None:
        if "download" in words:
            (folder / "linux-source-6.12_6.12.118-1_all.deb").touch()

    monkeypatch.setattr("shutil.which", lambda _: "/usr/bin/apt-get")
    monkeypatch.setattr(debian, "_apt", apt)
    monkeypatch.setattr(
        process, "output", lambda command: "linux-source-6.12\n" if "pkgnames" in command else "amd64\n"
    )
    with pytest.raises(ModcompatError) as caught:
        debian.download("linux-source-6.1", "all", tmp_path)
    assert caught.value.problem == "Debian has no package linux-source-6.1"
    assert "linux-source-6.12" in caught.value.next_step
    assert not list(tmp_path.glob("*.deb"))


def test_a_package_that_the_release_lacks_comes_from_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The release is requested from the mirror that the system uses."""
    asked: list[str] = []

    def apt(words: list[str], folder: Path) -> str | None:
        sources = [word.partition("=")[2] for word in words if word.startswith("Dir::Etc::SourceList=")]
        if words[-1] == "update":
            asked.extend(Path(file).read_text() for file in sources)
        if "download" in words and sources:
            (folder / "linux-source-6.1_6.1.1-1_all.deb").touch()
            return None
        return "E: it did not"

    monkeypatch.setattr("shutil.which", lambda _: "/usr/bin/apt-get")
    monkeypatch.setattr(debian, "_apt", apt)
    targets = "Packages Debian http://mirror.example/debian/\nPackages Other http://other.example/\n"
    monkeypatch.setattr(process, "output", lambda command: targets if "indextargets" in command else "amd64\n")
    found = debian.download("linux-source-6.1", "all", tmp_path, since="bookworm")
    assert found.name == "linux-source-6.1_6.1.1-1_all.deb"
    (sources,) = asked
    assert "URIs: http://mirror.example/debian/\nSuites: bookworm bookworm-updates\n" in sources
    assert "other.example" not in sources


@pytest.mark.parametrize("since", ["", "trixie"])
def test_a_package_of_a_newer_release_comes_from_the_systems_own_mirror(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, since: str
) -> None:
    sources = ""

    def apt(arguments: list[str], folder: Path) -> str | None:
        nonlocal sources
        lists = [word.partition("=")[2] for word in arguments if word.startswith("Dir::Etc::SourceList=")]
        sources = Path(lists[0]).read_text() if lists else sources
        if arguments[-2] == "download" and sources:
            (folder / "busybox-static_1_riscv64.deb").touch()
            return None
        return "E: unable to locate package"

    def output(command: list[str]) -> str:
        if "indextargets" in command:
            return (
                "Packages Debian http://mirror.example/debian/\nTranslations Debian http://mirror.example/debian/\n"
                "Packages Debian-Security http://mirror.example/debian-security/\n"
            )
        return "" if command[0] == "apt-cache" else "amd64\n"

    monkeypatch.setattr("shutil.which", lambda _: "/usr/bin/apt-get")
    monkeypatch.setattr(debian, "_apt", apt)
    monkeypatch.setattr(process, "output", output)
    if not since:
        with pytest.raises(ModcompatError, match="cannot download Debian's busybox-static:riscv64"):
            debian.download("busybox-static", "riscv64", tmp_path, since=since)
        return
    assert debian.download("busybox-static", "riscv64", tmp_path, since=since).name == "busybox-static_1_riscv64.deb"
    assert sources.count("URIs: ") == 2
    assert "URIs: http://mirror.example/debian/\nSuites: trixie trixie-updates\nComponents: main\n" in sources
    assert "URIs: http://mirror.example/debian-security/\nSuites: trixie-security\nComponents: main\n" in sources


@pytest.mark.parametrize(
    "request_", ["linux-source-6.12", "linux-source-6.12=6.12.118-1", "linux-source-6.12:arm64=6.12-1"]
)
def test_a_package_is_taken_by_its_name_alone(request_: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """apt-get may download another package than the requested one; what follows the name is not part of it."""
    monkeypatch.setattr(debian, "_apt", lambda _, folder: (folder / "linux-source-6.12_6.12.118-1_all.deb").touch())
    assert debian._fetch(request_, tmp_path, []) is None
    other = tmp_path / "other"
    other.mkdir()
    assert "apt-get found linux-source-6.12_6.12.118-1_all.deb" in str(debian._fetch("linux-source-6.1", other, []))
    assert not any(other.iterdir())
