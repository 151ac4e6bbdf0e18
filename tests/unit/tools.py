# SPDX-License-Identifier: Apache-2.0
"""Programs that tests run, and that set-up installs."""

import os
import shutil

import pytest


def need(program: str) -> None:
    """Skip a test where a program is missing. In CI, where set-up has run, that is a failure."""
    if shutil.which(program) is None:
        complain = pytest.fail if os.environ.get("CI") else pytest.skip
        complain(f"{program} is not installed: `make setup` does it")
