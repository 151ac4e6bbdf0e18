# SPDX-License-Identifier: Apache-2.0
"""Which of the user's tools and environment variables reach a build."""

import shutil
from pathlib import Path

import pytest

from harness.kernel.arch import ARM
from harness.kernel.toolchain import environment, toolchain


def test_a_tool_that_kconfig_asks_makes_another_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    pahole = tmp_path / "pahole"
    found = []
    for version in ("v1.24", "v1.29"):
        pahole.write_text(f"#!/bin/sh\necho {version}\n")
        pahole.chmod(0o755)
        toolchain.cache_clear()
        found.append(toolchain(ARM))
    toolchain.cache_clear()
    assert [tools["pahole"] for tools in found] == ["v1.24", "v1.29"]
    assert {**found[0], "pahole": ""} == {**found[1], "pahole": ""}


def test_a_tool_that_is_not_installed_has_no_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for tool in ("gcc", "ld", "as", "nm", "objcopy"):
        (tmp_path / f"{ARM.cross_compile}{tool}").symlink_to("/bin/true")
    (tmp_path / "setpriv").symlink_to(shutil.which("setpriv") or "/usr/bin/setpriv")
    monkeypatch.setenv("PATH", str(tmp_path))
    toolchain.cache_clear()
    assert toolchain(ARM)["pahole"] == ""
    toolchain.cache_clear()


def test_a_shell_that_is_set_up_for_another_kernel_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    before = environment(ARM)
    for name in ("LOCALVERSION", "LLVM", "KCFLAGS", "MAKEFLAGS", "KBUILD_EXTRA_SYMBOLS", "ARCH", "CROSS_COMPILE"):
        monkeypatch.setenv(name, "theirs")
    assert environment(ARM) == before


def test_what_a_compiler_needs_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/opt/bin:/usr/bin")
    assert environment(ARM)["PATH"] == "/opt/bin:/usr/bin"
    assert environment(ARM)["ARCH"] == "arm"
