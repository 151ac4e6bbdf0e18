# SPDX-License-Identifier: Apache-2.0
"""The options that the isolation series of a kernel asks about, from harness/kernel/versions.py."""

from harness.kernel.versions import series_of


def blocking_options(version: str) -> tuple[str, ...]:
    """The options that the series for a kernel version (`6.1.192`) cannot hide from modules.

    Its loader refuses modules that were built with another setting. They differ between versions: in what is isolated,
    and in what changes structures at all. Empty without a series.
    """
    series = series_of(version)
    return series.blocking_options if series else ()


def production_options(version: str) -> tuple[str, ...]:
    """The features that the series for a kernel version must be told of if production has them.

    docs/how-to/isolation-series.md lists them.
    """
    series = series_of(version)
    return series.production_options if series else ()
