# SPDX-License-Identifier: Apache-2.0
"""The pytest plugin of the suite: short options, cells as parameters, the run folder, and the matrix at the end.

The checkout's conftest.py loads it, and so do the commands that run the suite. Users' own sessions never load it: their
plugin is harness/plugin/pytest_plugin.py.
"""

import argparse
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from harness.lab.execution.assumptions import assumptions_at_end, assumptions_at_start
from harness.lab.execution.lab import Lab
from harness.lab.execution.run_folder import forget_if_empty, new_run_folder
from harness.lab.plan.cells import Cell
from harness.lab.plan.expected_verdicts import measured_verdicts
from harness.lab.plan.manifest import Manifest, read_manifest
from harness.lab.plan.options import BY_NAME, OPTIONS, Option, ValueKind, checked
from harness.lab.plan.settings import Settings
from harness.lab.plan.shards import cells_of_shard, require_whole
from harness.lab.plan.vendor_modules import VendorModule
from harness.plugin.distribution import GroupScheduling, cell_name, ranks
from harness.plugin.selection import plan_of
from harness.plugin.suite_arguments import SUITE, reproduction
from harness.plugin.terminal import Matrix
from harness.plugin.user_errors import user_errors_fail
from harness.support.cache.store import Store
from harness.support.errors import ModcompatError
from harness.support.text import one_line

COMMAND = "--internal-command"  # the command of modcompat that runs the suite
_PARSERS = {ValueKind.INTEGER: int, ValueKind.NUMBER: float}
_RUN = pytest.StashKey[Path]()
_CELLS = pytest.StashKey[Sequence[Cell]]()
_MODULES = pytest.StashKey[list[VendorModule]]()
_MANIFEST = pytest.StashKey[Manifest]()
_SETTINGS = pytest.StashKey[Settings]()


def argparse_arguments(option: Option) -> dict[str, Any]:
    """The arguments of argparse's add_argument() for an option. The default of each is "not set"."""
    if option.kind is ValueKind.FLAG:
        return {"action": "store_true", "help": option.help}
    default = f"  [default: {option.default}]" if option.default else ""
    found: dict[str, Any] = {"help": (option.help + default).replace("%", "%%"), "default": None}
    found["action"] = "append" if option.repeatable else "store"
    if option.choices:
        return found | {"choices": option.values()}
    return found | {"metavar": option.metavar, "type": _PARSERS.get(option.kind, str)}


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("modcompat suite", "binary kernel modules on debug kernels")
    for option in OPTIONS:
        spellings = [option.name, *([option.alias] if option.alias else [])]
        group.addoption(*spellings, **argparse_arguments(option))
    group.addoption(COMMAND, default="", help=argparse.SUPPRESS)


def pytest_configure(config: pytest.Config) -> None:
    def given(name: str) -> Any:
        return config.getoption(BY_NAME[name].destination)

    try:
        named = given("--manifest")
        config.stash[_MANIFEST] = manifest = read_manifest(Path(named)) if named else Manifest()
        chosen = plan_of(given, manifest, by_name=bool(config.getoption("keyword")))
        config.stash[_SETTINGS], config.stash[_MODULES], plan = chosen.settings, chosen.modules, chosen.cells
        shard = checked(BY_NAME["--shard"], given("--shard"))
        if not config.getoption(COMMAND):  # the tasks of a cluster may be shards with names
            require_whole(shard, by_name=bool(config.getoption("keyword")))
        config.stash[_CELLS] = cells = cells_of_shard(plan, shard) if shard else plan
        command = reproduction(given, config.getoption(COMMAND))
        if given("--run-dir"):
            _run_folder(config)
    except ModcompatError as error:
        raise pytest.UsageError(str(error)) from error
    except OSError as error:
        raise pytest.UsageError(one_line(f"{error.filename}: {error.strerror}")) from error
    matrix = Matrix(
        plan, manifest, command, cells=cells, shard=shard,
        assumed=lambda: assumptions_at_end(chosen.settings, cells, Store()), run_folder=lambda: _run_folder(config),
    )  # fmt: skip
    config.pluginmanager.register(matrix, "modcompat-matrix")


def pytest_unconfigure(config: pytest.Config) -> None:
    if _RUN in config.stash and not hasattr(config, "workerinput"):
        forget_if_empty(config.stash[_RUN])


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """pytest-xdist: the workers write into the controller's run folder."""
    node.workerinput["modcompat_run"] = str(_run_folder(node.config))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """pytest-xdist: how it distributes cells, unless the user said so."""
    return GroupScheduling(config, log, config.stash[_CELLS]) if config.getoption("dist") == "load" else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """pytest-xdist: the order of the groups."""
    if hasattr(config, "workerinput"):
        known = ranks(config.stash[_CELLS])
        first = min(known.values(), default=(False, "", False))
        items.sort(key=lambda item: known.get(cell_name(item.nodeid), first))


def pytest_sessionstart(session: pytest.Session) -> None:
    """Print the assumptions about user-supplied modules and kernels, before minutes are spent on them."""
    config = session.config
    terminal = config.pluginmanager.getplugin("terminalreporter")
    if terminal and not hasattr(config, "workerinput") and not config.option.collectonly:
        for line in assumptions_at_start(config.stash[_SETTINGS], config.stash[_CELLS]):
            terminal.write_line(f"assumed: {line}")


def pytest_report_header(config: pytest.Config) -> list[str]:
    settings, modules = config.stash[_SETTINGS], config.stash[_MODULES]
    boards = dict.fromkeys(f"{cell.board.arch.name} {cell.board.name}" for cell in config.stash[_CELLS])
    names = ", ".join(module.name for module in modules)
    return [f"modcompat: modules {names}; boards {', '.join(boards)}; kernel {settings.source}"]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "cell" in metafunc.fixturenames:
        metafunc.parametrize(
            "cell",
            [
                pytest.param(cell, id=cell.id, marks=_marks(cell, metafunc.config.stash[_MANIFEST]))
                for cell in metafunc.config.stash[_CELLS]
            ],
        )


@pytest.fixture(scope="session")
def run_folder(pytestconfig: pytest.Config) -> Path:
    """The folder that this run writes its logs and evidence to."""
    with user_errors_fail():
        return _run_folder(pytestconfig)


@pytest.fixture(scope="session")
def lab(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Kernels and guests for the cells of this run."""
    is_worker = hasattr(pytestconfig, "workerinput")  # of pytest-xdist: the parent of its base folder is the session's
    shared = tmp_path_factory.getbasetemp().parent / "controls" if is_worker else None
    with user_errors_fail():
        lab = Lab(pytestconfig.stash[_SETTINGS], pytestconfig.stash[_MODULES], shared=shared)
    with lab:
        yield lab


@pytest.fixture(scope="session")
def manifest(pytestconfig: pytest.Config) -> Manifest:
    """The manifest of this run, or the defaults."""
    return pytestconfig.stash[_MANIFEST]


@pytest.fixture
def built_kernels(lab: Lab, cell: Cell, pytestconfig: pytest.Config) -> None:
    """Build the cell's kernels if they are missing. That takes minutes, so its progress is not captured."""
    plugins = pytestconfig.pluginmanager
    capture, terminal = plugins.getplugin("capturemanager"), plugins.getplugin("terminalreporter")
    assert capture is not None
    with capture.global_and_fixture_disabled(), user_errors_fail():
        wanted = (cell.variant.production, cell.variant)
        if terminal and any(not lab.kernels.is_ready(cell.board, variant) for variant in wanted):
            terminal.ensure_newline()
        with suppress(ModcompatError):  # it makes the cell INVALID
            if lab.kernels.prebuilt(cell.board, cell.variant.production):
                # No debug kernel is worth half an hour if production does not boot.
                lab.guests.running(cell.board, cell.variant.production)
            for variant in wanted:
                lab.kernels.kernel(cell.board, variant)


def _run_folder(config: pytest.Config) -> Path:
    if _RUN not in config.stash:
        handed = getattr(config, "workerinput", {}).get("modcompat_run")
        root = config.invocation_params.dir if config.rootpath == SUITE else config.rootpath
        config.stash[_RUN] = Path(handed) if handed else new_run_folder(config.getoption("run_dir"), root)
    return config.stash[_RUN]


def _marks(cell: Cell, manifest: Manifest) -> list[pytest.MarkDecorator]:
    """The marks of a cell's test.

    A breakage that was measured is a strict expected failure. A finding that the manifest allows is a non-strict one.
    A user's module has no other marks: its test fails unless the verdict is CLEAN.
    """
    marks = []
    if verdicts := measured_verdicts(cell):
        reason = f"measured: {' or '.join(verdicts)}"
        marks.append(pytest.mark.xfail(strict=True, raises=ExpectedBreakageError, reason=reason))
    for allowance in manifest.allowed:
        if allowance.matches(cell):
            reason = f"allowed until {allowance.expires}: {allowance.reason}"
            marks.append(pytest.mark.xfail(strict=False, raises=ExpectedBreakageError, reason=reason))
    return marks


class ExpectedBreakageError(Exception):
    """A module broke as it did when it was measured."""
