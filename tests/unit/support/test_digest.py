# SPDX-License-Identifier: Apache-2.0
"""Digests: a file that is given by a link is the file, and a link in a tree is a link."""

from pathlib import Path

from harness.support import digest


def test_a_file_that_a_link_leads_to_is_what_it_contains(tmp_path: Path) -> None:
    """`vendor.ko`, a link to `build/vendor.ko`, which is built again."""
    (tmp_path / "built").write_text("old")
    (tmp_path / "link").symlink_to("built")
    before = digest.of_file(tmp_path / "link")
    assert before == digest.of_file(tmp_path / "built")
    (tmp_path / "built").write_text("new")
    assert digest.of_file(tmp_path / "link") != before


def test_a_link_in_a_tree_is_where_it_leads(tmp_path: Path) -> None:
    (tmp_path / "absent").symlink_to("nowhere")
    before = digest.of_tree(tmp_path)
    (tmp_path / "absent").unlink()
    (tmp_path / "absent").symlink_to("elsewhere")
    assert digest.of_tree(tmp_path) != before
