"""Where things live: the checkout (data) and the user's cache folder (everything that was built)."""

import os
from pathlib import Path

from platformdirs import user_cache_path

from harness.given import expanded

HARNESS = Path(__file__).resolve().parent
PROJECT = HARNESS.parent
IMAGES = PROJECT / "images"
KCONFIG = IMAGES / "kconfig"
MODULES = PROJECT / "modules"


def cache_root() -> Path:
    """The cache folder: $MODCOMPAT_CACHE, else the platform's (~/.cache/modcompat). Raises ModcompatError."""
    override = os.environ.get("MODCOMPAT_CACHE")
    return expanded(override).absolute() if override else user_cache_path("modcompat")
