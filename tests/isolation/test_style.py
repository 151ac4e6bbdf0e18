# SPDX-License-Identifier: Apache-2.0
"""The series follows the kernel's coding style, according to checkpatch.pl."""

import subprocess

import pytest

from harness.kernel.patch_series import all_series
from harness.kernel.source import find_source
from harness.kernel.versions import SERIES
from harness.support.cache.store import Store


@pytest.mark.parametrize("version", SERIES)
def test_checkpatch_has_nothing_to_say(version: str) -> None:
    tree = find_source(SERIES[version].package, Store()).tree()
    patches = [str(patch) for patch in all_series()[version]]
    assert patches
    ignored = ",".join(SERIES[version].checkpatch_exceptions)
    command = ["perl", str(tree / "scripts/checkpatch.pl"), "--no-tree", "--no-summary", "--terse", "--ignore", ignored]
    done = subprocess.run([*command, *patches], capture_output=True, text=True, check=False, cwd=tree)
    assert done.returncode == 0, done.stdout + done.stderr
