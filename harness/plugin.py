"""The pytest plugin: options, cells as parameters, the run folder, and the matrix at the end."""

import errno
import os
import shlex
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from harness.errors import ModcompatError
from harness.exercise import load_exercise
from harness.features import FEATURES, THE_FIVE, features_named
from harness.guest.guest import Timing
from harness.kernel.source import DEFAULT_PACKAGE
from harness.lab import Lab, Settings
from harness.measured import measured_verdicts
from harness.modules import VendorModule, shipped, users_module
from harness.paths import PROJECT
from harness.plan import EVERY_BOARD, EVERY_FEATURE, MATRICES, Cell, Flavour, Selection, choose_boards, narrow
from harness.report.artefacts import new_run_folder, write_matrix
from harness.report.formats import write_reports
from harness.report.table import render
from harness.variants import Preemption

_RUN = pytest.StashKey[Path]()
_CELLS = pytest.StashKey[list[Cell]]()
_MODULES = pytest.StashKey[list[VendorModule]]()
# Options without which a cell cannot be run again as it was, and what they are when nobody gives them.
_DEPENDED_ON = {
    "--kernel-source": DEFAULT_PACKAGE, "--module": None, "--module-params": "", "--exercise": None,
    "--shared-uart": False, "--accelerator": "auto",
}  # fmt: skip
ROW = "modcompat_cell"  # name of the user property that carries a row of the matrix


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("modcompat", "binary kernel modules on debug kernels")
    group.addoption(
        "--board",
        action="append",
        default=[],
        metavar="NAME",
        help="boards to run on, by name: q35, pc, virt, arm-virt, vexpress-a9 ... (repeatable)",
    )
    group.addoption(
        "--arch",
        action="append",
        default=[],
        metavar="ARCH",
        help="architectures to run on: x86_64, arm, arm64 (repeatable)",
    )
    group.addoption(
        "--flavour",
        action="append",
        default=[],
        choices=[str(flavour) for flavour in Flavour],
        help="kernels to run on; the production control always runs first (default: all; repeatable)",
    )
    group.addoption(
        "--feature",
        action="append",
        default=[],
        metavar="NAME",
        help=f"debug features: {', '.join(FEATURES)} (repeatable)",
    )
    group.addoption(
        "--preemption",
        action="append",
        default=[],
        choices=[str(model) for model in Preemption],
        help="preemption models of the kernels (default: none; with `-k isolated` or `-k preempt` both; repeatable)",
    )
    group.addoption(
        "--matrix",
        default=None,
        choices=list(MATRICES),
        help="a set of cells by name: the five features on a board of each architecture (default), the isolation "
        "series (isolated), what CI runs (ci), or everything (nightly). The other options narrow it. Without this "
        "option, -k chooses among all features on all boards",
    )
    group.addoption(
        "--kernel-source",
        default=DEFAULT_PACKAGE,
        metavar="DIR",
        help="a kernel source tree, or a Debian package of one (default: %(default)s)",
    )
    group.addoption(
        "--module",
        action="append",
        default=[],
        metavar="FILE.ko",
        help="judge this module in place of ours (repeatable)",
    )
    group.addoption("--module-params", default="", metavar="TEXT", help="parameters to load it with, as for insmod")
    group.addoption(
        "--exercise", default=None, metavar="FILE.py", help="the exercise for --module (default: load and unload only)"
    )
    group.addoption(
        "--run-dir",
        default=None,
        metavar="DIR",
        help="folder for logs and evidence (default: runs/<time>, with a link runs/latest)",
    )
    group.addoption(
        "--boot-timeout",
        type=float,
        default=Timing.boot,
        metavar="S",
        help="longest time for a guest to boot (default: %(default)s s)",
    )
    group.addoption(
        "--command-timeout",
        type=float,
        default=Timing.command,
        metavar="S",
        help="longest time for a command in the guest before it counts as hung (default: %(default)s s)",
    )
    group.addoption(
        "--timeout-scale",
        type=float,
        default=1.0,
        metavar="X",
        help="multiplies every timeout, for slow machines (default: %(default)s)",
    )
    group.addoption(
        "--shared-uart",
        action="store_true",
        help="kernel log and commands on one UART: weaker evidence, for kernels that have nothing else",
    )
    group.addoption("--accelerator", default="auto", choices=["auto", "tcg", "kvm"],
                    help="auto takes KVM where a boot proves that it works (default: %(default)s)")  # fmt: skip


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Iterator[None]:
    """Start over with our configuration file where pytest took an option's path for a test to run.

    pytest looks for its configuration before it knows a plugin's options, so `--module /elsewhere/x.ko`
    makes /elsewhere its root. This runs before output is captured, so the process can be replaced.
    """
    settings = PROJECT / "pyproject.toml"
    called = early_config.invocation_params
    if early_config.inipath != settings and called.dir.is_relative_to(PROJECT) and settings.is_file():
        os.execv(sys.executable, [sys.executable, "-m", "pytest", "-c", str(settings), *map(str, called.args)])
    yield


def pytest_configure(config: pytest.Config) -> None:
    try:
        modules, arches = _choose_modules(config)
        config.stash[_MODULES] = modules
        chosen = _choose_cells(config, arches)
        config.stash[_CELLS] = [cell for selection in chosen for cell in selection.cells(modules)]
    except ModcompatError as error:
        raise pytest.UsageError(str(error)) from None
    config.pluginmanager.register(_Matrix(), "modcompat-matrix")
    if getattr(config.option, "dist", "no") == "load":
        config.option.dist = "loadgroup"  # each kernel's cells in one worker, where its guest is


def pytest_configure_node(node: Any) -> None:
    """pytest-xdist: the workers write into the controller's run folder."""
    node.workerinput["modcompat_run"] = str(_run_folder(node.config))


def pytest_report_header(config: pytest.Config) -> list[str]:
    modules = config.stash[_MODULES]
    boards = dict.fromkeys(f"{cell.board.arch.name} {cell.board.name}" for cell in config.stash[_CELLS])
    names = ", ".join(module.name for module in modules)
    return [f"modcompat: modules {names}; boards {', '.join(boards)}; kernel {config.getoption('--kernel-source')}"]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "cell" in metafunc.fixturenames:
        metafunc.parametrize(
            "cell", [pytest.param(cell, id=cell.id, marks=_marks(cell)) for cell in metafunc.config.stash[_CELLS]]
        )


@pytest.fixture(scope="session")
def run_folder(pytestconfig: pytest.Config) -> Path:
    """The folder of this run's artefacts."""
    return _run_folder(pytestconfig)


@pytest.fixture(scope="session")
def lab(pytestconfig: pytest.Config) -> Iterator[Lab]:
    """Kernels and guests for the cells of this run."""
    with Lab(_settings(pytestconfig), pytestconfig.stash[_MODULES]) as lab:
        yield lab


@pytest.fixture
def kernels(lab: Lab, cell: Cell, pytestconfig: pytest.Config) -> None:
    """The cell's kernels are there. Building takes minutes, so its progress is not captured."""
    plugins = pytestconfig.pluginmanager
    capture, terminal = plugins.getplugin("capturemanager"), plugins.getplugin("terminalreporter")
    assert capture is not None
    with capture.global_and_fixture_disabled(), explained():
        wanted = (cell.variant.production, cell.variant)
        if terminal and any(not lab.is_ready(cell.board, variant) for variant in wanted):
            terminal.ensure_newline()
        for variant in wanted:
            lab.kernel(cell.board, variant)


@contextmanager
def explained() -> Iterator[None]:
    """A mistake that the user can mend fails the test with its own words, without a traceback."""
    problem = None
    try:
        yield
    except ModcompatError as error:
        problem = str(error)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        problem = f"no space left on the disk of {error.filename}; next: `modcompat cache prune`"
    if problem:
        pytest.fail(problem, pytrace=False)


class _Matrix:
    """Collects the rows of the run (pytest-xdist's workers hand theirs over inside the reports), and shows them."""

    def __init__(self) -> None:
        self._rows: list[dict[str, Any]] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call":
            self._rows.extend(row for name, row in report.user_properties if name == ROW and isinstance(row, dict))

    def pytest_terminal_summary(self, terminalreporter: Any, config: pytest.Config) -> None:
        if not self._rows:
            return
        plan: list[Cell] = config.stash[_CELLS]
        planned = {cell.id: place for place, cell in enumerate(plan)}
        rows = sorted(self._rows, key=lambda row: planned[row["id"]])
        path = write_matrix(rows, _run_folder(config), _command(config))
        terminalreporter.ensure_newline()
        terminalreporter.write_line("")
        width = shutil.get_terminal_size((160, 40)).columns
        terminalreporter.write(render(rows, width=width, colours=bool(terminalreporter.hasmarkup)))
        terminalreporter.write_line(f"matrix: {path}")
        try:
            page, *_ = write_reports(path.parent)
            terminalreporter.write_line(f"report: {page}")
        except ModcompatError as error:
            terminalreporter.write_line(f"no report: {error}")


def _command(config: pytest.Config) -> str:
    """pytest with those options of this run that every cell depends on."""
    words = ["pytest"]
    for option, default in _DEPENDED_ON.items():
        value = config.getoption(option)
        for each in value if isinstance(value, list) else [value]:
            words += [] if each == default else [option] if each is True else [option, str(each)]
    return shlex.join(words)


def _run_folder(config: pytest.Config) -> Path:
    if _RUN not in config.stash:
        handed = getattr(config, "workerinput", {}).get("modcompat_run")
        config.stash[_RUN] = Path(handed) if handed else new_run_folder(config.getoption("--run-dir"), PROJECT)
    return config.stash[_RUN]


def _choose_modules(config: pytest.Config) -> tuple[list[VendorModule], set[str]]:
    """The modules that the options ask for, and the architectures that their files are for."""
    files = config.getoption("--module")
    if not files:
        if config.getoption("--exercise") or config.getoption("--module-params"):
            raise ModcompatError("--exercise and --module-params go with --module FILE.ko")
        return shipped(), set()
    exercise = Path(config.getoption("--exercise")) if config.getoption("--exercise") else None
    if exercise:
        load_exercise(exercise)
    parameters = config.getoption("--module-params")
    chosen = [users_module(Path(file), parameters=parameters, exercise=exercise) for file in files]
    stems = [module.name for module, _ in chosen]
    if len(set(stems)) < len(stems):
        raise ModcompatError(f"two modules have the same name: {', '.join(stems)}", next_step="judge them one by one")
    return [module for module, _ in chosen], {facts.arch.name for _, facts in chosen if facts.arch}


def _choose_cells(config: pytest.Config, arches: set[str]) -> list[Selection]:
    """Boards and kernels: of the matrix that is named, or of all where -k does the choosing, narrowed by options.

    arches: what the modules' files are for; they run on boards of these, unless boards are named.
    """
    names, wanted = config.getoption("--board"), config.getoption("--arch")
    features = features_named(config.getoption("--feature"))
    preemptions = tuple(Preemption(name) for name in config.getoption("--preemption"))
    flavours = tuple(Flavour(name) for name in config.getoption("--flavour"))
    matrix, keyword = config.getoption("--matrix"), config.getoption("keyword")
    if matrix:
        selections = list(MATRICES[matrix])
    elif keyword or names or wanted or features or flavours:
        chosen = features or (EVERY_FEATURE if keyword else features_named(THE_FIVE))
        # The isolation series has to hold in both models; of other kernels the second one is asked for by its name.
        both = any(word in keyword for word in (Flavour.ISOLATED, Preemption.FULL))
        selections = [Selection(EVERY_BOARD, chosen, tuple(Preemption)[: 1 + both], tuple(Flavour))]
    else:
        selections = list(MATRICES["default"])
    boards = choose_boards(names, wanted or (sorted(arches) if not names else []))
    return narrow(selections, boards=boards, features=features, preemptions=preemptions, flavours=flavours)


def _settings(config: pytest.Config) -> Settings:
    scale = config.getoption("--timeout-scale")
    timing = Timing(boot=config.getoption("--boot-timeout"), command=config.getoption("--command-timeout"))
    return Settings(
        source=config.getoption("--kernel-source"),
        timing=timing.scaled(scale),
        accelerator=config.getoption("--accelerator"),
        shared_uart=config.getoption("--shared-uart"),
    )


def _marks(cell: Cell) -> list[pytest.MarkDecorator]:
    """A breakage that was measured is a strict expected failure; a user's module is judged plainly."""
    group = f"{cell.board.id}-{cell.preemption}-{cell.feature.name}"
    marks = [pytest.mark.xdist_group(group)]
    if verdicts := measured_verdicts(cell):
        reason = f"measured: {' or '.join(verdicts)}"
        marks.append(pytest.mark.xfail(strict=True, raises=ExpectedBreakageError, reason=reason))
    return marks


class ExpectedBreakageError(Exception):
    """A module broke in the way that was measured before."""
