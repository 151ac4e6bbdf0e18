# SPDX-License-Identifier: Apache-2.0
"""The series applies to every version of its kernel that Debian still has."""

import pytest

from harness.kernel.isolation_patches import apply_series
from harness.kernel.versions import SERIES
from harness.support import debian, process
from harness.support.cache.store import Store
from harness.support.errors import ModcompatError


def versions(package: str) -> set[str]:
    """Versions from the lines of apt-cache(8): `linux-source-6.1 | 6.1.192-2 | http://...`."""
    return {line.split("|")[1].strip() for line in process.output(["apt-cache", "madison", package]).splitlines()}


@pytest.mark.parametrize("name", SERIES)
def test_it_applies(name: str) -> None:
    package, store = SERIES[name].package, Store()
    refused = {}
    known = versions(package)
    assert known, "run `apt-get update` first"
    for version in sorted(known):
        with store.scratch() as scratch:
            deb = debian.download(f"{package}={version}", "all", scratch)
            debian.unpack_tarball(debian.unpack_member(deb, f"usr/src/{package}.tar.xz", scratch), scratch)
            try:
                apply_series(scratch, store)
            except ModcompatError as error:
                refused[version] = f"{error.problem}\n{error.details}"
    assert refused == {}
