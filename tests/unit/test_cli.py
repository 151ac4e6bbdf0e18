"""The command line: exit statuses that mean something, and no traceback for a user's mistake."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner, Result

from harness.cli import main
from harness.store import Store

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


def test_scan_says_when_it_could_not(cli: Cli, tmp_path: Path) -> None:
    result = cli("scan", str(tmp_path / "absent.log"))
    assert result.exit_code == 2
    assert "cannot read" in result.output
    assert "Traceback" not in result.output


def test_an_interrupt_is_not_a_finding(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("harness.commands.scan.scan_stream", interrupt)
    result = cli("scan", "-", text=BUG)
    assert result.exit_code == 130
    assert "Traceback" not in result.output


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
    """Every command and group of commands, with the words that call it."""
    yield path, group
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


COMMANDS = dict(commands())
LEAVES = {path: command for path, command in COMMANDS.items() if not isinstance(command, click.Group)}
each = pytest.mark.parametrize("path", LEAVES, ids=" ".join)


@each
def test_every_command_tells_its_exit_statuses(path: tuple[str, ...], cli: Cli) -> None:
    result = cli(*path, "--help")
    assert result.exit_code == 0
    _, _, told = " ".join(result.output.split()).partition("Exit status")
    assert re.match(r":? 0\b.*\b2 ", told)


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
    ],
    ids=["boards", "one-board", "features", "architectures", "kernel", "kernels", "to-build", "of-a-subcommand"],
)
def test_the_shell_completes_names(words: tuple[str, ...], begun: str, offered: list[str]) -> None:
    completion = ShellComplete(main, {}, "modcompat", "_MODCOMPAT_COMPLETE")
    found = [item.value for item in completion.get_completions(list(words), begun)]
    assert found[: len(offered)] == offered
    assert all(name.startswith(begun) for name in found)
