# SPDX-License-Identifier: Apache-2.0
"""An exercise in a user-supplied root file system, in a real guest of each architecture."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from harness.detect.verdict import Verdict
from harness.guest.boards import BOARDS
from harness.guest.initramfs import find_busybox
from harness.guest.userland import find_userlands
from harness.kernel.features import FEATURES
from harness.lab.execution.lab import Lab
from harness.lab.plan.cells import Cell, Flavour
from harness.lab.plan.settings import Settings
from harness.lab.plan.vendor_modules import shipped
from harness.support.cache.store import Store
from tests.system.conftest import GUESTS, TIMING

EXERCISE = """
def exercise(bench):
    bench.expect("the user's files", "cat /etc/os-release", "NAME=acme")
    bench.expect("the user's programs first", "own", "it runs")
    bench.expect("ours behind them", "ls /.modcompat/base64", "/.modcompat/base64")
    bench.expect("nothing of the harness", "ls -d /agent /userland 2>/dev/null | wc -l", "0")
    bench.put(b"content", "/root/file")
    bench.check("files come and go", bench.get("/root/file") == b"content")
    bench.check("quotes arrive", bench.run("echo \\"it's\\" '$HOME'").text == "it's $HOME")
    bench.check("its exit status", bench.run("exit 7").status == 7)
    cat = bench.start("cat")
    cat.send("hello\\n")
    bench.check("programs talk", cat.expect("hello") is not None)
    cat.stop()
    bench.expect("the module is there", "grep -c '^tail ' /proc/modules", "1")
    bench.check("its parameters", bench.run("ls /sys/module/tail/parameters").status == 0)
    bench.expect("devices", "head -c 3 /dev/zero | wc -c", "3")
"""


@pytest.mark.parametrize("board", GUESTS)
def test_an_exercise_runs_in_the_users_root_file_system(board: str, tmp_path: Path) -> None:
    arch, store, root = BOARDS[board].arch, Store(), tmp_path / "root"
    for folder in ("bin", "etc", "root"):
        (root / folder).mkdir(parents=True)
    shutil.copy(find_busybox(arch, store), root / "bin/busybox")
    for name in ("sh", "cat", "ls", "grep", "head", "wc", "kill"):
        (root / "bin" / name).symlink_to("busybox")
    (root / "bin/own").write_text("#!/bin/sh\necho it runs\n")
    (root / "bin/own").chmod(0o755)
    (root / "etc/os-release").write_text("NAME=acme\n")
    (tmp_path / "exercise.py").write_text(EXERCISE)
    tail = next(module for module in shipped() if module.name == "tail")
    module = replace(tail, exercise=tmp_path / "exercise.py")
    settings = Settings(timing=TIMING, userlands=find_userlands([root], store))
    with Lab(settings, [module]) as lab:
        result = lab.run(Cell(BOARDS[board], FEATURES["spinlock"], Flavour.PRODUCTION, module))
    assert result.verdict is Verdict.CLEAN, result.reason
    assert len([check for check in result.evidence.checks if check.held]) == 11
