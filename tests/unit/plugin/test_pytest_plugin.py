# SPDX-License-Identifier: Apache-2.0
"""The public plugin is silent, cheap and harmless until a test requests it, and reports clearly then."""

import os
import subprocess
import sys
from pathlib import Path

import hypothesis  # noqa: F401 - sessions in this process find this and the next one loaded
import pytest

import harness.plugin.fixtures.session  # noqa: F401
from harness.lab.plan.options import OPTIONS
from harness.plugin.pytest_plugin import option_values

pytest_plugins = ["pytester"]

QUIET = "def test_quiet(): pass\n"
REQUIRED = "@pytest.mark.modcompat_requires('CLEAN')\n"
EXPECTED = "@pytest.mark.modcompat_expects('INVALID', until='2999-01-01', reason='x'"
JUDGING = """
import pytest
@pytest.fixture(autouse=True)
def no_guests(monkeypatch):
    def judge(self, module, kernel):
        from harness.detect.evidence import Evidence
        from harness.detect.verdict import judge as verdict_of
        from harness.lab.execution.lab import CellResult
        from harness.plugin.fixtures.kernels import cell_of
        evidence = Evidence(module.name, blockers=["nothing was run"])
        return CellResult(cell_of(module, kernel), verdict_of(evidence), evidence, "6.1", "none")
    monkeypatch.setattr("harness.plugin.fixtures.workbench.Workbench.judge", judge)
"""


@pytest.fixture(autouse=True)
def elsewhere(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unrelated project, and a cache without kernels."""
    monkeypatch.setenv("MODCOMPAT_CACHE", str(pytester.path / "cache"))
    for name in [name for name in os.environ if name.startswith(("MODCOMPAT_TIMEOUT", "PYTEST_ADDOPTS"))]:
        monkeypatch.delenv(name)


def loaded_by(code: str) -> set[str]:
    """Top-level modules that a program loads, except those of the standard library and our own."""
    script = f"{code}\nimport sys\nprint('imported:', *sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    names = {name.partition(".")[0] for name in done.stdout.split()}
    return names - set(sys.stdlib_module_names) - {"harness"}


def test_loading_it_imports_pytest_and_the_standard_library_alone() -> None:
    assert loaded_by("import pytest, harness.plugin.pytest_plugin") == loaded_by("import pytest")


def test_loading_it_imports_three_small_rooms_of_ours(pytester: pytest.Pytester) -> None:
    script = "import harness.plugin.pytest_plugin, sys; print('\\n'.join(m for m in sys.modules if 'harness' in m))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    parts = {name.split(".")[1] for name in done.stdout.split() if "." in name}
    assert parts <= {"plugin", "lab", "support"}
    assert "harness.plugin.fixtures" not in done.stdout


def test_a_session_that_requests_nothing_shows_nothing(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(QUIET)
    with_it = pytester.runpytest("-v")
    assert with_it.ret == 0
    header = [line for line in with_it.outlines if line.startswith("plugins:")]
    rest = [line for line in with_it.outlines if not line.startswith("plugins:")]
    assert "modcompat" in "".join(header), "it is installed"
    assert not [line for line in rest if "modcompat" in line and "rootdir" not in line and "cachedir" not in line]
    assert not (pytester.path / "cache").exists()
    assert not (pytester.path / "runs").exists()


def test_every_option_of_it_has_the_prefix(pytester: pytest.Pytester) -> None:
    added = {line.split()[0] for line in pytester.runpytest("--help").outlines if line.startswith("  --")}
    added -= {
        line.split()[0]
        for line in pytester.runpytest("--help", "-p", "no:modcompat").outlines
        if line.startswith("  --")
    }
    words = {word.partition("=")[0] for word in added}
    assert words == {f"--modcompat-{option.name[2:]}" for option in OPTIONS if option.in_tests}


@pytest.mark.parametrize("option", ["--feature", "--config", "--root", "--module", "--manifest", "--arch", "--board"])
def test_a_plugin_with_an_option_that_the_suite_has_is_no_trouble(option: str, pytester: pytest.Pytester) -> None:
    """For example, pytest-bdd has --feature."""
    pytester.makeconftest(f"def pytest_addoption(parser):\n    parser.addoption({option!r})\n")
    pytester.makepyfile(f"def test_it(pytestconfig): assert pytestconfig.getoption({option!r}) == 'x'\n")
    assert pytester.runpytest(option, "x").ret == 0


def test_strict_markers_take_its_markers(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        "import pytest\n@pytest.mark.modcompat(boards=['q35'])\ndef test_it(): pass\n"
        "@pytest.mark.modcompat_nosuch\ndef test_other(): pass\n"
    )
    result = pytester.runpytest("--strict-markers")
    result.stdout.fnmatch_lines(["*'modcompat_nosuch' not found in `markers`*"])


def test_the_kernels_and_boards_of_a_marker_are_parameters(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.modcompat(kernels=["production", "stock-slub"], boards=["q35", "vexpress-a9"])
        def test_it(modcompat_kernel): ...

        def test_default(modcompat_kernel): ...
        """
    )
    result = pytester.runpytest("--collect-only", "-q")
    assert [line.partition("::")[2] for line in result.outlines if "::" in line] == [
        "test_it[x86_64-q35-production]", "test_it[x86_64-q35-stock-slub]",
        "test_it[arm-vexpress-a9-production]", "test_it[arm-vexpress-a9-stock-slub]",
        "test_default[x86_64-q35-production]",
    ]  # fmt: skip


@pytest.mark.parametrize("place", ["option", "environment", "ini"])
def test_a_board_can_be_chosen_in_three_places(
    place: str, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.modcompat(boards=["q35"])
        def test_here(modcompat_kernel): ...

        def test_default(modcompat_kernel): ...
        """
    )
    if place == "environment":
        monkeypatch.setenv("MODCOMPAT_BOARD", "pc")
    if place == "ini":
        pytester.makeini("[pytest]\nmodcompat_board = pc\n")
    result = pytester.runpytest("-q", "--collect-only", *(["--modcompat-board=pc"] * (place == "option")))
    assert [line.partition("::")[2] for line in result.outlines if "::" in line] == [
        "test_here[no-board]", "test_default[x86_64-pc-production]",
    ]  # fmt: skip


def test_the_command_line_overrides_the_environment_and_that_the_ini_file(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makeini("[pytest]\nmodcompat_guest_memory = 64\nmodcompat_manifest = sub/modcompat.toml\n")
    pytester.makepyfile(
        """
        from harness.plugin.pytest_plugin import option_values

        def test_it(pytestconfig):
            values = option_values(pytestconfig)
            print("memory", values["--guest-memory"])
            print("manifest", values["--manifest"])
        """
    )

    def memory(*options: str) -> str:
        lines = pytester.runpytest("-s", *options).outlines
        assert f"manifest {pytester.path}/sub/modcompat.toml" in lines
        (line,) = [line for line in lines if line.startswith("memory") or " memory " in line]
        return line.split()[-1]

    assert memory() == "64"
    monkeypatch.setenv("MODCOMPAT_GUEST_MEMORY", "96")
    assert memory() == "96"


def test_paths_in_the_ini_file_are_relative_to_it(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    pytester.makeini(
        "[pytest]\nmodcompat_kernel_source = ../linux\nmodcompat_production = debian:linux-image-amd64 ../product\n"
    )
    folder = pytester.mkdir("inside")
    monkeypatch.chdir(folder)
    values = option_values(pytester.parseconfig("--rootdir", str(pytester.path)))
    assert values["--kernel-source"] == f"{pytester.path}/../linux"
    assert values["--production"] == ["debian:linux-image-amd64", f"{pytester.path}/../product"]


def test_a_package_in_the_ini_file_is_no_path(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nmodcompat_kernel_source = linux-source-6.12\n")
    assert option_values(pytester.parseconfig())["--kernel-source"] == "linux-source-6.12"


def test_a_home_folder_of_nobody_in_the_ini_file_is_an_error(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nmodcompat_kernel_source = ~nobody-of-that-name/linux\n")
    with pytest.raises(pytest.UsageError, match="no user of that name"):
        option_values(pytester.parseconfig())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--modcompat-board=q36"], "there is no board or architecture q36"),
        (["--modcompat-manifest=absent.toml"], "cannot read the manifest"),
        (["--modcompat-timeout-scale=x"], "--timeout-scale takes a number, not 'x'"),
        (["--modcompat-timeout-scale=nan"], "timeouts are scaled by 0.1 to 1000"),
        (["--modcompat-accelerator=hvf"], "--accelerator takes auto, tcg, kvm, not hvf"),
    ],
    ids=["board", "manifest", "text", "nan", "choice"],
)
def test_a_mistake_in_its_options_ends_the_session_with_one_clear_error(
    options: list[str], words: str, pytester: pytest.Pytester
) -> None:
    pytester.makepyfile(QUIET)
    result = pytester.runpytest(*options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: modcompat: *{words}*"])
    assert "Traceback" not in result.stderr.str()


def test_what_is_given_is_in_the_header(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(QUIET)
    result = pytester.runpytest("--modcompat-board=q35", "--modcompat-arch=x86_64", "--modcompat-core-dump")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["modcompat: board q35, arch x86_64, core-dump True"])


@pytest.mark.parametrize(
    ("marker", "words"),
    [
        ("modcompat(boards=['q36'])", "there is no board or architecture q36"),
        ("modcompat(kernels=['stock-spinlok'])", "there is no kernel stock-spinlok"),
        ("modcompat(kernel='production')", "takes boards and kernels, not kernel"),
        ("modcompat('production')", "takes boards=[[]...[]] and kernels=[[]...[]]"),
    ],
    ids=["board", "no-kernel", "argument", "positional"],
)
def test_a_mistake_in_a_marker_is_an_error_of_the_collection(
    marker: str, words: str, pytester: pytest.Pytester
) -> None:
    pytester.makepyfile(f"import pytest\n@pytest.mark.{marker}\ndef test_it(modcompat_kernel): ...\n")
    result = pytester.runpytest()
    result.stdout.fnmatch_lines([f"*{words}*"])
    result.assert_outcomes(errors=1)
    assert "Traceback" not in result.stdout.str()


@pytest.mark.parametrize(
    ("marker", "fixtures", "words"),
    [
        ("modcompat_expects('INERT', until='2020-02-02', reason='known')", "modcompat",
         "the expectation of INERT expired on 2020-02-02: known"),
        ("modcompat_expects('INERT', until='2020-02-02', reason='known')", "",
         "the expectation of INERT expired on 2020-02-02: known"),
        ("modcompat_expects('INERT', until=__import__('datetime').datetime(2020, 2, 2, 8), reason='known')", "",
         "the expectation of INERT expired on 2020-02-02: known"),
        ("modcompat_expects('INERT', until='soon', reason='known')", "modcompat", "modcompat_expects needs until="),
        ("modcompat_expects('INERT', reason='known')", "modcompat", "modcompat_expects needs until="),
        ("modcompat_expects('INERT', until='2999-02-02')", "modcompat", "needs a verdict and a reason"),
        ("modcompat_expects(until='2999-02-02', reason='x')", "modcompat", "needs a verdict and a reason"),
        ("modcompat_requires('CLEAN')", "", "the marker modcompat_requires needs the fixture `modcompat`"),
        ("modcompat_requires('CLEAN')", "modcompat", "the test requires a verdict, but judged no module"),
        ("modcompat_requires('CLAEN')", "modcompat", "there is no verdict CLAEN"),
        ("modcompat_requires()", "modcompat", "modcompat_requires needs a verdict"),
    ],
    ids=["expired", "expired-without-fixture", "expired-at-a-time", "date", "no-date", "no-reason", "no-verdict",
         "no-fixture", "nothing-judged", "unknown", "empty"],
)  # fmt: skip
def test_a_marker_that_does_not_hold_fails_the_test(
    marker: str, fixtures: str, words: str, pytester: pytest.Pytester
) -> None:
    pytester.makepyfile(f"import pytest\n@pytest.mark.{marker}\ndef test_it({fixtures}): ...\n")
    result = pytester.runpytest()
    assert result.ret == 1
    result.stdout.fnmatch_lines([f"*{words}*"])


@pytest.mark.parametrize(("body", "outcome"), [("pytest.skip('no card')", "skipped"), ("assert False", "failed")])
def test_a_test_that_did_not_come_to_judging_says_why_and_nothing_else(
    body: str, outcome: str, pytester: pytest.Pytester
) -> None:
    pytester.makepyfile(
        f"import pytest\n@pytest.mark.modcompat_requires('CLEAN')\ndef test_it(modcompat):\n    {body}\n"
    )
    pytester.runpytest().assert_outcomes(**{outcome: 1})


def test_quotes_that_are_not_closed_in_the_environment_are_an_error(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODCOMPAT_BOARD", "o'x")
    with pytest.raises(pytest.UsageError, match="MODCOMPAT_BOARD=o'x: No closing quotation"):
        option_values(pytester.parseconfig())


@pytest.mark.parametrize(
    ("markers", "passes"),
    [
        ("", True),
        ("@pytest.mark.modcompat_requires('CLEAN')", False),
        ("@pytest.mark.modcompat_requires('CLEAN', 'INVALID')", True),
        ("@pytest.mark.modcompat_expects('INVALID', until='2999-01-01', reason='x')", True),
        ("@pytest.mark.modcompat_expects('INERT', until='2999-01-01', reason='x')", False),
        (f"{REQUIRED}{EXPECTED}, kernel='prod*', board='x86_64-*')", True),
        (f"{REQUIRED}{EXPECTED}, kernel='stock-*')", False),
        (f"{REQUIRED}{EXPECTED}, board='arm-*')", False),
    ],
    ids=["none", "required", "one-of-two", "expected", "another-expected", "matches", "other-kernel", "other-board"],
)  # fmt: skip
def test_a_verdict_is_compared_with_the_markers(
    markers: str,
    passes: bool,  # noqa: FBT001
    pytester: pytest.Pytester,
) -> None:
    """A module that was not run has the verdict INVALID."""
    pytester.makeconftest(JUDGING)
    pytester.makepyfile(f"import pytest\n{markers}\ndef test_it(modcompat): modcompat.judge('locks')\n")
    result = pytester.runpytest("--modcompat-run-dir=run")
    assert result.ret == (0 if passes else 1)
    if not passes:
        result.stdout.fnmatch_lines(
            ["*is required", "verdict: INVALID", "reason: nothing was run", "blamed module: none",
             "module: locks, kernel: production on x86_64-q35", f"evidence: {pytester.path}/run/*", "by hand: *"]
        )  # fmt: skip


def test_a_plain_assertion_that_fails_shows_the_verdict_as_well(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(JUDGING)
    pytester.makepyfile("def test_it(modcompat): assert modcompat.judge('locks').verdict == 'CLEAN'\n")
    result = pytester.runpytest()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*- modcompat -*", "verdict: INVALID", "reason: nothing was run"])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("judge('absent.ko')", "there is no module file {path}/absent.ko"),
        ("judge('test_it.py')", "it is not an ELF file"),
        ("judge('locks', 'stock-nothing')", "there is no kernel stock-nothing"),
        ("judge('locks', exercise='absent.py')", "there is no exercise file {path}/absent.py"),
        ("kernel('./tree')", "is not the build tree of a kernel"),
        ("kernel(board='q36')", "there is no board or architecture q36"),
    ],
    ids=["absent", "no-module", "unknown", "no-exercise", "no-tree", "no-board"],
)
def test_a_mistake_in_a_call_fails_the_test_without_a_traceback(
    call: str, words: str, pytester: pytest.Pytester
) -> None:
    pytester.makepyfile(test_it=f"def test_it(modcompat): modcompat.{call}\n")
    result = pytester.runpytest()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"modcompat: *{words.format(path=pytester.path)}*"])
    assert "harness/" not in result.stdout.str()


def test_collecting_an_unrelated_project_imports_nothing_more(pytester: pytest.Pytester) -> None:
    """benchmarks/plugin_cost.py measures the time."""
    pytester.makepyfile(QUIET)
    script = "import pytest, sys; pytest.main(['--collect-only', '-q']); print('imported:', *sys.modules)"

    def imported(*options: str) -> set[str]:
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=pytester.path,
            env={**os.environ, "PYTEST_ADDOPTS": " ".join(options)},
        )  # fmt: skip
        return set(done.stdout.rpartition("imported: ")[2].split())

    more = imported() - imported("-p", "no:modcompat")
    foreign = {name for name in more if name.partition(".")[0] not in {"harness", *sys.stdlib_module_names}}
    assert (bool(more), foreign) == (True, set())
    assert len([name for name in more if name.startswith("harness.")]) < 12


def test_it_is_not_in_the_way_where_xdist_is_off(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(QUIET)
    assert pytester.runpytest("-p", "no:xdist", "--modcompat-board=q35").ret == 0


def test_under_xdist_the_workers_write_below_one_folder(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(JUDGING)
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("number", range(4))
        def test_it(modcompat, number): print("folder", modcompat.judge("locks").folder.parents[3])
        """
    )
    result = pytester.runpytest_subprocess("-n", "2", "-rP", "--basetemp=base")
    result.assert_outcomes(passed=4)
    folders = {line.split()[1] for line in result.outlines if line.startswith("folder ")}
    assert folders == {f"{pytester.path}/base/modcompat"}
    assert len(list((pytester.path / "base/modcompat").iterdir())) == 4


def test_the_suite_in_the_checkout_is_not_part_of_other_sessions(pytester: pytest.Pytester) -> None:
    """Other sessions get neither its options nor its fixtures and cells."""
    pytester.makepyfile("def test_it(cell): pass\n")
    result = pytester.runpytest()
    result.stdout.fnmatch_lines(["*fixture 'cell' not found*"])
    assert pytester.runpytest("--flavour=stock").ret == pytest.ExitCode.USAGE_ERROR


def test_a_path_of_the_suites_options_is_no_test_to_run(tmp_path: Path) -> None:
    """In the checkout, pytest finds the checkout's configuration rather than looking beside the path."""
    checkout = Path(__file__).parents[3]
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-k", "absent", "--module"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    for path in (tmp_path, tmp_path / "x.ko"):
        if path.suffix:
            path.touch()
        done = subprocess.run(
            [*command, str(path)], cwd=checkout, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == pytest.ExitCode.USAGE_ERROR, done.stdout + done.stderr
        assert "unrecognized" not in done.stderr
        assert ("there is no module file" if path == tmp_path else "the file is empty") in done.stderr
