# SPDX-License-Identifier: Apache-2.0
"""Debug kernels have production's release, whatever it is composed of: modules carry it."""

import shutil
import subprocess
from pathlib import Path

import pytest

from harness.kernel.arch import X86_64
from harness.kernel.config import KernelSpec
from harness.kernel.features import FEATURES
from harness.kernel.isolation_patches import kernel_spec
from harness.kernel.prepare import build_tree
from harness.kernel.source import find_source
from harness.kernel.user_config import UserConfig
from harness.kernel.variants import PRODUCTION, variant_of
from harness.support.cache.store import Store

STORE = Store()
OPTIONS = 'CONFIG_LOCALVERSION="-acme"\nCONFIG_LOCALVERSION_AUTO=y\n'
ISOLATED = variant_of(FEATURES["spinlock"], isolated=True)


def release_of(spec: KernelSpec) -> str:
    """What modules that are built for a kernel have in their version magic."""
    tree = build_tree(spec, STORE)
    (words,) = (tree / "include/generated/utsrelease.h").read_text().splitlines()
    assert (tree / "include/config/kernel.release").read_text().strip() == words.split('"')[1]
    return words.split('"')[1]


def config_of(source: str) -> str:
    """Our production's configuration, with a release of its own."""
    found = find_source(source, STORE)
    tree = build_tree(kernel_spec(X86_64, found, PRODUCTION, STORE), STORE)
    lines = [line for line in (tree / ".config").read_text().splitlines() if "LOCALVERSION" not in line]
    return "\n".join([*lines, OPTIONS])


@pytest.mark.parametrize("source", ["linux-source-6.1", "linux-source-6.12"])
def test_what_git_knows_of_a_tree_is_in_the_release_of_its_copies(source: str, tmp_path: Path) -> None:
    tree = tmp_path / "linux"
    shutil.copytree(find_source(source, STORE).tree(), tree, symlinks=True, ignore=shutil.ignore_patterns("entry.json"))
    git = ["git", "-C", str(tree), "-c", "user.name=x", "-c", "user.email=x@example.org"]
    for words in (["init", "-q"], ["add", "-f", "Makefile", "scripts"], ["commit", "-qm", "some of it"]):
        subprocess.run([*git, *words], check=True)
    users = UserConfig(tmp_path / "x.config", X86_64, config_of(source))
    found = find_source(str(tree), STORE)
    production, isolated = (
        release_of(kernel_spec(X86_64, found, variant.on_user_config, STORE, user_config=users))
        for variant in (PRODUCTION, ISOLATED)
    )
    assert "-acme-" in production
    assert isolated == production


def test_production_as_it_ships_decides_about_the_release(tmp_path: Path) -> None:
    """Its configuration may have a part of it."""
    users = UserConfig(tmp_path / "x.config", X86_64, config_of("linux-source-6.1"), shipped=True, release="6.1.9-acme")
    source = find_source("linux-source-6.1", STORE)
    assert release_of(kernel_spec(X86_64, source, ISOLATED.on_user_config, STORE, user_config=users)) == "6.1.9-acme"
