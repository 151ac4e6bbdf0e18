"""Options that the isolation series does not hide from modules, and has the loader refuse modules for."""

import re
from functools import cache

from harness.paths import IMAGES

SERIES = IMAGES / "isolation"
_PATCH = "*-module-Refuse-modules-that-disagree-*.patch"
# Those that may be modules themselves are asked for in a way of their own.
_TAG = re.compile(r"^\+(?:\tMODULE_ABI_TAG\(|#if IS_ENABLED\(CONFIG_)(\w+)\)", re.MULTILINE)


@cache
def unisolated(version: str) -> tuple[str, ...]:
    """The tags of include/linux/module_abi.h in the series for a kernel version (`6.1.192`), in their order.

    They differ between versions: what is isolated, and what changes structures at all. Empty without a series.
    """
    folder = SERIES / ".".join(version.split(".")[:2])
    return tuple(tag for patch in folder.glob(_PATCH) for tag in _TAG.findall(patch.read_text()))
