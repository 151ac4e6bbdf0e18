# SPDX-License-Identifier: Apache-2.0
"""The isolation series on a tree that is configured by hand, as docs/how-to/isolation-series.md shows it."""

import subprocess
import sys
from pathlib import Path

import pytest

from harness.kernel.arch import X86_64
from harness.kernel.config import KernelSpec, resolve
from harness.kernel.kconfig import parse, unmet
from harness.kernel.source import find_source
from harness.support.cache.store import Store
from tests.system.conftest import users_environment


@pytest.mark.parametrize("package", ["linux-source-6.1", "linux-source-6.12"])
def test_what_is_told_of_production_gets_into_the_configuration(package: str, tmp_path: Path) -> None:
    store = Store()
    source = find_source(package, store)
    tree, fragment = tmp_path / "linux", tmp_path / "production.fragment"

    def run(*command: str | Path) -> str:
        done = subprocess.run(command, cwd=tree, env=users_environment(), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr
        return done.stdout

    def isolate(*words: str | Path) -> str:
        return run(sys.executable, "-m", "harness", "isolate", *words)

    subprocess.run(["cp", "-a", "--reflink=auto", source.tree(), tree], check=True)
    isolate("apply", "--kernel-source", tree)
    (tree / ".config").write_text(resolve(KernelSpec(X86_64, source, versions=True), store))
    (tmp_path / "Module.symvers").touch()
    told = isolate("describe", "--config", ".config", "--kernel-source", ".", "--symvers", tmp_path / "Module.symvers")
    fragment.write_text(told)
    run("scripts/kconfig/merge_config.sh", "-m", ".config", fragment)
    run("scripts/config", "-e", "DEBUG_SPINLOCK")
    run("make", "olddefconfig")
    config = parse((tree / ".config").read_text())
    assert unmet(parse(told), config) == {}
    assert config["MODULE_ABI_SYMVERS"] == f'"{tmp_path}/Module.symvers"'
    assert config["DEBUG_SPINLOCK_OUTSIDE"] == "y", "the series hides it"
