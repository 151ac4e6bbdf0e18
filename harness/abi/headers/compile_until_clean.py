# SPDX-License-Identifier: Apache-2.0
"""To compile what can be compiled: what the compiler finds wrong is left out, until it finds nothing any more."""

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
    """Compile names until it works, and give which were left out after each attempt that did not.

    compile_all: is given the names that are left, and where to log. blamed: of the log and these names, which are
    wrong. logs: a folder. Raises compile_all's ModcompatError where none is blamed.
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
