# SPDX-License-Identifier: Apache-2.0
"""Where things live: the checkout (data) and the user's cache folder (everything that was built)."""

import os
from pathlib import Path

from platformdirs import user_cache_path

from harness.support.errors import ModcompatError
from harness.support.inputs import expanded

HARNESS = Path(__file__).resolve().parents[1]
PROJECT = HARNESS.parent
IMAGES = PROJECT / "images"
KCONFIG = IMAGES / "kconfig"
MODULES = PROJECT / "modules"


def cache_root() -> Path:
    """The cache folder: $MODCOMPAT_CACHE, else the platform's (~/.cache/modcompat). Raises ModcompatError."""
    if override := os.environ.get("MODCOMPAT_CACHE"):
        return expanded(override).absolute()
    return default_cache_root()


def default_cache_root() -> Path:
    """The platform's cache folder for us. Raises ModcompatError where the user has none."""
    try:
        return user_cache_path("modcompat")
    except RuntimeError:  # neither HOME nor an entry in /etc/passwd
        raise ModcompatError(
            "this user has no home folder, and so no cache folder", next_step="set MODCOMPAT_CACHE to a folder"
        ) from None
