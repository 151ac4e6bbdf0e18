# SPDX-License-Identifier: Apache-2.0
"""Sessions of pytest in a checkout of this project: paths of the suite's options do not choose the root.

pytest looks for its configuration file, and for conftest.py, before it knows the options of a conftest.py. It takes
the path in `--module /elsewhere/vendor.ko` for a test to run, and makes /elsewhere its root.
"""

import sys
from pathlib import Path

import pytest

from harness.lab.plan.options import OPTIONS, Kind
from harness.support import process

_WITH_PATHS = {option.name for option in OPTIONS if option.kind in (Kind.PATH, Kind.SOURCE)}


def correct_root(config: pytest.Config, checkout: Path) -> None:
    """Run the session in a child with the checkout's configuration if pytest took a path for a test to run.

    Raises SystemExit with the child's status. Does nothing if no such option is there, or if the user chose a
    configuration file (-c).
    """
    settings = checkout / "pyproject.toml"
    words = [str(word) for word in config.invocation_params.args]
    is_chosen = config.known_args_namespace.inifilename is not None
    if config.inipath != settings and not is_chosen and _WITH_PATHS & set(words):
        sys.exit(process.attached([sys.executable, "-m", "pytest", "-c", str(settings), *words]))
