# SPDX-License-Identifier: Apache-2.0
"""The pytest plugin: options, cells as parameters, the run folder, and the matrix at the end."""

import errno
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from harness.lab.execution.assumptions import at_first, at_the_end
from harness.lab.execution.lab import Lab
from harness.lab.execution.run_folder import new_run_folder
from harness.lab.plan.cells import Cell
from harness.lab.plan.expected_verdicts import measured_verdicts
from harness.lab.plan.manifest import Manifest, read_manifest
from harness.lab.plan.settings import Settings
from harness.lab.plan.vendor_modules import VendorModule
from harness.plugin.options import add_options, reproduction
from harness.plugin.selection import choose_cells, choose_modules, choose_settings
from harness.plugin.terminal import Matrix
from harness.support.cache.store import Store
from harness.support.errors import ModcompatError
from harness.support.paths import PROJECT
from harness.support.text import one_line

_RUN = pytest.StashKey[Path]()
_CELLS = pytest.StashKey[Sequence[Cell]]()
_MODULES = pytest.StashKey[list[VendorModule]]()
_MANIFEST = pytest.StashKey[Manifest]()
_SETTINGS = pytest.StashKey[Settings]()


def pytest_addoption(parser: pytest.Parser) -> None:
    add_options(parser)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Iterator[None]:
    """Start over with our configuration file where pytest took an option's path for a test to run.

    pytest looks for its configuration before it knows a plugin's options, so `--module /elsewhere/x.ko`
    makes /elsewhere its root. This runs before output is captured, so the process can be replaced.
    """
    settings = PROJECT / "pyproject.toml"
    called = early_config.invocation_params
    is_chosen = early_config.known_args_namespace.inifilename is not None  # -c: the user's own choice
    is_misled = early_config.inipath != settings and called.dir.is_relative_to(PROJECT)
    if is_misled and not is_chosen and settings.is_file():
        os.execv(sys.executable, [sys.executable, "-m", "pytest", "-c", str(settings), *map(str, called.args)])
    yield


def pytest_configure(config: pytest.Config) -> None:
    try:
        given = config.getoption
        named = given("--manifest")
        config.stash[_MANIFEST] = manifest = read_manifest(Path(named)) if named else Manifest()
        config.stash[_SETTINGS] = settings = choose_settings(given, manifest)
        modules, arches = choose_modules(given, manifest)
        config.stash[_MODULES] = modules
        chosen = choose_cells(given, manifest, settings.configs, arches)
        config.stash[_CELLS] = cells = [cell for selection in chosen for cell in selection.cells(modules)]
        command = reproduction(given)
        if config.getoption("--run-dir"):
            _run_folder(config)
    except ModcompatError as error:
        raise _mistake(config, str(error)) from None
    except OSError as error:
        raise _mistake(config, one_line(f"{error.filename}: {error.strerror}")) from None
    matrix = Matrix(
        cells, manifest, command,
        assumed=lambda: at_the_end(settings, cells, Store()), run_folder=lambda: _run_folder(config),
    )  # fmt: skip
    config.pluginmanager.register(matrix, "modcompat-matrix")
    if getattr(config.option, "dist", "no") == "load":
        config.option.dist = "loadgroup"  # each kernel's cells in one worker, where its guest is


def pytest_configure_node(node: Any) -> None:
    """pytest-xdist: the workers write into the controller's run folder."""
    node.workerinput["modcompat_run"] = str(_run_folder(node.config))


def pytest_sessionstart(session: pytest.Session) -> None:
    """Of modules and kernels of the user's, say what is taken for granted before minutes are spent on it."""
    config = session.config
    terminal = config.pluginmanager.getplugin("terminalreporter")
    if terminal and not hasattr(config, "workerinput") and not config.option.collectonly:
        for line in at_first(config.stash[_SETTINGS], config.stash[_CELLS]):
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
    """The folder of this run's artefacts."""
    with explained():
        return _run_folder(pytestconfig)


@pytest.fixture(scope="session")
def lab(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Kernels and guests for the cells of this run."""
    is_worker = hasattr(pytestconfig, "workerinput")  # of pytest-xdist, where the parent folder is the run's
    shared = tmp_path_factory.getbasetemp().parent / "controls" if is_worker else None
    with explained():
        lab = Lab(pytestconfig.stash[_SETTINGS], pytestconfig.stash[_MODULES], shared=shared)
    with lab:
        yield lab


@pytest.fixture(scope="session")
def manifest(pytestconfig: pytest.Config) -> Manifest:
    """The manifest of this run, or the defaults."""
    return pytestconfig.stash[_MANIFEST]


@pytest.fixture
def kernels(lab: Lab, cell: Cell, pytestconfig: pytest.Config) -> None:
    """The cell's kernels are there, if they can be had. Building takes minutes, so its progress is not captured."""
    plugins = pytestconfig.pluginmanager
    capture, terminal = plugins.getplugin("capturemanager"), plugins.getplugin("terminalreporter")
    assert capture is not None
    with capture.global_and_fixture_disabled(), explained():
        wanted = (cell.variant.production, cell.variant)
        if terminal and any(not lab.kernels.is_ready(cell.board, variant) for variant in wanted):
            terminal.ensure_newline()
        with suppress(ModcompatError):  # the cell will be INVALID by it
            for variant in wanted:
                lab.kernels.kernel(cell.board, variant)


@contextmanager
def explained() -> Iterator[None]:
    """A mistake that the user can mend fails the test with its own words, without a traceback."""
    problem = None
    try:
        yield
    except ModcompatError as error:
        problem = str(error)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            problem = f"no space left on the disk of {error.filename}; next: `modcompat cache prune`"
        elif error.errno in (errno.EACCES, errno.EROFS, errno.ENOTDIR, errno.ENOENT) and error.filename:
            problem = (
                f"{error.filename}: {error.strerror}; next: look who owns it, or set MODCOMPAT_CACHE and --run-dir"
            )
        else:
            raise
    if problem:
        raise pytest.fail.Exception(problem, pytrace=False) from None  # or it would be shown twice


def _mistake(config: pytest.Config, text: str) -> pytest.UsageError:
    """What ends a run that cannot be. pytest prints each text in it as its own; under a command it is said as ours."""
    if not config.getoption("--as-command"):
        return pytest.UsageError(text)
    print(f"modcompat: {text}", file=sys.stderr)
    return pytest.UsageError()


def _run_folder(config: pytest.Config) -> Path:
    if _RUN not in config.stash:
        handed = getattr(config, "workerinput", {}).get("modcompat_run")
        config.stash[_RUN] = Path(handed) if handed else new_run_folder(config.getoption("--run-dir"), PROJECT)
    return config.stash[_RUN]


def _marks(cell: Cell, manifest: Manifest) -> list[pytest.MarkDecorator]:
    """A breakage that was measured is a strict expected failure; a user's module is judged plainly.

    What the user's manifest allows may be, and need not be.
    """
    group = f"{cell.board.id}-{cell.preemption}-{cell.feature.name}"
    marks = [pytest.mark.xdist_group(group)]
    if verdicts := measured_verdicts(cell):
        reason = f"measured: {' or '.join(verdicts)}"
        marks.append(pytest.mark.xfail(strict=True, raises=ExpectedBreakageError, reason=reason))
    for allowance in manifest.allowed:
        if allowance.is_of(cell):
            reason = f"allowed until {allowance.expires}: {allowance.reason}"
            marks.append(pytest.mark.xfail(strict=False, raises=ExpectedBreakageError, reason=reason))
    return marks


class ExpectedBreakageError(Exception):
    """A module broke in the way that was measured before."""
