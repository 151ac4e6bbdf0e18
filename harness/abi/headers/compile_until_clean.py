# SPDX-License-Identifier: Apache-2.0
"""Compile a list of names, dropping those that the compiler rejects, until the rest compiles."""

from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import count
from pathlib import Path
from typing import TypeVar

from harness.support.errors import ModcompatError

Blamed = TypeVar("Blamed", bound=Collection[str])


def compile_until_clean(
    names: Iterable[str],
    compile_all: Callable[[list[str], Path], object],
    blamed: Callable[[str, list[str]], Blamed],
    logs: Path,
) -> Iterator[Blamed]:
    """Compile names until it works; yields the names that were dropped after each failed attempt.

    compile_all: compiles the remaining names, and writes the compiler's output to a log. blamed: takes the log's text
    and these names, and returns those that are wrong. logs: a folder. Raises compile_all's ModcompatError if none of
    the names is blamed.
    """
    left = list(names)
    for attempt in count(1):
        log = logs / f"attempt-{attempt}.log"
        try:
            compile_all(left, log)
        except ModcompatError:
            wrong = blamed(log.read_text(errors="replace"), left)
            if not wrong:
                raise
            left = [name for name in left if name not in wrong]
            yield wrong
        else:
            return
