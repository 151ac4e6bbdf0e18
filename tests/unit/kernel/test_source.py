# SPDX-License-Identifier: Apache-2.0
"""Which kernel source is the default."""

import pytest

from harness.kernel.source import package_for


@pytest.mark.parametrize(
    ("release", "package"),
    [
        ({"ID": "debian", "VERSION_ID": "12"}, "linux-source-6.1"),
        ({"ID": "debian", "VERSION_ID": "13"}, "linux-source-6.12"),
        ({"ID": "debian"}, "linux-source-6.1"),
        ({"ID": "fedora", "VERSION_ID": "12"}, "linux-source-6.1"),
        ({}, "linux-source-6.1"),
    ],
    ids=["debian-12", "debian-13", "testing", "another", "none"],
)
def test_the_default_source_is_the_one_of_the_release(release: dict[str, str], package: str) -> None:
    assert package_for(release) == package
