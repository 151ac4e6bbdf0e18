# SPDX-License-Identifier: Apache-2.0
"""modcompat: will a binary kernel module survive a debug kernel?

An exercise imports its types from here: `from harness import Bench`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.guest.programs import Program
    from harness.lab.plan.exercise import Bench

__version__ = "0.2.0"
__all__ = ["Bench", "Program", "__version__"]

_HOMES = {"Bench": "harness.lab.plan.exercise", "Program": "harness.guest.programs"}


def __getattr__(name: str) -> Any:
    """Import the types of exercises on first use (PEP 562): `modcompat --help` and the pytest plugin do without."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
