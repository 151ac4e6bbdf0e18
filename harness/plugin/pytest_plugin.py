# SPDX-License-Identifier: Apache-2.0
"""The pytest plugin for users' own tests: do modules work on these kernels?

    @pytest.mark.modcompat(kernels=["production", "stock-spinlock"], boards=["q35"])
    @pytest.mark.modcompat_requires("CLEAN")
    def test_vendor_module(modcompat, modcompat_kernel):
        modcompat.judge("build/vendor.ko", modcompat_kernel, exercise="exercise.py")

Fixtures:
    modcompat         kernels, pristine guests, verdicts and predictions: harness.plugin.fixtures.modcompat
    modcompat_kernel  a kernel that the marker `modcompat` chooses; a test runs once per kernel and board
    modcompat_guest   a pristine guest of that kernel: run, put, get, insmod, rmmod, log, reports

Markers:
    modcompat(kernels=[...], boards=[...])      the kernels and boards of modcompat_kernel [production, q35]
    modcompat_requires(VERDICT, ...)            each judgement must have one of these verdicts
    modcompat_expects(VERDICT, ..., until="2027-03-31", reason="...", kernel="*", board="*")
                                                judgements on these kernels and boards have one of these verdicts
                                                until that day; from the next day on the test fails

Options are `--modcompat-NAME` on the command line, MODCOMPAT_NAME in the environment, and `modcompat_NAME` in
pytest's configuration file, in this order of precedence.

Every session in an environment with modcompat loads this module, so it imports pytest and the standard library only,
and does nothing until a test uses a fixture or marker, or the command line has an option of the plugin.
"""

import datetime as dt
import os
import shlex
from collections.abc import Generator, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

from harness.lab.plan.options import OPTIONS, Option, ValueKind
from harness.support.errors import ModcompatError

if TYPE_CHECKING:
    from harness.plugin.fixtures.kernels import SelectedKernel
    from harness.plugin.fixtures.modcompat import Modcompat
    from harness.plugin.fixtures.pristine_guest import PristineGuest
    from harness.plugin.fixtures.workbench import Workbench

MARKERS = (
    "modcompat(kernels, boards): run the test on these kernels and boards, through the fixture modcompat_kernel.",
    "modcompat_requires(*verdicts): fail the test unless each judgement has one of these verdicts.",
    "modcompat_expects(*verdicts, until, reason, kernel, board): expect these verdicts until a day, then fail.",
)
_OPTIONS = tuple(option for option in OPTIONS if option.in_tests)
_CHECKOUT = Path(__file__).resolve().parents[2]


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("modcompat", "kernels and guests for tests of kernel modules")
    for option in _OPTIONS:
        text = (option.help + (f"  [default: {option.default}]" if option.default else "")).replace("%", "%%")
        words: dict[str, Any] = {"dest": _key(option), "help": text, "default": None}
        if option.kind is ValueKind.FLAG:
            words["action"] = "store_true"
        else:
            words |= {"action": "append" if option.repeatable else "store", "metavar": option.metavar}
        group.addoption(f"--modcompat-{option.name.removeprefix('--')}", **words)
        parser.addini(_key(option), option.help, type=_ini_type(option), default=None)


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, Any, None]:
    """Help pytest to find the configuration file, in the checkout that this module belongs to and nowhere else."""
    called = early_config.invocation_params
    if (_CHECKOUT / "pyproject.toml").is_file() and called.dir.is_relative_to(_CHECKOUT):
        import_module("harness.plugin.checkout").correct_root(early_config, _CHECKOUT)
    yield


def pytest_configure(config: pytest.Config) -> None:
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    if _is_requested(config):
        _fixtures().check_options(option_values(config))


def pytest_report_header(config: pytest.Config) -> list[str]:
    if not _is_requested(config):
        return []
    given = {name.removeprefix("--"): value for name, value in option_values(config).items() if value}
    return [f"modcompat: {', '.join(f'{name} {_shown(value)}' for name, value in given.items())}"]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "modcompat_kernel" in metafunc.fixturenames:
        parameters = _fixtures().kernel_parameters(metafunc.definition, option_values(metafunc.config))
        metafunc.parametrize("modcompat_kernel", parameters, indirect=True)


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("modcompat_expects"):
        if problem := expectation_problem(marker):
            pytest.fail(problem, pytrace=False)
    for name in ("modcompat_requires", "modcompat_expects"):
        if item.get_closest_marker(name) and "modcompat" not in getattr(item, "fixturenames", ()):
            pytest.fail(f"the marker {name} needs the fixture `modcompat`, which judges modules", pytrace=False)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, None]:
    outcome = yield
    used = getattr(item, "funcargs", {}).get("modcompat")
    if used is None or call.when != "call":
        return
    used.has_passed = (report := outcome.get_result()).passed
    if report.failed:
        report.sections += [("modcompat", text) for text in used.evidence_texts() if text not in report.longreprtext]


@pytest.fixture(scope="session")
def _modcompat_workbench(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Iterator["Workbench"]:
    workbench: Workbench = _fixtures().open_workbench(pytestconfig, option_values(pytestconfig), tmp_path_factory)
    with workbench:
        yield workbench


@pytest.fixture
def modcompat(request: pytest.FixtureRequest, _modcompat_workbench: "Workbench") -> Iterator["Modcompat"]:
    """Kernels, pristine guests, verdicts and predictions for this test.

    `modcompat.kernel(name_or_build_tree)`, `modcompat.guest(kernel)`, `modcompat.judge(module, kernel, exercise=...)`
    and `modcompat.predict(module, kernel)`. Files are relative to the folder of the test file.
    """
    bench: Modcompat = _fixtures().Modcompat(_modcompat_workbench, request.node)
    yield bench
    bench.finish()


@pytest.fixture
def modcompat_kernel(request: pytest.FixtureRequest, modcompat: "Modcompat") -> "SelectedKernel":
    """A kernel of a board that the marker `modcompat` chooses. The test runs once for each."""
    board, kernel = request.param
    return modcompat.kernel(kernel, board=board)


@pytest.fixture
def modcompat_guest(modcompat: "Modcompat", modcompat_kernel: "SelectedKernel") -> "PristineGuest":
    """A guest of `modcompat_kernel` in the state right after boot."""
    return modcompat.guest(modcompat_kernel)


def option_values(config: pytest.Config) -> dict[str, Any]:
    """Name of an option -> its value as text, texts or a flag: from the command line, the environment or the ini file.

    A path in the ini file is relative to the folder of that file, others to the current folder.
    """
    return {option.name: _value(config, option) for option in _OPTIONS}


def expectation_problem(marker: pytest.Mark) -> str:
    """The reason why a marker modcompat_expects is invalid or has expired; "" if it is in force."""
    try:
        until = _last_day(marker)
    except (KeyError, TypeError, ValueError) as error:
        return f'modcompat_expects needs until="2027-03-31", the last day on which it holds: {error!r}'
    reason = marker.kwargs.get("reason", "")
    if not marker.args or not reason:
        return "modcompat_expects needs a verdict and a reason"
    if until < dt.datetime.now().astimezone().date():
        return f"the expectation of {' or '.join(marker.args)} expired on {until}: {reason}"
    return ""


def _last_day(marker: pytest.Mark) -> dt.date:
    until = marker.kwargs["until"]
    if isinstance(until, dt.datetime):
        return until.date()
    return until if isinstance(until, dt.date) else dt.date.fromisoformat(until)


def _is_requested(config: pytest.Config) -> bool:
    """Whether the command line has an option of the plugin."""
    return any(config.getoption(_key(option)) for option in _OPTIONS)


def _key(option: Option) -> str:
    return f"modcompat_{option.destination}"


def _value(config: pytest.Config, option: Option) -> Any:
    """The value of an option, None if it has none."""
    key = _key(option)
    if value := config.getoption(key):
        return value
    if text := os.environ.get(key.upper()):
        if option.kind is ValueKind.FLAG:
            return text.lower() not in ("0", "false", "no", "off")
        try:
            return shlex.split(text) if option.repeatable else text
        except ValueError as error:
            raise pytest.UsageError(f"modcompat: {key.upper()}={text}: {error}") from None
    value = config.getini(key)
    if not value or option.kind is ValueKind.FLAG:
        return value or None
    folder = config.inipath.parent if config.inipath else config.rootpath
    try:
        if option.repeatable:
            return [option.normalized(each, folder) for each in value]
        return option.normalized(value, folder)
    except ModcompatError as error:
        raise pytest.UsageError(f"modcompat: {error}") from None


def _ini_type(option: Option) -> Literal["bool", "args", "string"]:
    if option.kind is ValueKind.FLAG:
        return "bool"
    return "args" if option.repeatable else "string"


def _shown(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, Sequence) and not isinstance(value, str) else str(value)


def _fixtures() -> Any:
    """The module that does the work, loaded on the first request."""
    return import_module("harness.plugin.fixtures.session")
