# SPDX-License-Identifier: Apache-2.0
"""The patches of the isolation series, in the form that git-format-patch(1) writes: images/isolation/<version>/.

A series is that of the newest stable kernel it was tried on. What has to be another patch in older ones is in a folder
of their name, `before-6.1.191`, under the same number.
"""

from pathlib import Path

from harness.support.paths import IMAGES

SERIES = IMAGES / "isolation"
_OLDER = "before-"


def series(version: str) -> list[Path]:
    """The patches for a kernel version (`6.1.192`), in their order. Empty where there is no series for it."""
    folder = SERIES / series_name(version)
    older = sorted(folder.glob(f"{_OLDER}*"), key=_before, reverse=True)
    folders = [folder, *(each for each in older if _numbers(version) < _before(each))]
    patches = {patch.name.partition("-")[0]: patch for each in folders for patch in each.glob("*.patch")}
    return [patches[number] for number in sorted(patches)]


def series_name(version: str) -> str:
    """What the series of a kernel version is called: `6.1`."""
    return ".".join(version.split(".")[:2])


def all_series() -> dict[str, list[Path]]:
    """Every patch that there is, for whatever version, by series."""
    return {folder.name: sorted(folder.rglob("*.patch")) for folder in sorted(SERIES.iterdir()) if folder.is_dir()}


def is_of_a_series(patch: Path) -> bool:
    return SERIES in patch.parents


def _before(folder: Path) -> tuple[int, ...]:
    return _numbers(folder.name.removeprefix(_OLDER))


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
