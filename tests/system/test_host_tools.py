# SPDX-License-Identifier: Apache-2.0
"""A tool that is installed between two runs, and that Kconfig asks for its version."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.kernel.arch import X86_64
from harness.kernel.config import KernelSpec, resolve
from harness.kernel.features import FEATURES
from harness.kernel.kconfig import parse
from harness.kernel.source import DEFAULT_PACKAGE, find_source
from harness.kernel.toolchain import toolchain
from harness.kernel.variants import PRODUCTION, variant_of
from harness.support.cache.store import Store


@pytest.fixture
def pahole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A pahole that comes first in PATH."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/sbin:/usr/bin:/sbin:/bin")
    yield tmp_path / "pahole"
    toolchain.cache_clear()


def test_a_new_tool_makes_new_configurations_and_no_feature_changes_more_than_itself(pahole: Path) -> None:
    store = Store()
    source = find_source(DEFAULT_PACKAGE, store)
    versions = []
    for version, features in (("v1.23", ["spinlock"]), ("v1.24", ["spinlock", "slub"])):
        pahole.write_text(f"#!/bin/sh\necho {version}\n")
        pahole.chmod(0o755)
        toolchain.cache_clear()
        for feature in features:
            # resolve() raises ModcompatError if a feature's configuration differs from production's in anything else
            config = parse(resolve(KernelSpec(X86_64, source, variant_of(FEATURES[feature])), store))
        versions.append(parse(resolve(KernelSpec(X86_64, source, PRODUCTION), store))["PAHOLE_VERSION"])
        assert config["PAHOLE_VERSION"] == versions[-1]
    assert versions == ["123", "124"]
