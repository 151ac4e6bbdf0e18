"""The pytest plugin: options, cells as parameters, the run folder, and the matrix at the end."""

import argparse
import errno
import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.abi.module_file import inspect_module
from harness.assumptions import at_a_glance, of_configurations
from harness.boards import Board
from harness.errors import ModcompatError
from harness.exercise import load_exercise
from harness.features import FEATURES, THE_FIVE, features_named
from harness.given import expanded, guest_memory, timeout, timeout_scale
from harness.guest.guest import Timing
from harness.kernel.source import DEFAULT_PACKAGE, absolute
from harness.kernel.users_config import UsersConfig, require_for
from harness.lab import Lab
from harness.manifest import NAME, Manifest, read_manifest
from harness.measured import measured_verdicts
from harness.modules import VendorModule, shipped, users_module
from harness.paths import PROJECT
from harness.plan import EVERY_BOARD, EVERY_FEATURE, MATRICES, Cell, Flavour, Selection, choose_boards, narrow
from harness.report.artefacts import new_run_folder, write_matrix
from harness.report.formats import write_reports
from harness.report.table import render
from harness.settings import Settings
from harness.store import Store
from harness.variants import Preemption
from harness.visible import one_line

_RUN = pytest.StashKey[Path]()
_CELLS = pytest.StashKey[list[Cell]]()
_MODULES = pytest.StashKey[list[VendorModule]]()
# Options without which a cell cannot be run again as it was, and what they are when nobody gives them.
_DEPENDED_ON = {
    "--kernel-source": None, "--config": None, "--allow-config-additions": False, "--allow-config-change": None,
    "--manifest": None, "--module": None, "--module-params": "", "--exercise": None, "--shared-uart": False,
    "--guest-memory": 0, "--root": None, "--accelerator": "auto", "--boot-timeout": Timing.boot,
    "--command-timeout": Timing.command, "--timeout-scale": 0.0,
}  # fmt: skip
_FILES = ("--config", "--manifest", "--module", "--exercise", "--root")  # of these options, those that name one
_MANIFEST = pytest.StashKey[Manifest]()
_SETTINGS = pytest.StashKey[Settings]()
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
        "series (isolated), every feature on one board (features), what CI runs (ci), or everything (nightly). The "
        "other options narrow it. Without this "
        "option, -k chooses among all features on all boards",
    )
    group.addoption(
        "--kernel-source",
        default=None,
        metavar="DIR",
        help=f"a kernel source tree, or a Debian package of one (default: {DEFAULT_PACKAGE})",
    )
    group.addoption(
        "--config",
        action="append",
        default=[],
        metavar="FILE",
        help="the .config that production was built with, in place of ours; one for each architecture (repeatable)",
    )
    group.addoption(
        "--allow-config-additions",
        action="store_true",
        help="add to production and debug kernels alike what the harness needs and --config lacks; the module ABI may "
        "differ by it, and the report says in what",
    )
    group.addoption(
        "--allow-config-change",
        action="append",
        default=[],
        metavar="SYMBOL",
        help="let this option differ between production and debug kernels, beside the feature (repeatable)",
    )
    group.addoption(
        "--manifest",
        default=None,
        metavar="FILE",
        help=f"a {NAME} that says all of this; options have precedence. `modcompat init` writes one",
    )
    group.addoption(
        "--guest-memory", type=int, default=0, metavar="MIB", help="memory of a guest (default: 128; with --config 512)"
    )
    group.addoption(
        "--root",
        action="append",
        default=[],
        metavar="PATH",
        help="a root file system that the commands of exercises run in: a folder, a cpio archive, an ext2/3/4 or "
        "squashfs image; one for each architecture (repeatable)",
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
        default=0.0,
        metavar="X",
        help="multiplies every timeout, for slow machines (default: 1)",
    )
    group.addoption(
        "--shared-uart",
        action="store_true",
        help="kernel log and commands on one UART: weaker evidence, for kernels that have nothing else",
    )
    group.addoption(
        "--core-dump",
        action="store_true",
        help="keep the memory of each guest whose cell is not CLEAN, as a core file for crash(8): 128 MB each or more",
    )
    group.addoption("--accelerator", default="auto", choices=["auto", "tcg", "kvm"],
                    help="auto takes KVM where a boot proves that it works (default: %(default)s)")  # fmt: skip
    group.addoption("--as-check", action="store_true", help=argparse.SUPPRESS)  # `modcompat check` runs this


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
        named = config.getoption("--manifest")
        config.stash[_MANIFEST] = manifest = read_manifest(Path(named)) if named else Manifest()
        config.stash[_SETTINGS] = _settings(config, manifest)
        modules, arches = _choose_modules(config, manifest)
        config.stash[_MODULES] = modules
        chosen = _choose_cells(config, arches)
        config.stash[_CELLS] = [cell for selection in chosen for cell in selection.cells(modules)]
        if config.getoption("--run-dir"):
            _run_folder(config)
    except ModcompatError as error:
        raise pytest.UsageError(str(error)) from None
    except OSError as error:
        raise pytest.UsageError(f"{error.filename}: {error.strerror}") from None
    config.pluginmanager.register(_Matrix(), "modcompat-matrix")
    if getattr(config.option, "dist", "no") == "load":
        config.option.dist = "loadgroup"  # each kernel's cells in one worker, where its guest is


def pytest_configure_node(node: Any) -> None:
    """pytest-xdist: the workers write into the controller's run folder."""
    node.workerinput["modcompat_run"] = str(_run_folder(node.config))


def pytest_sessionstart(session: pytest.Session) -> None:
    """Of modules and kernels of the user's, say what is taken for granted before minutes are spent on it."""
    config = session.config
    terminal = config.pluginmanager.getplugin("terminalreporter")
    if terminal and not hasattr(config, "workerinput"):
        for line in _assumed_at_first(config):
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
        assumed = _assumed(config)
        terminalreporter.ensure_newline()
        terminalreporter.write_line("")
        width = shutil.get_terminal_size((160, 40)).columns
        terminalreporter.write(render(rows, width=width, colours=bool(terminalreporter.hasmarkup)))
        for row in rows:
            if allowed := row.get("allowed"):
                said = f"allowed until {allowed['expires']}: {row['id']}: {row['verdict']}: {allowed['reason']}"
                terminalreporter.write_line(said)
        manifest = config.stash[_MANIFEST]
        for idle in manifest.idle(plan):
            said = f"allowed, and about no cell of this run: {manifest.path}:{idle.line}: {idle.reason}"
            terminalreporter.write_line(one_line(said))
        for line in assumed:
            terminalreporter.write_line(f"assumed: {line}")
        try:
            path = write_matrix(rows, _run_folder(config), _command(config), assumed)
        except ModcompatError as error:
            terminalreporter.write_line(f"no matrix: {error}")
            return
        terminalreporter.write_line(f"matrix: {path}")
        try:
            page, *_ = write_reports(path.parent)
            terminalreporter.write_line(f"report: {page}")
        except ModcompatError as error:
            terminalreporter.write_line(f"no report: {error}")


def _command(config: pytest.Config) -> str:
    """What ran this, with those of its options that every cell depends on; a shell can run it in any folder."""
    is_check = config.getoption("--as-check")
    words = [_program("modcompat"), "check"]
    if not is_check:
        words = [_program("pytest"), "-c", str(PROJECT / "pyproject.toml"), str(PROJECT / "tests/compat")]
    for option, default in _DEPENDED_ON.items():
        value = config.getoption(option)
        given = [each for each in (value if isinstance(value, list) else [value]) if each != default]
        for each in given:
            words += [] if is_check and option == "--module" else [option]
            words += [] if each is True else [_anywhere(option, each)]
    return shlex.join(words)


def _program(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def _anywhere(option: str, value: object) -> str:
    """A value of an option as it is understood in any folder."""
    if option == "--kernel-source":
        return absolute(str(value))
    return str(Path(str(value)).expanduser().absolute()) if option in _FILES else str(value)


def _assumed_at_first(config: pytest.Config) -> list[str]:
    """What the run takes for granted, as far as it is known at once; only for modules and kernels of the user's."""
    settings = config.stash[_SETTINGS]
    cells = config.stash[_CELLS]
    if not settings.configs and all(cell.module.is_ours for cell in cells):
        return []
    return at_a_glance(settings, cells)


def _assumed(config: pytest.Config) -> list[str]:
    """What the run took for granted, at its end."""
    lines = _assumed_at_first(config)
    cells = config.stash[_CELLS]
    try:
        return [*lines, *of_configurations(config.stash[_SETTINGS], cells, Store())] if lines else []
    except ModcompatError as error:
        return [*lines, error.problem]


def _run_folder(config: pytest.Config) -> Path:
    if _RUN not in config.stash:
        handed = getattr(config, "workerinput", {}).get("modcompat_run")
        config.stash[_RUN] = Path(handed) if handed else new_run_folder(config.getoption("--run-dir"), PROJECT)
    return config.stash[_RUN]


def _choose_modules(config: pytest.Config, manifest: Manifest) -> tuple[list[VendorModule], set[str]]:
    """The modules that the options or the manifest ask for, and the architectures that their files are for."""
    files = config.getoption("--module")
    if not files:
        if config.getoption("--exercise") or config.getoption("--module-params"):
            raise ModcompatError("--exercise and --module-params go with --module FILE.ko")
        named = list(manifest.modules)
        return named or shipped(), {module.arch.name for module in named if module.arch}
    exercise = expanded(config.getoption("--exercise")) if config.getoption("--exercise") else None
    if exercise:
        load_exercise(exercise)
    parameters = config.getoption("--module-params")
    chosen = [users_module(Path(file), parameters=parameters, exercise=exercise) for file in files]
    if not config.getoption("--board") and not config.getoption("--arch"):
        for file in files:  # where it runs is what it says; on a board that is named, the kernel refuses it
            inspect_module(expanded(file))
    stems = [(module.name, facts.arch) for module, facts in chosen]
    if len(set(stems)) < len(stems):
        names = ", ".join(name for name, _ in stems)
        raise ModcompatError(f"two modules have the same name: {names}", next_step="judge them one by one")
    arches = {facts.arch.name for _, facts in chosen if facts.arch}
    if len(arches) > 1:  # each on boards of its own; one alone may be tried where it does not belong
        chosen = [(replace(module, arch=facts.arch), facts) for module, facts in chosen]
    return [module for module, _ in chosen], arches


def _choose_cells(config: pytest.Config, arches: set[str]) -> list[Selection]:
    """Boards and kernels: of the matrix that is named, or of all where -k does the choosing, narrowed by options.

    arches: what the modules' files are for; they run on boards of these, unless boards are named.
    """
    manifest, configs = config.stash[_MANIFEST], config.stash[_SETTINGS].configs
    wanted = config.getoption("--arch")
    names = config.getoption("--board") or ([] if wanted else list(manifest.boards))
    features = features_named(config.getoption("--feature") or manifest.features)
    preemptions = tuple(Preemption(name) for name in config.getoption("--preemption"))
    flavours = tuple(Flavour(name) for name in config.getoption("--flavour") or manifest.flavours)
    if configs and Preemption.FULL in preemptions:
        raise ModcompatError("with --config, production's preemption model is the configuration's")
    matrix, keyword = config.getoption("--matrix"), config.getoption("keyword")
    if matrix:
        selections = list(MATRICES[matrix])
    elif keyword or names or wanted or features or flavours:
        chosen = features or (EVERY_FEATURE if keyword else features_named(THE_FIVE))
        # The isolation series has to hold in both models; of other kernels the second one is asked for by its name.
        both = re.search(rf"(?<!not )(?:{Flavour.ISOLATED}|{Preemption.FULL})", keyword) and not configs
        selections = [Selection(EVERY_BOARD, chosen, tuple(Preemption)[: 2 if both else 1], tuple(Flavour))]
    else:
        selections = list(MATRICES["default"])
    boards = choose_boards(names, wanted or (sorted(arches) if not names else []))
    if configs:
        boards = _configured(boards, arches, configs, asked=bool(names or wanted))
    narrowed = narrow(selections, boards=boards, features=features, preemptions=preemptions, flavours=flavours)
    return [replace(selection, own_config=bool(configs)) for selection in narrowed]


def _configured(
    boards: tuple[Board, ...], arches: set[str], configs: Mapping[str, UsersConfig], *, asked: bool
) -> tuple[Board, ...]:
    """The boards that there is a configuration for. Raises ModcompatError where one that is needed is missing."""
    needed = arches or ({board.arch.name for board in boards} if asked else set())
    require_for(needed, configs)
    return tuple(board for board in boards if board.arch.name in configs)


def _settings(config: pytest.Config, manifest: Manifest) -> Settings:
    scale = timeout_scale(config.getoption("--timeout-scale") or manifest.timeout_scale or 1.0)
    memory = config.getoption("--guest-memory")
    timing = Timing(**{name: timeout(config.getoption(f"--{name}-timeout")) for name in ("boot", "command")})
    return Settings(
        source=config.getoption("--kernel-source") or manifest.source or DEFAULT_PACKAGE,
        timing=timing.scaled(scale),
        accelerator=config.getoption("--accelerator"),
        shared_uart=config.getoption("--shared-uart") or manifest.shared_uart,
        configs=manifest.production(
            [Path(name) for name in config.getoption("--config")],
            may_add=config.getoption("--allow-config-additions"),
            tolerated=config.getoption("--allow-config-change"),
        ),
        patches=manifest.patches,
        memory=guest_memory(memory) if memory else manifest.memory,
        core_dump=config.getoption("--core-dump"),
        prebuilt=manifest.prebuilt_by_name,
        userlands=manifest.userlands([Path(name) for name in config.getoption("--root")], Store()),
    )


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
