# SPDX-License-Identifier: Apache-2.0
"""Kernel sources of the user: paths that can be built in, and trees that change."""

from pathlib import Path

import pytest

from harness.kernel.source import find_source, require_unchanged
from harness.support.cache.store import Store
from harness.support.errors import ModcompatError


@pytest.mark.parametrize("name", ["my kernel", "6.1:mine"])
def test_a_path_that_the_kernels_makefile_refuses_is_refused_at_once(name: str, tmp_path: Path) -> None:
    """And not when 140 MB have been fetched."""
    with pytest.raises(ModcompatError, match="a space or a colon"):
        find_source("linux-source-6.1", Store(tmp_path / name))
    with pytest.raises(ModcompatError, match="a space or a colon"):
        find_source(str(tmp_path / name), Store(tmp_path / "cache"))


def test_a_folder_that_changed_since_it_was_read_is_not_used_for_what_it_was(tmp_path: Path) -> None:
    tree = tmp_path / "linux"
    (tree / "scripts/kconfig").mkdir(parents=True)
    for name in ("Kbuild", "Makefile", "scripts/kconfig/Makefile"):
        (tree / name).write_text("x\n")
    source = find_source(str(tree), Store(tmp_path / "cache"))
    require_unchanged(source)
    (tree / "Makefile").write_text("changed\n")
    with pytest.raises(ModcompatError, match="was changed while it was in use"):
        require_unchanged(source)
    require_unchanged(find_source(str(tree), Store(tmp_path / "cache")))
