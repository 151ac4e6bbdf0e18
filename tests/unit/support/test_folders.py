# SPDX-License-Identifier: Apache-2.0
"""Copying folders that are not writable, and writing files that are whole or missing."""

from pathlib import Path

import pytest

from harness.support.folders import copy_content, write_file


def test_a_copy_of_a_read_only_folder_can_be_written_to(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "below").mkdir(parents=True)
    (source / "below/file").write_text("x")
    for path in (source / "below/file", source / "below", source):
        path.chmod(path.stat().st_mode & ~0o222)
    copy_content(source, target)
    source.chmod(0o755)
    (source / "below").chmod(0o755)
    assert (target / "below/file").read_text() == "x"
    assert all(path.stat().st_mode & 0o200 for path in (target, target / "below", target / "below/file"))


def test_content_is_added_to_a_folder_that_exists(tmp_path: Path) -> None:
    for name in ("source", "target"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    copy_content(tmp_path / "source", tmp_path / "target")
    assert {path.name for path in (tmp_path / "target").iterdir()} == {"source", "target"}


def test_a_file_that_cannot_be_written_stays_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "below/file"
    write_file(file, "before")
    with pytest.raises(UnicodeEncodeError):
        write_file(file, "\udcff")
    assert file.read_text() == "before"
    write_file(file, b"after")
    assert file.read_text() == "after"
    assert list(file.parent.iterdir()) == [file]
