# SPDX-License-Identifier: Apache-2.0
"""Which files of a kernel build are kept, tested without building a kernel."""

import os
import re
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.kernel import build
from harness.kernel.arch import X86_64
from harness.kernel.build import build_kernel
from harness.kernel.config import KernelSpec
from harness.kernel.source import KernelSource
from harness.support.cache.store import Store
from harness.support.errors import ModcompatError


def spec(version: str) -> KernelSpec:
    return KernelSpec(X86_64, KernelSource(f"linux {version}", {"version": version}, Path))


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(build, "resolve", lambda *_: "CONFIG_SMP=y")
    monkeypatch.setattr(build, "toolchain", lambda _: {"compiler": "gcc"})
    return Store(tmp_path / "cache")


def test_kernels_of_one_name_that_are_built_at_once_have_logs_of_their_own(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make(spec: KernelSpec, *_: Any, folder: Path, log: Path, **__: Any) -> Path:
        log.parent.mkdir(exist_ok=True)
        with log.open("a") as stream:
            stream.write(f"begin {spec.title}\n")
        if spec == first:
            other.append(build_kernel(second, store).folder)
        with log.open("a") as stream:
            stream.write(f"end {spec.title}\n")
        boot = folder / "output/arch/x86/boot"
        boot.mkdir(parents=True)
        (boot / "bzImage").touch()
        (folder / "output/System.map").touch()
        return folder / "output"

    monkeypatch.setattr(build, "make", make)
    first, second = spec("6.1"), spec("6.12")
    assert first.label == second.label
    other: list[Path] = []
    for kernel, folder in ((first, build_kernel(first, store).folder), (second, other[0])):
        *lines, took = (folder / "build.log").read_text().splitlines()
        assert lines == [f"begin {kernel.title}", f"end {kernel.title}"]
        assert re.fullmatch(r"modcompat: built in [\d.]+ s, [\d.]+ s of processor time, \d+ jobs", took)
    assert not list((store.root / "logs").iterdir()), "it is with the kernel"


def test_the_log_of_a_failed_build_stays(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def make(*_: Any, log: Path, **__: Any) -> Path:
        log.parent.mkdir(exist_ok=True)
        log.write_text("no such header")
        raise ModcompatError("the build failed", next_step=f"the whole log is {log}")

    monkeypatch.setattr(build, "make", make)
    with pytest.raises(ModcompatError) as caught:
        build_kernel(spec("6.1"), store)
    assert Path(caught.value.next_step.removeprefix("the whole log is ")).read_text() == "no such header"


def test_the_steps_of_a_build_are_counted_by_a_dry_run(tmp_path: Path) -> None:
    rule = "all:\n\t@echo '  CC      one.o'; true\n\t@echo '  CC      two.o'; true\n"
    (tmp_path / "Makefile").write_text(rule)
    assert build._count_steps(["make", "-C", tmp_path], dict(os.environ)) == 2
    assert build._count_steps(["make", "-C", tmp_path, "absent"], dict(os.environ)) == 1


@pytest.mark.parametrize(
    ("config", "steps", "needed"),
    [({"SMP": "y"}, 1100, 110_000_000), ({"DEBUG_INFO": "y"}, 3525, 3_419_250_000)],
)
def test_a_build_that_the_disk_has_no_room_for_does_not_begin(
    config: dict[str, str], steps: int, needed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = [needed]
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free[0]))
    build.require_space(tmp_path, config, steps, "building it")
    free[0] -= 1
    with pytest.raises(ModcompatError, match=r"building it takes about \d\.\d GB, and \d\.\d GB are free") as caught:
        build.require_space(tmp_path, config, steps, "building it")
    assert "cache prune" in caught.value.next_step
