# SPDX-License-Identifier: Apache-2.0
"""The patches of the isolation series, in the form that git-format-patch(1) writes: images/isolation/<version>/.

Each series is for the newest stable kernel that it was tested on. Patches that differ for older kernels are in folders
like `before-6.1.191`, under the same numbers; harness/kernel/versions.py lists these folders.
"""

import re
from email import message_from_bytes
from email.policy import default
from pathlib import Path

from harness.kernel.versions import SERIES, numbers, series_name, series_of
from harness.support.paths import IMAGES

FOLDER = IMAGES / "isolation"
_OLDER_PREFIX = "before-"
_SUBJECT_PREFIX = re.compile(r"^\[[^]]*\]\s*")  # [PATCH 01/20]


def series(version: str) -> list[Path]:
    """The patches for a kernel version (`6.1.192`), in their order. Empty if there is no series for it."""
    found = series_of(version)
    forks = sorted(found.forks, key=numbers, reverse=True) if found else []
    folder = FOLDER / series_name(version)
    folders = [folder, *(folder / f"{_OLDER_PREFIX}{fork}" for fork in forks if numbers(version) < numbers(fork))]
    patches = {patch.name.partition("-")[0]: patch for each in folders for patch in each.glob("*.patch")}
    return [patches[number] for number in sorted(patches)]


def all_series() -> dict[str, list[Path]]:
    """Every patch of every series, those for older versions included, by the name of the series."""
    return {name: sorted((FOLDER / name).rglob("*.patch")) for name in SERIES}


def subject(patch: Path) -> str:
    """The subject of a patch, without `[PATCH 01/20]`."""
    found = str(message_from_bytes(patch.read_bytes(), policy=default)["subject"])
    return _SUBJECT_PREFIX.sub("", found)


def is_of_a_series(patch: Path) -> bool:
    return FOLDER in patch.parents
