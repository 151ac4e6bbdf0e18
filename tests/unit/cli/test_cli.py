# SPDX-License-Identifier: Apache-2.0
"""The command line: meaningful exit statuses, and no traceback for a user's mistake."""

import gzip
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner, Result

from harness.cli.main import COMMANDS as ENTRIES
from harness.cli.main import main
from harness.cli.prerequisites import _cached
from harness.kernel.source import DEFAULT_PACKAGE
from harness.support.cache.ownership import KINDS
from harness.support.cache.store import Store
from harness.support.paths import HARNESS, PROJECT

BUG = "[    1.5][   T45] BUG: spinlock bad magic on CPU#1, sh/45\n"


class Cli:
    """Runs the command."""

    def __call__(self, *arguments: str, text: str | None = None) -> Result:
        return CliRunner().invoke(main, list(arguments), input=text)


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    monkeypatch.setenv("MODCOMPAT_CACHE", str(tmp_path / "cache"))

    return Cli()


def test_scan_tells_logs_with_reports_from_logs_without(cli: Cli, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.log", tmp_path / "bad.log"
    good.write_text("[    0.0] Linux version 6.1\n")
    bad.write_text(BUG)
    assert cli("scan", str(good)).exit_code == 0
    assert cli("scan", str(bad)).exit_code == 1
    result = cli("scan", "--json", "-", text=BUG)
    assert result.exit_code == 1
    facts = json.loads(result.output)
    assert (facts["log"], facts["kind"], facts["severity"], facts["first_line"]) == ("-", "lock", "fault", 1)


@pytest.mark.parametrize(
    "arguments", [("scan", ""), ("cache", "export", ""), ("check", "x.ko", "--run-dir", "")], ids=lambda words: words[0]
)
def test_an_empty_path_is_not_the_current_folder(cli: Cli, arguments: tuple[str, ...]) -> None:
    result = cli(*arguments)
    assert result.exit_code == 2
    assert "the path is empty" in result.output


def test_scan_says_when_it_understood_nothing(cli: Cli, tmp_path: Path) -> None:
    other, bad = tmp_path / "other.log", tmp_path / "bad.log"
    other.write_text("2025-09-01 08:00:00 INFO worker: done\n" * 8000)
    bad.write_text(BUG)
    result = cli("scan", "--json", str(other))
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr == f"modcompat: {other}: 0 of 8,000 lines look like kernel messages\n"
    assert cli("scan", "-", text="x").stderr == "modcompat: -: 0 of 1 line looks like kernel messages\n"
    both = cli("scan", str(bad), str(other))
    assert both.exit_code == 1
    assert "0 of 8,000 lines" in both.stderr


def test_scan_reads_packed_logs(cli: Cli, tmp_path: Path) -> None:
    log = tmp_path / "bad.log.gz"
    log.write_bytes(gzip.compress(BUG.encode() * 50))
    whole = cli("scan", str(log))
    assert (whole.exit_code, whole.stdout.count("fault: lock")) == (1, 50)
    log.write_bytes(gzip.compress(BUG.encode() * 50)[:-12])
    cut = cli("scan", str(log))
    assert (cut.exit_code, cut.stdout.count("fault: lock") > 0) == (2, True)
    assert f"cannot read {log}: its gzip data is damaged" in cut.stderr


def test_scan_says_when_it_could_not(cli: Cli, tmp_path: Path) -> None:
    result = cli("scan", str(tmp_path / "absent.log"))
    assert result.exit_code == 2
    assert "cannot read" in result.output
    assert "Traceback" not in result.output


def test_an_interrupt_is_not_a_finding(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("harness.cli.scan_command.scan_stream", interrupt)
    result = cli("scan", "-", text=BUG)
    assert result.exit_code == 130
    assert "Traceback" not in result.output


@pytest.mark.parametrize("error", [ZeroDivisionError("\x1b[2J"), BrokenPipeError("\x1b[2J")])
def test_a_fault_of_ours_is_not_a_finding(cli: Cli, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Nor is it silent if a pipe other than the output has lost its reader."""

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("harness.cli.scan_command.scan_stream", fail)
    result = cli("scan", "-", text=BUG)
    assert result.exit_code == 2
    assert "Traceback" in result.output
    assert f"{type(error).__name__}: ␛[2J" in result.output
    assert result.output.endswith("please report it with this output\n")


@pytest.mark.parametrize("arguments", [["scan"], ["--nosuch"], ["nosuch"], ["cache", "prune", "--older-than", "x"]])
def test_a_mistake_in_the_command_is_no_fault_of_ours(cli: Cli, arguments: list[str]) -> None:
    result = cli(*arguments)
    assert result.exit_code == 2
    assert "fault" not in result.output
    assert "Error: " in result.output


def outside(command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run modcompat from a shell, in a separate process."""
    script = f"exec {sys.executable} -m harness {command}"
    return subprocess.run(
        ["sh", "-c", script], cwd=PROJECT, env={**os.environ, **variables}, capture_output=True, text=True, check=False
    )


def test_a_closed_input_is_no_log() -> None:
    done = outside("scan - <&-")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "modcompat: cannot read -: standard input is closed\n"


def test_what_an_encoding_has_no_place_for_is_shown_all_the_same() -> None:
    run = Path(__file__).parents[1] / "golden/run"
    done = outside(f"diff {run} →", PYTHONIOENCODING="latin-1")
    assert done.returncode == 2
    assert "\\u2192" in done.stderr
    assert "Traceback" not in done.stderr
    page = outside(f"report {run} --format html", PYTHONIOENCODING="latin-1")
    assert "→" in page.stdout, "a report is UTF-8, wherever it is written to"


def test_a_list_that_goes_into_a_pipe_has_whole_names(cli: Cli) -> None:
    path = Store().get_or_build("kernel", "arm-" + 60 * "x", {}, lambda folder: (folder / "image").touch())
    assert path.name in cli("cache", "list").output
    assert "1 entry, " in cli("cache", "list").output


def test_a_list_that_nobody_reads_is_no_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODCOMPAT_CACHE", str(tmp_path / "cache"))
    Store().get_or_build("kernel", "arm", {}, lambda folder: (folder / "image").touch())
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([sys.executable, "-m", "harness", "cache", "list"], cwd=PROJECT, stdout=write, check=False)
    os.close(write)
    assert done.returncode == 2


@pytest.mark.parametrize(
    ("option", "words"),
    [("--guest-memory=5", "not 5"), ("--timeout-scale=-1", "-1"), ("--allow-config-change=no-such one", "no-such one")],
)
def test_options_of_a_sweep_are_looked_at_before_production_is_fetched(cli: Cli, option: str, words: str) -> None:
    result = cli("sweep", "--production", "debian:linux-image-amd64", option)
    assert result.exit_code == 2
    assert words in result.output


def test_the_name_of_the_cache_does_not_steer_the_terminal(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODCOMPAT_CACHE", str(tmp_path / "a\x1b[2J"))
    assert "a␛[2J" in cli("cache", "list").output
    assert "\x1b" not in cli("cache", "list").output


def test_only_kinds_that_there_are_can_be_pruned(cli: Cli) -> None:
    for kind in ("kernel", "of-an-older-version"):
        Store().get_or_build(kind, "arm", {}, lambda folder: (folder / "image").touch())
    refused = cli("cache", "prune", "--all", "--kind", "kernl")
    assert refused.exit_code == 2
    assert "kernel, layouts" in refused.output
    for kind in ("kernel", "of-an-older-version", "userland"):
        assert cli("cache", "prune", "--all", "--kind", kind).exit_code == 0
    assert not list(Store().entries())


def test_the_doctor_counts_one_kernel_as_one(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    Store().get_or_build("kernel", "arm", {}, lambda folder: (folder / "image").touch())
    monkeypatch.setattr("harness.cli.doctor_command.examine", lambda: iter([_cached()]))
    assert "1 kernel, 1 entry, 0.0 GB in " in cli("doctor").output


def test_the_doctor_checks_what_set_up_installs(monkeypatch: pytest.MonkeyPatch, cli: Cli) -> None:
    """If everything is missing, the doctor names the packages in scripts/packages.txt."""
    listed = subprocess.run([PROJECT / "scripts/setup.sh", "--list"], capture_output=True, text=True, check=True)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("harness.cli.prerequisites.Path.exists", lambda _: False)
    for slow in ("_accelerator", "_disk"):
        monkeypatch.setattr(f"harness.cli.prerequisites.{slow}", _cached)
    result = cli("doctor")
    assert result.exit_code == 1
    named = set(re.findall(r"install the package (\S+)", result.output))
    # A running doctor has Python, and only tests and the trial use the others.
    of_a_checkout = {"python3", "python3-venv", "cpio", "shellcheck", "rpm", "debootstrap"}
    wanted = {name for name in listed.stdout.split() if not name.startswith("libc6-dev")} - of_a_checkout
    assert named == wanted | {"dpkg"}  # dpkg is part of every Debian
    assert "install the libc6-dev package for arm64" in result.output


def test_every_kind_of_entry_is_known() -> None:
    made = {
        kind for file in HARNESS.rglob("*.py") for kind in re.findall(r'get_or_build\(\s*"([^"]+)"', file.read_text())
    }
    assert made == set(KINDS)


@pytest.mark.parametrize("arguments", [["cache", "export", "x.tar"], ["cache", "import", "absent.tar"]])
def test_cache_commands_explain_what_they_cannot_do(cli: Cli, arguments: list[str]) -> None:
    result = cli(*arguments)
    assert result.exit_code == 2
    assert result.output.startswith("modcompat: ")
    assert "Traceback" not in result.output


def test_an_empty_cache_can_be_listed_and_pruned(cli: Cli) -> None:
    assert cli("cache", "list").exit_code == 0
    assert cli("cache", "prune").exit_code == 0


@pytest.mark.parametrize(
    ("days", "status", "left"),
    [("nan", 2, 1), ("-1", 2, 1), ("-inf", 2, 1), ("x", 2, 1), ("inf", 0, 1), ("1.5", 0, 1), ("0", 0, 0)],
)
def test_prune_takes_only_days_that_there_are(cli: Cli, days: str, status: int, left: int) -> None:
    Store().get_or_build("kernel", "arm", {}, lambda folder: (folder / "image").touch())
    result = cli("cache", "prune", "--older-than", days)
    assert result.exit_code == status
    assert "Traceback" not in result.output
    assert len(list(Store().entries())) == left


def commands(group: click.Group = main, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command and group of commands, with the words that invoke it."""
    yield path, group
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


COMMANDS = dict(commands())
LEAVES = {path: command for path, command in COMMANDS.items() if not isinstance(command, click.Group)}
each = pytest.mark.parametrize("path", LEAVES, ids=" ".join)


def test_help_lists_every_command_with_its_own_summary(cli: Cli) -> None:
    context = click.Context(main)
    listed = {name: main.get_command(context, name) for name in main.list_commands(context)}
    summaries = {name: command.get_short_help_str(limit=500) for name, command in listed.items() if command}
    assert summaries == {name: entry.summary for name, entry in ENTRIES.items()}
    assert all(" ".join(summary.split()) in " ".join(cli("--help").output.split()) for summary in summaries.values())
    files = {path.stem for path in (HARNESS / "cli").glob("*_command.py")}
    assert files == {entry.module for entry in ENTRIES.values()}


@pytest.mark.parametrize("words", [["--help"], ["--version"], []], ids=["help", "version", "nothing"])
def test_help_imports_no_command(words: list[str]) -> None:
    """Lazy imports keep the help fast; benchmarks/startup.py measures it."""
    script = f"import sys\nfrom harness.cli.main import main\ntry: main({words})\nfinally: print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True, check=False)
    imported = set(done.stdout.splitlines()[-1].split())
    packages = {name.partition(".")[0] for name in imported}
    heavy = {"_pytest", "asyncio", "elftools", "filelock", "jinja2", "jsonschema", "pexpect", "pytest", "qemu", "rich"}
    assert not packages & heavy
    ours = {name for name in imported if name.partition(".")[0] == "harness"}
    assert ours == {"harness", "harness.cli", "harness.cli.main", "harness.support"} | {
        f"harness.support.{name}" for name in ("errors", "text")
    }


def test_the_shell_completes_commands() -> None:
    completion = ShellComplete(main, {}, "modcompat", "_MODCOMPAT_COMPLETE")
    assert [(item.value, item.help) for item in completion.get_completions([], "do")] == [
        ("doctor", ENTRIES["doctor"].summary)
    ]


@each
def test_every_command_tells_its_exit_statuses(path: tuple[str, ...], cli: Cli) -> None:
    result = cli(*path, "--help")
    assert result.exit_code == 0
    _, _, statuses = " ".join(result.output.split()).partition("Exit status")
    assert re.match(r":? 0\b.*\b2 ", statuses)


@each
def test_every_option_has_help(path: tuple[str, ...]) -> None:
    options = [option for option in LEAVES[path].params if isinstance(option, click.Option)]
    assert not [option.name for option in options if not option.help]


@pytest.mark.parametrize(
    "path", [path for path, command in COMMANDS.items() if isinstance(command, click.Group)], ids=" ".join
)
def test_a_list_of_commands_has_whole_sentences(path: tuple[str, ...], cli: Cli) -> None:
    _, _, listed = cli(*path, "--help").output.partition("Commands:\n")
    assert listed
    assert all(line.endswith(".") and not line.endswith("...") for line in listed.splitlines())


@pytest.mark.parametrize(
    ("words", "begun", "offered"),
    [
        (("check", "--board"), "arm-v", ["arm-vexpress-a15", "arm-vexpress-a9", "arm-virt"]),
        (("matrix", "--board"), "q", ["q35"]),
        (("check", "--feature"), "kp", ["kprobes"]),
        (("check", "--arch"), "arm", ["arm", "arm64"]),
        (("shell", "--kernel"), "isolated-perf", ["isolated-perf", "isolated-perf-preempt"]),
        (("predict", "--kernel"), "stock-sl", ["stock-slub", "stock-slub-preempt"]),
        (("build",), "isolated-ft", ["isolated-ftrace", "isolated-ftrace-preempt"]),
        (("isolate", "bugs", "--feature"), "sp", ["spinlock"]),
        (("shell", "--module"), "ta", ["tail", "tasks"]),
        (("cache", "prune", "--kind"), "pr", ["prebuilt", "prepared", "probe"]),
        (("lkdtm", "--point"), "CORRUPT_L", ["CORRUPT_LIST_ADD", "CORRUPT_LIST_DEL"]),
        (("check", "--kernel-source"), "linux-", [DEFAULT_PACKAGE]),
        (("matrix", "-n"), "l", ["logical"]),
    ],
    ids=[
        "boards",
        "one-board",
        "features",
        "architectures",
        "kernel",
        "kernels",
        "to-build",
        "of-a-subcommand",
        "modules",
        "kinds",
        "crash-points",
        "sources",
        "guests-at-a-time",
    ],
)
def test_the_shell_completes_names(words: tuple[str, ...], begun: str, offered: list[str]) -> None:
    completion = ShellComplete(main, {}, "modcompat", "_MODCOMPAT_COMPLETE")
    found = [item.value for item in completion.get_completions(list(words), begun)]
    assert found[: len(offered)] == offered
    assert all(name.startswith(begun) for name in found)


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (("shell", "--module"), "file"),
        (("isolate", "prove", "--kernel-source"), "dir"),
        (("predict", "--kernel-source"), "dir"),
        (("layout", "diff"), "dir"),
    ],
    ids=["module", "source", "of-many-commands", "build-tree"],
)
def test_the_shell_completes_paths(words: tuple[str, ...], kind: str) -> None:
    completion = ShellComplete(main, {}, "modcompat", "_MODCOMPAT_COMPLETE")
    assert kind in {item.type for item in completion.get_completions(list(words), "./x")}
