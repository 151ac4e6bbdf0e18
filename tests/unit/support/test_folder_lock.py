# SPDX-License-Identifier: Apache-2.0
"""A folder has one user at a time."""

from pathlib import Path

import pytest

from harness.support.errors import ModcompatError
from harness.support.folder_lock import only_user_of


def test_a_folder_has_one_user(tmp_path: Path) -> None:
    with only_user_of(tmp_path), pytest.raises(ModcompatError, match="another run is using"), only_user_of(tmp_path):
        pytest.fail("it has two")
    with only_user_of(tmp_path):
        assert not list(tmp_path.iterdir())
