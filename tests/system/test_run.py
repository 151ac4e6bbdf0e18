# SPDX-License-Identifier: Apache-2.0
"""Whole runs, started like a user's: `pytest` in a separate process."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

import harness.kernel.features
import harness.kernel.variants
from harness.detect.verdict import Verdict
from harness.guest.boards import BOARDS
from harness.kernel.features import FEATURES
from harness.kernel.variants import PRODUCTION, variant_of
from harness.lab.execution.kernel_pool import Kernels
from harness.lab.execution.lab import Lab
from harness.lab.plan.cells import Cell, Flavour, Selection
from harness.lab.plan.settings import Settings
from harness.lab.plan.vendor_modules import VendorModule, shipped
from harness.support.paths import KCONFIG, MODULES, PROJECT, cache_root
from tests.system.conftest import SCALE
from tests.system.processes import guests_of

Files = dict[str, dict[str, Path]]


def start(*arguments: str | Path, cache: Path | None = None) -> subprocess.Popen[bytes]:
    """Start pytest on the suite in the checkout. -c avoids a restart in a child, which would miss signals."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    if cache:
        environment["MODCOMPAT_CACHE"] = str(cache)
    command = [sys.executable, "-m", "pytest", "-c", "pyproject.toml", "harness/plugin/suite"]
    command += ["--feature", "spinlock", *map(str, arguments)]
    command += [] if "--flavour" in arguments else ["--flavour", "production", "--flavour", "stock"]
    command += ["--timeout-scale", str(SCALE)]
    return subprocess.Popen(
        command,
        cwd=PROJECT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        # A background job starts with SIGINT ignored, and its children would inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def finish(run: subprocess.Popen[bytes]) -> tuple[int, str]:
    text = run.communicate(timeout=600 * SCALE)[0].decode(errors="replace")
    return run.returncode, text


def matrix(folder: Path) -> dict[tuple[str, str, str], dict[str, Any]]:
    cells = json.loads((folder / "matrix.json").read_text())["cells"]
    return {(cell["arch"], cell["module"], cell["flavour"]): cell for cell in cells}


WORDS = {
    "locks": {"production": Verdict.CLEAN, "stock": Verdict.INERT},
    "truncated": {"production": Verdict.REFUSED, "stock": Verdict.INVALID},
    "headless": {"production": Verdict.REFUSED, "stock": Verdict.INVALID},
    "empty": {"production": Verdict.REFUSED, "stock": Verdict.INVALID},
    "vermagic": {"production": Verdict.REFUSED, "stock": Verdict.INVALID},
    "init_error": {"production": Verdict.REFUSED, "stock": Verdict.DIFFERS},
    "init_oops": {"production": Verdict.SPLAT, "stock": Verdict.DIFFERS},
    "init_spins": {"production": Verdict.HUNG, "stock": Verdict.DIFFERS},
    "init_panics": {"production": Verdict.DIED, "stock": Verdict.DIFFERS},
    "init_resets": {"production": Verdict.DIED, "stock": Verdict.DIFFERS},
}


@pytest.mark.parametrize("board", ["x86_64-q35", "arm-virt"])
def test_a_users_module_gets_the_verdict_it_deserves(board: str, module_files: Files, tmp_path: Path) -> None:
    arch = BOARDS[board].arch.name
    options = [word for name in WORDS for word in ("--module", module_files[arch][name])]
    status, text = finish(start(*options, "--board", board, "--command-timeout", "8", "--run-dir", tmp_path))
    cells = matrix(tmp_path)
    assert {name: {f: cells[arch, name, f]["verdict"] for f in words} for name, words in WORDS.items()} == WORDS, text
    assert status == 1
    spins = cells[arch, "init_spins", "production"]
    assert "[init_spins]" in spins["reason"]
    assert "not syncing: this is the end" in cells[arch, "init_panics", "production"]["reason"]
    assert "blamed on init_oops" in cells[arch, "init_oops", "production"]["reason"]
    assert "returned -19" in cells[arch, "init_error", "production"]["reason"]
    assert "production itself refuses the module" in cells[arch, "empty", "stock"]["reason"]
    evidence = json.loads((tmp_path / spins["folder"] / "evidence.json").read_text())
    assert any("[init_spins]" in trace for trace in evidence["evidence"]["loss"]["backtraces"])
    for name in ("console.log", "transcript.txt", "boot.log", "qemu.sh"):
        assert (tmp_path / spins["folder"] / name).stat().st_size > 0


def test_a_module_for_another_architecture_is_refused(module_files: Files, tmp_path: Path) -> None:
    foreign = module_files["arm"]["locks"]
    status, _ = finish(start("--module", foreign, "--board", "q35", "--flavour", "production", "--run-dir", tmp_path))
    assert status == 1
    cell = matrix(tmp_path)["x86_64", "locks", "production"]
    assert cell["verdict"] == "REFUSED"
    assert "architecture" in cell["reason"]


def test_without_a_board_a_module_runs_on_those_of_its_architecture(module_files: Files) -> None:
    status, text = finish(start("--module", module_files["arm"]["locks"], "--collect-only", "-q"))
    assert status == 0
    assert "arm-virt" in text
    assert "x86_64" not in text
    assert "arm64" not in text


def test_a_users_module_with_its_exercise_is_judged_plainly(module_files: Files, tmp_path: Path) -> None:
    exercise = MODULES / "locks" / "exercise.py"
    status, text = finish(
        start(
            "--module",
            module_files["x86_64"]["locks"],
            "--exercise",
            exercise,
            "--board",
            "q35",
            "--run-dir",
            tmp_path,
        )
    )
    cells = matrix(tmp_path)
    assert cells["x86_64", "locks", "production"]["verdict"] == "CLEAN"
    assert "32 checks held" in cells["x86_64", "locks", "production"]["reason"]
    assert cells["x86_64", "locks", "stock"]["verdict"] == "INERT"
    assert cells["x86_64", "locks", "stock"]["because"][0].startswith("struct module.init 0x138 → 0x150, because")
    assert cells["x86_64", "locks", "production"]["because"] == []
    assert status == 1
    for words in ("INERT: the load reported success", "never called", "last lines of the console", "everything: "):
        assert words in text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--board", "q36"], "no board"),
        (["--module", "absent.ko"], "no module file"),
        (["--exercise", "absent.py"], "--module"),
        (["--kernel-source", "/usr"], "not a kernel source tree"),
    ],
)
def test_a_users_mistake_is_one_clear_error(options: list[str], words: str) -> None:
    status, text = finish(
        start(
            *options, "--board" if "--board" not in options else "--arch", "q35" if "--board" not in options else "arm"
        )
    )
    assert status != 0
    assert words in text
    assert "Traceback" not in text


def guests_in_folders_of(process: int) -> list[psutil.Process]:
    """Every QEMU whose files are in a folder that a process made, whoever is its parent."""
    return [
        each
        for each in psutil.process_iter(["name", "cmdline"])
        if each.info["name"].startswith("qemu-system") and f"/{process}-" in " ".join(each.info["cmdline"] or [])
    ]


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL, signal.SIGTERM], ids=lambda ending: ending.name)
@pytest.mark.parametrize("delay", [0.0, 0.3, 1.0, 2.0])
def test_no_qemu_outlives_its_run(ending: signal.Signals, delay: float, tmp_path: Path) -> None:
    """This holds at any time: during the proof, the production control and the cell itself."""
    run = start("--board", "q35", "--board", "arm-virt", "--run-dir", tmp_path)
    deadline = time.monotonic() + 60 * SCALE
    while not (seen := guests_of(run.pid)):
        assert time.monotonic() < deadline
        assert run.poll() is None
        time.sleep(0.01)
    time.sleep(delay)
    seen += guests_of(run.pid)
    os.kill(run.pid, ending)
    run.communicate(timeout=60 * SCALE)
    assert run.returncode != 0
    _, alive = psutil.wait_procs(set(seen), timeout=60)
    assert alive == []
    deadline = time.monotonic() + 60
    while guests_in_folders_of(run.pid):  # of those that were started meanwhile
        assert time.monotonic() < deadline
        time.sleep(0.1)


COUNTING = """
import os
from harness.support.cache.store import Store

get_or_build = Store.get_or_build

def counted(store, kind, label, inputs, build):
    def noted(folder):
        with open(os.environ["BUILDS"], "a") as lines:
            lines.write(f"{kind}/{store.path(kind, label, inputs).name}\\n")
        build(folder)

    return get_or_build(store, kind, label, inputs, noted)

Store.get_or_build = counted
"""


def test_two_runs_share_a_cache_and_build_each_thing_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both runs find modules, file systems and snapshots missing, and make them without disturbing each other."""
    board = BOARDS["x86_64-q35"]
    kernels = Kernels(Settings())
    variants = (PRODUCTION, variant_of(FEATURES["spinlock"]))
    names = [kernels.kernel(board, variant).folder.name for variant in variants]
    kernels.spec(board, PRODUCTION).source.tree()

    def unneeded(folder: str, entries: list[str]) -> set[str]:
        kind = Path(folder).name
        if kind == cache_root().name:
            return {"source", "module", "initramfs", "snapshot", "kallsyms", "logs", "scratch"}
        if kind == "kernel":
            return set(entries) - set(names)
        return {entry for entry in entries if entry.endswith(".partial")}  # entries that others are building

    cache = tmp_path / "cache"
    shutil.copytree(cache_root(), cache, ignore=unneeded, symlinks=True)
    (cache / "source").symlink_to(cache_root() / "source")
    (tmp_path / "counting.py").write_text(COUNTING)
    monkeypatch.setenv("BUILDS", str(tmp_path / "builds"))
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{PROJECT}")
    words = ("-p", "counting", "-k", "locks or holders", "--board", "q35")
    runs = [start(*words, "--run-dir", tmp_path / f"run{number}", cache=cache) for number in range(2)]
    results = [finish(run) for run in runs]
    assert [status for status, _ in results] == [0, 0], results
    first, second = (
        {key: cell["verdict"] for key, cell in matrix(tmp_path / f"run{number}").items()} for number in range(2)
    )
    assert first == second
    assert first["x86_64", "locks", "production"] == "CLEAN"
    assert first["x86_64", "locks", "stock"] == "INERT"
    builds = (tmp_path / "builds").read_text().splitlines()
    assert sorted(builds) == sorted(set(builds)), "something was built twice"
    assert {build.split("/")[0] for build in builds} >= {"module", "initramfs", "snapshot"}
    assert not list(cache.glob("*/.*.partial"))
    shutil.rmtree(cache)


def test_one_shared_uart_gives_the_same_verdicts_and_is_marked(tmp_path: Path) -> None:
    status, text = finish(
        start("-k", "locks or holders", "--board", "q35", "--board", "arm-virt", "--shared-uart", "--run-dir", tmp_path)
    )
    assert status == 0, text
    for arch in ("x86_64", "arm"):
        cell = matrix(tmp_path)[arch, "locks", "production"]
        assert cell["verdict"] == "CLEAN"
        evidence = json.loads((tmp_path / cell["folder"] / "evidence.json").read_text())["evidence"]
        assert "share one UART" in evidence["caveats"][0]


def test_xdist_workers_share_the_run_folder(tmp_path: Path) -> None:
    status, text = finish(start("-k", "locks or warning", "--board", "q35", "-n", "2", "--run-dir", tmp_path))
    assert status == 0, text
    assert len(matrix(tmp_path)) == 4


@pytest.mark.parametrize("name", ["spinlock", "kprobes"], ids=["locks", "probes"])
def test_a_feature_without_its_kconfig_line_is_not_judged(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kconfig = Path(shutil.copytree(KCONFIG, tmp_path / "kconfig"))
    (kconfig / "feature" / f"{name}.config").write_text("# somebody has taken the line out\n")
    for module in (harness.kernel.features, harness.kernel.variants):
        monkeypatch.setattr(module, "KCONFIG", kconfig)
    with Lab(Settings(), shipped()) as lab:
        cells = Selection((BOARDS["x86_64-q35"],), (FEATURES[name],), flavours=(Flavour.STOCK,)).cells(shipped())
        results = [lab.run(cell) for cell in cells]
    assert {result.verdict for result in results} == {Verdict.INVALID}
    assert all(f"/proc/config.gz has {FEATURES[name].symbols[0]} off" in result.reason for result in results)


def test_a_module_whose_companion_is_refused_is_refused(module_files: Files) -> None:
    board = BOARDS["x86_64-q35"]
    files = module_files[board.arch.name]
    module = VendorModule("locks", file=files["locks"], needs=(files["init_error"],))
    with Lab(Settings(), [module]) as lab:
        result = lab.run(Cell(board, FEATURES["spinlock"], Flavour.PRODUCTION, module))
    assert result.verdict is Verdict.REFUSED
    assert "init_error.ko, which it needs, did not load" in result.reason


def test_memory_that_a_module_forgets_is_found_and_blamed_on_it(module_files: Files) -> None:
    board = BOARDS["x86_64-q35"]
    module = VendorModule("init_forgets", file=module_files[board.arch.name]["init_forgets"])
    with Lab(Settings(), [module]) as lab:
        result = lab.run(Cell(board, FEATURES["kmemleak"], Flavour.STOCK, module))
    assert result.verdict is Verdict.SPLAT, result.reason
    (report,) = result.evidence.all_reports()
    assert (report.kind, report.module, report.culprit) == ("kmemleak", "init_forgets", "init_forgets_some")


def test_no_cell_is_judged_whose_feature_is_not_live() -> None:
    """A kernel without the feature takes the place of the one that has it."""
    board, feature = BOARDS["x86_64-q35"], FEATURES["spinlock"]
    with Lab(Settings(), shipped()) as lab:
        lab.kernels._kernels["x86_64-stock-spinlock"] = lab.kernels.kernel(board, PRODUCTION)
        result = lab.run(Cell(board, feature, Flavour.STOCK, shipped()[0]))
    assert result.verdict is Verdict.INVALID
    assert "not live" in result.reason
