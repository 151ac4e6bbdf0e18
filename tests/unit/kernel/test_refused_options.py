# SPDX-License-Identifier: Apache-2.0
"""For every option that the series does not hide, somebody says why."""

from harness.kernel.refused_options import IMPOSSIBLE, OPEN
from harness.kernel.versions import SERIES


def test_every_refused_option_has_one_reason() -> None:
    refused = {option for series in SERIES.values() for option in series.blocking_options}
    reasons = {**IMPOSSIBLE, **OPEN}
    assert set(reasons) == refused
    assert not set(IMPOSSIBLE) & set(OPEN)
    assert all(len(reason.split()) > 5 for reason in reasons.values())
