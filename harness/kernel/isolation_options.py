# SPDX-License-Identifier: Apache-2.0
"""The options that the isolation series of a kernel must know about, from harness/kernel/versions.py."""

from harness.kernel.versions import series_of


def blocking_options(version: str) -> tuple[str, ...]:
    """The options that the series for a kernel version (`6.1.192`) cannot hide from modules.

    Its loader refuses modules that were built with another setting. Versions differ in the features that are isolated,
    and in the options that change structures. Empty without a series.
    """
    series = series_of(version)
    return series.blocking_options if series else ()


def production_options(version: str) -> tuple[str, ...]:
    """The features that must be declared to the series for a kernel version if production has them.

    docs/how-to/isolation-series.md lists them.
    """
    series = series_of(version)
    return series.production_options if series else ()
