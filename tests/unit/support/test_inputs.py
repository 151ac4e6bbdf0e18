# SPDX-License-Identifier: Apache-2.0
"""User-supplied values: which are accepted and which are refused."""

import math

import pytest

from harness.support.errors import ModcompatError
from harness.support.inputs import guest_memory, timeout, timeout_scale


def test_what_makes_sense_is_taken_as_it_is() -> None:
    assert (timeout(0.5), timeout(3600), timeout_scale(3), guest_memory(256)) == (0.5, 3600, 3.0, 256)


@pytest.mark.parametrize("seconds", [0, -1, math.nan, math.inf, 1e9])
def test_a_time_that_nobody_waits_is_refused(seconds: float) -> None:
    with pytest.raises(ModcompatError, match="a time of up to a day, in seconds"):
        timeout(seconds)


@pytest.mark.parametrize("mib", [0, 31, 100000, 99.5, math.nan])
def test_memory_that_no_guest_starts_with_is_refused(mib: float) -> None:
    with pytest.raises(ModcompatError, match="the memory of a guest"):
        guest_memory(mib)
