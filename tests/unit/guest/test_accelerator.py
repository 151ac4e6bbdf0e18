# SPDX-License-Identifier: Apache-2.0
"""Whether KVM works is found out once per boot of the host, with a kernel that boots at all."""

from pathlib import Path
from unittest.mock import Mock

import pytest

from harness.guest import accelerator
from harness.guest.accelerator import Probe, probe_kvm
from harness.support.cache.store import Store

MACHINE = Mock(**{"board.arch.qemu": "qemu-system-x86_64"})


@pytest.mark.parametrize(
    ("problems", "works", "tried"),
    [
        ({"kvm": "", "tcg": ""}, True, ["kvm"]),
        ({"kvm": "it was silent", "tcg": ""}, False, ["kvm", "tcg"]),
        ({"kvm": "it panicked", "tcg": "it panicked"}, False, ["kvm", "tcg"] * 2),
    ],
    ids=["works", "does not", "unsure"],
)
def test_a_kernel_that_does_not_boot_says_nothing_about_kvm(
    *,
    problems: dict[str, str],
    works: bool,
    tried: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    attempts: list[str] = []

    def boots(_machine: object, how: str, _seconds: float, _scale: float) -> str:
        attempts.append(how)
        return problems[how]

    monkeypatch.setattr(accelerator, "_boots", boots)
    monkeypatch.setattr(accelerator, "probe_firmware", lambda: Probe(works=True, why="firmware ran"))
    monkeypatch.setattr(accelerator, "qemu_version", lambda _: "QEMU 7.2")
    monkeypatch.setattr(accelerator, "_boot_id", lambda: "this one")
    store = Store(tmp_path / "cache")
    assert [probe_kvm(MACHINE, store, 1.0).works for _ in range(2)] == [works, works]
    assert attempts == tried, "another kernel gets its chance only if this one proves nothing"
