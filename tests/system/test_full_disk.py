# SPDX-License-Identifier: Apache-2.0
"""The disk of the cache fills in the middle of a build and of a snapshot: one clear line, and nothing half written."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from harness.guest.boards import BOARDS
from harness.kernel.features import FEATURES
from harness.kernel.source import DEFAULT_PACKAGE, find_source
from harness.kernel.variants import PRODUCTION, variant_of
from harness.lab.execution.kernel_pool import Kernels
from harness.lab.plan.settings import Settings
from harness.support.cache.ownership import TAG
from harness.support.cache.store import Store
from harness.support.paths import PROJECT, cache_root
from tests.system.conftest import SCALE, users_environment

Disk = Callable[[int], Path]
_OF_ITS_OWN = {"locks", "logs", "scratch", "snapshot"}  # of a cache on a small disk; it shares the rest


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """Make a disk with so many MB, or give an earlier one another size."""
    if os.geteuid() != 0:
        pytest.skip("mounting a tmpfs needs root")
    folder = tmp_path / "disk"
    with ExitStack() as ending:

        def made(megabytes: int) -> Path:
            known = folder.is_mount()
            folder.mkdir(exist_ok=True)
            options = f"size={megabytes}m" + (",remount" if known else "")
            done = subprocess.run(
                ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, text=True, check=False
            )
            if done.returncode:
                pytest.skip(f"a tmpfs cannot be mounted here: {done.stderr.strip()}")
            if not known:
                ending.callback(lambda: subprocess.run(["umount", "--lazy", folder], check=True))
            return folder

        yield made


def modcompat(*words: str | Path, cache: Path) -> tuple[int, str]:
    """The exit status of a command, and what it printed."""
    environment = users_environment() | {"MODCOMPAT_CACHE": str(cache)}
    command = [sys.executable, "-m", "harness", *map(str, words)]
    done = subprocess.run(
        command, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=900 * SCALE, check=False
    )
    return done.returncode, done.stdout + done.stderr


def half_written(cache: Path) -> list[Path]:
    found = [*cache.glob("*/.*.partial"), *cache.glob("scratch/*")]
    return [path for path in found if not path.parent.is_symlink()]  # not what others are building in the shared part


def test_a_build_that_the_disk_has_no_room_for_ends_in_one_line(disk: Disk) -> None:
    tree = find_source(DEFAULT_PACKAGE, Store()).tree()
    cache = disk(3)
    status, text = modcompat("build", "production", "--kernel-source", tree, cache=cache)
    assert status == 2, text
    (problem,) = [line for line in text.splitlines() if line.startswith("modcompat: ")]
    assert "GB are free for" in problem
    assert "  next: free some" in text
    assert "Traceback" not in text
    assert half_written(cache) == []
    assert list(cache.glob("kernel/*")) == []
    assert list(cache.glob("config/*/entry.json")), "it ended before the build"


def test_a_snapshot_that_fills_the_disk_judges_nothing_and_the_next_run_does(
    disk: Disk, module_files: dict[str, dict[str, Path]], tmp_path: Path
) -> None:
    kernels, board = Kernels(Settings()), BOARDS["x86_64-q35"]
    for variant in (PRODUCTION, variant_of(FEATURES["spinlock"])):
        kernels.kernel(board, variant)
    cache = disk(16)
    (cache / TAG).write_text((cache_root() / TAG).read_text())
    for kind in cache_root().iterdir():
        if kind.is_dir() and kind.name not in _OF_ITS_OWN:
            (cache / kind.name).symlink_to(kind)
    words = ("check", module_files["x86_64"]["locks"], "--board", "q35", "--feature", "spinlock", "--flavour", "stock")
    status, text = modcompat(*words, "--run-dir", tmp_path / "full", cache=cache)
    assert status == 2, text
    rows = json.loads((tmp_path / "full/matrix.json").read_text())["cells"]
    assert {row["verdict"] for row in rows} == {"INVALID"}
    assert all("could not save its state" in row["reason"] or "no space left" in row["reason"] for row in rows), rows
    assert "Traceback" not in text
    assert half_written(cache) == []
    assert list(cache.glob("snapshot/*")) == []
    disk(400)
    status, text = modcompat(*words, "--run-dir", tmp_path / "room", cache=cache)
    assert status == 1, text
    rows = json.loads((tmp_path / "room/matrix.json").read_text())["cells"]
    assert {row["flavour"]: row["verdict"] for row in rows}["stock"] == "INERT"
    assert len(list(cache.glob("snapshot/*/entry.json"))) == 2
