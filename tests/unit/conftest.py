# SPDX-License-Identifier: Apache-2.0
"""Unit tests use no remote cache but their own, and take the time that a busy machine needs."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from harness.support.cache import sharing

settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


@pytest.fixture(autouse=True)
def without_remote(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The environment names no remote, and none is known from an earlier test."""
    for variable in (sharing.URL_VARIABLE, sharing.READ_ONLY_VARIABLE):
        monkeypatch.delenv(variable, raising=False)
    yield
    sharing.forget()
