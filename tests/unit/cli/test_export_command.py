# SPDX-License-Identifier: Apache-2.0
"""modcompat export: the script that repeats a cell, and the files for LAVA and labgrid.

tests/system/test_export.py reads them with LAVA and labgrid themselves.
"""

import gzip
import json
import stat
import subprocess
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from harness.cli.main import main
from harness.guest import cpio
from harness.guest.boards import BOARDS
from harness.guest.cpio import ArchiveMember
from harness.guest.machine import BY_HAND
from harness.guest.mailbox import Mailbox, size_for
from harness.report.export.lab_files import cpio_of, lab_cell, tar_of
from harness.report.export.lava_job import write_lava_job
from harness.report.export.replay import Replay, replay_of
from harness.report.recorded_run import read_run
from tests.unit.tools import need

CLEAN = "vendor-module-on-production-kernel-without-spinlock-on-{board}"
BROKEN = "vendor-module-on-stock-kernel-with-spinlock-on-{board}"
WHOLE = (
    ("insmod modules/needed/bus.ko", 0),
    ("insmod modules/vendor.ko speed=3", 0),
    ("[ -e /dev/vendor ]", 1),
    ("[ -e /dev/vendor ]", 1),
    ("[ -e /dev/vendor ]", 0),
    ("echo 'it'\"'\"'s' >/dev/vendor", 0),
    ("setsid sh -c x <>/tmp/program1.in >/tmp/program1.out 2>&1 & echo $!", 0),
    ("kill -- -77 2>/dev/null", 0),
    ("rmmod vendor", 1),
    ("rmmod vendor", 0),
    ("agent alive", 0),
)
CUT = (*WHOLE[:2], ("echo x >/dev/vendor", 137))
LOG = b"[    1.0][   T1] vendor: check spin.lock ok\r\n[    1.1] vendor: check spin.unlock ok\r\n"


def command(line: str, status: int) -> dict[str, Any]:
    return {"command": line, "status": status, "output": "", "seconds": 0.1}


def evidence(commands: tuple[tuple[str, int], ...], **facts: Any) -> dict[str, Any]:
    recorded = [command(*each) for each in commands]
    load = next((done for done in recorded if "modules/vendor.ko" in done["command"]), None)
    unload = next((done for done in recorded[::-1] if done["command"] == "rmmod vendor"), None)
    return {"module": "vendor", "commands": recorded, "load": load, "unload": unload, "reports": {}} | facts


class Bench:
    """A run folder with one module on production and on a debug kernel of a board."""

    def __init__(self, folder: Path, board: str = "x86_64-q35") -> None:
        self.folder = folder / "run"
        self.board = BOARDS[board]
        self.rows: list[dict[str, Any]] = []
        cache = folder / "cache"
        cache.mkdir()
        (cache / "image").write_bytes(b"kernel")
        (cache / "board.dtb").write_bytes(b"tree")
        modules = {"modules/vendor.ko": b"vendor", "modules/needed/bus.ko": b"bus"}
        members = [ArchiveMember(name, stat.S_IFREG | 0o644, data) for name, data in modules.items()]
        userland = [ArchiveMember("userland", stat.S_IFDIR | 0o755)]
        (cache / "initramfs.cpio").write_bytes(cpio.pack(members) + cpio.pack(userland))
        self.machine = {
            "kernel": str(cache / "image"), "initramfs": str(cache / "initramfs.cpio"),
            "device_tree": str(cache / "board.dtb") if self.board.device_tree else None,
            "parameters": f"console=ttyS0 initcall_debug {self.board.boot} modcompat_channel=ttyS1",
            "board": board, "machine": self.board.machine, "cpu": self.board.cpu, "memory": self.board.memory,
            "topology": "2", "options": list(self.board.options), "userland": False, "mailbox": 0,
        }  # fmt: skip
        self.add(CLEAN, "production", "CLEAN", evidence(WHOLE))
        self.add(BROKEN, "stock", "SPLAT", evidence(CUT))

    def add(self, name: str, flavour: str, verdict: str, facts: Mapping[str, Any], **machine: Any) -> Path:
        row = {
            "id": name.format(board=self.board.id), "board": self.board.name, "arch": self.board.arch.name,
            "feature": "spinlock", "flavour": flavour, "preemption": "none", "variant": flavour, "module": "vendor",
            "verdict": verdict, "reason": "for a reason", "because": [], "origin": "", "seconds": 1.0,
            "kernel": "6.1.0", "folder": f"cells/{flavour}",
        }  # fmt: skip
        self.rows = [*(each for each in self.rows if each["id"] != row["id"]), row]
        cell = self.folder / f"cells/{flavour}"
        cell.mkdir(parents=True, exist_ok=True)
        (cell / "console.log").write_bytes(LOG)
        recorded = {"schema": 2, "cell": row, "machine": self.machine | machine, "evidence": facts}
        (cell / "evidence.json").write_text(json.dumps(recorded))
        matrix = {"schema": 1, "date": "2026-11-28", "kernel": "6.1.0", "command": "pytest", "cells": self.rows}
        matrix |= {"compilers": {}, "qemu": {}, "assumptions": []}
        (self.folder / "matrix.json").write_text(json.dumps(matrix))
        return cell

    def replay(self, flavour: str) -> Replay:
        run = read_run(self.folder)
        return replay_of(next(cell for cell in run.cells if cell.row["flavour"] == flavour), run)

    def export(self, *options: object) -> Result:
        return CliRunner().invoke(main, ["export", str(self.folder), *map(str, options)])


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_debug_cell_repeats_what_production_did(bench: Bench) -> None:
    replay = bench.replay("stock")
    assert replay == bench.replay("production")
    assert replay.before == ("insmod modules/needed/bus.ko",)
    assert replay.load == "insmod modules/vendor.ko speed=3"
    assert [(step.command, step.status, step.waits) for step in replay.steps] == [
        ("[ -e /dev/vendor ]", 0, True),
        ("echo 'it'\"'\"'s' >/dev/vendor", 0, False),
        ("rmmod vendor", 1, False),
    ]
    assert len(replay.left_out) == 2
    assert replay.files == ("modules/needed/bus.ko", "modules/vendor.ko")
    assert replay.answers == {"check-spin.lock": "spin.lock", "check-spin.unlock": "spin.unlock"}
    assert not replay.cut_short


def test_the_answers_are_those_of_production(bench: Bench) -> None:
    wrong = [(line, 1 if line.startswith("echo") else status) for line, status in WHOLE]
    bench.add(BROKEN, "stock", "CORRUPTED", evidence((*wrong, ("agent state", 0))))
    assert [step.status for step in bench.replay("stock").steps] == [0, 0, 1]


def test_without_a_control_the_exercise_is_cut_short(bench: Bench) -> None:
    bench.add(CLEAN, "production", "INVALID", evidence(()))
    replay = bench.replay("stock")
    assert [(step.command, step.status) for step in replay.steps] == [("echo x >/dev/vendor", 0)]
    assert "came no further" in replay.cut_short
    assert "came no further" in replay.script("x")


def test_a_report_on_production_is_not_held_against_a_board(bench: Bench) -> None:
    assert bench.replay("stock").cases[-1] == "kernel-log"
    report = {
        "kind": "warning", "title": "t", "module": "", "culprit": "", "rule": "", "text": "", "first_line": 1,
        "last_line": 1, "start": 0,
    }  # fmt: skip
    bench.add(CLEAN, "production", "CLEAN", evidence(WHOLE, reports={"exercise": [report]}))
    assert "kernel-log" not in bench.replay("stock").cases


def test_commands_run_in_the_users_root_file_system(bench: Bench) -> None:
    bench.add(CLEAN, "production", "CLEAN", evidence(WHOLE), userland=True)
    assert "chroot /userland sh -c '[ -e /dev/vendor ]'" in bench.replay("production").steps[0].command


PROGRAMS = {
    "insmod": 'echo "initcall vendor_init+0x0/0x10 [vendor] returned 0 after 1 usecs" >>log',
    "rmmod": 'n=$(cat count 2>/dev/null || echo 1); echo 0 >count; exit "$n"',  # refused once
    "dmesg": "cat log; : >log",
    "lava-test-case": 'echo "$@" >>lava',
}


@pytest.fixture
def board(bench: Bench, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the script of a cell with programs that behave like those of a board."""
    folder = tmp_path / "board"
    (folder / "bin").mkdir(parents=True)
    (folder / "device").write_text("")
    script = bench.replay("stock").script("the cell").replace("/dev/vendor", str(folder / "device"))
    (folder / "cell.sh").write_text(script.replace("cd /", f"cd {folder}"))

    def run(log: str = "check spin.lock ok\ncheck spin.unlock ok\n", **programs: str) -> Any:
        (folder / "log").write_text("")
        for name, body in (PROGRAMS | programs).items():
            (folder / "bin" / name).write_text(f"#!/bin/sh\n{body}\n")
            (folder / "bin" / name).chmod(0o755)
        (folder / "bin/insmod").write_text(f"#!/bin/sh\n{(PROGRAMS | programs)['insmod']}\nprintf '{log}' >>log\n")
        environment = {"PATH": f"{folder / 'bin'}:/usr/bin:/bin"}
        return subprocess.run(
            ["sh", "cell.sh"], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )

    return run


def outcomes(text: str) -> dict[str, str]:
    lines = (line.split() for line in text.splitlines() if line.startswith("modcompat: "))
    return {case: result for _, case, result in lines}


def test_the_script_passes_on_a_board_that_behaves(
    board: Callable[..., subprocess.CompletedProcess[str]], bench: Bench, tmp_path: Path
) -> None:
    done = board()
    found = outcomes(done.stdout)
    assert list(found) == bench.replay("stock").cases, done.stdout + done.stderr
    assert set(found.values()) == {"pass"}, done.stdout + done.stderr
    assert done.returncode == 0
    told = (tmp_path / "board/lava").read_text().splitlines()
    assert told == [f"{case} --result pass" for case in found]


@pytest.mark.parametrize(
    ("programs", "failing"),
    [
        ({"insmod": "exit 1"}, {"load", "init", "check-spin.lock", "check-spin.unlock"}),
        ({"insmod": ":"}, {"init"}),
        ({"log": "check spin.lock ok\n"}, {"check-spin.unlock"}),
        ({"log": "check spin.lock ok\ncheck spin.unlock FAILED x\n"}, {"check-spin.unlock"}),
        ({"log": "check spin.lock ok\ncheck spin.unlock ok\nBUG: bad\n"}, {"kernel-log"}),
        ({"log": "check spin.lock ok\ncheck spin.unlock ok\nCall trace:\n"}, {"kernel-log"}),
        ({"rmmod": "kill -9 $$"}, {"exercise-003", "unload"}),
    ],
)
def test_the_script_fails_in_the_right_case(
    board: Callable[..., subprocess.CompletedProcess[str]], programs: dict[str, str], failing: set[str]
) -> None:
    done = board(**programs)
    assert {case for case, result in outcomes(done.stdout).items() if result == "fail"} == failing
    assert done.returncode == 1


def test_shellcheck_has_no_complaint(bench: Bench, tmp_path: Path) -> None:
    need("shellcheck")
    (tmp_path / "cell.sh").write_text(bench.replay("stock").script("the cell"))
    subprocess.run(["shellcheck", tmp_path / "cell.sh"], check=True)


def test_files_of_both_systems(bench: Bench, tmp_path: Path) -> None:
    folder = tmp_path / "lab"
    result = bench.export("--lava", folder, "--labgrid", folder, "--url-base", "http://files/x/")
    assert result.exit_code == 0, result.output
    assert len(result.output.splitlines()) == 8
    assert all(Path(line).is_file() for line in result.output.splitlines())
    assert len(list((folder / "files").iterdir())) == 2, "both cells share kernel and ramdisk"
    cell = folder / BROKEN.format(board="x86_64-q35")
    job = (cell / "job.yaml").read_text()
    kernel = next((folder / "files").glob("kernel-*"))
    assert kernel.read_bytes() == b"kernel"
    assert f'"http://files/x/files/{kernel.name}"' in job
    assert f"http://files/x/{cell.name}/overlay.tar.gz" in job
    assert "modcompat_channel" not in job
    with tarfile.open(cell / "overlay.tar.gz") as overlay:
        assert sorted(overlay.getnames()) == [
            "modcompat/cell.sh", "modules/needed/bus.ko", "modules/vendor.ko",
        ]  # fmt: skip
    initrd = list(cpio.unpack(gzip.decompress((cell / "initrd.cpio.gz").read_bytes())))
    names = [member.name for member in initrd]
    assert names.index("userland") < names.index("modcompat/cell.sh")
    ramdisk = gzip.decompress(next((folder / "files").glob("ramdisk-*")).read_bytes())
    assert ramdisk.count(b"TRAILER!!!") == 1, "cpio(1) stops at the first one"
    compile((cell / "test_cell.py").read_text(), "test_cell.py", "exec")


@pytest.mark.parametrize("board", BOARDS)
def test_every_board_has_a_processor_and_an_architecture(board: str, tmp_path: Path) -> None:
    bench = Bench(tmp_path, board)
    result = bench.export("--lava", tmp_path / "lab", "--labgrid", tmp_path / "lab", "-k", "stock")
    assert result.exit_code == 0, result.output
    environment = (tmp_path / "lab" / BROKEN.format(board=board) / "environment.yaml").read_text()
    assert 'cpu: ""' not in environment
    assert ("dtb: dtb" in environment) == bool(BOARDS[board].device_tree)


def test_a_real_board_has_its_own_console_and_device_tree(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "arm-vexpress-a9")
    (tmp_path / "real.dtb").write_bytes(b"real")
    options = ("--lava", tmp_path / "lab", "--device-type", "bbb", "-k", "stock")
    assert bench.export(*options, "--dtb", tmp_path / "real.dtb").exit_code == 0
    job = (tmp_path / "lab" / BROKEN.format(board="arm-vexpress-a9") / "job.yaml").read_text()
    assert "console=" not in job
    assert "nr_cpus" not in job, "for QEMU's board only"
    assert "/real-" in job
    assert "/board-" not in job
    assert "method: u-boot" in job


def test_a_device_tree_of_a_real_board_is_not_for_the_emulated_one(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "arm-vexpress-a9")
    (tmp_path / "real.dtb").write_bytes(b"real")
    folder = tmp_path / "lab"
    assert bench.export("--labgrid", folder, "-k", "stock", "--dtb", tmp_path / "real.dtb").exit_code == 0
    cell = folder / BROKEN.format(board="arm-vexpress-a9")
    assert "/board-" in (cell / "environment.yaml").read_text()
    assert "/real-" in (cell / "place.yaml").read_text()


def test_posted_modules_are_read_from_the_mailbox(bench: Bench, tmp_path: Path) -> None:
    size = size_for(1)
    folder = bench.add(BROKEN, "stock", "SPLAT", evidence(WHOLE), mailbox=size)
    mailbox = Mailbox(folder / BY_HAND, size)
    mailbox.make()
    mailbox.post({"modules/vendor.ko": b"posted", "modules/needed/bus.ko": b"bus"})
    run = read_run(bench.folder)
    cell = lab_cell(next(cell for cell in run.cells if cell.row["flavour"] == "stock"), run)
    assert cell.overlay["modules/vendor.ko"][0] == b"posted"
    mailbox.post({"modules/vendor.ko": b"posted"})
    result = bench.export("--lava", tmp_path / "lab")
    assert result.exit_code == 2
    assert "no file of modules/needed/bus.ko" in result.output
    assert not (tmp_path / "lab").exists()


def test_the_same_cell_gives_the_same_bytes(bench: Bench, tmp_path: Path) -> None:
    run = read_run(bench.folder)
    cell = lab_cell(run.cells[0], run)
    first, second = (
        write_lava_job(cell, tmp_path / name, url_base="file:///x").with_name("overlay.tar.gz").read_bytes()
        for name in ("a", "b")
    )
    assert first == second
    assert tar_of(cell.overlay) == tar_of(dict(reversed(cell.overlay.items())))
    assert cpio_of(cell.overlay) == cpio_of(dict(reversed(cell.overlay.items())))


def test_errors_are_one_line_and_write_nothing(bench: Bench, tmp_path: Path) -> None:
    def problem(*options: object) -> str:
        result = bench.export(*options)
        assert result.exit_code == 2, result.output
        assert "Traceback" not in result.output
        assert not (tmp_path / "lab").exists()
        return result.output

    lava = ("--lava", tmp_path / "lab")
    assert "--lava DIR, --labgrid DIR" in problem()
    assert "no cell matches" in problem(*lava, "-k", "nothing")
    assert "-k (" in problem(*lava, "-k", "(")
    assert "no device tree" in problem(*lava, "--device-type", "bbb", "--dtb", tmp_path / "none.dtb")
    assert "--dtb is for real boards" in problem(*lava, "--dtb", tmp_path / "none.dtb")
    assert "there is no job for x86_64 on the device type bbb" in problem(*lava, "--device-type", "bbb")
    bench.add(BROKEN, "stock", "INVALID", evidence(WHOLE), board="x86_64-z1")
    assert "x86_64-z1" in problem(*lava)
    bench.add(BROKEN, "stock", "INVALID", evidence(WHOLE), kernel=str(tmp_path / "gone"))
    assert "not on this machine" in problem(*lava)
    bench.rows[-1]["id"] = "../outside"
    (bench.folder / "matrix.json").write_text(
        json.dumps(json.loads((bench.folder / "matrix.json").read_text()) | {"cells": bench.rows})
    )
    assert "'../outside', which cannot be exported" in problem(*lava)
    bench.rows.pop()
    bench.machine = {}
    (bench.add(BROKEN, "stock", "SPLAT", evidence(WHOLE)) / "evidence.json").write_text(
        json.dumps({"schema": 2, "evidence": evidence(WHOLE)})
    )
    assert "earlier modcompat" in problem(*lava)


def test_a_cell_without_a_load_is_refused(bench: Bench, tmp_path: Path) -> None:
    bench.add(CLEAN, "production", "INVALID", evidence(()))
    bench.add(BROKEN, "stock", "INVALID", evidence(WHOLE[:1]))
    result = bench.export("--labgrid", tmp_path / "lab", "-k", "stock")
    assert result.exit_code == 2
    assert "loaded no module" in result.output


def test_a_run_folder_is_needed(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["export", str(tmp_path / "none"), "--lava", str(tmp_path / "lab")])
    assert result.exit_code == 2
    assert "cannot read" in result.output
