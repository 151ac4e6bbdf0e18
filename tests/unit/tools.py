# SPDX-License-Identifier: Apache-2.0
"""Programs that the tests run and `make setup` installs."""

import os
import shutil

import pytest


def need(program: str) -> None:
    """Skip the test if a program is missing. In CI, where `make setup` has run, fail it."""
    if shutil.which(program) is None:
        complain = pytest.fail if os.environ.get("CI") else pytest.skip
        complain(f"{program} is not installed; `make setup` installs it")
