# SPDX-License-Identifier: Apache-2.0
"""Debian packages: what cannot be had, and why."""

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
    assert sources.count("URIs: ") == 1
    assert "URIs: http://mirror.example/debian/\nSuites: trixie\nComponents: main\n" in sources
