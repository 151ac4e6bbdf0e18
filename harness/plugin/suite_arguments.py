# SPDX-License-Identifier: Apache-2.0
"""The command line of pytest that runs the suite from any folder, and the commands that run its cells again."""

import shlex
import sys
from pathlib import Path

from harness.lab.plan.options import OPTIONS, GetOption, ValueKind, non_default

SUITE = Path(__file__).with_name("suite")

# The current folder and the environment have no influence: on configuration, on plugins, or on the place of a cache.
ARGUMENTS = (
    "-c", str(SUITE / "suite.ini"), "-p", "no:cacheprovider", "-p", "xdist", "-p", "harness.plugin.suite_plugin",
)  # fmt: skip
ENVIRONMENT = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
FOREIGN_ENVIRONMENT = ("PYTEST_ADDOPTS", "PYTEST_PLUGINS")  # meant for the user's own sessions


def reproduction(given: GetOption, command: str = "") -> str:
    """A command that runs the cells again, for a shell in any folder, with the options that they depend on.

    command: the command of modcompat that runs the suite ("check"), or "" for a run that the user starts with pytest.
    """
    is_check = command == "check"
    if is_check:
        words = [_program("modcompat"), "check"]
    else:
        settings = [f"{name}={value}" for name, value in ENVIRONMENT.items()]
        words = ["env", *settings, _program("pytest"), *ARGUMENTS, str(SUITE)]
    for option, value in non_default({option.name: given(option.name) for option in OPTIONS if option.affects_result}):
        words += [] if is_check and option.name == "--module" else [option.name]
        words += [] if option.kind is ValueKind.FLAG else [value]
    return shlex.join(words)


def _program(name: str) -> str:
    return str(Path(sys.executable).with_name(name))
