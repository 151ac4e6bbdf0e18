"""What of the user's shell reaches a build."""

import pytest

from harness.architectures import ARM
from harness.kernel.toolchain import environment


def test_a_shell_that_is_set_up_for_another_kernel_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    before = environment(ARM)
    for name in ("LOCALVERSION", "LLVM", "KCFLAGS", "MAKEFLAGS", "KBUILD_EXTRA_SYMBOLS", "ARCH", "CROSS_COMPILE"):
        monkeypatch.setenv(name, "theirs")
    assert environment(ARM) == before


def test_what_a_compiler_needs_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/opt/bin:/usr/bin")
    assert environment(ARM)["PATH"] == "/opt/bin:/usr/bin"
    assert environment(ARM)["ARCH"] == "arm"
