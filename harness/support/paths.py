# SPDX-License-Identifier: Apache-2.0
"""Where files are: the data that modcompat ships with, and the user's cache folder, which holds everything built."""

import os
from pathlib import Path

from platformdirs import user_cache_path

from harness.support.errors import ModcompatError
from harness.support.inputs import expanded

HARNESS = Path(__file__).resolve().parents[1]
PROJECT = HARNESS.parent  # the top folder of a checkout; in an installation, the folder of all packages
_WHEEL_DATA = HARNESS / "_data"  # in a wheel: pyproject.toml puts the two folders there
_DATA = _WHEEL_DATA if _WHEEL_DATA.is_dir() else PROJECT
IMAGES = _DATA / "images"
KCONFIG = IMAGES / "kconfig"
MODULES = _DATA / "modules"


def require_checkout(purpose: str) -> Path:
    """The top folder of the checkout that modcompat runs from.

    purpose: the action that needs one, for the message. Raises ModcompatError in an installation.
    """
    if _DATA is not PROJECT:
        raise ModcompatError(
            f"{purpose} needs a checkout of modcompat, but this is an installation in {HARNESS}",
            next_step="clone the repository, and run this command in it after `make setup`",
        )
    return PROJECT


def cache_root() -> Path:
    """The cache folder: $MODCOMPAT_CACHE, or the platform's (~/.cache/modcompat). Raises ModcompatError."""
    if override := os.environ.get("MODCOMPAT_CACHE"):
        return expanded(override).absolute()
    return default_cache_root()


def default_cache_root() -> Path:
    """The platform's cache folder for modcompat. Raises ModcompatError if the user has no home folder."""
    try:
        return user_cache_path("modcompat")
    except RuntimeError:  # neither HOME nor an entry in /etc/passwd
        raise ModcompatError(
            "this user has no home folder, and therefore no cache folder", next_step="set MODCOMPAT_CACHE to a folder"
        ) from None
