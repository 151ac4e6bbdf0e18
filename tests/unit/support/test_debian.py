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
