# SPDX-License-Identifier: Apache-2.0
"""The series follows the kernel's coding style, as the kernel's own checker sees it."""

import subprocess

import pytest

from harness.kernel.patch_series import all_series
from harness.kernel.source import find_source
from harness.support.cache.store import Store

# Of checkpatch.pl's types, by series: what does not apply, and why.
NOT_APPLICABLE = {
    "6.1": {
        "FILE_PATH_CHANGES": "new files are in directories that MAINTAINERS has",
        "COMPLEX_MACRO": "MODULE_ABI_TAGS is a list of string literals, to be concatenated",
    },
    "6.12": {
        "FILE_PATH_CHANGES": "new files are in directories that MAINTAINERS has",
        "COMPLEX_MACRO": "MODULE_ABI_TAGS is a list of string literals, to be concatenated",
        "MACRO_ARG_UNUSED": "__DEBUG_MUTEX_INITIALIZER(lockname) is as upstream has it, elsewhere",
    },
}


@pytest.mark.parametrize("version", all_series())
def test_checkpatch_has_nothing_to_say(version: str) -> None:
    tree = find_source(f"linux-source-{version}", Store()).tree()
    patches = [str(patch) for patch in all_series()[version]]
    assert patches
    ignored = ",".join(NOT_APPLICABLE[version])
    command = ["perl", str(tree / "scripts/checkpatch.pl"), "--no-tree", "--no-summary", "--terse", "--ignore", ignored]
    done = subprocess.run([*command, *patches], capture_output=True, text=True, check=False, cwd=tree)
    assert done.returncode == 0, done.stdout + done.stderr
