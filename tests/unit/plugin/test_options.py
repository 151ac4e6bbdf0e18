# SPDX-License-Identifier: Apache-2.0
"""The table of options: every adapter follows it, and a run can be reproduced from its options."""

import argparse
import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import click
import pytest

from harness.cli.check_command import check
from harness.cli.matrix_command import matrix
from harness.kernel.source import DEFAULT_PACKAGE
from harness.lab.plan.manifest import TEMPLATE, Manifest, read_manifest
from harness.lab.plan.options import BY_NAME, OPTIONS, GetOption, Names, Option, ValueKind, checked, command_line
from harness.lab.plan.settings import Settings
from harness.plugin.checkout import correct_root
from harness.plugin.selection import choose_settings
from harness.plugin.suite_arguments import SUITE, reproduction
from harness.plugin.suite_plugin import argparse_arguments
from harness.support.errors import ModcompatError
from harness.support.paths import PROJECT

EACH = pytest.mark.parametrize("option", OPTIONS, ids=[str(number) for number in range(len(OPTIONS))])


def asked(given: dict[str, Any]) -> GetOption:
    """Options with these values; all others are unset."""
    return given.get


@EACH
def test_references_to_names_of_other_modules_hold(option: Option) -> None:
    for names in (option.choices, option.known):
        assert not isinstance(names, Names) or names()


@EACH
def test_an_option_takes_its_default(option: Option) -> None:
    default = checked(option, None)
    if option.default is not None:
        assert default == option.default
        assert not option.default or checked(option, option.default) == option.default
    elif option.repeatable:
        assert default == ()


def test_the_defaults_are_those_of_the_settings() -> None:
    assert choose_settings(asked({}), Manifest()) == Settings()


@EACH
def test_pytest_and_check_take_the_same(option: Option) -> None:
    parser = argparse.ArgumentParser(formatter_class=lambda prog: argparse.HelpFormatter(prog, width=1000))
    parser.add_argument(option.name, **argparse_arguments(option))
    assert option.help in parser.format_help()
    if not option.in_check:
        return
    (parameter,) = [parameter for parameter in check.params if option.name in parameter.opts]
    assert isinstance(parameter, click.Option)
    assert parameter.help is not None
    assert parameter.help.startswith(option.help)
    assert (parameter.multiple, parameter.is_flag) == (option.repeatable, option.kind is ValueKind.FLAG)
    assert not option.choices or isinstance(parameter.type, click.Choice)
    assert option.alias == "" or option.alias in parameter.opts


def test_check_and_matrix_have_no_options_of_their_own_beside_a_few() -> None:
    own = {"check": {"-k", "-n", "--cluster"}, "matrix": {"-n", "-o", "--output", "--cluster"}}
    for command in (check, matrix):
        names = {name for parameter in command.params if isinstance(parameter, click.Option) for name in parameter.opts}
        aliases = {option.alias for option in OPTIONS if option.alias}
        assert names - set(BY_NAME) - aliases == own[str(command.name)]


def test_every_key_of_a_manifest_that_is_an_option_is_explained_in_the_template() -> None:
    lines = TEMPLATE.read_text().splitlines()
    for option in OPTIONS:
        if option.manifest:
            table = option.manifest.partition(".")[0]
            start = lines.index(f"[{table}]")
            keys = [line.removeprefix("# ").partition(" = ")[0] for line in lines[start:]]
            assert option.field in keys
            assert hasattr(Manifest(), option.field)


def test_the_manifest_reads_no_key_that_is_neither_an_option_nor_known_to_be_of_manifests_alone(tmp_path: Path) -> None:
    """The error for an unknown key lists the known ones."""
    alone = {"kernel": {"patches"}, "run": set()}
    for table, extra in alone.items():
        (tmp_path / "modcompat.toml").write_text(f"[{table}]\nqqqqqqqq = 1\n")
        with pytest.raises(ModcompatError) as caught:
            read_manifest(tmp_path / "modcompat.toml")
        known = set(caught.value.next_step.removeprefix("known: ").split(", "))
        options = {option.field for option in OPTIONS if option.manifest.startswith(f"{table}.")}
        assert known == options | extra


def test_an_option_overrides_the_manifest_and_the_manifest_the_default() -> None:
    manifest = Manifest(memory=256, timeout_scale=2.0, source="linux-source-6.12", shared_uart=True)
    settings = choose_settings(asked({"--guest-memory": 64}), manifest)
    assert (settings.memory, settings.timing.scale, settings.source) == (64, 2.0, "linux-source-6.12")
    assert settings.shared_uart
    assert settings.timing.boot == 120.0


@pytest.mark.parametrize(
    ("name", "value"),
    [("--timeout-scale", 0.0), ("--timeout-scale", float("nan")), ("--boot-timeout", -1.0), ("--guest-memory", 1)],
    ids=["zero", "nan", "negative", "small"],
)
def test_an_invalid_number_is_refused_wherever_it_comes_from(name: str, value: float) -> None:
    with pytest.raises(ModcompatError):
        choose_settings(asked({name: value}), Manifest())


def test_words_of_a_command_line_leave_defaults_out() -> None:
    values = {"--accelerator": "auto", "--core-dump": True, "--module-params": "-a", "--board": ["q35", "pc"]}
    assert command_line(values) == ["--board=q35", "--board=pc", "--module-params=-a", "--core-dump"]


def test_a_source_that_is_given_is_never_left_out() -> None:
    """It is the default without --production only: production as it ships has another one."""
    assert command_line({"--kernel-source": DEFAULT_PACKAGE}) == [f"--kernel-source={DEFAULT_PACKAGE}"]


def test_the_command_of_a_run_has_what_its_cells_depend_on_and_nothing_else() -> None:
    given = {"--manifest": "/my trial/modcompat.toml", "--config": ["/a.config", "/b.config"], "--board": ["q35"]}
    words = shlex.split(reproduction(asked(given)))
    assert words[:2] == ["env", "PYTEST_DISABLE_PLUGIN_AUTOLOAD=1"]
    assert words[2].endswith("/pytest")
    assert words[3:5] == ["-c", str(SUITE / "suite.ini")]
    rest = words[words.index(str(SUITE)) + 1 :]
    assert rest == ["--config", "/a.config", "--config", "/b.config", "--manifest", "/my trial/modcompat.toml"]


def test_the_command_of_a_run_names_its_files_for_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    given = {"--kernel-source": "linux", "--exercise": "vendor.py", "--module-params": "a=b"}
    words = shlex.split(reproduction(asked(given)))
    rest = words[words.index(str(SUITE)) + 1 :]
    assert rest[:2] == ["--kernel-source", str(tmp_path / "linux")]
    assert rest[2:] == ["--module-params", "a=b", "--exercise", str(tmp_path / "vendor.py")]
    assert reproduction(asked({"--kernel-source": "linux-source-6.12"})).endswith(" --kernel-source linux-source-6.12")


def test_the_command_of_a_check_is_one_that_check_takes() -> None:
    given = {
        "--module": ["/a.ko", "/b c.ko"], "--shared-uart": True, "--timeout-scale": 3.0, "--guest-memory": 256,
        "--accelerator": "tcg",
    }  # fmt: skip
    program, *words = shlex.split(reproduction(asked(given), "check"))
    assert program.endswith("/modcompat")
    assert words[:4] == ["check", "/a.ko", "/b c.ko", "--shared-uart"]
    assert words[4:] == ["--guest-memory", "256", "--accelerator", "tcg", "--timeout-scale", "3.0"]
    taken = {name for parameter in check.params for name in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= taken


def test_every_option_that_affects_the_result_is_one_of_check() -> None:
    taken = {name for parameter in check.params for name in parameter.opts}
    assert {option.name for option in OPTIONS if option.affects_result} - taken == {"--module"}  # an argument of check


def test_timeouts_belong_to_the_command_of_a_run() -> None:
    given = {"--timeout-scale": 2.0, "--command-timeout": 8.0, "--boot-timeout": 9.0}
    words = shlex.split(reproduction(asked(given)))
    assert words[-6:] == ["--boot-timeout", "9.0", "--command-timeout", "8.0", "--timeout-scale", "2.0"]


@pytest.mark.parametrize("found", [Path("/other/pytest.ini"), PROJECT / "pyproject.toml"], ids=["misled", "not yet"])
def test_workers_of_xdist_start_no_session_of_their_own(
    found: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker sees the same path in its arguments as the session that started it."""
    started: list[object] = []

    def attached(command: object) -> int:
        started.append(command)
        return 0

    monkeypatch.setattr("harness.support.process.attached", attached)
    arguments = SimpleNamespace(args=("-n", "2", "--run-dir", str(tmp_path)), dir=PROJECT)
    config = Mock(invocation_params=arguments, inipath=found)
    config.known_args_namespace = SimpleNamespace(inifilename=None, numprocesses=2)
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    with pytest.raises(SystemExit):
        correct_root(config, PROJECT)
    assert len(started) == 1
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw0")
    correct_root(config, PROJECT)
    assert len(started) == 1
    config.pluginmanager.import_plugin.assert_called_once()
