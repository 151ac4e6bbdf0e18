# SPDX-License-Identifier: Apache-2.0
"""What the isolation series has to be told of production, read from its patches.

That is the options that it does not hide from modules, and has the loader refuse modules for; and which of the
features that it hides production has itself.
"""

import re
from functools import cache

from harness.kernel.patch_series import series

_PATCH = "*-module-Refuse-modules-that-disagree-*.patch"
# Those that may be modules themselves are asked for in a way of their own.
_ASKED = re.compile(r"^\+config MODULE_ABI_PRODUCTION_HAS_(\w+)$", re.MULTILINE)
_TAG = re.compile(r"^\+(?:\tMODULE_ABI_TAG\(|#if IS_ENABLED\(CONFIG_)(\w+)\)", re.MULTILINE)


@cache
def unisolated(version: str) -> tuple[str, ...]:
    """The tags of include/linux/module_abi.h in the series for a kernel version (`6.1.192`), in their order.

    They differ between versions: what is isolated, and what changes structures at all. Empty without a series.
    """
    patches = (patch for patch in series(version) if patch.match(_PATCH))
    return tuple(tag for patch in patches for tag in _TAG.findall(patch.read_text()))


@cache
def asked(version: str) -> tuple[str, ...]:
    """The MODULE_ABI_PRODUCTION_HAS_* symbols of the series for a kernel version (docs/how-to/isolation-series.md)."""
    return tuple(symbol for patch in series(version) for symbol in _ASKED.findall(patch.read_text()))
