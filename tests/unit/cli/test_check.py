# SPDX-License-Identifier: Apache-2.0
"""modcompat check: meaningful exit statuses, and one clear line for any malformed input."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.abi.elf.module_file import ModuleFacts
from harness.cli.check_choices import tell_of_other_versions
from harness.cli.exit_status import exit_status, require_matrix, stamp_of
from harness.cli.main import main
from harness.cli.run_matrix import run_cells
from harness.cli.run_suite import SuiteOutcome, require_cells, run_suite
from harness.guest.boards import Board
from harness.kernel.arch import ARCHITECTURES
from harness.kernel.source import find_source
from harness.kernel.variants import Variant
from harness.lab.execution.run_folder import forget_if_empty, new_run_folder, run_folder
from harness.lab.plan.manifest import Manifest
from harness.lab.plan.settings import Settings
from harness.plugin.suite_arguments import ARGUMENTS, SUITE
from harness.support import process
from harness.support.cache.store import Store
from harness.support.errors import ModcompatError

# First bytes of: nothing, a .config, an image with a configuration, a packed archive, an archive, squashfs, ext
HEADS = (
    b"", b"CONFIG_X86_64", b"\0IKCFG_ST\x1f\x8b\x08", b"\x1f\x8b\x08", b"070701", b"hsqs", bytes(1080) + b"\x53\xef",
)  # fmt: skip
SLOW = (HealthCheck.function_scoped_fixture, HealthCheck.too_slow)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def is_refused(result: Result) -> bool:
    """Exit status 2 and one line, optionally followed by an indented next step."""
    first, *rest = result.output.splitlines()
    return (
        result.exit_code == 2
        and first.startswith("modcompat: ")
        and all(line.startswith("  ") for line in rest)
        and "Traceback" not in result.output
    )


@pytest.mark.parametrize(
    ("rows", "status", "wanted"),
    [
        ([{"verdict": "CLEAN"}], 0, 0),
        ([{"verdict": "CLEAN"}, {"verdict": "INERT"}], 1, 1),
        ([{"verdict": "INERT", "allowed": {"reason": "known"}}], 0, 0),
        ([{"verdict": "INERT"}, {"verdict": "INVALID"}], 1, 2),
        ([{"verdict": "INVALID", "allowed": {"reason": "by an older modcompat"}}], 0, 2),
        ([{"verdict": "CLEAN"}], 1, 2),  # a kernel that did not build has no row
        ([{"verdict": "CLEAN"}, {"verdict": "INERT"}], 2, 1),  # of -x with workers
        ([{"verdict": "CLEAN"}], 2, 2),
        ([{"verdict": "CLEAN"}], 4, 2),
    ],
)
def test_the_exit_status_says_what_was_found(
    rows: list[dict[str, object]], status: int, wanted: int, tmp_path: Path
) -> None:
    matrix = tmp_path / "matrix.json"
    matrix.write_text(json.dumps({"cells": rows}))
    assert exit_status(status, matrix) == wanted


def test_a_run_in_which_a_cell_got_lost_is_not_valid(tmp_path: Path) -> None:
    """A worker of pytest-xdist was killed, say. There may be findings in other cells."""
    matrix = tmp_path / "matrix.json"
    matrix.write_text(json.dumps({"cells": [{"verdict": "INERT"}], "missing": ["a-module-on-a-kernel"]}))
    assert exit_status(1, matrix) == 2


def test_the_matrix_of_an_earlier_run_in_the_folder_is_no_verdict(tmp_path: Path) -> None:
    """Something killed the process that ran the suite."""
    matrix = tmp_path / "matrix.json"
    matrix.write_text(json.dumps({"cells": [{"verdict": "CLEAN"}]}))
    earlier = stamp_of(matrix)
    with pytest.raises(ModcompatError, match="the run gave no verdict"):
        require_matrix(SuiteOutcome(0), matrix, earlier)
    matrix.unlink()
    with pytest.raises(ModcompatError, match="the run gave no verdict"):
        require_matrix(SuiteOutcome(0), matrix, None)
    matrix.write_text(json.dumps({"cells": [{"verdict": "SPLAT"}]}))
    require_matrix(SuiteOutcome(1), matrix, earlier)


def test_a_run_without_a_matrix_is_not_valid(tmp_path: Path) -> None:
    assert exit_status(0, tmp_path / "absent.json") == 2


@pytest.mark.parametrize(
    ("verdict", "pytest_said", "wanted"),
    [("INERT", 0, 0), ("CLEAN", 1, 1), ("SPLAT", 1, 1), ("INVALID", 1, 2), ("INERT", 1, 2), (None, 3, None)],
)
def test_a_matrix_exits_by_what_was_measured_before(
    verdict: str | None, pytest_said: int, wanted: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cell was INERT when it was measured. With None, the suite writes nothing, and no folder remains."""
    monkeypatch.chdir(tmp_path)

    def suite(command: list[str | Path], **_: object) -> int:
        run = Path(command[command.index("--run-dir") + 1])
        rows = [{"verdict": verdict, "expected": ["INERT"]}]
        if verdict:
            (run / "matrix.json").write_text(json.dumps({"cells": rows}))
        return pytest_said

    monkeypatch.setattr(process, "attached", suite)
    if wanted is None:
        with pytest.raises(ModcompatError):
            run_cells("ci", "0", [], [])
        assert not list((tmp_path / "runs").iterdir())
    else:
        assert run_cells("ci", "0", [], [])[0] == wanted


def test_a_run_that_wrote_nothing_is_forgotten(tmp_path: Path) -> None:
    latest = tmp_path / "runs/latest"
    first = new_run_folder(None, tmp_path)
    (first / "matrix.json").touch()
    second = new_run_folder(None, tmp_path)
    assert latest.resolve() == second
    forget_if_empty(second)
    assert not second.exists()
    assert latest.resolve() == first
    forget_if_empty(first)
    assert (first / "matrix.json").exists(), "something was written to it"


def start_with_others(root: Path, barrier: Barrier) -> str:
    barrier.wait()
    return new_run_folder(None, root).name


def test_runs_that_start_in_the_same_second_have_folders_of_their_own(tmp_path: Path) -> None:
    for number in range(10):  # a single attempt might miss the race
        root = tmp_path / str(number)
        barrier = Barrier(4)
        with ThreadPoolExecutor(4) as pool:
            names = {run.result() for run in [pool.submit(start_with_others, root, barrier) for _ in range(4)]}
        assert len(names) == 4
        assert {path.name for path in (root / "runs").iterdir()} == {*names, "latest"}
        assert (root / "runs/latest").readlink().name in names


def test_a_folder_that_was_chosen_stays_unless_the_run_made_it(tmp_path: Path) -> None:
    chosen = tmp_path / "mine"
    with run_folder(chosen):
        assert chosen.is_dir()
    assert not chosen.exists()
    with run_folder(chosen) as folder:
        (folder / "matrix.json").touch()
    assert (chosen / "matrix.json").exists(), "something was written to it"
    there = tmp_path / "there"
    there.mkdir()
    with run_folder(there):
        pass
    assert there.is_dir()


def test_two_runs_do_not_use_one_folder(tmp_path: Path) -> None:
    chosen = tmp_path / "mine"
    with run_folder(chosen), pytest.raises(ModcompatError, match="another run is using"), run_folder(chosen):
        pass
    with run_folder(chosen):
        assert chosen.is_dir(), "it is free again"


@pytest.mark.parametrize("status", [0, 1, 4], ids=["ended", "failed", "mistaken"])
def test_a_check_without_a_verdict_says_so_and_leaves_no_run(
    status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Status 0: an exercise ended the process. Status 4: pytest has reported a usage error itself."""
    monkeypatch.chdir(tmp_path)
    facts = ModuleFacts("vendor", arch=ARCHITECTURES["arm"])
    monkeypatch.setattr("harness.cli.check_command.inspect_module", lambda _: facts)
    monkeypatch.setattr("harness.cli.check_command.tell_of_other_versions", lambda *_: None)
    monkeypatch.setattr(process, "attached", lambda *_, **__: status)
    result = run("check", "vendor.ko", "--flavour", "stock", "--feature", "slub")
    assert result.exit_code == 2
    assert ("modcompat: the run gave no verdict\n" in result.output) is (status != 4)
    assert not list((tmp_path / "runs").iterdir())


@pytest.fixture
def collected(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The command line that starts the suite, once a check has accepted its arguments."""
    command: list[str] = []
    monkeypatch.setattr("harness.cli.check_command.tell_of_other_versions", lambda *_: None)

    def attached(line: list[str], **_: object) -> int:
        command.extend(map(str, line))
        return 4

    monkeypatch.setattr(process, "attached", attached)
    return command


def files(monkeypatch: pytest.MonkeyPatch, **facts: ModuleFacts) -> None:
    """Make the files with these names modules with these facts."""
    monkeypatch.setattr("harness.cli.check_command.inspect_module", lambda file: facts[file.stem])


def test_a_module_of_a_preemptible_kernel_gets_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, collected: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    arm = ARCHITECTURES["arm"]
    files(monkeypatch, one=ModuleFacts("one", arch=arm, vermagic="6.1.192 SMP preempt mod_unload ARMv7 p2v8 "),
          two=ModuleFacts("two", arch=arm, vermagic="6.1.192 SMP mod_unload ARMv7 p2v8 "))  # fmt: skip
    run("check", "one.ko", "--flavour", "stock")
    assert "--preemption=preempt" in collected
    collected.clear()
    run("check", "two.ko", "--flavour", "stock")
    assert "--preemption=none" in collected
    result = run("check", "one.ko", "two.ko", "--flavour", "stock")
    assert result.exit_code == 2
    assert "one.ko were built for a preemptible kernel" in result.output


def test_what_a_check_is_given_reaches_the_suite_whatever_folder_that_runs_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, collected: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    files(monkeypatch, one=ModuleFacts("one", arch=ARCHITECTURES["arm"]))
    monkeypatch.setattr("harness.cli.check_command.require_cells", lambda *_: None)
    options = ("--exercise", "work.py", "--module-params", "-a", "--timeout-scale", "3", "--core-dump", "-k", "stock")
    run("check", "one.ko", "--flavour", "stock", "--feature", "slub", *options)
    suite = collected[collected.index("--internal-command=check") + 1 :]
    assert set(suite) == {
        f"--module={tmp_path}/one.ko", f"--exercise={tmp_path}/work.py", "--module-params=-a", "--timeout-scale=3.0",
        "--core-dump", "-k=stock", "--flavour=stock", "--feature=slub", "--board=arm-virt", "--preemption=none",
    }  # fmt: skip


@pytest.mark.parametrize("workers", ["100000", "-1", "x", "1_0", "", "٣", "9" * 5000])
@pytest.mark.parametrize("command", ["check vendor.ko", "matrix ci", "isolate prove"])
def test_no_more_guests_are_started_at_a_time_than_the_machine_can_bear(command: str, workers: str) -> None:
    result = run(*command.split(), "-n", workers)
    assert result.exit_code == 2
    assert "is not a whole number from 0 to" in result.output


@pytest.mark.parametrize("workers", ["0", "2", "auto", "logical"])
def test_guests_at_a_time_are_said_as_to_xdist(
    workers: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, collected: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    files(monkeypatch, one=ModuleFacts("one", arch=ARCHITECTURES["arm"]))
    run("check", "one.ko", "--flavour", "stock", "-n", workers)
    assert collected[collected.index("-n") + 1] == workers


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--nosuch"], "unrecognized arguments: --nosuch"),
        (["-k", "and and"], "Wrong expression"),
        (["-k", "nomatch"], "a cell is called bookkeeping-module-on-production-kernel"),
        (["--module", "absent.ko"], "there is no module file"),
    ],
    ids=["unknown", "wrong", "no-cell", "no-module"],
)
def test_options_of_a_matrix_are_looked_at_before_a_kernel_is_built(
    options: list[str], words: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("harness.cli.matrix_command.build_kernels", lambda *_: pytest.fail("a kernel would be built"))
    result = run("matrix", "ci", *options)
    assert is_refused(result), result.output
    assert words in result.output


def test_a_matrix_builds_the_kernels_of_the_cells_that_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[str] = []

    def note(wanted: Iterable[tuple[Board, Variant]], _: Settings) -> None:
        built.extend(f"{board.arch.name} {variant.name}" for board, variant in wanted)

    monkeypatch.setattr("harness.cli.matrix_command.build_kernels", note)
    monkeypatch.setattr("harness.cli.matrix_command.run_cells", lambda *_: (0, Path()))
    assert run("matrix", "default", "-k", "spinlock and x86_64").exit_code == 0
    assert sorted(built) == ["x86_64 production", "x86_64 stock-spinlock"]
    built.clear()
    assert run("matrix", "default", "-k", "spinlock", "--kernel-source", "linux-source-6.12").exit_code == 0
    assert built == [], "the run builds what is not of the default source"


def test_a_mistake_that_the_suite_finds_is_said_as_the_command_says_its_own(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The command raises the error; pytest would print it with ERROR in front."""
    options = ["--module", str(tmp_path / "absent.ko")]
    outcome = run_suite(options)
    assert outcome.status == pytest.ExitCode.USAGE_ERROR
    assert outcome.error is not None
    assert outcome.error.problem == f"there is no module file {tmp_path}/absent.ko"
    assert outcome.error.next_step == "give --module the path of a .ko file"
    assert capfd.readouterr() == ("", "")
    with pytest.raises(ModcompatError, match="there is no module file"):
        require_cells(options, [])
    suite = [sys.executable, "-m", "pytest", *ARGUMENTS, *options, str(SUITE)]
    said = subprocess.run(suite, capture_output=True, text=True, check=False).stderr
    assert said.startswith("ERROR: there is no module file ")


def test_the_suite_does_not_depend_on_the_folder_or_on_settings_for_other_sessions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder has a conftest.py, a pytest.ini and a package named harness; the environment has unknown options."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conftest.py").write_text("raise SystemExit('of the folder')\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --nosuch\n")
    (tmp_path / "harness").mkdir()
    (tmp_path / "harness/__init__.py").write_text("raise SystemExit('not ours')\n")
    monkeypatch.setenv("PYTEST_ADDOPTS", "--nosuch")
    monkeypatch.setenv("PYTEST_PLUGINS", "nosuch")
    before = set(tmp_path.iterdir())
    outcome = run_suite(["--collect-only", "--board=q35", "--feature=slub", "--flavour=stock", "--run-dir=run"])
    assert (outcome.status, outcome.error) == (0, None)
    assert "tail-module-on-stock-kernel-with-slub-on-x86_64-q35" in outcome.cells
    assert set(tmp_path.iterdir()) == before | {tmp_path / "run"}


def test_a_module_with_any_letters_is_chosen_by_name(tmp_path: Path) -> None:
    file = tmp_path / "größe µ.ko"
    file.touch()
    options = ["--module", str(file), "--board=q35", "--feature=slub", "--flavour=stock", f"--run-dir={tmp_path}/run"]
    assert require_cells(options, ["-k=größe"]) == ("größe µ-module-on-stock-kernel-with-slub-on-x86_64-q35",)


def test_a_check_that_no_cell_is_left_of_says_how_cells_are_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, collected: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    files(monkeypatch, one=ModuleFacts("one", arch=ARCHITECTURES["arm"]))
    (tmp_path / "one.ko").touch()
    result = run("check", "one.ko", "--flavour", "stock", "--board", "arm-virt", "-k", "nomatch")
    assert result.exit_code == 2
    assert "no cell is left with -k=nomatch" in result.output
    assert "one-module-on-stock-kernel-with-spinlock-on-arm-virt" in result.output
    assert not collected


def test_a_module_without_a_board_among_those_asked_for_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, collected: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    files(monkeypatch, one=ModuleFacts("one", arch=ARCHITECTURES["arm"]))
    result = run("check", "one.ko", "--arch", "x86_64", "--flavour", "stock")
    assert result.exit_code == 2
    assert "one.ko is for arm" in result.output
    assert not collected


def test_a_prediction_needs_a_module() -> None:
    result = run("predict")
    assert is_refused(result)
    assert "no module was named" in result.output


def test_a_prediction_for_no_such_kernel_is_refused_before_anything_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = ModuleFacts("vendor", arch=ARCHITECTURES["arm"])
    monkeypatch.setattr("harness.cli.predict_command.inspect_module", lambda _: facts)
    result = run("predict", "vendor.ko", "--kernel", "stock-spinlok")
    assert is_refused(result)
    assert "there is no kernel stock-spinlok" in result.output


def test_without_modules_and_manifest_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("check")
    assert is_refused(result)
    assert "modcompat init" in result.output
    assert run("init").exit_code == 0
    assert "names no module" in run("check").output
    assert is_refused(run("init"))


@given(content=st.binary(max_size=300))
@settings(max_examples=60, suppress_health_check=SLOW)
def test_a_malformed_module_is_refused(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "vendor.ko"
    file.write_bytes(b"\x7fELF" + content)
    assert is_refused(run("check", file))


@given(content=st.binary(max_size=300))
@settings(max_examples=60, suppress_health_check=SLOW)
def test_a_malformed_manifest_is_refused(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "modcompat.toml"
    file.write_bytes(b"[[module]]\nfile = [\n" + content)
    assert is_refused(run("check", "--manifest", file))


@given(option=st.sampled_from(["--config", "--root"]), head=st.sampled_from(HEADS), content=st.binary(max_size=300))
@settings(max_examples=100, suppress_health_check=SLOW)
def test_a_malformed_configuration_or_root_file_system_is_refused(
    option: str, head: bytes, content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODCOMPAT_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "foreign"
    file.write_bytes(head + content)
    result = run("shell", option, file)
    # (progress comes first)
    assert is_refused(result) or result.output.startswith("reading the root file system"), result.output
    assert result.exit_code == 2
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    "arguments",
    [
        ["shell", "--board", "q36"],
        ["shell", "--board", "virt"],
        ["shell"],
        ["shell", "--module", "locks"],
        ["shell", "--module", "absent.ko"],
        ["shell", "--module", "empty.ko"],
        ["shell", "--module", "/bin/true"],
        ["cache", "prune", "--kind", "nosuch"],
        ["shell", "--config", "absent.config"],
        ["shell", "--root", "absent.squashfs"],
        ["build", "stock-nothing"],
        ["check", "--manifest", "absent.toml"],
        ["check", "/"],
        ["check", "--manifest", "~nobody-there/modcompat.toml"],
        ["shell", "--config", "~nobody-there/.config"],
        ["shell", "--module", "~nobody-there/vendor.ko"],
        ["shell", "--root", "~nobody-there/rootfs"],
        ["shell", "--root", "loop"],
        ["build", "production", "--kernel-source", "~nobody-there/linux"],
        ["layout", "diff", "production", "~nobody-there/linux"],
        ["isolate", "apply", "--source", "."],
        ["lkdtm", "--board", "q36"],
    ],
    ids=" ".join,
)
def test_a_mistake_is_one_clear_line(arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MODCOMPAT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "empty.ko").touch()
    assert is_refused(run(*arguments)), run(*arguments).output


def test_a_module_of_another_architecture_is_not_taken_into_a_guest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one.ko").touch()
    facts = ModuleFacts("one", arch=ARCHITECTURES["arm"])
    monkeypatch.setattr("harness.cli.shell_command.inspect_module", lambda _: facts)
    monkeypatch.setattr("harness.lab.plan.manifest.inspect_module", lambda _: facts)
    (tmp_path / "modcompat.toml").write_text("[[module]]\nfile = 'one.ko'\n")
    for words in (["one.ko"], ["one", "--manifest", "modcompat.toml"]):
        result = run("shell", "--board", "q35", "--module", *words)
        assert is_refused(result)
        assert f"{words[0]} is for arm, and the board for x86_64" in result.output
        assert "arm-virt, arm-vexpress-a9" in result.output


@pytest.mark.parametrize("root", ["file", "file/below", "loop", "loop/below", "/dev/null", "x" * 300])
@pytest.mark.parametrize(
    "command",
    ["cache list", "cache prune", "cache import x.tar", "build production", "layout diff production production-bare"],
)
def test_a_cache_that_cannot_be_is_refused_by_every_command(
    command: str, root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "loop").symlink_to("loop")
    monkeypatch.setenv("MODCOMPAT_CACHE", str(tmp_path / root))
    result = run(*command.split())
    assert is_refused(result)
    assert "the cache cannot be in" in result.output
    assert "set MODCOMPAT_CACHE" in result.output
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    ("command", "options", "words"),
    [
        ("check junk.ko", ["--module-params", "a=1\nb=2"], "one line"),
        ("shell --module junk.ko", ["--module-params", "a=1\nb=2"], "one line"),
        ("check junk.ko", ["--timeout-scale", "nan"], "scaled by 0.1 to 1000"),
        ("check junk.ko", ["--timeout-scale", "-1"], "scaled by 0.1 to 1000"),
        ("check junk.ko", ["--allow-config-change", "NOT A SYMBOL"], "not an option of the kernel"),
        ("build production --kernel-source absent", ["--allow-config-change", ""], "not an option of the kernel"),
        ("build production --kernel-source absent", ["--allow-config-change", "KUNIT"], "and there is none"),
        ("predict junk.ko", ["--allow-config-additions"], "and there is none"),
        (
            "build production --kernel-source absent --config arm.config",
            ["--arch", "x86_64"],
            "no production configuration for x86_64",
        ),
    ],
)
def test_a_value_of_an_option_is_looked_at(
    command: str, options: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MODCOMPAT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "arm.config").write_text("CONFIG_ARM=y\n")
    (tmp_path / "junk.ko").write_text("junk")
    result = run(*command.split(), *options)
    assert is_refused(result)
    assert words in result.output


@pytest.mark.parametrize(
    "arguments",
    [
        ["build", "production", "--config", "/dev/null"],
        ["check", "--manifest", "/dev/null"],
        ["check", "/dev/null"],
        ["predict", "/dev/null"],
        ["scan", "--module", "/dev/null", "absent.log"],
        ["shell", "--root", "/dev/null"],
    ],
    ids=" ".join,
)
def test_what_may_have_no_end_is_not_read(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODCOMPAT_CACHE", str(tmp_path / "cache"))
    result = run(*arguments)
    assert is_refused(result)
    assert "not a regular file" in result.output


@pytest.mark.parametrize("option", ["check", "predict", "check --manifest", "predict --manifest", "scan x --module"])
def test_what_no_memory_holds_is_not_read(option: str, tmp_path: Path) -> None:
    huge = tmp_path / "huge"
    huge.touch()
    os.truncate(huge, 1 << 42)
    result = run(*option.split(), huge)
    assert is_refused(result)
    assert f"{huge}: it is larger than" in result.output


STEERING = "a\nb\x1b[2J\r\u202e"


@pytest.mark.parametrize(
    "command",
    ["check {}.ko", "predict {}.ko", "check --manifest {}.toml", "report {}", "scan {}.log", "shell --root {}",
     "check --manifest keys.toml", "check --manifest exercise.toml"],
)  # fmt: skip
def test_foreign_text_in_a_complaint_does_not_steer_the_terminal(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MODCOMPAT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "keys.toml").write_text(f"{json.dumps(STEERING)} = 1\n")
    (tmp_path / "exercise.toml").write_text("[[module]]\nfile = 'keys.toml'\nexercise = 'raises.py'\n")
    (tmp_path / "raises.py").write_text(f"raise ValueError({STEERING!r})\n")
    result = run(*(word.replace("{}", STEERING) for word in command.split()))
    assert is_refused(result)
    assert all(line.isprintable() for line in result.output.split("\n"))
    assert "a b␛[2J" in result.output


@pytest.mark.parametrize("name", ["junk.ko", "loop"])
def test_the_modules_of_a_scanned_log_have_to_be_modules(name: str, tmp_path: Path) -> None:
    (tmp_path / "junk.ko").write_text("junk")
    (tmp_path / "loop").symlink_to("loop")
    assert is_refused(run("scan", "--module", tmp_path / name, tmp_path / "absent.log"))


def test_the_folder_of_a_run_is_in_somebodys_home_folder_only_where_there_is_one(tmp_path: Path) -> None:
    with pytest.raises(ModcompatError, match="there is no user of that name"):
        new_run_folder("~nobody-there/run", tmp_path)


@pytest.mark.parametrize(
    ("vermagic", "told"),
    [
        ("6.1.9-vendor SMP ", ""),
        ("6.1.90 SMP ", "is 6.1.9"),
        ("5.10.0 SMP ", "built for 5.10.0, and"),
        ("", ""),
        ("  ", ""),
    ],
)
def test_a_module_of_another_kernel_version_is_told_before_anything_is_built(
    vermagic: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("Kbuild", "scripts/kconfig/Makefile", "Makefile"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("VERSION = 6\nPATCHLEVEL = 1\nSUBLEVEL = 9\n")
    facts = {Path("vendor.ko"): ModuleFacts("vendor", vermagic=vermagic)}
    source = find_source(str(tmp_path), Store(tmp_path / "cache"))
    tell_of_other_versions("the tree", lambda: source, Manifest(), facts)
    said = capsys.readouterr().out
    assert told in said
    assert bool(said) == bool(told)
