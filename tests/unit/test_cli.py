"""The command line: exit statuses that mean something, and no traceback for a user's mistake."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from harness.cli import main

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


@pytest.mark.parametrize("arguments", [["cache", "export", "x.tar"], ["cache", "import", "absent.tar"]])
def test_cache_commands_explain_what_they_cannot_do(cli: Cli, arguments: list[str]) -> None:
    result = cli(*arguments)
    assert result.exit_code == 2
    assert result.output.startswith("modcompat: ")
    assert "Traceback" not in result.output


def test_an_empty_cache_can_be_listed_and_pruned(cli: Cli) -> None:
    assert cli("cache", "list").exit_code == 0
    assert cli("cache", "prune").exit_code == 0


@pytest.mark.parametrize("command", [[], ["doctor"], ["scan"], ["predict"], ["cache"], ["cache", "import"]])
def test_every_command_has_help(cli: Cli, command: list[str]) -> None:
    result = cli(*command, "--help")
    assert result.exit_code == 0
    assert len(result.output) > 100
