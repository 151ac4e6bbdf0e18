# SPDX-License-Identifier: Apache-2.0
"""Keep paths in the suite's options from changing pytest's root, in a checkout of this project.

pytest looks for its configuration file, and for conftest.py, before it knows the options of a conftest.py. It takes
the path in `--module /elsewhere/vendor.ko` for a test to run, and makes /elsewhere its root.
"""

import os
import sys
from pathlib import Path

import pytest

from harness.lab.plan.options import OPTIONS, ValueKind
from harness.support import process

_SUITE_PLUGIN = "harness.plugin.suite_plugin"
_PATH_OPTIONS = {option.name for option in OPTIONS if option.kind in (ValueKind.PATH, ValueKind.SOURCE)}


def correct_root(config: pytest.Config, checkout: Path) -> None:
    """Load the suite's plugin if one of its options has a path, before pytest looks for conftest files.

    If the path misled pytest to another root, or would mislead the workers of pytest-xdist, because the folder of the
    run exists when they start, run the session in a child with the checkout's configuration, and raise SystemExit with
    its status. A configuration file that the user chose (-c) stays.
    """
    settings = checkout / "pyproject.toml"
    words = [str(word) for word in config.invocation_params.args]
    if not _PATH_OPTIONS & set(words):
        return
    is_worker = "PYTEST_XDIST_WORKER" in os.environ  # the session that started it has the right root
    known = config.known_args_namespace
    is_right = config.inipath == settings and not getattr(known, "numprocesses", None)
    if is_worker or is_right or known.inifilename is not None:
        config.pluginmanager.import_plugin(_SUITE_PLUGIN)
        return
    command = [sys.executable, "-m", "pytest", "-c", str(settings), "-p", _SUITE_PLUGIN, *words]
    sys.exit(process.attached(command))
