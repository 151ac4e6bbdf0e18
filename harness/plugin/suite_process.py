# SPDX-License-Identifier: Apache-2.0
"""Runs the suite under pytest for a command, and reports back to it through a file.

    python -m harness.plugin.suite_process FILE [OPTIONS FOR PYTEST ...]

FILE gets a JSON object. `cells`: the names of the cells that were collected and selected. `problem`: the reason why
there was no session, "" if there was one; `details` and `next_step` belong to it, as in ModcompatError. The command
prints the problem, so this module keeps pytest from printing it. The exit status is that of pytest.
"""

import json
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from harness.plugin.suite_arguments import ARGUMENTS, SUITE
from harness.support.errors import ModcompatError


class Reporter:
    """A pytest plugin that records the cells and the problem of a session."""

    def __init__(self) -> None:
        self.cells: list[str] = []
        self.error: ModcompatError | None = None

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_load_initial_conftests(self, args: list[str], parser: pytest.Parser) -> Generator[None, Any, Any]:
        result = yield
        _, unknown = parser.parse_known_and_unknown_args(args)
        if unknown:
            cause = ModcompatError(f"unrecognized arguments: {' '.join(unknown)}")
            raise pytest.UsageError(str(cause)) from cause
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_cmdline_parse(self) -> Generator[None, Any, Any]:
        try:
            return (yield)
        except pytest.UsageError as error:
            raise self._recorded(error) from None

    @pytest.hookimpl(wrapper=True)
    def pytest_cmdline_main(self) -> Generator[None, Any, Any]:
        try:
            return (yield)
        except pytest.UsageError as error:
            raise self._recorded(error) from None

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.cells = [item.callspec.id for item in session.items if hasattr(item, "callspec")]

    def _recorded(self, error: pytest.UsageError) -> pytest.UsageError:
        """Record the error, and return one without text, for which pytest prints nothing."""
        if isinstance(error.__cause__, ModcompatError):
            self.error = error.__cause__
        else:
            lines = [line for text in error.args for line in str(text).splitlines() if line.strip()]
            self.error = ModcompatError("pytest rejects its options", details="\n".join(lines))
        return pytest.UsageError()

    def as_json_object(self) -> dict[str, Any]:
        error = self.error
        return {
            "cells": self.cells,
            "problem": error.problem if error else "",
            "details": error.details if error else "",
            "next_step": error.next_step if error else "",
        }


def main(file: Path, options: list[str]) -> int:
    """Run the suite with these options."""
    reporter = Reporter()
    status = pytest.main([*ARGUMENTS, *options, str(SUITE)], plugins=[reporter])
    file.write_text(json.dumps(reporter.as_json_object()))
    return int(status)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
