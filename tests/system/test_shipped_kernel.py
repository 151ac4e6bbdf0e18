# SPDX-License-Identifier: Apache-2.0
"""A production kernel as it ships, with packed modules: checked and swept, on production and on an isolated kernel."""

import errno
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pexpect

WANTED = {"cardless": "SAME", "needs_card": "SAME", "warns": "SAME", "differs": "DIFFERS", "works": "CLEAN"}


def modcompat(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "harness", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def load_by_hand(folder: Path, module: str) -> int:
    """Load a module in the guest that a cell's qemu.sh starts, and return what its init returned."""
    terminal = pexpect.spawn("sh", [str(folder / "qemu.sh")], timeout=60, encoding="utf-8")
    try:
        terminal.expect("# ")
        terminal.sendline(f"insmod $(find /modules -name {module}.ko)")
        terminal.expect("can't insert|# ")
        terminal.sendline("dmesg | grep initcall; reboot -f")
        terminal.expect(rf"initcall {module}_init\S* \[{module}\] returned (-?\d+)")
        assert isinstance(terminal.match, re.Match)
        returned = int(terminal.match[1])
        terminal.expect(pexpect.EOF)
    finally:
        terminal.close(force=True)
    return returned


def test_a_sweep_judges_every_module_by_what_it_does_on_production(shipped: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ("--kernel", "isolated-spinlock", "--kernel-source", "linux-source-6.1")
    done = modcompat("sweep", "--production", shipped, *words, "--run-dir", run)
    assert done.returncode == 1, done.stdout + done.stderr
    facts = json.loads((run / "sweep.json").read_text())
    cells = {module["name"]: module["cells"]["isolated-spinlock"] for module in facts["modules"]}
    assert {name: cell["verdict"] for name, cell in cells.items()} == WANTED
    assert "production `returned -19`, here `returned -16`" in cells["differs"]["reason"]
    assert "differs: this kernel debugs spinlocks" in cells["differs"]["reason"]
    assert "names in /proc, /sys and /dev" in cells["cardless"]["reason"]
    assert cells["differs"]["folder"]
    folder = run / cells["differs"]["folder"]
    assert (folder / "evidence.json").is_file()
    assert load_by_hand(folder, "differs") == -errno.EBUSY
    production = {module["name"]: module["cells"]["production"]["verdict"] for module in facts["modules"]}
    assert production == {
        "cardless": "REFUSED", "needs_card": "REFUSED", "warns": "SPLAT", "differs": "REFUSED", "works": "CLEAN",
    }  # fmt: skip
    assert "4 of 5 modules behave as on production" in done.stdout
    # With everything judged, the same command only reports
    again = modcompat("sweep", "--production", shipped, *words, "--run-dir", run)
    assert again.returncode == 1
    assert json.loads((run / "sweep.json").read_text())["modules"] == facts["modules"]


def test_a_check_passes_with_a_driver_that_finds_no_hardware(shipped: Path, tmp_path: Path) -> None:
    (file,) = shipped.rglob("cardless.ko.xz")
    done = modcompat(
        "check", "--production", shipped, "--kernel-source", "linux-source-6.1", "--feature", "spinlock",
        "--run-dir", tmp_path / "run", file,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads((tmp_path / "run/matrix.json").read_text())["cells"]
    assert {row["variant"]: row["verdict"] for row in rows} == {"production": "REFUSED", "isolated-spinlock": "SAME"}


def test_a_production_kernel_that_does_not_boot_ends_a_sweep_and_a_check(shipped: Path, tmp_path: Path) -> None:
    production = tmp_path / "production"
    shutil.copytree(shipped, production)
    (image,) = production.glob("boot/vmlinuz-*")
    content = bytearray(image.read_bytes())
    content[0x200:0x202] = b"\xeb\xfe"  # its first instruction jumps to itself
    image.write_bytes(content)
    (file,) = production.rglob("works.ko.xz")
    words = ("--production", production, "--kernel-source", "linux-source-6.1", "--timeout-scale", "0.25")
    sweep = modcompat("sweep", *words, "--kernel", "isolated-spinlock", "--run-dir", tmp_path / "sweep")
    assert sweep.returncode == 2, sweep.stdout + sweep.stderr
    assert sweep.stderr.count("x86_64-q35 did not boot") == 1
    assert not (tmp_path / "sweep").exists()
    check = modcompat("check", *words, "--feature", "spinlock", "--run-dir", tmp_path / "check", file)
    assert check.returncode == 2, check.stdout + check.stderr
    rows = json.loads((tmp_path / "check/matrix.json").read_text())["cells"]
    assert {row["verdict"] for row in rows} == {"INVALID"}
    assert all("x86_64-q35 did not boot" in row["reason"] for row in rows)
